//! The queries that people and dashboards ask while data comes in. This list is all there is to say what "a query"
//! is: each is asked as it stands, with what it asks about chosen from what is stored.

use crate::clickhouse::Parameter;

/// One query.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    /// With `{trace:String}` and `{service:String}` where it asks about one.
    pub(crate) sql: &'static str,
}

/// What queries ask about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// 32 hex digits.
    pub(crate) trace: String,
    pub(crate) service: String,
}

impl Query {
    pub(crate) fn parameters<'a>(&self, subject: &'a Subject) -> Vec<Parameter<'a>> {
        let all = [("trace", &subject.trace), ("service", &subject.service)];
        all.into_iter()
            .filter(|(name, _)| self.sql.contains(&format!("{{{name}:")))
            .map(|(name, value)| (name, value.as_str()))
            .collect()
    }
}

pub(crate) const QUERIES: [Query; 8] = [
    Query {
        name: "trace by id",
        sql: "
WITH (
    SELECT (min(Start), max(End)) FROM spanmill.otel_trace_index
    WHERE TraceHash = cityHash64(toFixedString(unhex({trace:String}), 16))
) AS lasted
SELECT * FROM otel.otel_traces
WHERE TraceId = {trace:String} AND Timestamp BETWEEN lasted.1 AND lasted.2
ORDER BY Timestamp LIMIT 1000",
    },
    Query {
        name: "services",
        sql: "
SELECT ServiceName, sum(Count) AS spans, sum(ErrorCount) AS errors
FROM spanmill.otel_span_stats_1h
WHERE Hour >= now() - INTERVAL 1 DAY
GROUP BY ServiceName ORDER BY spans DESC LIMIT 200",
    },
    Query {
        name: "operations of a service",
        sql: "
SELECT SpanName, SpanKind, sum(Count) AS spans
FROM spanmill.otel_span_stats_1h
WHERE ServiceName = {service:String} AND Hour >= now() - INTERVAL 1 DAY
GROUP BY SpanName, SpanKind ORDER BY spans DESC LIMIT 200",
    },
    Query {
        name: "rate, errors and durations of a service",
        sql: "
SELECT Hour, sum(Count) AS spans, sum(ErrorCount) AS errors,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(DurationDigest) AS nanoseconds
FROM spanmill.otel_span_stats_1h
WHERE ServiceName = {service:String} AND Hour >= now() - INTERVAL 1 DAY
GROUP BY Hour ORDER BY Hour",
    },
    Query {
        name: "slow spans of a service, 15 minutes",
        sql: "
SELECT Timestamp, lower(hex(TraceId)) AS trace, SpanName, Duration
FROM spanmill.otel_traces
WHERE ServiceName = {service:String} AND Timestamp > now64(9) - INTERVAL 15 MINUTE AND Duration > 100000000
ORDER BY Timestamp DESC LIMIT 20",
    },
    Query {
        name: "errors of a service, 15 minutes",
        sql: "
SELECT Timestamp, lower(hex(TraceId)) AS trace, SpanName, StatusMessage
FROM spanmill.otel_traces
WHERE ServiceName = {service:String} AND Timestamp > now64(9) - INTERVAL 15 MINUTE AND StatusCode = 2
ORDER BY Timestamp DESC LIMIT 20",
    },
    Query {
        name: "spans of a service by the minute, 15 minutes",
        sql: "
SELECT toStartOfMinute(Timestamp) AS minute, count() AS spans, countIf(StatusCode = 2) AS errors
FROM spanmill.otel_traces
WHERE ServiceName = {service:String} AND Timestamp > now64(9) - INTERVAL 15 MINUTE
GROUP BY minute ORDER BY minute",
    },
    Query {
        name: "who calls whom",
        sql: "
SELECT Caller, Callee, sum(Count) AS calls, sum(ErrorCount) AS errors
FROM spanmill.otel_service_dependencies_1h
WHERE Hour >= now() - INTERVAL 6 HOUR
GROUP BY Caller, Callee ORDER BY calls DESC LIMIT 500",
    },
];

/// Services that have spans.
pub(crate) const SERVICES: &str = "
SELECT DISTINCT CAST(ServiceName, 'String') AS service
FROM spanmill.otel_span_stats_1h WHERE Hour >= now() - INTERVAL 1 HOUR LIMIT 200";

/// A trace that came lately.
pub(crate) const TRACE: &str = "
SELECT lower(hex(TraceId)) AS trace FROM spanmill.otel_traces
WHERE ServiceName = {service:String} AND Timestamp > now64(9) - INTERVAL 1 MINUTE
LIMIT 1";
