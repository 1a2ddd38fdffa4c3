//! Counters of the server, for `/metrics`. Labels come from constants alone, so that no stranger makes
//! series.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

const SECONDS: [f64; 12] = [
    0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQuery {
    query: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    query: &'static str,
}

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<OfRequest, Counter>,
    request_seconds: Family<OfRoute, Histogram, fn() -> Histogram>,
    queries: Family<OfQuery, Counter>,
    query_seconds: Family<OfKind, Histogram, fn() -> Histogram>,
    /// Queries that did not get their turn.
    pub(crate) queries_refused: Counter,
    /// Queries that were answered by an equal one's rows.
    pub(crate) queries_shared: Counter,
    /// Open connections.
    pub(crate) connections: Gauge,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// The two counters are those of the cache of results.
    pub(crate) fn new(hits: &Counter, misses: &Counter) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("spanmill_query"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            queries: Family::default(),
            query_seconds: Family::new_with_constructor(seconds),
            queries_refused: Counter::default(),
            queries_shared: Counter::default(),
            connections: Gauge::default(),
        };
        metrics.register();
        let cache = metrics.registry.sub_registry_with_prefix("cache");
        let help = "Points that were kept from an earlier answer";
        cache.register("hits", help, hits.clone());
        let help = "Points that had to be read";
        cache.register("misses", help, misses.clone());
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "requests",
            "Requests by route and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time until the head of an answer, by route",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        registry.register("queries", "Queries to ClickHouse", self.queries.clone());
        registry.register_with_unit(
            "query_duration",
            "Time until all rows of a query are read",
            Unit::Seconds,
            self.query_seconds.clone(),
        );
        registry.register(
            "queries_refused",
            "Queries that did not get their turn in time",
            self.queries_refused.clone(),
        );
        registry.register(
            "queries_shared",
            "Queries that were answered by an equal one which ran already",
            self.queries_shared.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
    }

    /// Counts an answered request.
    pub(crate) fn request(&self, route: &str, status: StatusCode, took: Duration) {
        let labels = OfRequest {
            route: route.to_owned(),
            status: status.as_u16().into(),
        };
        self.requests.get_or_create(&labels).inc();
        let labels = OfRoute {
            route: route.to_owned(),
        };
        let histogram = self.request_seconds.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a query that ended by itself.
    pub(crate) fn query(&self, query: &'static str, is_ok: bool, took: Duration) {
        let outcome = if is_ok { "ok" } else { "failed" };
        self.queries
            .get_or_create(&OfQuery { query, outcome })
            .inc();
        let histogram = self.query_seconds.get_or_create(&OfKind { query });
        histogram.observe(took.as_secs_f64());
    }

    /// The OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
