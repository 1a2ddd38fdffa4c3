//! The settings of the query server but for where it listens. They are listed with all others in the table above.

use super::{Default, QUERIES, Setting};

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

pub(crate) static QUERY_OTLP_ENDPOINT: Setting = Setting {
    key: "query_otlp_endpoint",
    group: QUERIES,
    value: "URL",
    accepts: "the base of an OTLP receiver over HTTP, such as http://127.0.0.1:4318",
    default: Default::Found("nowhere"),
    help: "Where the query server's own traces and metrics go",
    secret: false,
};
