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
    `Run` DateTime64(9) CODEC(ZSTD(1)),
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
ENGINE = {{Replicated}}ReplacingMergeTree(Points)
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
    Run,
    sum(Points) AS Points,
    nowInBlock() AS Due
FROM spanmill.otel_metrics_1h
GROUP BY Bucket, MetricName, ServiceName, MetricType, Run;

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
        Resolution, Bucket, MetricName, ServiceName, MetricType, argMax(Read, Run) AS Points
    FROM
    (
        SELECT Resolution, Bucket, MetricName, ServiceName, MetricType, Run, sum(Points) AS Read
        FROM spanmill.otel_metrics_done
        WHERE Bucket >= (SELECT min(Hour) FROM due)
            AND (toDateTime(intDiv(toUInt32(Bucket), 3600) * 3600), MetricName, ServiceName, MetricType)
                IN (due)
        GROUP BY Resolution, Bucket, MetricName, ServiceName, MetricType, Run
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
    now64(9) AS Run,
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
SETTINGS max_bytes_before_external_group_by = 2000000000, do_not_merge_across_partitions_select_final = 1;

-- Histograms with explicit bounds, and summaries.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_1h_histograms {{on_cluster}}
REFRESH EVERY 15 MINUTE OFFSET 2 MINUTE APPEND TO spanmill.otel_metrics_1h EMPTY
AS WITH
    (SELECT min(Bucket) FROM spanmill.otel_metrics_1h_pending WHERE MetricType IN (3, 5)) AS from_time,
    grouped AS
    (
        SELECT
            r.MetricName AS MetricName,
            r.ServiceName AS ServiceName,
            r.SeriesId AS SeriesId,
            r.MetricType AS MetricType,
            toDateTime(intDiv(toUInt32(r.Bucket), 3600) * 3600) AS Hour,
            r.Layout AS Layout,
            any(r.Bounds) AS Bounds,
            sum(r.Points) AS Points,
            any(r.AggregationTemporality) AS AggregationTemporality,
            max(r.StaleTime) AS StaleTime,
            sum(r.Samples) AS Samples,
            minIf(r.FirstTime, r.Samples > 0) AS FirstTime,
            maxIf(r.LastTime, r.Samples > 0) AS LastTime,
            minIf(r.Min, r.Samples > 0 AND NOT isNaN(r.Min)) AS LeastMin,
            maxIf(r.Max, r.Samples > 0 AND NOT isNaN(r.Max)) AS GreatestMax,
            if(countIf(r.Samples > 0 AND NOT isNaN(r.Min)) = 0, nan, LeastMin) AS Min,
            if(countIf(r.Samples > 0 AND NOT isNaN(r.Max)) = 0, nan, GreatestMax) AS Max,
            arraySort(groupArrayIf(
                CAST(
                    (r.Bucket, r.First, r.Last, r.Increase, r.FirstCount, r.LastCount, r.CountIncrease,
                        r.BucketsFirst, r.BucketsLast, r.BucketsIncrease,
                        r.`ValueAtQuantiles.Quantile`, r.`ValueAtQuantiles.Value`),
                    'Tuple(Bucket DateTime, First Float64, Last Float64, Increase Float64,
                        FirstCount UInt64, LastCount UInt64, CountIncrease UInt64,
                        BucketsFirst Array(UInt64), BucketsLast Array(UInt64), BucketsIncrease Array(UInt64),
                        Quantiles Array(Float64), Values Array(Float64))'),
                r.Samples > 0)) AS Rows
        FROM spanmill.otel_metrics_5m AS r FINAL
        WHERE r.MetricType IN (3, 5)
            AND r.Bucket >= from_time
            AND (r.MetricName, r.ServiceName, toStartOfHour(r.Bucket), Hour, r.MetricType) IN (
                SELECT
                    MetricName, ServiceName,
                    arrayJoin(arrayDistinct([toStartOfHour(Bucket), toStartOfHour(Bucket + 3599)])),
                    Bucket, MetricType
                FROM spanmill.otel_metrics_1h_pending
                WHERE MetricType IN (3, 5))
        GROUP BY MetricName, ServiceName, SeriesId, MetricType, Hour, Layout
    ),
    -- A row per five minutes with the one before it, from which a cumulative series steps.
    steps AS
    (
        SELECT
            * EXCEPT Rows,
            Row,
            Before,
            Position,
            length(Rows) AS Length,
            AggregationTemporality != 1 AND Position > 1 AS Steps
        FROM grouped
        LEFT ARRAY JOIN Rows AS Row, arrayShiftRight(Rows, 1) AS Before, arrayEnumerate(Rows) AS Position
    )
SELECT
    MetricName,
    ServiceName,
    SeriesId,
    MetricType,
    Hour AS Bucket,
    Layout,
    now64(9) AS Run,
    any(Points) AS Points,
    any(AggregationTemporality) AS AggregationTemporality,
    any(StaleTime) AS StaleTime,
    any(Samples) AS Samples,
    any(FirstTime) AS FirstTime,
    any(LastTime) AS LastTime,
    anyIf(Row.First, Position = 1) AS First,
    anyIf(Row.Last, Position = Length) AS Last,
    sum(Row.Increase + if(Steps, Row.First - if(Row.First < Before.Last, 0, Before.Last), 0)) AS Increase,
    any(Min) AS Min,
    any(Max) AS Max,
    anyIf(Row.FirstCount, Position = 1) AS FirstCount,
    anyIf(Row.LastCount, Position = Length) AS LastCount,
    sum(toUInt64(Row.CountIncrease
        + if(Steps, Row.FirstCount - if(Row.FirstCount < Before.LastCount, 0, Before.LastCount), 0))) AS CountIncrease,
    any(Bounds) AS Bounds,
    anyIf(Row.BucketsFirst, Position = 1) AS BucketsFirst,
    anyIf(Row.BucketsLast, Position = Length) AS BucketsLast,
    sumForEach(
        arrayMap((inside, now, from) -> toUInt64(inside + if(Steps, now - if(now < from, 0, from), 0)),
            Row.BucketsIncrease, Row.BucketsFirst,
            arrayResize(Before.BucketsLast, length(Row.BucketsFirst)))) AS BucketsIncrease,
    anyIf(Row.Quantiles, Position = Length) AS `ValueAtQuantiles.Quantile`,
    anyIf(Row.Values, Position = Length) AS `ValueAtQuantiles.Value`
FROM steps
GROUP BY MetricName, ServiceName, SeriesId, MetricType, Hour, Layout
SETTINGS max_bytes_before_external_group_by = 2000000000, do_not_merge_across_partitions_select_final = 1;

-- Exponential histograms: the rows' buckets are brought to the hour's smallest scale, and whether a
-- step is a reset is found as between samples.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_1h_exponential_histograms {{on_cluster}}
REFRESH EVERY 15 MINUTE OFFSET 2 MINUTE APPEND TO spanmill.otel_metrics_1h EMPTY
AS WITH
    (SELECT min(Bucket) FROM spanmill.otel_metrics_1h_pending WHERE MetricType = 4) AS from_time,
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
            max(r.StaleTime) AS StaleTime,
            sum(r.Samples) AS Samples,
            minIf(r.FirstTime, r.Samples > 0) AS FirstTime,
            maxIf(r.LastTime, r.Samples > 0) AS LastTime,
            minIf(r.Min, r.Samples > 0 AND NOT isNaN(r.Min)) AS LeastMin,
            maxIf(r.Max, r.Samples > 0 AND NOT isNaN(r.Max)) AS GreatestMax,
            if(countIf(r.Samples > 0 AND NOT isNaN(r.Min)) = 0, nan, LeastMin) AS Min,
            if(countIf(r.Samples > 0 AND NOT isNaN(r.Max)) = 0, nan, GreatestMax) AS Max,
            minIf(r.Scale, r.Samples > 0) AS SmallestScale,
            max(r.ZeroThreshold) AS ZeroThreshold,
            arraySort(groupArrayIf(
                CAST(
                    (r.Bucket, r.First, r.Last, r.Increase, r.FirstCount, r.LastCount, r.CountIncrease,
                        r.Scale, r.ZeroFirst, r.ZeroLast, r.ZeroIncrease,
                        r.`Positive.Index`, r.`Positive.First`, r.`Positive.Last`, r.`Positive.Increase`,
                        r.`Negative.Index`, r.`Negative.First`, r.`Negative.Last`, r.`Negative.Increase`),
                    'Tuple(Bucket DateTime, First Float64, Last Float64, Increase Float64,
                        FirstCount UInt64, LastCount UInt64, CountIncrease UInt64,
                        Scale Int32, ZeroFirst UInt64, ZeroLast UInt64, ZeroIncrease UInt64,
                        PositiveIndex Array(Int32), PositiveFirst Array(UInt64),
                        PositiveLast Array(UInt64), PositiveIncrease Array(UInt64),
                        NegativeIndex Array(Int32), NegativeFirst Array(UInt64),
                        NegativeLast Array(UInt64), NegativeIncrease Array(UInt64))'),
                r.Samples > 0)) AS Rows
        FROM spanmill.otel_metrics_5m AS r FINAL
        WHERE r.MetricType = 4
            AND r.Bucket >= from_time
            AND (r.MetricName, r.ServiceName, toStartOfHour(r.Bucket), Hour, r.MetricType) IN (
                SELECT
                    MetricName, ServiceName,
                    arrayJoin(arrayDistinct([toStartOfHour(Bucket), toStartOfHour(Bucket + 3599)])),
                    Bucket, MetricType
                FROM spanmill.otel_metrics_1h_pending
                WHERE MetricType = 4)
        GROUP BY MetricName, ServiceName, SeriesId, MetricType, Hour
    ),
    -- Whether the step to a row from the one before it is a reset; delta has no steps.
    compared AS
    (
        SELECT
            *,
            arrayMap(
                (now, before) -> now.FirstCount < before.LastCount
                    OR now.ZeroFirst < before.ZeroLast
                    OR arrayExists(change -> change < 0, arrayReduce('sumMap',
                        [arrayConcat(
                            arrayMap(index -> toInt32(floor(index / exp2(greatest(now.Scale - before.Scale, 0)))),
                                now.PositiveIndex),
                            arrayMap(index -> toInt32(floor(index / exp2(greatest(before.Scale - now.Scale, 0)))),
                                before.PositiveIndex))],
                        [arrayConcat(
                            arrayMap(count -> toInt64(count), now.PositiveFirst),
                            arrayMap(count -> -toInt64(count), before.PositiveLast))]).2)
                    OR arrayExists(change -> change < 0, arrayReduce('sumMap',
                        [arrayConcat(
                            arrayMap(index -> toInt32(floor(index / exp2(greatest(now.Scale - before.Scale, 0)))),
                                now.NegativeIndex),
                            arrayMap(index -> toInt32(floor(index / exp2(greatest(before.Scale - now.Scale, 0)))),
                                before.NegativeIndex))],
                        [arrayConcat(
                            arrayMap(count -> toInt64(count), now.NegativeFirst),
                            arrayMap(count -> -toInt64(count), before.NegativeLast))]).2),
                Rows, arrayShiftRight(Rows, 1)) AS IsReset
        FROM grouped
    ),
    rows AS
    (
        SELECT
            * EXCEPT (Rows, IsReset),
            Row,
            Position = 1 AS IsFirst,
            Position = length(Rows) AS IsLast,
            AggregationTemporality != 1 AND Position > 1 AS Steps,
            -- The next row's step begins here.
            AggregationTemporality != 1 AND NOT IsLast AND NOT NextIsReset AS IsLeft,
            exp2(Row.Scale - SmallestScale) AS Shrink
        FROM compared
        LEFT ARRAY JOIN
            Rows AS Row,
            arrayShiftLeft(IsReset, 1) AS NextIsReset,
            arrayEnumerate(Rows) AS Position
    ),
    summed AS
    (
        SELECT
            MetricName,
            ServiceName,
            SeriesId,
            MetricType,
            Hour,
            any(Points) AS Points,
            any(AggregationTemporality) AS AggregationTemporality,
            any(StaleTime) AS StaleTime,
            any(Samples) AS Samples,
            any(FirstTime) AS FirstTime,
            any(LastTime) AS LastTime,
            anyIf(Row.First, IsFirst) AS First,
            anyIf(Row.Last, IsLast) AS Last,
            sum(Row.Increase + if(Steps, Row.First, 0) - if(IsLeft, Row.Last, 0)) AS Increase,
            any(Min) AS Min,
            any(Max) AS Max,
            anyIf(Row.FirstCount, IsFirst) AS FirstCount,
            anyIf(Row.LastCount, IsLast) AS LastCount,
            sum(toInt64(Row.CountIncrease) + if(Steps, toInt64(Row.FirstCount), 0)
                - if(IsLeft, toInt64(Row.LastCount), 0)) AS CountIncrease,
            any(SmallestScale) AS Scale,
            any(ZeroThreshold) AS ZeroThreshold,
            anyIf(Row.ZeroFirst, IsFirst) AS ZeroFirst,
            anyIf(Row.ZeroLast, IsLast) AS ZeroLast,
            sum(toInt64(Row.ZeroIncrease) + if(Steps, toInt64(Row.ZeroFirst), 0)
                - if(IsLeft, toInt64(Row.ZeroLast), 0)) AS ZeroIncrease,
            sumMap(
                arrayMap(index -> toInt32(floor(index / Shrink)), Row.PositiveIndex),
                arrayMap((inside, first, last) ->
                    toInt64(inside) + if(Steps, toInt64(first), 0) - if(IsLeft, toInt64(last), 0),
                    Row.PositiveIncrease, Row.PositiveFirst, Row.PositiveLast),
                arrayMap(count -> count * IsFirst, Row.PositiveFirst),
                arrayMap(count -> count * IsLast, Row.PositiveLast)) AS Positive,
            sumMap(
                arrayMap(index -> toInt32(floor(index / Shrink)), Row.NegativeIndex),
                arrayMap((inside, first, last) ->
                    toInt64(inside) + if(Steps, toInt64(first), 0) - if(IsLeft, toInt64(last), 0),
                    Row.NegativeIncrease, Row.NegativeFirst, Row.NegativeLast),
                arrayMap(count -> count * IsFirst, Row.NegativeFirst),
                arrayMap(count -> count * IsLast, Row.NegativeLast)) AS Negative
        FROM rows
        GROUP BY MetricName, ServiceName, SeriesId, MetricType, Hour
    )
SELECT
    * EXCEPT (Hour, Positive, Negative),
    Hour AS Bucket,
    now64(9) AS Run,
    Positive.1 AS `Positive.Index`,
    Positive.2 AS `Positive.Increase`,
    Positive.3 AS `Positive.First`,
    Positive.4 AS `Positive.Last`,
    Negative.1 AS `Negative.Index`,
    Negative.2 AS `Negative.Increase`,
    Negative.3 AS `Negative.First`,
    Negative.4 AS `Negative.Last`
FROM summed
SETTINGS max_bytes_before_external_group_by = 2000000000, do_not_merge_across_partitions_select_final = 1;
