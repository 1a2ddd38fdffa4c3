//! Takes settings and a ClickHouse, and hands out what the engine and the migrations are told.

use std::sync::Arc;

use spanmill_engine::{Config, HandOver, LogConfig, PeerLimits};
use spanmill_schema::Connection;

use crate::settings::{ClickHouse, Settings};

/// The engine's configuration against this ClickHouse.
pub(crate) fn config(settings: &Settings, clickhouse: &ClickHouse) -> Config {
    Config {
        shards: settings.shards,
        reactor: settings.reactor,
        pin: settings.pin,
        otlp_grpc: settings.listeners.otlp_grpc,
        otlp_http: settings.listeners.otlp_http,
        admin: settings.listeners.admin,
        clickhouse: spanmill_engine::ClickHouse {
            native: clickhouse.native.clone(),
            http: connection(clickhouse),
            user: clickhouse.user.clone(),
            password: clickhouse.password.reveal().to_owned(),
        },
        tables: Arc::clone(&settings.schema.tables),
        ack: settings.batching.ack,
        log: LogConfig {
            folder: settings.wal.folder.clone(),
            bytes_max: settings.wal.bytes_max,
        },
        batch_rows: settings.batching.rows,
        batch_rows_max: settings.batching.rows_max,
        batch_age: settings.batching.age,
        insert_timeout: settings.batching.insert_timeout,
        ack_timeout: settings.batching.ack_timeout,
        request_bytes_max: settings.memory.request_bytes_max,
        memory: settings.memory.plan,
        timestamp_past_max: settings.timestamps.past_max,
        timestamp_future_max: settings.timestamps.future_max,
        hand_over: HandOver::default(),
        drain_timeout: settings.drain_timeout,
        peers: PeerLimits::default(),
    }
}

/// Its HTTP interface, for migrations and checks.
pub(crate) fn connection(clickhouse: &ClickHouse) -> Connection {
    Connection {
        url: clickhouse.http.clone(),
        user: clickhouse.user.clone(),
        password: clickhouse.password.reveal().to_owned(),
    }
}
