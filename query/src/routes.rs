//! All paths, and what every request goes through: its id, the time that it may take, compression,
//! counting, and the shape of its error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Method, StatusCode};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};

use crate::clickhouse::ClickHouse;
use crate::config::Config;
use crate::error::Error;
use crate::health;
use crate::jaeger;
use crate::limits;
use crate::metrics::Metrics;
use crate::openapi;
use crate::services::{self, Known, Services};
use crate::traces::Traces;

/// Everything that is answered.
pub(crate) fn router(config: &Config, metrics: Arc<Metrics>, known: Known) -> Router {
    let clickhouse = ClickHouse::new(config, Arc::clone(&metrics));
    let traces = Traces::new(clickhouse.clone());
    let services = Services {
        clickhouse,
        retention: config.retention,
    };
    let jaeger = jaeger::router(traces.clone(), services.clone(), Arc::new(known));
    let queries = Router::new()
        .merge(own(traces, services))
        .merge(jaeger.clone())
        .nest("/jaeger", jaeger)
        .fallback(|| async { Error::Refused(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async { Error::Refused(StatusCode::METHOD_NOT_ALLOWED) })
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(config.request_timeout, within_time))
        .layer(from_fn(shaped))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX));
    let around = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(cors(config))
        .layer(CompressionLayer::new());
    let openapi = openapi::json();
    health::router(config, Arc::clone(&metrics))
        .route("/openapi.json", get(|| async { openapi::answer(openapi) }))
        .merge(queries)
        .layer(from_fn_with_state(metrics, counted))
        .layer(around)
}

/// Spanmill's own paths.
fn own(traces: Traces, services: Services) -> Router {
    let of_traces = Router::new()
        .route("/api/v1/traces", get(jaeger::search_anywhere))
        .route("/api/v1/traces/{id}", get(jaeger::by_id))
        .with_state(traces);
    Router::new()
        .route("/api/v1/services/stats", get(services::stats))
        .with_state(services)
        .merge(of_traces)
}

fn cors(config: &Config) -> CorsLayer {
    match config.cors_origins.as_slice() {
        [] => CorsLayer::new(),
        origins => CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(Any),
    }
}

async fn within_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let seconds = limit.as_secs();
    let answered = tokio::time::timeout(limit, next.run(request)).await;
    answered.unwrap_or_else(|_| Error::TimedOut { seconds }.into_response())
}

/// Gives whatever went wrong the shape of the API that was asked.
async fn shaped(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let error = response.extensions().get::<Error>().cloned();
    let error = error.unwrap_or(Error::Refused(status));
    if status.is_server_error() {
        let id = id.as_ref().and_then(|id| id.header_value().to_str().ok());
        tracing::warn!(request = id, path, %error, "a query was not answered");
    }
    jaeger::error(&path, &error)
}

async fn counted(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    metrics.request(&route, response.status(), started.elapsed());
    response
}
