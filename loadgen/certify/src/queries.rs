//! The queries that people and dashboards ask while data comes in. This list is all there is to say what "a query"
//! is: each is asked as it stands, with what it asks about chosen from what is stored.

use std::time::SystemTime;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clickhouse::Parameter;

/// One query.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    /// What the query server is asked, where there is one; see [`Query::path`] for what stands in braces.
    pub(crate) path: Option<&'static str>,
    /// What ClickHouse is asked otherwise, with `{trace:String}` and `{service:String}` where it asks about one.
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

    /// The path about a subject at a time: `{now}` is in microseconds since 1970, as `{quarter}` before it and
    /// `{day}` before it, and `{millis}` is now in milliseconds.
    pub(crate) fn path(&self, subject: &Subject, now: SystemTime) -> Option<String> {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = since.map_or(0, |since| since.as_micros() as u64);
        let before = |seconds: u64| now.saturating_sub(seconds * 1_000_000).to_string();
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let values = [
            ("{trace}", encoded(&subject.trace)),
            ("{service}", encoded(&subject.service)),
            ("{now}", now.to_string()),
            ("{quarter}", before(15 * 60)),
            ("{day}", before(86_400)),
            ("{millis}", (now / 1000).to_string()),
        ];
        let path = self.path?.to_owned();
        Some(
            values
                .iter()
                .fold(path, |path, (name, value)| path.replace(name, value)),
        )
    }
}

pub(crate) const QUERIES: [Query; 8] = [
    Query {
        name: "trace by id",
        path: Some("/api/traces/{trace}"),
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
        path: Some("/api/services"),
        sql: "
SELECT ServiceName, sum(Count) AS spans, sum(ErrorCount) AS errors
FROM spanmill.otel_span_stats_1h
WHERE Hour >= now() - INTERVAL 1 DAY
GROUP BY ServiceName ORDER BY spans DESC LIMIT 200",
    },
    Query {
        name: "operations of a service",
        path: Some("/api/services/{service}/operations"),
        sql: "
SELECT SpanName, SpanKind, sum(Count) AS spans
FROM spanmill.otel_span_stats_1h
WHERE ServiceName = {service:String} AND Hour >= now() - INTERVAL 1 DAY
GROUP BY SpanName, SpanKind ORDER BY spans DESC LIMIT 200",
    },
    Query {
        name: "rate, errors and durations of a service",
        path: Some("/api/v1/services/stats?service={service}&start={day}&end={now}"),
        sql: "
SELECT Hour, sum(Count) AS spans, sum(ErrorCount) AS errors,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(DurationDigest) AS nanoseconds
FROM spanmill.otel_span_stats_1h
WHERE ServiceName = {service:String} AND Hour >= now() - INTERVAL 1 DAY
GROUP BY Hour ORDER BY Hour",
    },
    Query {
        name: "slow spans of a service, 15 minutes",
        path: Some("/api/traces?service={service}&minDuration=100ms&start={quarter}&end={now}&limit=20"),
        sql: "
SELECT Timestamp, lower(hex(TraceId)) AS trace, SpanName, Duration
FROM spanmill.otel_traces
WHERE ServiceName = {service:String} AND Timestamp > now64(9) - INTERVAL 15 MINUTE AND Duration > 100000000
ORDER BY Timestamp DESC LIMIT 20",
    },
    Query {
        name: "errors of a service, 15 minutes",
        path: Some("/api/traces?service={service}&tag=error:true&start={quarter}&end={now}&limit=20"),
        sql: "
SELECT Timestamp, lower(hex(TraceId)) AS trace, SpanName, StatusMessage
FROM spanmill.otel_traces
WHERE ServiceName = {service:String} AND Timestamp > now64(9) - INTERVAL 15 MINUTE AND StatusCode = 2
ORDER BY Timestamp DESC LIMIT 20",
    },
    Query {
        name: "spans of a service by the minute, 15 minutes",
        path: Some("/api/metrics/calls?service={service}&endTs={millis}&lookback=900000&step=60000"),
        sql: "
SELECT toStartOfMinute(Timestamp) AS minute, count() AS spans, countIf(StatusCode = 2) AS errors
FROM spanmill.otel_traces
WHERE ServiceName = {service:String} AND Timestamp > now64(9) - INTERVAL 15 MINUTE
GROUP BY minute ORDER BY minute",
    },
    Query {
        name: "who calls whom",
        path: Some("/api/dependencies?endTs={millis}&lookback=21600000"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: each query about a service with signs that mean something in a path. Guarantees: nothing is left to
    /// fill in, the signs do not reach the path as they are, and parameters in SQL are just those that it names.
    #[test]
    fn queries_are_filled_in() {
        let subject = Subject {
            trace: "0af7651916cd43dd8448eb211c80319c".into(),
            service: "a/b?c=d&e {now}".into(),
        };
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000);
        for query in &QUERIES {
            let path = query.path(&subject, now).unwrap();
            assert!(
                path.starts_with("/api/") && !path.contains(['{', '}', ' ']),
                "{path}"
            );
            let names_service = query.path.unwrap().contains("{service}");
            assert_eq!(
                path.contains("a%2Fb%3Fc%3Dd%26e%20%7Bnow%7D"),
                names_service,
                "{path}"
            );
            for (name, _) in query.parameters(&subject) {
                assert!(query.sql.contains(&format!("{{{name}:String}}")));
            }
        }
        let slow = QUERIES[4].path(&subject, now).unwrap();
        assert!(
            slow.contains("start=1789999100000000&end=1790000000000000"),
            "{slow}"
        );
    }
}
