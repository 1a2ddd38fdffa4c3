//! Second stage: takes gathered texts, and hands out settings whose values are in range and agree
//! with each other. Reads everything before it gives up, so that all problems show at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use spanmill_embedded::Port;
use spanmill_engine::host_needs::{REQUEST_BYTES_MIN, WAL_BYTES_MIN};
use spanmill_engine::{AckMode, MemoryPlan, Pin, ReactorChoice};
use spanmill_schema::SchemaSettings;
use tracing_subscriber::EnvFilter;

use super::machine;
use super::problem::Problem;
use super::queries;
use super::reader::Reader;
use super::sources::Raw;
use super::stored;
use super::table::{self, Setting};
use super::values::{self, Secret};
use super::{Batching, ClickHouse, EmbeddedPorts, Listeners, Log, LogFormat};
use super::{Memory, Settings, Wal};
use crate::command_line::Command;

const ROWS_MAX: usize = 10_000_000;
/// Largest request when no setting says.
const REQUEST_BYTES: usize = 64 << 20;

/// `None` only if at least one problem was added.
pub(super) fn settings(
    command: Command,
    raw: &Raw,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let mut reader = Reader::new(raw, problems);
    let data_dir = data_dir(&mut reader);
    let clickhouse = clickhouse(command, &mut reader);
    let embedded = embedded_ports(&mut reader);
    let shards = shards(&mut reader);
    let schema = stored::schema(&mut reader, shards);
    if let Some((clickhouse, schema)) = clickhouse.as_ref().zip(schema.as_ref()) {
        replicas_share_tables(&mut reader, clickhouse, schema);
    }
    let listeners = listeners(&mut reader);
    let reactor = reader.read(&table::REACTOR, reactor);
    let pin = reader.read(&table::PIN, pin);
    let batching = batching(&mut reader);
    let memory = memory(&mut reader, shards);
    let wal = wal(&mut reader, data_dir.as_deref());
    let queries = queries::queries(&mut reader);
    let timestamps = stored::timestamps(&mut reader, schema.as_ref());
    let drain_timeout = reader.time(
        &table::DRAIN_TIMEOUT,
        Duration::ZERO,
        Duration::from_mins(10),
    );
    let log = log(&mut reader);
    Some(Settings {
        data_dir: data_dir?,
        clickhouse: clickhouse?,
        clickhouse_is_given: raw.is_given(&table::CLICKHOUSE),
        embedded: embedded?,
        schema: schema?,
        listeners: listeners?,
        shards: shards?,
        reactor: reactor?,
        pin: pin?,
        batching: batching?,
        memory: memory?,
        wal: wal?,
        queries: queries?,
        timestamps: timestamps?,
        drain_timeout: drain_timeout?,
        log: log?,
    })
}

fn data_dir(reader: &mut Reader<'_>) -> Option<PathBuf> {
    if reader.raw.is_given(&table::DATA_DIR) {
        return reader.read(&table::DATA_DIR, folder);
    }
    let found = reader
        .raw
        .data_home
        .as_ref()
        .map(|home| home.join("spanmill"));
    if found.is_none() {
        reader.relation(format!(
            "{} is not given, and neither XDG_DATA_HOME nor HOME is set: give {}",
            table::DATA_DIR.key,
            table::DATA_DIR.flag()
        ));
    }
    found
}

fn shards(reader: &mut Reader<'_>) -> Option<usize> {
    if reader.raw.is_given(&table::SHARDS) {
        return reader.read(&table::SHARDS, |text| values::number(text, 1..=256));
    }
    // Counts this process's CPU affinity and its cgroup's quota.
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    Some(usable.min(256))
}

fn clickhouse(command: Command, reader: &mut Reader<'_>) -> Option<ClickHouse> {
    let has_native = reader.raw.is_given(&table::CLICKHOUSE);
    let has_http = reader.raw.is_given(&table::CLICKHOUSE_HTTP);
    match command {
        // The embedded one is used.
        Command::Up if !has_native && !has_http => refuse_what_embedded_lacks(reader),
        // Migrations and queries speak HTTP only.
        Command::Migrate | Command::Query if !has_native => {}
        Command::Up | Command::Engine | Command::Migrate | Command::Query => {
            both_or_neither(reader);
        }
        Command::Clickhouse | Command::ForgetLostTokens | Command::Settings => {}
    }
    let native = reader.read(&table::CLICKHOUSE, values::host_ports);
    let http = reader.read(&table::CLICKHOUSE_HTTP, values::http_url);
    let user = reader.read(&table::CLICKHOUSE_USER, |text| match text {
        "" => Err("the name is empty".to_owned()),
        _ => Ok(text.to_owned()),
    });
    let password = reader.raw.get(&table::CLICKHOUSE_PASSWORD);
    let local = |address: &str| Some(address.to_owned());
    Some(ClickHouse {
        native: if has_native {
            native
        } else {
            local("127.0.0.1:9000").map(|address| vec![address])
        }?,
        http: if has_http {
            http
        } else {
            local("http://127.0.0.1:8123")
        }?,
        user: user?,
        password: password.map_or_else(Secret::default, |given| Secret::new(&given.text)),
    })
}

fn both_or_neither(reader: &mut Reader<'_>) {
    let (native, http) = (&table::CLICKHOUSE, &table::CLICKHOUSE_HTTP);
    match (reader.raw.is_given(native), reader.raw.is_given(http)) {
        (true, false) => reader.relation(lone(reader, native, http)),
        (false, true) => reader.relation(lone(reader, http, native)),
        (true, true) | (false, false) => {}
    }
}

fn lone(reader: &Reader<'_>, given: &Setting, missing: &Setting) -> String {
    let (given, key, accepts) = (reader.named(given), missing.key, missing.accepts);
    format!("{given} needs {key} of the same ClickHouse beside it. Accepted: {accepts}")
}

/// Only replicated tables share what they remember of an insert, so that it may go to either of two.
fn replicas_share_tables(
    reader: &mut Reader<'_>,
    clickhouse: &ClickHouse,
    schema: &SchemaSettings,
) {
    if clickhouse.native.len() > 1 && schema.cluster.is_none() {
        let (given, cluster) = (reader.named(&table::CLICKHOUSE), &table::CLICKHOUSE_CLUSTER);
        let key = cluster.key;
        reader.relation(format!(
            "{given} names several endpoints, which without {key} would each keep rows of their own \
             and store some twice: name the cluster whose replicas they are, or give one endpoint"
        ));
    }
}

/// The embedded ClickHouse knows one user without a password, on loopback, and no cluster.
fn refuse_what_embedded_lacks(reader: &mut Reader<'_>) {
    for setting in [
        &table::CLICKHOUSE_USER,
        &table::CLICKHOUSE_PASSWORD,
        &table::CLICKHOUSE_CLUSTER,
    ] {
        if let Some(given) = reader
            .raw
            .get(setting)
            .filter(|_| reader.raw.is_given(setting))
        {
            let (key, source) = (setting.key, &given.source);
            reader.relation(format!(
                "{key} ({source}) is for a ClickHouse named by clickhouse and clickhouse_http; \
                 the embedded one takes neither user nor password and has no cluster"
            ));
        }
    }
}

fn embedded_ports(reader: &mut Reader<'_>) -> Option<EmbeddedPorts> {
    let native = reader.read(&table::NATIVE_PORT, |text| port(text, 9000));
    let http = reader.read(&table::HTTP_PORT, |text| port(text, 8123));
    let ports = EmbeddedPorts {
        native: native?,
        http: http?,
    };
    if let (Port::Exactly(native), Port::Exactly(http)) = (&ports.native, &ports.http)
        && native == http
    {
        let (native, http) = (
            reader.named(&table::NATIVE_PORT),
            reader.named(&table::HTTP_PORT),
        );
        reader.relation(format!("{native} and {http} are the same port: change one"));
    }
    Some(ports)
}

fn port(text: &str, preferred: u16) -> Result<Port, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Port::Prefer(preferred)),
        (_, Ok(0)) => Ok(Port::Any),
        (_, Ok(port)) => Ok(Port::Exactly(port)),
        (_, Err(error)) => Err(format!("not a port ({error})")),
    }
}

fn listeners(reader: &mut Reader<'_>) -> Option<Listeners> {
    let address = |text: &str| {
        text.parse::<SocketAddr>()
            .map_err(|error| error.to_string())
    };
    let settings = [
        &table::OTLP_GRPC,
        &table::OTLP_HTTP,
        &table::ADMIN,
        &table::QUERY,
    ];
    let [otlp_grpc, otlp_http, admin, query] = settings.map(|setting| {
        let read = reader.read(setting, address);
        read.map(|address| (setting, address))
    });
    let all = [otlp_grpc?, otlp_http?, admin?, query?];
    for (index, (setting, address)) in all.iter().enumerate() {
        for (other, other_address) in &all[index + 1..] {
            if overlap(*address, *other_address) {
                let (one, other) = (reader.named(setting), reader.named(other));
                reader.relation(format!(
                    "{one} and {other} cannot both be listened on: change one"
                ));
            }
        }
    }
    let [otlp_grpc, otlp_http, admin, query] = all.map(|(_, address)| address);
    Some(Listeners {
        otlp_grpc,
        otlp_http,
        admin,
        query,
    })
}

/// Whether both could not be listened on at once.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_host =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_host
}

fn reactor(text: &str) -> Result<ReactorChoice, String> {
    match text {
        "auto" => Ok(ReactorChoice::Auto),
        "uring" => Ok(ReactorChoice::Uring),
        "epoll" => Ok(ReactorChoice::Epoll),
        _ => Err("no such reactor".to_owned()),
    }
}

fn pin(text: &str) -> Result<Pin, String> {
    match text {
        "auto" => Ok(Pin::Auto),
        "always" => Ok(Pin::Always),
        "never" => Ok(Pin::Never),
        _ => Err("no such choice".to_owned()),
    }
}

fn batching(reader: &mut Reader<'_>) -> Option<Batching> {
    let (tenth, minute) = (Duration::from_millis(100), Duration::from_mins(1));
    let rows = reader.read(&table::BATCH_ROWS, |text| {
        values::number(text, 1..=ROWS_MAX)
    });
    let rows_max = reader.read(&table::BATCH_ROWS_MAX, |text| {
        values::number(text, 1..=ROWS_MAX)
    });
    let ack = reader.read(&table::ACK, ack_mode);
    let age = if reader.raw.is_given(&table::BATCH_AGE) {
        reader.time(&table::BATCH_AGE, Duration::from_millis(1), minute)
    } else if ack == Some(AckMode::ClickHouse) {
        Some(2 * tenth)
    } else {
        Some(10 * tenth)
    };
    let insert_timeout = reader.time(&table::INSERT_TIMEOUT, tenth, 10 * minute);
    let ack_timeout = reader.time(&table::ACK_TIMEOUT, tenth, 10 * minute);
    if rows > rows_max && rows_max.is_some() {
        let (rows, most) = (
            reader.named(&table::BATCH_ROWS),
            reader.named(&table::BATCH_ROWS_MAX),
        );
        reader.relation(format!(
            "{rows} is above {most}: lower the first or raise the second"
        ));
    }
    if age >= ack_timeout && ack_timeout.is_some() {
        let (age, ack) = (
            reader.named(&table::BATCH_AGE),
            reader.named(&table::ACK_TIMEOUT),
        );
        reader.relation(format!(
            "{age} is not below {ack}: exports would be turned away before their batch closes"
        ));
    }
    Some(Batching {
        rows: rows?,
        rows_max: rows_max?,
        age: age?,
        insert_timeout: insert_timeout?,
        ack: ack?,
        ack_timeout: ack_timeout?,
    })
}

fn ack_mode(text: &str) -> Result<AckMode, String> {
    match text {
        "log" => Ok(AckMode::Log),
        "memory" => Ok(AckMode::Memory),
        "clickhouse" => Ok(AckMode::ClickHouse),
        _ => Err("no such ack mode".to_owned()),
    }
}

fn wal(reader: &mut Reader<'_>, data_dir: Option<&Path>) -> Option<Wal> {
    let folder = if reader.raw.is_given(&table::WAL_DIR) {
        reader.read(&table::WAL_DIR, folder)
    } else {
        data_dir.map(|data_dir| data_dir.join("wal"))
    };
    let bytes_max = reader.read(&table::WAL_BYTES_MAX, |text| {
        values::size(text, ByteSize::b(WAL_BYTES_MIN)..=ByteSize::pib(1))
    });
    Some(Wal {
        folder: folder?,
        bytes_max: bytes_max? as u64,
    })
}

fn folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("the path is empty".to_owned()),
        _ => Ok(PathBuf::from(text)),
    }
}

fn memory(reader: &mut Reader<'_>, shards: Option<usize>) -> Option<Memory> {
    let memory = if reader.raw.is_given(&table::MEMORY_MAX) {
        reader.read(&table::MEMORY_MAX, |text| {
            values::size(text, ByteSize::mib(64)..=ByteSize::tib(1))
        })
    } else {
        usize::try_from(MemoryPlan::default_memory(
            machine::usable_memory(),
            shards?,
        ))
        .ok()
    };
    let given = reader.raw.is_given(&table::REQUEST_BYTES_MAX);
    let request = reader.read(&table::REQUEST_BYTES_MAX, |text| {
        values::size(text, ByteSize::kib(1)..=ByteSize::gib(1))
    });
    let (memory, shards) = (memory?, shards?);
    let plan = MemoryPlan::new(memory, shards);
    let most = plan.request_bytes_max();
    let request = if given {
        request?
    } else {
        REQUEST_BYTES.min(most)
    };
    if request > most || most < REQUEST_BYTES_MIN {
        let wanted = request.max(REQUEST_BYTES_MIN);
        let least = MemoryPlan::least_memory(wanted, shards) >> 20;
        let (requests, all) = (
            reader.named(&table::REQUEST_BYTES_MAX),
            reader.named(&table::MEMORY_MAX),
        );
        reader.relation(format!(
            "{all}, {} MiB, is too little for {requests} with {shards} shards: raise memory_max to {least}MiB, \
             or lower shards{}",
            memory >> 20,
            if given { " or request_bytes_max" } else { "" }
        ));
        return None;
    }
    Some(Memory {
        request_bytes_max: request,
        plan,
    })
}

fn log(reader: &mut Reader<'_>) -> Option<Log> {
    let format = reader.read(&table::LOG_FORMAT, |text| match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("no such format".to_owned()),
    });
    let filter = reader.read(&table::LOG_LEVEL, |text| match text.trim() {
        "" => Err("the filter is empty".to_owned()),
        text => EnvFilter::builder()
            .parse(text)
            .map(|_| text.to_owned())
            .map_err(|error| format!("not a log filter ({error})")),
    });
    Some(Log {
        format: format?,
        filter: filter?,
    })
}
