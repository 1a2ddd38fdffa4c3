//! Jaeger's query API, both generations: what its UIs and Grafana's data source ask.

mod lists;
mod metrics;
mod model;
mod shape;
mod trace;
mod v3;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

pub(crate) use trace::{by_id, search_anywhere};

use crate::error::Error;
use crate::services::{Known, Services};
use crate::traces::Traces;
use metrics::Monitor;

/// All its paths.
pub(crate) fn router(traces: Traces, services: Services, known: Arc<Known>) -> Router {
    let clickhouse = traces.clickhouse.clone();
    let monitor = Monitor {
        clickhouse: services.clickhouse,
        known,
        retention: services.retention,
    };
    let lists = Router::new()
        .route("/api/services", get(lists::services))
        .route("/api/services/{service}/operations", get(lists::names))
        .route("/api/operations", get(lists::operations))
        .route("/api/dependencies", get(lists::dependencies))
        .route("/api/v3/services", get(v3::services))
        .route("/api/v3/operations", get(v3::operations))
        .route("/api/v3/dependencies", get(v3::dependencies))
        .with_state(clickhouse);
    let metrics = Router::new()
        .route("/api/metrics/latencies", get(metrics::latencies))
        .route("/api/metrics/calls", get(metrics::calls))
        .route("/api/metrics/errors", get(metrics::errors))
        .route("/api/metrics/minstep", get(metrics::min_step))
        .with_state(monitor);
    Router::new()
        .route("/api/traces", get(trace::search))
        .route("/api/traces/{id}", get(by_id))
        .route("/api/v3/traces", get(v3::search))
        .route("/api/v3/traces/{id}", get(v3::by_id))
        .route("/api/v3/trace-summaries", get(v3::summaries))
        .with_state(traces)
        .merge(lists)
        .merge(metrics)
}

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Complaint>>,
}

#[derive(Serialize)]
struct Complaint {
    code: u16,
    msg: String,
}

/// A list, empty rather than null.
fn list<T: Serialize>(data: Vec<T>) -> Response {
    let total = data.len();
    enveloped(data, total)
}

fn enveloped<T: Serialize>(data: T, total: usize) -> Response {
    Json(Envelope {
        data,
        total,
        limit: 0,
        offset: 0,
        errors: None,
    })
    .into_response()
}

/// An error as the generation of `path` says it.
pub(crate) fn error(path: &str, error: &Error) -> Response {
    if path.contains("/api/v3/") {
        return v3::error(error);
    }
    let status = error.status();
    let complaint = Complaint {
        code: status.as_u16(),
        msg: error.to_string(),
    };
    let body = Json(Envelope::<Option<()>> {
        data: None,
        total: 0,
        limit: 0,
        offset: 0,
        errors: Some(vec![complaint]),
    });
    (status, body).into_response()
}
