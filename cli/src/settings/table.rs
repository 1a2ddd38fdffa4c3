//! The one place that says which settings exist: key, unit, default and meaning. Flags, help,
//! variables, file keys and `SETTINGS.md` all derive from it. It reads no value.

/// One setting as the user meets it.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Key in the file; the flag is `--` with dashes, the variable `SPANMILL_` in capitals.
    pub key: &'static str,
    /// Heading it stands under in help and reference.
    pub group: &'static str,
    /// Placeholder of the value in help.
    pub value: &'static str,
    /// What is accepted, with its unit; part of every complaint about a bad value.
    pub accepts: &'static str,
    pub default: Default,
    pub help: &'static str,
    /// The value is never printed.
    pub secret: bool,
}

/// What holds when nobody gave a value.
#[derive(Debug)]
pub(crate) enum Default {
    /// This very text, read like a given one.
    Text(&'static str),
    /// Worked out at start, as described.
    Found(&'static str),
}

impl Setting {
    /// `--batch-rows`
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.key.replace('_', "-"))
    }

    /// `SPANMILL_BATCH_ROWS`
    pub(crate) fn variable(&self) -> String {
        format!("SPANMILL_{}", self.key.to_ascii_uppercase())
    }

    /// The default in words, for help and reference.
    pub(crate) fn default_words(&self) -> &'static str {
        match self.default {
            Default::Text(text) | Default::Found(text) => text,
        }
    }
}

const PLACES: &str = "Places";
const LISTENERS: &str = "Listeners";
const CLICKHOUSE_GROUP: &str = "ClickHouse";
const TABLES: &str = "Tables";
const ENGINE: &str = "Engine";
const QUERIES: &str = "Queries";
const LIMITS: &str = "Limits";
const LOGGING: &str = "Logging";

const ADDRESS: &str = "IP:port, such as 0.0.0.0:4317 or [::1]:4317; port 0 takes a free one";
const PORT: &str = "auto or a port from 0 to 65535; 0 takes a free one";
const DAYS: &str = "a whole number of days from 1 to 10000";
const PROMOTED: &str = "key=kind, comma-separated; the kinds are keyword (may be left out), text, u16 and \
                        i64; empty for none";
const ROWS: &str = "a whole number of rows from 1 to 10000000";

pub(crate) static CONFIG: Setting = Setting {
    key: "config",
    group: PLACES,
    value: "FILE",
    accepts: "path of a YAML file that holds `key: value` lines",
    default: Default::Found("no file"),
    help: "File of settings. Flags win over variables, variables over the file",
    secret: false,
};

pub(crate) static DATA_DIR: Setting = Setting {
    key: "data_dir",
    group: PLACES,
    value: "FOLDER",
    accepts: "path of a folder, made if missing",
    default: Default::Found("$XDG_DATA_HOME/spanmill, else ~/.local/share/spanmill"),
    help: "Where everything is kept; the embedded ClickHouse lives in its folder `clickhouse`",
    secret: false,
};

pub(crate) static OTLP_GRPC: Setting = Setting {
    key: "otlp_grpc",
    group: LISTENERS,
    value: "ADDRESS",
    accepts: ADDRESS,
    default: Default::Text("127.0.0.1:4317"),
    help: "Where OTLP over gRPC is taken",
    secret: false,
};

pub(crate) static OTLP_HTTP: Setting = Setting {
    key: "otlp_http",
    group: LISTENERS,
    value: "ADDRESS",
    accepts: ADDRESS,
    default: Default::Text("127.0.0.1:4318"),
    help: "Where OTLP over HTTP is taken",
    secret: false,
};

pub(crate) static ADMIN: Setting = Setting {
    key: "admin",
    group: LISTENERS,
    value: "ADDRESS",
    accepts: ADDRESS,
    default: Default::Text("127.0.0.1:8888"),
    help: "Where /healthz, /readyz and /metrics answer",
    secret: false,
};

pub(crate) static QUERY: Setting = Setting {
    key: "query",
    group: LISTENERS,
    value: "ADDRESS",
    accepts: ADDRESS,
    default: Default::Text("127.0.0.1:8081"),
    help: "Where queries are answered, such as those of Jaeger's UI and Grafana; also /healthz, /readyz and \
           /metrics of what answers them",
    secret: false,
};

pub(crate) static NATIVE_PORT: Setting = Setting {
    key: "native_port",
    group: CLICKHOUSE_GROUP,
    value: "PORT",
    accepts: PORT,
    default: Default::Text("auto"),
    help: "Port of the embedded ClickHouse's native protocol, on loopback; auto is 9000, or a free \
           one if that is taken",
    secret: false,
};

pub(crate) static HTTP_PORT: Setting = Setting {
    key: "http_port",
    group: CLICKHOUSE_GROUP,
    value: "PORT",
    accepts: PORT,
    default: Default::Text("auto"),
    help: "Port of the embedded ClickHouse's HTTP interface, on loopback; auto is 8123, or a free \
           one if that is taken",
    secret: false,
};

pub(crate) static CLICKHOUSE: Setting = Setting {
    key: "clickhouse",
    group: CLICKHOUSE_GROUP,
    value: "HOST:PORT,...",
    accepts: "host:port of the native protocol without TLS, such as db.internal:9000; several, \
              comma-separated, with clickhouse_cluster",
    default: Default::Found("`up` runs its own; `engine`: 127.0.0.1:9000"),
    help: "ClickHouse to insert into; goes together with clickhouse_http. Several are replicas of one \
           ClickHouse shard, any of which will do: each thread begins at another, goes on to the next \
           when one fails, and comes back. They need replicated tables, which is why clickhouse_cluster \
           must be set: without, a batch that two servers were given would be stored twice",
    secret: false,
};

pub(crate) static CLICKHOUSE_HTTP: Setting = Setting {
    key: "clickhouse_http",
    group: CLICKHOUSE_GROUP,
    value: "URL",
    accepts: "http://host:port without user, path or query; https is not spoken",
    default: Default::Found(
        "`up` runs its own; `engine`, `query`, `migrate`: http://127.0.0.1:8123",
    ),
    help: "HTTP interface of the same ClickHouse, or of any of several, for migrations, checks and queries",
    secret: false,
};

pub(crate) static CLICKHOUSE_USER: Setting = Setting {
    key: "clickhouse_user",
    group: CLICKHOUSE_GROUP,
    value: "NAME",
    accepts: "a user name, not empty",
    default: Default::Text("default"),
    help: "User at that ClickHouse",
    secret: false,
};

pub(crate) static CLICKHOUSE_PASSWORD: Setting = Setting {
    key: "clickhouse_password",
    group: CLICKHOUSE_GROUP,
    value: "TEXT",
    accepts: "any text",
    default: Default::Found("empty"),
    help: "Password of that user. Prefer the variable or the file: other users of the host can \
           read flags. Never printed or logged",
    secret: true,
};

pub(crate) static CLICKHOUSE_CLUSTER: Setting = Setting {
    key: "clickhouse_cluster",
    group: CLICKHOUSE_GROUP,
    value: "NAME",
    accepts: "a cluster's name of letters, digits, '_', '-' and '.'; empty for a single server",
    default: Default::Found("none"),
    help: "Cluster of that ClickHouse, as its remote_servers names it, on whose hosts migrations make \
           replicated tables. It cannot be changed once there are tables",
    secret: false,
};

pub(crate) static PROMOTED_SPAN_ATTRIBUTES: Setting = Setting {
    key: "promoted_span_attributes",
    group: TABLES,
    value: "LIST",
    accepts: PROMOTED,
    default: Default::Text(
        "http.request.method, http.response.status_code=u16, http.route, url.path=text, \
         server.address, db.system.name, rpc.method, messaging.destination.name",
    ),
    help: "Span attributes that get a column of their own, where they are found faster and take less \
           room. The same list for `migrate` and every engine; run `migrate` first when it grows",
    secret: false,
};

pub(crate) static PROMOTED_LOG_ATTRIBUTES: Setting = Setting {
    key: "promoted_log_attributes",
    group: TABLES,
    value: "LIST",
    accepts: PROMOTED,
    default: Default::Text("exception.type"),
    help: "Log attributes that get a column of their own, likewise; exception.type always does",
    secret: false,
};

pub(crate) static RETENTION_RAW: Setting = Setting {
    key: "retention_raw",
    group: TABLES,
    value: "DAYS",
    accepts: DAYS,
    default: Default::Text("30"),
    help: "How long spans, log records and metric points are kept as they came. Like the two below it \
           takes effect, also on what is stored, with the next `migrate` or `up`",
    secret: false,
};

pub(crate) static RETENTION_5M: Setting = Setting {
    key: "retention_5m",
    group: TABLES,
    value: "DAYS",
    accepts: DAYS,
    default: Default::Text("90"),
    help: "How long rollups of five minutes are kept",
    secret: false,
};

pub(crate) static RETENTION_1H: Setting = Setting {
    key: "retention_1h",
    group: TABLES,
    value: "DAYS",
    accepts: DAYS,
    default: Default::Text("365"),
    help: "How long rollups of an hour are kept, and the metric series in them",
    secret: false,
};

pub(crate) static INSERTS_REMEMBERED: Setting = Setting {
    key: "inserts_remembered",
    group: TABLES,
    value: "COUNT",
    accepts: "a whole number from 1000 to 10000000",
    default: Default::Found("3000 for each shard, at least 200000"),
    help: "Of how many inserts each table remembers the tokens, so that one that is sent again is stored \
           once. Shards insert at most about five times a second; 3000 for each lets one retry for five \
           minutes while the others go on, even where each insert makes two parts, and at a second between \
           inserts for half an hour. A batch that was overtaken by more is set aside and reported. Give the \
           sum for all engines that share a ClickHouse; each costs it 240 bytes of memory per table. Takes \
           effect with the next `migrate` or `up`; those without it leave tables that remember more as they are",
    secret: false,
};

pub(crate) static SHARDS: Setting = Setting {
    key: "shards",
    group: ENGINE,
    value: "COUNT",
    accepts: "a whole number from 1 to 256",
    default: Default::Found("the CPUs usable here, by affinity and cgroup quota"),
    help: "Threads that take, walk and insert data, each on its own",
    secret: false,
};

pub(crate) static REACTOR: Setting = Setting {
    key: "reactor",
    group: ENGINE,
    value: "KIND",
    accepts: "auto, uring or epoll",
    default: Default::Text("auto"),
    help: "How shards wait for the kernel; auto takes io_uring where it is allowed, else epoll",
    secret: false,
};

pub(crate) static PIN: Setting = Setting {
    key: "pin",
    group: ENGINE,
    value: "WHEN",
    accepts: "auto, always or never",
    default: Default::Text("auto"),
    help: "Whether each shard keeps to a CPU; auto where shards and usable CPUs are as many, and on isolated \
           CPUs, among which the kernel moves nothing; always only for an engine that has its CPUs to itself",
    secret: false,
};

pub(crate) static BATCH_ROWS: Setting = Setting {
    key: "batch_rows",
    group: ENGINE,
    value: "ROWS",
    accepts: ROWS,
    default: Default::Text("10000"),
    help: "Rows that close a batch when load is light",
    secret: false,
};

pub(crate) static BATCH_ROWS_MAX: Setting = Setting {
    key: "batch_rows_max",
    group: ENGINE,
    value: "ROWS",
    accepts: ROWS,
    default: Default::Text("200000"),
    help: "Rows a batch may grow to under load",
    secret: false,
};

pub(crate) static BATCH_AGE: Setting = Setting {
    key: "batch_age",
    group: ENGINE,
    value: "TIME",
    accepts: "a time from 1ms to 60s, such as 200ms",
    default: Default::Found("1s, or 200ms where ack = clickhouse makes exports wait for it"),
    help: "Age that closes a batch which is not full; below ack_timeout",
    secret: false,
};

pub(crate) static ACK: Setting = Setting {
    key: "ack",
    group: ENGINE,
    value: "WHEN",
    accepts: "log, memory or clickhouse",
    default: Default::Text("log"),
    help: "When an export is acknowledged: log when it is on disk in the write-ahead log; memory when it is \
           in memory, where a crash loses it; clickhouse when ClickHouse has confirmed it, which needs no \
           disk",
    secret: false,
};

pub(crate) static WAL_DIR: Setting = Setting {
    key: "wal_dir",
    group: PLACES,
    value: "FOLDER",
    accepts: "path of a folder, made if missing",
    default: Default::Found("the folder `wal` in data_dir"),
    help: "Where the write-ahead log is; a disk of its own is best, and each engine needs its own folder",
    secret: false,
};

pub(crate) static WAL_BYTES_MAX: Setting = Setting {
    key: "wal_bytes_max",
    group: LIMITS,
    value: "SIZE",
    accepts: "a size from 64MiB to 1PiB, such as 16GiB",
    default: Default::Text("16GiB"),
    help: "Most bytes of the write-ahead log, shared evenly by the shards; when ClickHouse is away for so \
           long that it is full, exports are answered \"retry later\"",
    secret: false,
};

pub(crate) static INSERT_TIMEOUT: Setting = Setting {
    key: "insert_timeout",
    group: ENGINE,
    value: "TIME",
    accepts: "a time from 100ms to 10m, such as 30s",
    default: Default::Text("30s"),
    help: "How long ClickHouse may take to confirm one insert before it is sent anew with the same \
           bytes and token; where exports wait for it (ack = clickhouse), at most until ack_timeout",
    secret: false,
};

pub(crate) static ACK_TIMEOUT: Setting = Setting {
    key: "ack_timeout",
    group: ENGINE,
    value: "TIME",
    accepts: "a time from 100ms to 10m, such as 8s",
    default: Default::Text("8s"),
    help: "How long an export waits to be stored before it is answered \"retry later\"; keep it \
           under the time-out of the exporters, which is 10s in most SDKs",
    secret: false,
};

pub(crate) static DRAIN_TIMEOUT: Setting = Setting {
    key: "drain_timeout",
    group: ENGINE,
    value: "TIME",
    accepts: "a time from 0s to 10m, such as 15s",
    default: Default::Text("15s"),
    help: "How long a stop may take to finish and store what was taken",
    secret: false,
};

pub(crate) static TIMESTAMP_PAST_MAX: Setting = Setting {
    key: "timestamp_past_max",
    group: LIMITS,
    value: "TIME",
    accepts: "a time from 1m to 10000d, such as 7d",
    default: Default::Found("as long as retention_raw"),
    help: "How far back the time of a span, log record or point may lie. Older ones are left out of \
           their request, which says so in its answer",
    secret: false,
};

pub(crate) static TIMESTAMP_FUTURE_MAX: Setting = Setting {
    key: "timestamp_future_max",
    group: LIMITS,
    value: "TIME",
    accepts: "a time from 1m to 10000d, such as 1h",
    default: Default::Text("1d"),
    help: "How far ahead it may lie",
    secret: false,
};

pub(crate) static MEMORY_MAX: Setting = Setting {
    key: "memory_max",
    group: LIMITS,
    value: "SIZE",
    accepts: "a size from 64MiB to 1TiB, such as 1GiB",
    default: Default::Found(
        "a quarter of what the machine or the cgroup has, from 256MiB to 2GiB, or to \
         64MiB for each shard if that is more",
    ),
    help: "Most memory of the engine, shared evenly by the shards (an embedded ClickHouse takes its own). When \
           half of what is left for exports is taken, large ones are answered \"retry later\", and small ones \
           when nearly all is",
    secret: false,
};

pub(crate) static REQUEST_BYTES_MAX: Setting = Setting {
    key: "request_bytes_max",
    group: LIMITS,
    value: "SIZE",
    accepts: "a size from 1KiB to 1GiB, such as 64MiB",
    default: Default::Found("64MiB, or less where memory_max is small"),
    help: "Largest request body, compressed or not",
    secret: false,
};

pub(crate) static QUERY_CONNECTIONS_MAX: Setting = Setting {
    key: "query_connections_max",
    group: QUERIES,
    value: "COUNT",
    accepts: "a whole number from 1 to 100000",
    default: Default::Text("2000"),
    help: "Most connections that ask at once; more wait. Each takes a file descriptor and at most 64KiB for \
           what it sends",
    secret: false,
};

pub(crate) static QUERY_CONCURRENCY: Setting = Setting {
    key: "query_concurrency",
    group: QUERIES,
    value: "COUNT",
    accepts: "a whole number from 5 to 50",
    default: Default::Text("16"),
    help: "Most queries that run in ClickHouse at once; more wait for 5s, then are answered \"try again\"",
    secret: false,
};

pub(crate) static QUERY_TIMEOUT: Setting = Setting {
    key: "query_timeout",
    group: QUERIES,
    value: "TIME",
    accepts: "a time from 1s to 10m, such as 30s",
    default: Default::Text("30s"),
    help: "How long one request may take in all; then its queries are ended",
    secret: false,
};

pub(crate) static QUERY_MEMORY_MAX: Setting = Setting {
    key: "query_memory_max",
    group: QUERIES,
    value: "SIZE",
    accepts: "a size from 16MiB to 1TiB, such as 1GiB",
    default: Default::Text("1GiB"),
    help: "Most memory that ClickHouse may take for one query",
    secret: false,
};

pub(crate) static QUERY_ROWS_MAX: Setting = Setting {
    key: "query_rows_max",
    group: QUERIES,
    value: "ROWS",
    accepts: "a whole number from 1000 to 1000000000000",
    default: Default::Text("1000000000"),
    help: "Most rows that ClickHouse may read for one query",
    secret: false,
};

pub(crate) static QUERY_CACHE_BYTES_MAX: Setting = Setting {
    key: "query_cache_bytes_max",
    group: QUERIES,
    value: "SIZE",
    accepts: "a size such as 64MiB; 0 keeps nothing",
    default: Default::Text("64MiB"),
    help: "Most memory for points of earlier answers that can no longer change",
    secret: false,
};

pub(crate) static QUERY_CORS_ORIGINS: Setting = Setting {
    key: "query_cors_origins",
    group: QUERIES,
    value: "LIST",
    accepts: "origins such as https://ui.example, comma-separated; empty for none",
    default: Default::Found("none"),
    help: "Whose pages may read answers in a browser",
    secret: false,
};

pub(crate) static LOG_FORMAT: Setting = Setting {
    key: "log_format",
    group: LOGGING,
    value: "FORMAT",
    accepts: "auto, text or json",
    default: Default::Text("auto"),
    help: "How log lines look on stderr: json is one object a line; text is plain; auto is text, \
           coloured on a terminal unless NO_COLOR is set",
    secret: false,
};

pub(crate) static LOG_LEVEL: Setting = Setting {
    key: "log_level",
    group: LOGGING,
    value: "FILTER",
    accepts: "off, error, warn, info, debug, trace, or directives such as \
              info,spanmill_engine=debug",
    default: Default::Text("info"),
    help: "What is logged",
    secret: false,
};

/// Every setting, in the order of help and reference.
pub(crate) static ALL: [&Setting; 44] = [
    &CONFIG,
    &DATA_DIR,
    &WAL_DIR,
    &OTLP_GRPC,
    &OTLP_HTTP,
    &ADMIN,
    &QUERY,
    &CLICKHOUSE,
    &CLICKHOUSE_HTTP,
    &CLICKHOUSE_USER,
    &CLICKHOUSE_PASSWORD,
    &CLICKHOUSE_CLUSTER,
    &NATIVE_PORT,
    &HTTP_PORT,
    &PROMOTED_SPAN_ATTRIBUTES,
    &PROMOTED_LOG_ATTRIBUTES,
    &RETENTION_RAW,
    &RETENTION_5M,
    &RETENTION_1H,
    &INSERTS_REMEMBERED,
    &SHARDS,
    &REACTOR,
    &PIN,
    &BATCH_ROWS,
    &BATCH_ROWS_MAX,
    &BATCH_AGE,
    &ACK,
    &INSERT_TIMEOUT,
    &ACK_TIMEOUT,
    &DRAIN_TIMEOUT,
    &TIMESTAMP_PAST_MAX,
    &TIMESTAMP_FUTURE_MAX,
    &MEMORY_MAX,
    &REQUEST_BYTES_MAX,
    &WAL_BYTES_MAX,
    &QUERY_CONNECTIONS_MAX,
    &QUERY_CONCURRENCY,
    &QUERY_TIMEOUT,
    &QUERY_MEMORY_MAX,
    &QUERY_ROWS_MAX,
    &QUERY_CACHE_BYTES_MAX,
    &QUERY_CORS_ORIGINS,
    &LOG_FORMAT,
    &LOG_LEVEL,
];

/// The setting of this key.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    ALL.into_iter().find(|setting| setting.key == key)
}
