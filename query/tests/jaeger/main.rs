//! Jaeger's query API over data that a real engine took by OTLP and stored in a real ClickHouse.

mod bounds;
mod contract;
mod injection;
mod known;
mod requests;
mod statistics;
mod support;
mod v3;
