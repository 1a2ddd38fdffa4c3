-- Span statistics by the week: what the hourly ones say of whole weeks, for ranges of a month and more and for the
-- lists of services and operations. Of days there are up to seven times as many rows, each with a sketch to merge.

CREATE TABLE IF NOT EXISTS spanmill.otel_span_stats_1w {{on_cluster}}
(
    -- Its Monday, in UTC.
    `Week` Date CODEC(Delta(2), ZSTD(1)),
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
PARTITION BY toStartOfYear(Week)
ORDER BY (ServiceName, SpanName, SpanKind, Week)
SETTINGS index_granularity = 512, {{deduplication}};

ALTER TABLE spanmill.otel_span_stats_1w {{on_cluster}}
MODIFY TTL Week + toIntervalDay(7) + toIntervalDay({{retention_1h}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_span_stats_1w_distributed {{on_cluster}}
AS spanmill.otel_span_stats_1w
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_span_stats_1w', rand());

-- Behind the hourly view, so that sketches are merged rather than made again from every span.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_span_stats_1w_mv {{on_cluster}}
TO spanmill.otel_span_stats_1w
AS SELECT
    toMonday(Hour, 'UTC') AS Week,
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
GROUP BY Week, ServiceName, SpanName, SpanKind;
