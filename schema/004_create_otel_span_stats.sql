-- Rate, errors and durations of every operation by the hour, kept by an incremental view.

-- An operation may have several rows an hour until parts merge: read sums with GROUP BY, quantiles with
-- quantileTDigestMerge. Every column that tells operations from one another is in the key.
CREATE TABLE IF NOT EXISTS spanmill.otel_span_stats_1h {{on_cluster}}
(
    `Hour` DateTime CODEC(Delta(4), ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `SpanName` LowCardinality(String) CODEC(ZSTD(1)),
    `SpanKind` UInt8 CODEC(ZSTD(1)),
    `Count` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    `ErrorCount` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    -- Nanoseconds, as in the spans.
    `DurationSum` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    `DurationMin` SimpleAggregateFunction(min, UInt64) CODEC(ZSTD(1)),
    `DurationMax` SimpleAggregateFunction(max, UInt64) CODEC(ZSTD(1)),
    -- Any level can be read from it. The README compares it with other sketches.
    `DurationDigest` AggregateFunction(quantileTDigest, UInt64) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}AggregatingMergeTree
PARTITION BY toDate(Hour)
ORDER BY (ServiceName, SpanName, SpanKind, Hour)
-- A small granule, because a digest is 1 to 2 KB: durations of one operation in half the time.
SETTINGS index_granularity = 512, ttl_only_drop_parts = 1, {{deduplication}};

ALTER TABLE spanmill.otel_span_stats_1h {{on_cluster}}
MODIFY TTL Hour + toIntervalDay({{retention_1h}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_span_stats_1h_distributed {{on_cluster}}
AS spanmill.otel_span_stats_1h
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_span_stats_1h', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_span_stats_1h_mv {{on_cluster}}
TO spanmill.otel_span_stats_1h
AS SELECT
    toStartOfHour(toDateTime(Timestamp), 'UTC') AS Hour,
    ServiceName,
    SpanName,
    SpanKind,
    count() AS Count,
    countIf(StatusCode = 2) AS ErrorCount,
    sum(Duration) AS DurationSum,
    min(Duration) AS DurationMin,
    max(Duration) AS DurationMax,
    quantileTDigestState(Duration) AS DurationDigest
FROM spanmill.otel_traces
GROUP BY Hour, ServiceName, SpanName, SpanKind;
