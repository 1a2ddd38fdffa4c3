//! Takes settings and a ClickHouse, and hands out what the query server is told.

use std::sync::Arc;

use spanmill_query::Config;

use crate::engine::connection;
use crate::settings::{ClickHouse, Settings};

/// The query server's configuration against this ClickHouse.
pub(crate) fn config(settings: &Settings, clickhouse: &ClickHouse) -> Config {
    let queries = &settings.queries;
    Config {
        listen: settings.listeners.query,
        clickhouse: connection(clickhouse),
        tables: Arc::clone(&settings.schema.tables),
        cluster: settings.schema.cluster.is_some(),
        connections_max: queries.connections_max,
        queries_max: queries.concurrency,
        request_timeout: queries.timeout,
        query_memory_max: queries.memory_max,
        query_rows_max: queries.rows_max,
        cache_bytes_max: queries.cache_bytes_max,
        retention: settings.schema.retention,
        cors_origins: queries.cors_origins.clone(),
    }
}
