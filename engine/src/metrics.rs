//! Counters of each shard, published for `/metrics`. A shard only ever touches its own; the admin port
//! reads all of them.

use std::num::NonZero;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use spanmill_schema::TableId;

use crate::decode::Signal;
use crate::insert::FailureKind;
use crate::listen::Why;
use crate::process::Process;
use crate::refusal::Kind;

/// Upper bounds of insert durations, in seconds.
const INSERT_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Upper bounds of commit durations, in seconds.
const COMMIT_SECONDS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0,
];
/// Upper bounds of rows in a batch.
const BATCH_ROWS: [f64; 9] = [
    10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 25_000.0, 50_000.0, 100_000.0, 200_000.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfShard {
    shard: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRefusal {
    shard: u32,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFailure {
    shard: u32,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoint {
    shard: u32,
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSignal {
    shard: u32,
    signal: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTable {
    shard: u32,
    table: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    shard: u32,
    transport: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTransport {
    shard: u32,
    transport: &'static str,
}

/// A gauge that holds a time.
type Seconds = Gauge<f64, AtomicU64>;

/// Every shard's metrics, as `/metrics` shows them.
pub(crate) struct Metrics(Registry);

/// One shard's metrics. Cloning is cheap and gives the same counters.
#[derive(Clone)]
pub(crate) struct ShardMetrics {
    pub(crate) grpc: TransportMetrics,
    pub(crate) http: TransportMetrics,
    refused: [Counter; Kind::ALL.len()],
    signals: [SignalMetrics; Signal::ALL.len()],
    inserted_rows: [Counter; TableId::ALL.len()],
    pub(crate) inserted_bytes: Counter,
    pub(crate) insert_retries: Counter,
    insert_failures: [Counter; FailureKind::ALL.len()],
    /// In the order of the configuration; as numbers of `BreakerState`.
    pub(crate) endpoint_states: Vec<Gauge>,
    pub(crate) failovers: Counter,
    /// Unix seconds of the last confirmed insert; 0 before the first.
    pub(crate) last_insert: Seconds,
    pub(crate) abandoned_rows: Counter,
    pub(crate) pending_bytes: Gauge,
    pub(crate) memory_limit: Gauge,
    pub(crate) available: Gauge,
    pub(crate) insert_seconds: Histogram,
    pub(crate) batch_rows: Histogram,
    pub(crate) commit_seconds: Histogram,
    pub(crate) log_available: Gauge,
    pub(crate) log_bytes: Gauge,
    pub(crate) log_failures: Counter,
    pub(crate) log_torn_bytes: Counter,
    pub(crate) log_damaged_bytes: Counter,
    pub(crate) log_missing_chunks: Counter,
    pub(crate) set_aside_rows: Counter,
    pub(crate) set_aside_segments: Counter,
    pub(crate) set_aside_logs: Counter,
    pub(crate) connections_handed_over: Counter,
    pub(crate) bodies_handed_over: Counter,
}

/// What a shard counts per signal.
#[derive(Clone)]
pub(crate) struct SignalMetrics {
    pub(crate) decoded_rows: Counter,
    pub(crate) decoded_bytes: Counter,
    pub(crate) rejected_rows: Counter,
}

/// What a shard counts per transport.
#[derive(Clone)]
pub(crate) struct TransportMetrics {
    pub(crate) requests: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) connections: Gauge,
    ended: [Counter; Why::ALL.len()],
}

impl TransportMetrics {
    /// Counts a connection that the engine ended.
    pub(crate) fn ended(&self, why: Why) {
        self.ended[why as usize].inc();
    }
}

impl Metrics {
    /// The metrics of `shards` shards that write to these endpoints, and the part that each shard takes.
    pub(crate) fn new(shards: usize, endpoints: &[String]) -> (Self, Vec<ShardMetrics>) {
        let mut registry = Registry::default();
        // Under the names that every process has them by.
        registry.register_collector(Box::new(Process));
        let own = registry.sub_registry_with_prefix("spanmill");
        facts(own, shards);
        let families = Families::register(own);
        let parts = (0..shards)
            .map(|shard| families.part(shard, endpoints))
            .collect();
        (Metrics(registry), parts)
    }

    /// The Prometheus text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.0);
        text
    }
}

/// The metrics that shards take their parts of.
struct Families {
    requests: Family<OfTransport, Counter>,
    received_bytes: Family<OfTransport, Counter>,
    connections: Family<OfTransport, Gauge>,
    ended: Family<OfEnd, Counter>,
    refused: Family<OfRefusal, Counter>,
    decoded_rows: Family<OfSignal, Counter>,
    decoded_bytes: Family<OfSignal, Counter>,
    rejected_rows: Family<OfSignal, Counter>,
    inserted_rows: Family<OfTable, Counter>,
    inserted_bytes: Family<OfShard, Counter>,
    insert_retries: Family<OfShard, Counter>,
    insert_failures: Family<OfFailure, Counter>,
    endpoint_states: Family<OfEndpoint, Gauge>,
    failovers: Family<OfShard, Counter>,
    last_insert: Family<OfShard, Seconds>,
    abandoned_rows: Family<OfShard, Counter>,
    pending_bytes: Family<OfShard, Gauge>,
    memory_limit: Family<OfShard, Gauge>,
    available: Family<OfShard, Gauge>,
    insert_seconds: Family<OfShard, Histogram, fn() -> Histogram>,
    batch_rows: Family<OfShard, Histogram, fn() -> Histogram>,
    commit_seconds: Family<OfShard, Histogram, fn() -> Histogram>,
    connections_handed_over: Family<OfShard, Counter>,
    bodies_handed_over: Family<OfShard, Counter>,
    log: LogFamilies,
}

/// Those of the log.
struct LogFamilies {
    available: Family<OfShard, Gauge>,
    bytes: Family<OfShard, Gauge>,
    failures: Family<OfShard, Counter>,
    torn_bytes: Family<OfShard, Counter>,
    damaged_bytes: Family<OfShard, Counter>,
    missing_chunks: Family<OfShard, Counter>,
    set_aside_rows: Family<OfShard, Counter>,
    set_aside_segments: Family<OfShard, Counter>,
    set_aside_logs: Family<OfShard, Counter>,
}

impl LogFamilies {
    fn register(registry: &mut Registry) -> Self {
        let mut counter = |name: &str, help: &str| add(registry, name, help, Family::default());
        LogFamilies {
            failures: counter(
                "log_failures",
                "Tries to write, read or trim the log that failed",
            ),
            torn_bytes: counter(
                "log_torn_bytes",
                "Bytes at the ends of logs that were never wholly written nor acknowledged",
            ),
            damaged_bytes: counter(
                "log_damaged_bytes",
                "Bytes of logs that differ from what was written, set aside",
            ),
            missing_chunks: counter(
                "log_missing_chunks",
                "Chunks that a log should hold and does not",
            ),
            set_aside_rows: counter("set_aside_rows", "Rows of batches that were set aside"),
            set_aside_segments: counter(
                "set_aside_segments",
                "Segments that could not be read, set aside",
            ),
            set_aside_logs: counter("set_aside_logs", "Logs that could not be read, set aside"),
            bytes: add(
                registry,
                "log_bytes",
                "Bytes of logs that are not inserted yet",
                Family::default(),
            ),
            available: add(
                registry,
                "log_available",
                "1 while the log can be written, 0 while requests are refused",
                Family::default(),
            ),
        }
    }
}

/// What does not change while the engine runs.
fn facts(registry: &mut Registry, shards: usize) {
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version of this engine", version);
    let gauge = |value: usize| ConstGauge::new(value as u64);
    let cpus = std::thread::available_parallelism().map_or(shards, NonZero::get);
    registry.register(
        "shards",
        "Threads that take, walk and insert data",
        gauge(shards),
    );
    registry.register(
        "cpus",
        "CPUs that this process may use, by affinity and cgroup quota",
        gauge(cpus),
    );
}

/// Registers a family of metrics and gives it back.
fn add<F: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, family: F) -> F {
    registry.register(name, help, family.clone());
    family
}

impl Families {
    fn register(registry: &mut Registry) -> Self {
        let insert_seconds: fn() -> Histogram = || Histogram::new(INSERT_SECONDS);
        let batch_rows: fn() -> Histogram = || Histogram::new(BATCH_ROWS);
        let insert_seconds = Family::new_with_constructor(insert_seconds);
        let batch_rows = Family::new_with_constructor(batch_rows);
        let help = "Time from sending a batch to ClickHouse's confirmation";
        registry.register_with_unit(
            "insert_duration",
            help,
            Unit::Seconds,
            insert_seconds.clone(),
        );
        let commit_seconds: fn() -> Histogram = || Histogram::new(COMMIT_SECONDS);
        let commit_seconds = Family::new_with_constructor(commit_seconds);
        registry.register_with_unit(
            "commit_duration",
            "Time from taking rows to having them synced in the log",
            Unit::Seconds,
            commit_seconds.clone(),
        );
        let log = LogFamilies::register(registry);
        let mut of_shard = |name: &str, help: &str| add(registry, name, help, Family::default());
        Families {
            log,
            commit_seconds,
            insert_seconds,
            inserted_bytes: of_shard("inserted_bytes", "Compressed bytes of confirmed inserts"),
            insert_retries: of_shard(
                "insert_retries",
                "Inserts sent again, because it was unknown whether they are stored",
            ),
            failovers: of_shard("failovers", "Moves to another endpoint of ClickHouse"),
            abandoned_rows: of_shard("abandoned_rows", "Rows whose requests were told to retry"),
            insert_failures: add(
                registry,
                "insert_failures",
                "Tries of an insert that failed, by kind of failure",
                Family::default(),
            ),
            endpoint_states: add(
                registry,
                "endpoint_state",
                "An endpoint's circuit breaker: 0 closed, 1 half-open, 2 open",
                Family::default(),
            ),
            last_insert: add(
                registry,
                "last_insert_timestamp_seconds",
                "When ClickHouse last confirmed an insert, in Unix seconds; 0 before the first",
                Family::default(),
            ),
            decoded_rows: add(
                registry,
                "decoded_rows",
                "Spans, log records and points walked into columns",
                Family::default(),
            ),
            decoded_bytes: add(
                registry,
                "decoded_bytes",
                "Bytes of bodies walked, decompressed",
                Family::default(),
            ),
            rejected_rows: add(
                registry,
                "rejected_rows",
                "Rows left out of requests because they alone were bad",
                Family::default(),
            ),
            inserted_rows: add(
                registry,
                "inserted_rows",
                "Rows whose insert was confirmed",
                Family::default(),
            ),
            memory_limit: add(
                registry,
                "pending_bytes_limit",
                "Bytes that pending_bytes may be: at half of them large requests are told to retry, at all of \
                 them nothing is read",
                Family::default(),
            ),
            pending_bytes: add(
                registry,
                "pending_bytes",
                "Bytes of requests, columns and chunks held in memory",
                Family::default(),
            ),
            available: add(
                registry,
                "clickhouse_available",
                "1 while inserts work, 0 while they fail",
                Family::default(),
            ),
            requests: add(
                registry,
                "requests",
                "Export requests received",
                Family::default(),
            ),
            received_bytes: add(
                registry,
                "received_bytes",
                "Bytes of bodies received, as on the wire",
                Family::default(),
            ),
            connections: add(
                registry,
                "connections",
                "Connections open",
                Family::default(),
            ),
            ended: add(
                registry,
                "ended_connections",
                "Connections that the engine ended, by reason",
                Family::default(),
            ),
            refused: add(
                registry,
                "refused",
                "Requests refused, by reason",
                Family::default(),
            ),
            batch_rows: add(
                registry,
                "batch_rows",
                "Rows of confirmed batches",
                batch_rows,
            ),
            connections_handed_over: add(
                registry,
                "connections_handed_over",
                "Connections accepted here and given to a shard with fewer",
                Family::default(),
            ),
            bodies_handed_over: add(
                registry,
                "bodies_handed_over",
                "Requests received here and walked by a shard with less to do",
                Family::default(),
            ),
        }
    }

    fn part(&self, shard: usize, endpoints: &[String]) -> ShardMetrics {
        let shard = shard as u32;
        let labels = &OfShard { shard };
        let transport = |transport| {
            let labels = OfTransport { shard, transport };
            TransportMetrics {
                requests: self.requests.get_or_create_owned(&labels),
                received_bytes: self.received_bytes.get_or_create_owned(&labels),
                connections: self.connections.get_or_create_owned(&labels),
                ended: Why::ALL.map(|why| {
                    let reason = why.label();
                    let labels = OfEnd {
                        shard,
                        transport,
                        reason,
                    };
                    self.ended.get_or_create_owned(&labels)
                }),
            }
        };
        ShardMetrics {
            grpc: transport("grpc"),
            http: transport("http"),
            refused: Kind::ALL.map(|kind| {
                let reason = kind.label();
                self.refused
                    .get_or_create_owned(&OfRefusal { shard, reason })
            }),
            signals: Signal::ALL.map(|signal| {
                let signal = signal.label();
                let labels = OfSignal { shard, signal };
                SignalMetrics {
                    decoded_rows: self.decoded_rows.get_or_create_owned(&labels),
                    decoded_bytes: self.decoded_bytes.get_or_create_owned(&labels),
                    rejected_rows: self.rejected_rows.get_or_create_owned(&labels),
                }
            }),
            inserted_rows: TableId::ALL.map(|table| {
                let table = table.name();
                self.inserted_rows
                    .get_or_create_owned(&OfTable { shard, table })
            }),
            inserted_bytes: self.inserted_bytes.get_or_create_owned(labels),
            insert_retries: self.insert_retries.get_or_create_owned(labels),
            insert_failures: FailureKind::ALL.map(|kind| {
                let kind = kind.label();
                self.insert_failures
                    .get_or_create_owned(&OfFailure { shard, kind })
            }),
            endpoint_states: endpoints
                .iter()
                .map(|endpoint| {
                    let endpoint = endpoint.clone();
                    self.endpoint_states
                        .get_or_create_owned(&OfEndpoint { shard, endpoint })
                })
                .collect(),
            failovers: self.failovers.get_or_create_owned(labels),
            last_insert: self.last_insert.get_or_create_owned(labels),
            abandoned_rows: self.abandoned_rows.get_or_create_owned(labels),
            pending_bytes: self.pending_bytes.get_or_create_owned(labels),
            memory_limit: self.memory_limit.get_or_create_owned(labels),
            available: self.available.get_or_create_owned(labels),
            insert_seconds: self.insert_seconds.get_or_create_owned(labels),
            batch_rows: self.batch_rows.get_or_create_owned(labels),
            commit_seconds: self.commit_seconds.get_or_create_owned(labels),
            log_available: self.log.available.get_or_create_owned(labels),
            log_bytes: self.log.bytes.get_or_create_owned(labels),
            log_failures: self.log.failures.get_or_create_owned(labels),
            log_torn_bytes: self.log.torn_bytes.get_or_create_owned(labels),
            log_damaged_bytes: self.log.damaged_bytes.get_or_create_owned(labels),
            log_missing_chunks: self.log.missing_chunks.get_or_create_owned(labels),
            set_aside_rows: self.log.set_aside_rows.get_or_create_owned(labels),
            set_aside_segments: self.log.set_aside_segments.get_or_create_owned(labels),
            set_aside_logs: self.log.set_aside_logs.get_or_create_owned(labels),
            connections_handed_over: self.connections_handed_over.get_or_create_owned(labels),
            bodies_handed_over: self.bodies_handed_over.get_or_create_owned(labels),
        }
    }
}

impl ShardMetrics {
    pub(crate) fn signal(&self, signal: Signal) -> &SignalMetrics {
        &self.signals[signal as usize]
    }

    pub(crate) fn inserted_rows(&self, table: TableId) -> &Counter {
        &self.inserted_rows[table as usize]
    }

    /// Counts a try of an insert that failed.
    pub(crate) fn insert_failed(&self, kind: FailureKind) {
        self.insert_failures[kind as usize].inc();
    }

    /// Counts a refused request.
    pub(crate) fn refused(&self, kind: Kind) {
        self.refused[kind as usize].inc();
    }
}
