//! The settings of ClickHouse and of the tables in it.

use super::{CLICKHOUSE_GROUP, DAYS, Default, PORT, PROMOTED, Setting, TABLES};

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
