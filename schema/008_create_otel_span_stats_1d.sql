-- Span statistics by the day: what the hourly ones say of whole days, for long ranges. A month of hours is 24
-- times as many rows, each with a sketch to merge.

CREATE TABLE IF NOT EXISTS spanmill.otel_span_stats_1d {{on_cluster}}
(
    -- In UTC.
    `Day` Date CODEC(Delta(2), ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `SpanName` LowCardinality(String) CODEC(ZSTD(1)),
    `SpanKind` UInt8 CODEC(ZSTD(1)),
    `Count` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    `ErrorCount` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    `DurationSum` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    `DurationMin` SimpleAggregateFunction(min, UInt64) CODEC(ZSTD(1)),
    `DurationMax` SimpleAggregateFunction(max, UInt64) CODEC(ZSTD(1)),
    `DurationDigest` AggregateFunction(quantileTDigest, UInt64) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}AggregatingMergeTree
PARTITION BY toStartOfMonth(Day)
ORDER BY (ServiceName, SpanName, SpanKind, Day)
SETTINGS index_granularity = 512, {{deduplication}};

ALTER TABLE spanmill.otel_span_stats_1d {{on_cluster}}
MODIFY TTL Day + toIntervalDay({{retention_1h}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_span_stats_1d_distributed {{on_cluster}}
AS spanmill.otel_span_stats_1d
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_span_stats_1d', rand());

-- Behind the hourly view, so that sketches are merged rather than made again from every span.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_span_stats_1d_mv {{on_cluster}}
TO spanmill.otel_span_stats_1d
AS SELECT
    toDate(Hour, 'UTC') AS Day,
    ServiceName,
    SpanName,
    SpanKind,
    sum(Count) AS Count,
    sum(ErrorCount) AS ErrorCount,
    sum(DurationSum) AS DurationSum,
    min(DurationMin) AS DurationMin,
    max(DurationMax) AS DurationMax,
    quantileTDigestMergeState(DurationDigest) AS DurationDigest
FROM spanmill.otel_span_stats_1h
GROUP BY Day, ServiceName, SpanName, SpanKind;
