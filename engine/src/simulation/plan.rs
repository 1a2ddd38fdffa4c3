//! What a seed decides before a history begins: the engine's settings, the load, and which kinds of faults
//! may happen in it. Each history has but some of them, so that none hides behind another.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastrand::Rng;
use spanmill_schema::{Connection, SchemaSettings, Tables};

use super::clickhouse;
use super::client::{GRPC, HTTP};
use crate::balance::HandOver;
use crate::config::{AckMode, ClickHouse, Config, LogConfig, Pin, ReactorChoice};
use crate::limits::PeerLimits;
use crate::memory::MemoryPlan;

const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Where the engine's log is.
pub(super) const LOG: &str = "/var/lib/spanmill/log";

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The engine is killed, and started again with any number of shards.
    KillEngine,
    /// The engine is told to stop (SIGTERM), and started again.
    StopEngine,
    /// The engine's process is halted for a while.
    PauseEngine,
    KillClickHouse,
    PauseClickHouse,
    /// ClickHouse hangs, dies or answers with an exception at any point of an INSERT.
    Mishaps,
    /// A connection of a client is cut.
    CutClient,
    /// A connection to ClickHouse is cut.
    CutClickHouse,
    /// Nothing reaches ClickHouse, and nothing is heard of it.
    Silence,
    KillClient,
    /// Writes and syncs fail, the disk is slow or full.
    Disk,
    /// Reads from the disk fail.
    Read,
    /// The engine is killed, and a bit of its log turns over before it is started again.
    Rot,
    /// The clock of the wall is set.
    Clock,
}

impl Fault {
    pub(super) const ALL: [Fault; 14] = [
        Fault::KillEngine,
        Fault::StopEngine,
        Fault::PauseEngine,
        Fault::KillClickHouse,
        Fault::PauseClickHouse,
        Fault::Mishaps,
        Fault::CutClient,
        Fault::CutClickHouse,
        Fault::Silence,
        Fault::KillClient,
        Fault::Disk,
        Fault::Read,
        Fault::Rot,
        Fault::Clock,
    ];
}

/// See the module.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) faults: Vec<Fault>,
    /// How long faults go on.
    pub(super) trouble: Duration,
    pub(super) clients: usize,
    pub(super) requests: usize,
    pub(super) pause: Duration,
    pub(super) parallel: usize,
    pub(super) patience: Duration,
    /// Most of a byte's time on the network.
    pub(super) latency: Duration,
    /// Tokens that each table remembers.
    pub(super) window: usize,
}

impl Plan {
    pub(super) fn draw(random: &mut Rng) -> Plan {
        let millis = |random: &mut Rng, range| Duration::from_millis(random.u64(range));
        // One history in eight has no fault at all.
        let share = random.u8(..8);
        let faults = Fault::ALL.into_iter().filter(|_| random.u8(..8) < share);
        let mut faults: Vec<_> = faults.collect();
        // These excuse losses that are reported, and so make a history less strict.
        let lenient = random.u8(..6) == 0;
        faults.retain(|fault| lenient || !matches!(fault, Fault::Read | Fault::Rot));
        let window = match random.u8(..6) {
            0 => random.u32(8..16),
            _ => SchemaSettings::INSERTS_REMEMBERED,
        };
        Plan {
            faults,
            trouble: millis(random, 500..20_000),
            clients: random.usize(1..=4),
            requests: random.usize(10..120),
            pause: millis(random, 1..400),
            parallel: random.usize(1..=8),
            patience: millis(random, 2_000..30_000),
            latency: Duration::from_micros(random.u64(50..2_000)),
            window: window as usize,
            config: config(random),
        }
    }
}

fn config(random: &mut Rng) -> Config {
    let user = || "default".to_owned();
    let batch_rows = 1 << random.u32(0..8);
    Config {
        shards: random.usize(1..=3),
        reactor: ReactorChoice::Auto,
        pin: Pin::Never,
        otlp_grpc: GRPC,
        otlp_http: HTTP,
        admin: GRPC,
        clickhouse: ClickHouse {
            native: clickhouse::REPLICAS[..random.usize(1..=2)]
                .iter()
                .map(ToString::to_string)
                .collect(),
            http: Connection {
                url: "http://10.0.0.9:8123".into(),
                user: user(),
                password: String::new(),
            },
            user: user(),
            password: String::new(),
        },
        batch_rows,
        batch_rows_max: batch_rows * random.usize(1..4),
        batch_age: Duration::from_millis(random.u64(1..300)),
        insert_timeout: Duration::from_millis(random.u64(200..5_000)),
        ack_timeout: Duration::from_millis(random.u64(1_000..15_000)),
        request_bytes_max: 1 << 20,
        memory: MemoryPlan {
            hard: 1 << random.u32(19..24),
            recent_bytes: [0, 1 << random.u32(8..20)][random.usize(..2)],
            ..MemoryPlan::new(64 << 20, 1)
        },
        tables: tables(),
        ack: [
            AckMode::Log,
            AckMode::Log,
            AckMode::Memory,
            AckMode::ClickHouse,
        ][random.usize(..4)],
        log: LogConfig {
            folder: LOG.into(),
            bytes_max: 1 << random.u32(17..24),
        },
        timestamp_past_max: A_CENTURY,
        timestamp_future_max: A_CENTURY,
        hand_over: HandOver {
            body_bytes_min: random.usize(..1_000),
            busy_percent_min: random.u8(..=100),
            idle_percent_max: random.u8(..=100),
        },
        drain_timeout: Duration::from_secs(30),
        peers: PeerLimits::default(),
    }
}

/// Made once: there are many histories.
pub(super) fn tables() -> Arc<Tables> {
    static TABLES: OnceLock<Arc<Tables>> = OnceLock::new();
    Arc::clone(TABLES.get_or_init(Arc::default))
}
