//! The one place that says which settings exist: key, unit, default and meaning. Flags, help,
//! variables, file keys and `SETTINGS.md` all derive from it. It reads no value.

mod clickhouse;
mod engine;
mod queries;

pub(crate) use clickhouse::{
    CLICKHOUSE, CLICKHOUSE_CLUSTER, CLICKHOUSE_HTTP, CLICKHOUSE_PASSWORD, CLICKHOUSE_USER,
    HTTP_PORT, INSERTS_REMEMBERED, NATIVE_PORT, PROMOTED_LOG_ATTRIBUTES, PROMOTED_SPAN_ATTRIBUTES,
    RETENTION_1H, RETENTION_5M, RETENTION_RAW,
};
pub(crate) use engine::{
    ACK, ACK_TIMEOUT, BATCH_AGE, BATCH_ROWS, BATCH_ROWS_MAX, DRAIN_TIMEOUT, INSERT_TIMEOUT,
    MEMORY_MAX, PIN, REACTOR, REQUEST_BYTES_MAX, SHARDS, TIMESTAMP_FUTURE_MAX, TIMESTAMP_PAST_MAX,
    WAL_BYTES_MAX, WAL_DIR,
};
pub(crate) use queries::{
    QUERY_CACHE_BYTES_MAX, QUERY_CONCURRENCY, QUERY_CONNECTIONS_MAX, QUERY_CORS_ORIGINS,
    QUERY_MEMORY_MAX, QUERY_OTLP_ENDPOINT, QUERY_ROWS_MAX, QUERY_TIMEOUT,
};

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
pub(crate) static ALL: [&Setting; 45] = [
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
    &QUERY_OTLP_ENDPOINT,
    &LOG_FORMAT,
    &LOG_LEVEL,
];

/// The setting of this key.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    ALL.into_iter().find(|setting| setting.key == key)
}
