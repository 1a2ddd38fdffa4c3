//! Jaeger's query API, first generation: what its UI before version 3 and Grafana's data source ask.

mod dependencies;
mod model;
mod services;
mod shape;
mod trace;

use axum::Json;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::clickhouse::ClickHouse;
use crate::error::Error;
use crate::traces::{Promoted, Traces};

/// All its paths.
pub(crate) fn router(clickhouse: ClickHouse) -> Router {
    let traces = Traces {
        clickhouse: clickhouse.clone(),
        promoted: Promoted::default(),
    };
    let lists = Router::new()
        .route("/api/services", get(services::services))
        .route("/api/services/{service}/operations", get(services::names))
        .route("/api/operations", get(services::operations))
        .route("/api/dependencies", get(dependencies::dependencies))
        .with_state(clickhouse);
    Router::new()
        .route("/api/traces", get(trace::search))
        .route("/api/traces/{id}", get(trace::by_id))
        .with_state(traces)
        .merge(lists)
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
    Json(Envelope {
        data,
        total,
        limit: 0,
        offset: 0,
        errors: None,
    })
    .into_response()
}

/// An error as this API says it.
pub(crate) fn error(error: &Error) -> Response {
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
