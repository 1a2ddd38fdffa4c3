-- Rollups of points over an hour, made of those over five minutes: the columns mean the same, and the
-- machinery is that of 006_create_otel_metrics_5m.sql. An hour is pending while the points that its
-- five-minute rows stand for are not those that its own rows stand for.

CREATE TABLE IF NOT EXISTS spanmill.otel_metrics_1h {{on_cluster}}
(
    `MetricName` LowCardinality(String) CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `SeriesId` UInt64 CODEC(ZSTD(1)),
    `MetricType` UInt8 CODEC(ZSTD(1)),
    `Bucket` DateTime CODEC(Delta(4), ZSTD(1)),
    `Layout` UInt64 CODEC(ZSTD(1)),
    `Version` DateTime64(9) CODEC(ZSTD(1)),
    `Points` UInt64 CODEC(T64, ZSTD(1)),
    `AggregationTemporality` UInt8 CODEC(ZSTD(1)),
    `IsMonotonic` Bool CODEC(ZSTD(1)),
    `StaleTime` DateTime64(9) CODEC(ZSTD(1)),
    `Samples` UInt32 CODEC(T64, ZSTD(1)),
    `FirstTime` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `LastTime` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `First` Float64 CODEC(Delta(8), ZSTD(1)),
    `Last` Float64 CODEC(Delta(8), ZSTD(1)),
    `Increase` Float64 CODEC(ZSTD(1)),
    `Min` Float64 CODEC(Delta(8), ZSTD(1)),
    `Max` Float64 CODEC(Delta(8), ZSTD(1)),
    `Sum` Float64 CODEC(Delta(8), ZSTD(1)),
    `FirstCount` UInt64 CODEC(ZSTD(1)),
    `LastCount` UInt64 CODEC(ZSTD(1)),
    `CountIncrease` UInt64 CODEC(ZSTD(1)),
    `Bounds` Array(Float64) CODEC(ZSTD(1)),
    `BucketsFirst` Array(UInt64) CODEC(ZSTD(1)),
    `BucketsLast` Array(UInt64) CODEC(ZSTD(1)),
    `BucketsIncrease` Array(UInt64) CODEC(ZSTD(1)),
    `Scale` Int32 CODEC(ZSTD(1)),
    `ZeroThreshold` Float64 CODEC(ZSTD(1)),
    `ZeroFirst` UInt64 CODEC(ZSTD(1)),
    `ZeroLast` UInt64 CODEC(ZSTD(1)),
    `ZeroIncrease` UInt64 CODEC(ZSTD(1)),
    `Positive.Index` Array(Int32) CODEC(ZSTD(1)),
    `Positive.First` Array(UInt64) CODEC(ZSTD(1)),
    `Positive.Last` Array(UInt64) CODEC(ZSTD(1)),
    `Positive.Increase` Array(UInt64) CODEC(ZSTD(1)),
    `Negative.Index` Array(Int32) CODEC(ZSTD(1)),
    `Negative.First` Array(UInt64) CODEC(ZSTD(1)),
    `Negative.Last` Array(UInt64) CODEC(ZSTD(1)),
    `Negative.Increase` Array(UInt64) CODEC(ZSTD(1)),
    `ValueAtQuantiles.Quantile` Array(Float64) CODEC(ZSTD(1)),
    `ValueAtQuantiles.Value` Array(Float64) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}ReplacingMergeTree(Version)
PARTITION BY toYYYYMM(Bucket)
-- No hour before SeriesId as in the finer tables: long ranges are what this one is for.
ORDER BY (MetricName, ServiceName, SeriesId, MetricType, Layout, Bucket)
SETTINGS {{deduplication}};

ALTER TABLE spanmill.otel_metrics_1h {{on_cluster}}
MODIFY TTL Bucket + toIntervalDay({{retention_1h}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_metrics_1h_distributed {{on_cluster}}
AS spanmill.otel_metrics_1h
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_metrics_1h', SeriesId);

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_1h_done_mv {{on_cluster}} TO spanmill.otel_metrics_done
AS SELECT
    toUInt16(3600) AS Resolution,
    Bucket,
    MetricName,
    ServiceName,
    MetricType,
    Version,
    sum(Points) AS Points,
    nowInBlock() AS Due
FROM spanmill.otel_metrics_1h
GROUP BY Bucket, MetricName, ServiceName, MetricType, Version;

-- Hours that are over and do not hold all of their five-minute rows.
CREATE OR REPLACE VIEW spanmill.otel_metrics_1h_pending {{on_cluster}}
AS WITH due AS
(
    SELECT toDateTime(intDiv(toUInt32(Bucket), 3600) * 3600) AS Hour, MetricName, ServiceName, MetricType
    FROM spanmill.otel_metrics_done
    WHERE Resolution = 300
        AND Due > (SELECT Since FROM spanmill.otel_rollup_since WHERE Resolution = 3600)
        AND Due <= now()
        AND Hour >= (SELECT Hour FROM spanmill.otel_metrics_rollup_start)
)
SELECT Hour AS Bucket, MetricName, ServiceName, MetricType
FROM
(
    SELECT
        toDateTime(intDiv(toUInt32(Bucket), 3600) * 3600) AS Hour,
        Resolution, Bucket, MetricName, ServiceName, MetricType, argMax(Read, Version) AS Points
    FROM
    (
        SELECT Resolution, Bucket, MetricName, ServiceName, MetricType, Version, sum(Points) AS Read
        FROM spanmill.otel_metrics_done
        WHERE Bucket >= (SELECT min(Hour) FROM due)
            AND (toDateTime(intDiv(toUInt32(Bucket), 3600) * 3600), MetricName, ServiceName, MetricType)
                IN (due)
        GROUP BY Resolution, Bucket, MetricName, ServiceName, MetricType, Version
    )
    GROUP BY Resolution, Bucket, MetricName, ServiceName, MetricType
)
GROUP BY Hour, MetricName, ServiceName, MetricType
HAVING sumIf(Points, Resolution = 300) != sumIf(Points, Resolution = 3600);

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_1h_numbers {{on_cluster}}
REFRESH EVERY 15 MINUTE OFFSET 2 MINUTE APPEND TO spanmill.otel_metrics_1h EMPTY
AS WITH
    (SELECT min(Bucket) FROM spanmill.otel_metrics_1h_pending WHERE MetricType IN (1, 2)) AS from_time,
    grouped AS
    (
        SELECT
            r.MetricName AS MetricName,
            r.ServiceName AS ServiceName,
            r.SeriesId AS SeriesId,
            r.MetricType AS MetricType,
            toDateTime(intDiv(toUInt32(r.Bucket), 3600) * 3600) AS Hour,
            sum(r.Points) AS Points,
            any(r.AggregationTemporality) AS AggregationTemporality,
            any(r.IsMonotonic) AS IsMonotonic,
            max(r.StaleTime) AS StaleTime,
            sum(r.Samples) AS Samples,
            minIf(r.FirstTime, r.Samples > 0) AS FirstTime,
            maxIf(r.LastTime, r.Samples > 0) AS LastTime,
            groupArrayIf(r.Bucket, r.Samples > 0) AS Buckets,
            arraySort((value, bucket) -> bucket, groupArrayIf(r.First, r.Samples > 0), Buckets) AS Firsts,
            arraySort((value, bucket) -> bucket, groupArrayIf(r.Last, r.Samples > 0), Buckets) AS Lasts,
            sum(r.Increase) AS Inside,
            minIf(r.Min, r.Samples > 0 AND NOT isNaN(r.Min)) AS LeastMin,
            maxIf(r.Max, r.Samples > 0 AND NOT isNaN(r.Max)) AS GreatestMax,
            countIf(r.Samples > 0 AND NOT isNaN(r.Min)) AS Comparable,
            sum(r.Sum) AS Sum
        FROM spanmill.otel_metrics_5m AS r FINAL
        WHERE r.MetricType IN (1, 2)
            AND r.Bucket >= from_time
            AND (r.MetricName, r.ServiceName, toStartOfHour(r.Bucket), Hour, r.MetricType) IN (
                SELECT
                    MetricName, ServiceName,
                    arrayJoin(arrayDistinct([toStartOfHour(Bucket), toStartOfHour(Bucket + 3599)])),
                    Bucket, MetricType
                FROM spanmill.otel_metrics_1h_pending
                WHERE MetricType IN (1, 2))
        GROUP BY MetricName, ServiceName, SeriesId, MetricType, Hour
    )
SELECT
    MetricName,
    ServiceName,
    SeriesId,
    MetricType,
    Hour AS Bucket,
    now64(9) AS Version,
    Points,
    AggregationTemporality,
    IsMonotonic,
    StaleTime,
    Samples,
    FirstTime,
    LastTime,
    Firsts[1] AS First,
    Lasts[-1] AS Last,
    if(AggregationTemporality = 1,
        Inside,
        Inside + arraySum((value, before) -> if(value < before, value, value - before),
            arrayPopFront(Firsts), arrayPopBack(Lasts))) AS Increase,
    if(Comparable = 0, nan, LeastMin) AS Min,
    if(Comparable = 0, nan, GreatestMax) AS Max,
    Sum
FROM grouped
SETTINGS max_bytes_before_external_group_by = 1000000000, do_not_merge_across_partitions_select_final = 1;
