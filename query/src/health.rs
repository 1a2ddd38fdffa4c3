//! Whether the server lives, whether ClickHouse answers and has its tables, and what was counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use spanmill_schema::{Connection, Tables};
use tokio::sync::Mutex;

use crate::config::Config;
use crate::metrics::Metrics;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a look at ClickHouse holds, so that probes do not become load.
const READY_FOR: Duration = Duration::from_secs(1);
/// How long such a look may take.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

struct Health {
    connection: Connection,
    tables: Arc<Tables>,
    metrics: Arc<Metrics>,
    last_look: Mutex<Option<(Instant, Result<(), String>)>>,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn router(config: &Config, metrics: Arc<Metrics>) -> Router {
    let health = Arc::new(Health {
        connection: config.clickhouse.clone(),
        tables: Arc::clone(&config.tables),
        metrics,
        last_look: Mutex::default(),
    });
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    match health.look().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

async fn metrics_text(State(health): State<Arc<Health>>) -> Response {
    (
        [(header::CONTENT_TYPE, METRICS_TYPE)],
        health.metrics.text(),
    )
        .into_response()
}

impl Health {
    async fn look(&self) -> Result<(), String> {
        let mut last_look = self.last_look.lock().await;
        if let Some((when, look)) = &*last_look
            && when.elapsed() < READY_FOR
        {
            return look.clone();
        }
        let looking = spanmill_schema::verify(&self.connection, &self.tables);
        let look = match tokio::time::timeout(READY_TIMEOUT, looking).await {
            Ok(looked) => looked.map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "ClickHouse did not answer within {READY_TIMEOUT:?}"
            )),
        };
        *last_look = Some((Instant::now(), look.clone()));
        look
    }
}
