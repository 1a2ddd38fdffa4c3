//! The settings of the engine: shards, batches, its log, times and limits.

use super::{Default, ENGINE, LIMITS, PLACES, ROWS, Setting};

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
