//! The one place that asks ClickHouse: a [`Statement`] goes in, rows or a typed error come out. Bounded
//! in number, time, memory and rows; read-only; ended when nobody waits any more; equal ones that run at
//! the same time are run once.

mod failure;
mod once;
mod statement;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clickhouse::{Client, RowOwned, RowRead};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::Context;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::Error;
use crate::limits;
use crate::metrics::Metrics;
use crate::telemetry::Telemetry;
use once::Once;

pub(crate) use statement::{Identifier, Statement, Value};

/// ClickHouse as requests see it. Cloning gives the same one.
#[derive(Clone)]
pub(crate) struct ClickHouse {
    client: Client,
    turns: Arc<Semaphore>,
    once: Arc<Once>,
    metrics: Arc<Metrics>,
    telemetry: Option<Arc<Telemetry>>,
    cluster: bool,
}

/// A table or view that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Traces,
    TraceIndex,
    Resources,
    SpanStats,
    SpanStatsByDay,
    SpanStatsByWeek,
    Dependencies,
    DependencyHours,
}

impl ClickHouse {
    pub(crate) fn new(
        config: &Config,
        metrics: Arc<Metrics>,
        telemetry: Option<Arc<Telemetry>>,
    ) -> Self {
        let seconds = config.request_timeout.max(Duration::from_secs(1)).as_secs();
        let connection = &config.clickhouse;
        let client = client()
            .with_url(&connection.url)
            .with_user(&connection.user)
            .with_password(&connection.password)
            // Nothing but reading; 2 lets the settings below be set.
            .with_setting("readonly", "2")
            .with_setting("cancel_http_readonly_queries_on_client_close", "1")
            .with_setting("max_execution_time", seconds.to_string())
            .with_setting("timeout_overflow_mode", "throw")
            .with_setting("max_memory_usage", config.query_memory_max.to_string())
            .with_setting("max_rows_to_read", config.query_rows_max.to_string())
            .with_setting("read_overflow_mode", "throw")
            .with_setting("max_result_bytes", limits::RESULT_BYTES_MAX.to_string())
            .with_setting("result_overflow_mode", "throw")
            // Few rows of many files: handing each read to a pool of threads costs more than it takes, cold too; only
            // marks, which a reader needs of every file before it begins, are worth it.
            .with_setting("local_filesystem_read_method", "pread")
            .with_setting("load_marks_asynchronously", "1")
            // No question is answered by the counts and least values that parts know of themselves, and looking
            // whether one could be is a tenth of a search in a minute.
            .with_setting("optimize_use_implicit_projections", "0");
        Self {
            client,
            turns: Arc::new(Semaphore::new(config.queries_max)),
            once: Arc::new(Once::new(metrics.queries_shared.clone())),
            metrics,
            telemetry,
            cluster: config.cluster,
        }
    }

    /// The name to read a table under.
    pub(crate) fn name(&self, source: Source) -> &'static str {
        match (source, self.cluster) {
            (Source::Traces, false) => "spanmill.otel_traces",
            (Source::Traces, true) => "spanmill.otel_traces_distributed",
            (Source::TraceIndex, false) => "spanmill.otel_trace_index",
            (Source::TraceIndex, true) => "spanmill.otel_trace_index_distributed",
            (Source::Resources, false) => "spanmill.otel_resources",
            (Source::Resources, true) => "spanmill.otel_resources_distributed",
            (Source::SpanStats, false) => "spanmill.otel_span_stats_1h",
            (Source::SpanStats, true) => "spanmill.otel_span_stats_1h_distributed",
            (Source::SpanStatsByDay, false) => "spanmill.otel_span_stats_1d",
            (Source::SpanStatsByDay, true) => "spanmill.otel_span_stats_1d_distributed",
            (Source::SpanStatsByWeek, false) => "spanmill.otel_span_stats_1w",
            (Source::SpanStatsByWeek, true) => "spanmill.otel_span_stats_1w_distributed",
            (Source::Dependencies, _) => "spanmill.otel_service_dependencies_1h",
            (Source::DependencyHours, false) => "spanmill.otel_service_dependencies_hours",
            (Source::DependencyHours, true) => {
                "spanmill.otel_service_dependencies_hours_distributed"
            }
        }
    }

    /// All rows of a query. Dropping the future ends the query, unless others wait for the same one.
    pub(crate) async fn rows<T>(&self, statement: Statement) -> Result<Arc<Vec<T>>, Error>
    where
        T: RowOwned + RowRead + Send + Sync + 'static,
    {
        let this = self.clone();
        // The request's span, of whoever asks first.
        let asked = Context::current();
        self.once
            .run(statement, move |statement| async move {
                let rows = this.run::<T>(&statement);
                match &this.telemetry {
                    Some(telemetry) => telemetry.query(statement.name, asked, rows).await,
                    None => rows.await,
                }
            })
            .await
    }

    async fn run<T>(&self, statement: &Statement) -> Result<Vec<T>, Error>
    where
        T: RowOwned + RowRead,
    {
        let turn = tokio::time::timeout(limits::TURN_TIMEOUT, self.turns.acquire());
        let Ok(Ok(_turn)) = turn.await else {
            self.metrics.queries_refused.inc();
            return Err(Error::Busy);
        };
        let mut query = self.client.query_raw(&statement.sql);
        for (number, value) in statement.parameters.iter().enumerate() {
            query = query.param(&format!("p{number}"), value);
        }
        let comment = format!("spanmill {}", statement.name);
        let started = Instant::now();
        let rows = query.with_setting("log_comment", comment).fetch_all().await;
        let rows = rows.map_err(|error| failure::explain(&error));
        self.metrics
            .query(statement.name, rows.is_ok(), started.elapsed());
        rows
    }
}

/// As the crate's own client, but with a bound on connecting and without waiting to fill packets.
fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(limits::CONNECT_TIMEOUT));
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(limits::IDLE_TIMEOUT)
        .build(connector);
    Client::with_http_client(client)
}
