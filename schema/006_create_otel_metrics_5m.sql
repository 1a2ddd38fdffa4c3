-- Rollups of points over five minutes, and the machinery that keeps them exact whatever comes late.
--
-- An insert of points marks the buckets it touches in otel_metrics_dirty. A refreshable view recomputes
-- marked buckets that are closed from the points themselves, and counts what it read in
-- otel_metrics_done. A bucket whose two counts differ is pending: that alone decides, so a refresh that
-- failed in the middle, a server that was down, and points a month late are all the same case.
-- A bucket is open at its start and closed at its end, as a range is in PromQL: a point at 12:05:00
-- belongs to the bucket that started at 12:00:00.

-- How many points came for a bucket of one service's metric, and when the last of them was due to be
-- rolled up. A part is committed after that of its points, so what is marked can be read.
CREATE TABLE IF NOT EXISTS spanmill.otel_metrics_dirty {{on_cluster}}
(
    `Bucket` DateTime CODEC(Delta(4), ZSTD(1)),
    `MetricName` LowCardinality(String) CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `MetricType` UInt8 CODEC(ZSTD(1)),
    `Points` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    -- The later of arrival and the bucket's end.
    `Due` SimpleAggregateFunction(max, DateTime) CODEC(Delta(4), ZSTD(1))
)
ENGINE = {{Replicated}}AggregatingMergeTree
PARTITION BY toDate(Due)
ORDER BY (Bucket, MetricName, ServiceName, MetricType)
SETTINGS ttl_only_drop_parts = 1, {{deduplication}};

ALTER TABLE spanmill.otel_metrics_dirty {{on_cluster}}
MODIFY TTL Due + toIntervalDay({{retention_raw}} + 1);

-- How many points each run of a refresh read for a bucket; Resolution is the bucket's seconds.
CREATE TABLE IF NOT EXISTS spanmill.otel_metrics_done {{on_cluster}}
(
    `Resolution` UInt16 CODEC(ZSTD(1)),
    `Bucket` DateTime CODEC(Delta(4), ZSTD(1)),
    `MetricName` LowCardinality(String) CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `MetricType` UInt8 CODEC(ZSTD(1)),
    -- That of the rollup rows.
    `Run` DateTime64(9) CODEC(ZSTD(1)),
    `Points` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    -- The later of the run and the end of the hour that the bucket lies in.
    `Due` SimpleAggregateFunction(max, DateTime) CODEC(Delta(4), ZSTD(1))
)
ENGINE = {{Replicated}}AggregatingMergeTree
PARTITION BY toDate(Due)
ORDER BY (Resolution, Bucket, MetricName, ServiceName, MetricType, Run)
SETTINGS ttl_only_drop_parts = 1, {{deduplication}};

ALTER TABLE spanmill.otel_metrics_done {{on_cluster}}
MODIFY TTL Due + toIntervalDay({{retention_raw}} + 1);

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_dirty_mv {{on_cluster}} TO spanmill.otel_metrics_dirty
AS SELECT
    toDateTime(intDiv(toUnixTimestamp64Nano(Timestamp) - 1, 300000000000) * 300) AS Bucket,
    MetricName,
    ServiceName,
    MetricType,
    count() AS Points,
    greatest(nowInBlock(), Bucket + 300) AS Due
FROM spanmill.otel_metrics
GROUP BY Bucket, MetricName, ServiceName, MetricType;

-- One row per series and bucket; read it FINAL. Of copies the one that stands for most points counts, so
-- that one computed from a part of them, when the others have expired, never takes its place. Samples are points with a value; of samples with one Timestamp the greatest counts, once.
-- An increase is the sum of the steps from sample to sample, and a step down is a reset: then the new
-- value counts in full. Of delta points it is their sum. So over successive rows of a cumulative series
-- the increase is that of each row plus the step from each Last to the next First, by the same rule.
CREATE TABLE IF NOT EXISTS spanmill.otel_metrics_5m {{on_cluster}}
(
    `MetricName` LowCardinality(String) CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `SeriesId` UInt64 CODEC(ZSTD(1)),
    `MetricType` UInt8 CODEC(ZSTD(1)),
    -- The bucket's start.
    `Bucket` DateTime CODEC(Delta(4), ZSTD(1)),
    -- Of a histogram, a hash of Bounds, so that counts of different buckets never mix; else 0.
    `Layout` UInt64 CODEC(ZSTD(1)),
    -- When the refresh that computed the row began.
    `Run` DateTime64(9) CODEC(ZSTD(1)),
    -- Points read, those without a value and repeated ones too.
    `Points` UInt64 CODEC(T64, ZSTD(1)),
    `AggregationTemporality` UInt8 CODEC(ZSTD(1)),
    `IsMonotonic` Bool CODEC(ZSTD(1)),
    -- The last stale marker, or 0. It counts nowhere else.
    `StaleTime` DateTime64(9) CODEC(ZSTD(1)),
    -- Number of samples. If 0, only StaleTime and the columns above say something.
    `Samples` UInt32 CODEC(T64, ZSTD(1)),
    `FirstTime` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `LastTime` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    -- Of Value; of a histogram or summary, of Sum, and NaN if a histogram has none.
    `First` Float64 CODEC(Delta(8), ZSTD(1)),
    `Last` Float64 CODEC(Delta(8), ZSTD(1)),
    `Increase` Float64 CODEC(ZSTD(1)),
    -- Of Value, and NaN only if all are; of a histogram, of those Min and Max that were given, else NaN.
    `Min` Float64 CODEC(Delta(8), ZSTD(1)),
    `Max` Float64 CODEC(Delta(8), ZSTD(1)),
    -- Of Value, for the average; of a histogram or summary 0.
    `Sum` Float64 CODEC(Delta(8), ZSTD(1)),
    -- Of Count of histograms and summaries.
    `FirstCount` UInt64 CODEC(ZSTD(1)),
    `LastCount` UInt64 CODEC(ZSTD(1)),
    `CountIncrease` UInt64 CODEC(ZSTD(1)),
    -- Explicit bounds and, for each of them and for +Inf, the number of values not above it.
    `Bounds` Array(Float64) CODEC(ZSTD(1)),
    `BucketsFirst` Array(UInt64) CODEC(ZSTD(1)),
    `BucketsLast` Array(UInt64) CODEC(ZSTD(1)),
    `BucketsIncrease` Array(UInt64) CODEC(ZSTD(1)),
    -- Exponential buckets, brought to the smallest scale that was met: the same index in each array.
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
    -- A summary's last ones.
    `ValueAtQuantiles.Quantile` Array(Float64) CODEC(ZSTD(1)),
    `ValueAtQuantiles.Value` Array(Float64) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}ReplacingMergeTree(Points)
PARTITION BY toDate(Bucket)
ORDER BY (MetricName, ServiceName, toStartOfHour(Bucket), SeriesId, MetricType, Layout, Bucket)
SETTINGS ttl_only_drop_parts = 1, {{deduplication}};

ALTER TABLE spanmill.otel_metrics_5m {{on_cluster}}
MODIFY TTL Bucket + toIntervalDay({{retention_5m}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_metrics_5m_distributed {{on_cluster}}
AS spanmill.otel_metrics_5m
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_metrics_5m', SeriesId);

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_5m_done_mv {{on_cluster}} TO spanmill.otel_metrics_done
AS SELECT
    toUInt16(300) AS Resolution,
    Bucket,
    MetricName,
    ServiceName,
    MetricType,
    Run,
    sum(Points) AS Points,
    greatest(nowInBlock(), toDateTime(intDiv(toUInt32(Bucket), 3600) * 3600 + 3600)) AS Due
FROM spanmill.otel_metrics_5m
GROUP BY Bucket, MetricName, ServiceName, MetricType, Run;

-- From which start buckets are recomputed. Of an older bucket some points or rows may be gone, and a
-- part of the truth must not take the place of the whole. An hour of slack for points that expire
-- while they are read.
CREATE OR REPLACE VIEW spanmill.otel_metrics_rollup_start {{on_cluster}}
AS SELECT
    now() - toIntervalDay(least({{retention_raw}}, {{retention_5m}})) + 3600 AS FiveMinutes,
    now() - toIntervalDay({{retention_5m}}) + 3600 AS Hour;

-- When each refreshable view last began a run that succeeded. ClickHouse forgets it when it restarts.
CREATE TABLE IF NOT EXISTS spanmill.otel_rollup_runs {{on_cluster}}
(
    `Host` String,
    `View` String,
    `Started` DateTime
)
ENGINE = {{Replicated}}ReplacingMergeTree(Started)
ORDER BY (Host, View)
SETTINGS {{deduplication}};

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_rollup_runs_refresh {{on_cluster}}
REFRESH EVERY 5 MINUTE OFFSET 4 MINUTE APPEND TO spanmill.otel_rollup_runs EMPTY
AS SELECT
    hostName() AS Host,
    view AS View,
    assumeNotNull(last_success_time) AS Started
FROM system.view_refreshes
WHERE database = 'spanmill' AND last_success_time IS NOT NULL;

-- What was due before this time has been rolled up by runs that succeeded, all views of a resolution
-- counted; 1970 if one of them never did. Ten minutes are taken off, because a mark bears a time some
-- moments before it could be seen. Searching a little more than is pending costs next to nothing.
CREATE OR REPLACE VIEW spanmill.otel_rollup_since {{on_cluster}}
AS SELECT
    Resolution,
    toDateTime(greatest(toInt64(min(Started)) - 600, 0)) AS Since
FROM
(
    SELECT w.Resolution AS Resolution, w.View AS View, max(r.Started) AS Started
    FROM
    (
        SELECT
            arrayJoin([300, 3600]) AS Resolution,
            arrayJoin(['numbers', 'histograms', 'exponential_histograms']) AS Kind,
            concat('otel_metrics_', if(Resolution = 300, '5m_', '1h_'), Kind) AS View
    ) AS w
    LEFT JOIN
    (
        SELECT View, Started FROM spanmill.otel_rollup_runs WHERE Host = hostName()
        UNION ALL
        SELECT view, assumeNotNull(last_success_time) FROM system.view_refreshes
        WHERE database = 'spanmill' AND last_success_time IS NOT NULL
    ) AS r ON r.View = w.View
    GROUP BY Resolution, View
)
GROUP BY Resolution;

-- Closed buckets that do not hold all of their points.
CREATE OR REPLACE VIEW spanmill.otel_metrics_5m_pending {{on_cluster}}
AS WITH due AS
(
    SELECT Bucket, MetricName, ServiceName, MetricType
    FROM spanmill.otel_metrics_dirty
    WHERE Due > (SELECT Since FROM spanmill.otel_rollup_since WHERE Resolution = 300)
        AND Due <= now()
        AND Bucket >= (SELECT FiveMinutes FROM spanmill.otel_metrics_rollup_start)
)
SELECT Bucket, MetricName, ServiceName, MetricType
FROM
(
    SELECT Bucket, MetricName, ServiceName, MetricType, sum(Points) AS Came, 0 AS Rolled
    FROM spanmill.otel_metrics_dirty
    WHERE (Bucket, MetricName, ServiceName, MetricType) IN (due)
    GROUP BY Bucket, MetricName, ServiceName, MetricType
    UNION ALL
    SELECT Bucket, MetricName, ServiceName, MetricType, 0 AS Came, argMax(Read, Run) AS Rolled
    FROM
    (
        SELECT Bucket, MetricName, ServiceName, MetricType, Run, sum(Points) AS Read
        FROM spanmill.otel_metrics_done
        WHERE Resolution = 300 AND (Bucket, MetricName, ServiceName, MetricType) IN (due)
        GROUP BY Bucket, MetricName, ServiceName, MetricType, Run
    )
    GROUP BY Bucket, MetricName, ServiceName, MetricType
)
GROUP BY Bucket, MetricName, ServiceName, MetricType
HAVING sum(Came) != sum(Rolled);

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_5m_numbers {{on_cluster}}
REFRESH EVERY 5 MINUTE OFFSET 1 MINUTE APPEND TO spanmill.otel_metrics_5m EMPTY
AS WITH
    (SELECT min(Bucket) FROM spanmill.otel_metrics_5m_pending WHERE MetricType IN (1, 2)) AS from_time,
    sorted AS
    (
        SELECT
            MetricName, ServiceName, SeriesId, MetricType, Bucket, Points, AggregationTemporality,
            IsMonotonic, StaleTime,
            arraySort((time, value) -> (time, value), Times, Values) AS AllTimes,
            arraySort((value, time) -> (time, value), Values, Times) AS AllValues,
            arrayShiftLeft(AllTimes, 1) AS NextTimes,
            arrayFilter((time, next) -> time != next, AllTimes, NextTimes) AS T,
            arrayFilter((value, time, next) -> time != next, AllValues, AllTimes, NextTimes) AS V,
            arrayFilter(value -> NOT isNaN(value), V) AS Comparable
        FROM
        (
            SELECT
                MetricName,
                ServiceName,
                SeriesId,
                MetricType,
                toDateTime(intDiv(toUnixTimestamp64Nano(Timestamp) - 1, 300000000000) * 300) AS Bucket,
                count() AS Points,
                any(AggregationTemporality) AS AggregationTemporality,
                any(IsMonotonic) AS IsMonotonic,
                maxIf(Timestamp, bitTest(Flags, 0)) AS StaleTime,
                groupArrayIf(toUnixTimestamp64Nano(Timestamp), ValueType != 0 AND NOT bitTest(Flags, 0)) AS Times,
                groupArrayIf(Value, ValueType != 0 AND NOT bitTest(Flags, 0)) AS Values
            FROM spanmill.otel_metrics
            WHERE MetricType IN (1, 2)
                AND Timestamp > from_time
                AND (MetricName, ServiceName, toStartOfHour(Timestamp), Bucket, MetricType) IN (
                    SELECT
                        MetricName, ServiceName,
                        arrayJoin([toStartOfHour(Bucket), toStartOfHour(Bucket + 300)]),
                        Bucket, MetricType
                    FROM spanmill.otel_metrics_5m_pending
                    WHERE MetricType IN (1, 2))
            GROUP BY MetricName, ServiceName, SeriesId, MetricType, Bucket
        )
    )
SELECT
    MetricName,
    ServiceName,
    SeriesId,
    MetricType,
    Bucket,
    now64(9) AS Run,
    Points,
    AggregationTemporality,
    IsMonotonic,
    StaleTime,
    toUInt32(length(V)) AS Samples,
    fromUnixTimestamp64Nano(T[1]) AS FirstTime,
    fromUnixTimestamp64Nano(T[-1]) AS LastTime,
    V[1] AS First,
    V[-1] AS Last,
    if(AggregationTemporality = 1,
        arraySum(V),
        arraySum((value, before) -> if(value < before, value, value - before),
            arrayPopFront(V), arrayPopBack(V))) AS Increase,
    if(empty(Comparable), nan, arrayMin(Comparable)) AS Min,
    if(empty(Comparable), nan, arrayMax(Comparable)) AS Max,
    arraySum(V) AS Sum
FROM sorted
SETTINGS max_bytes_before_external_group_by = 2000000000;

-- Histograms with explicit bounds, and summaries, which have none.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_5m_histograms {{on_cluster}}
REFRESH EVERY 5 MINUTE OFFSET 1 MINUTE APPEND TO spanmill.otel_metrics_5m EMPTY
AS WITH
    (SELECT min(Bucket) FROM spanmill.otel_metrics_5m_pending WHERE MetricType IN (3, 5)) AS from_time,
    points AS
    (
        SELECT
            *,
            toDateTime(intDiv(toUnixTimestamp64Nano(Timestamp) - 1, 300000000000) * 300) AS Bucket,
            multiIf(
                MetricType = 5, [],
                empty(BucketCounts), [Count],
                arrayCumSum(BucketCounts)) AS Cumulative,
            if(MetricType = 5, 0, cityHash64(ExplicitBounds, length(Cumulative))) AS Layout
        FROM spanmill.otel_metrics
        WHERE MetricType IN (3, 5)
            AND Timestamp > from_time
            AND (MetricName, ServiceName, toStartOfHour(Timestamp), Bucket, MetricType) IN (
                SELECT
                    MetricName, ServiceName,
                    arrayJoin([toStartOfHour(Bucket), toStartOfHour(Bucket + 300)]),
                    Bucket, MetricType
                FROM spanmill.otel_metrics_5m_pending
                WHERE MetricType IN (3, 5))
    ),
    grouped AS
    (
        SELECT
            MetricName,
            ServiceName,
            SeriesId,
            MetricType,
            Bucket,
            Layout,
            any(ExplicitBounds) AS Bounds,
            count() AS Points,
            any(AggregationTemporality) AS AggregationTemporality,
            maxIf(Timestamp, bitTest(Flags, 0)) AS StaleTime,
            arraySort(groupArrayIf(
                CAST(
                    (Timestamp, Count, Sum, Cumulative, Min, Max, Given,
                        `ValueAtQuantiles.Quantile`, `ValueAtQuantiles.Value`),
                    'Tuple(Time DateTime64(9), Count UInt64, Sum Float64, Buckets Array(UInt64),
                        Min Float64, Max Float64, Given UInt8, Quantiles Array(Float64), Values Array(Float64))'),
                NOT bitTest(Flags, 0))) AS Sorted,
            arrayFilter((point, next) -> point.Time != next.Time, Sorted, arrayShiftLeft(Sorted, 1)) AS Samples
        FROM points
        GROUP BY MetricName, ServiceName, SeriesId, MetricType, Bucket, Layout
    ),
    -- A row per sample with the one before it; what came in from nothing is a step for delta only.
    steps AS
    (
        SELECT
            * EXCEPT (Sorted, Samples),
            length(Samples) AS Length,
            Sample,
            Position,
            -- Sum is optional in a histogram.
            if(MetricType = 3 AND NOT bitTest(Sample.Given, 0), nan, Sample.Sum) AS Total,
            AggregationTemporality = 1 AS IsDelta,
            IsDelta OR Position > 1 AS Counts,
            CAST(if(IsDelta, (0, 0, []), (Before.Count, Before.Sum, Before.Buckets)),
                'Tuple(Count UInt64, Sum Float64, Buckets Array(UInt64))') AS From
        FROM grouped
        LEFT ARRAY JOIN
            Samples AS Sample,
            arrayShiftRight(Samples, 1) AS Before,
            arrayEnumerate(Samples) AS Position
    )
SELECT
    MetricName,
    ServiceName,
    SeriesId,
    MetricType,
    Bucket,
    Layout,
    now64(9) AS Run,
    any(Points) AS Points,
    any(AggregationTemporality) AS AggregationTemporality,
    any(StaleTime) AS StaleTime,
    toUInt32(any(Length)) AS Samples,
    anyIf(Sample.Time, Position = 1) AS FirstTime,
    anyIf(Sample.Time, Position = Length) AS LastTime,
    anyIf(Total, Position = 1) AS First,
    anyIf(Total, Position = Length) AS Last,
    -- NaN even where there is no step.
    sum(if(Counts, Total - if(Total < From.Sum, 0, From.Sum), 0 * Total)) AS Increase,
    if(countIf(bitTest(Sample.Given, 1)) = 0, nan, minIf(Sample.Min, bitTest(Sample.Given, 1))) AS Min,
    if(countIf(bitTest(Sample.Given, 2)) = 0, nan, maxIf(Sample.Max, bitTest(Sample.Given, 2))) AS Max,
    anyIf(Sample.Count, Position = 1) AS FirstCount,
    anyIf(Sample.Count, Position = Length) AS LastCount,
    sumIf(toUInt64(Sample.Count - if(Sample.Count < From.Count, 0, From.Count)), Counts) AS CountIncrease,
    any(Bounds) AS Bounds,
    anyIf(Sample.Buckets, Position = 1) AS BucketsFirst,
    anyIf(Sample.Buckets, Position = Length) AS BucketsLast,
    -- Zeroes where there is no step, so that the array has its length.
    sumForEach(
        arrayMap((now, from) -> toUInt64(if(Counts, now - if(now < from, 0, from), 0)),
            Sample.Buckets, arrayResize(From.Buckets, length(Sample.Buckets)))) AS BucketsIncrease,
    anyIf(Sample.Quantiles, Position = Length) AS `ValueAtQuantiles.Quantile`,
    anyIf(Sample.Values, Position = Length) AS `ValueAtQuantiles.Value`
FROM steps
GROUP BY MetricName, ServiceName, SeriesId, MetricType, Bucket, Layout
SETTINGS max_bytes_before_external_group_by = 2000000000;

-- Exponential histograms. Halving the scale joins pairs of buckets: index i becomes floor(i / 2), which
-- is exact. A sample after a reset counts in full; it shows in any count that is smaller than in the
-- sample before, the two brought to the smaller of their scales.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_metrics_5m_exponential_histograms {{on_cluster}}
REFRESH EVERY 5 MINUTE OFFSET 1 MINUTE APPEND TO spanmill.otel_metrics_5m EMPTY
AS WITH
    (SELECT min(Bucket) FROM spanmill.otel_metrics_5m_pending WHERE MetricType = 4) AS from_time,
    grouped AS
    (
        SELECT
            MetricName,
            ServiceName,
            SeriesId,
            MetricType,
            toDateTime(intDiv(toUnixTimestamp64Nano(Timestamp) - 1, 300000000000) * 300) AS Bucket,
            count() AS Points,
            any(AggregationTemporality) AS AggregationTemporality,
            maxIf(Timestamp, bitTest(Flags, 0)) AS StaleTime,
            minIf(Scale, NOT bitTest(Flags, 0)) AS SmallestScale,
            arraySort(groupArrayIf(
                CAST(
                    (Timestamp, Count, Sum, ZeroCount, ZeroThreshold, Scale,
                        PositiveOffset, PositiveBucketCounts, NegativeOffset, NegativeBucketCounts,
                        Min, Max, Given),
                    'Tuple(Time DateTime64(9), Count UInt64, Sum Float64, Zero UInt64, Threshold Float64,
                        Scale Int32, PositiveOffset Int32, Positive Array(UInt64),
                        NegativeOffset Int32, Negative Array(UInt64),
                        Min Float64, Max Float64, Given UInt8)'),
                NOT bitTest(Flags, 0))) AS Sorted
        FROM spanmill.otel_metrics
        WHERE MetricType = 4
            AND Timestamp > from_time
            AND (MetricName, ServiceName, toStartOfHour(Timestamp), Bucket, MetricType) IN (
                SELECT
                    MetricName, ServiceName,
                    arrayJoin([toStartOfHour(Bucket), toStartOfHour(Bucket + 300)]),
                    Bucket, MetricType
                FROM spanmill.otel_metrics_5m_pending
                WHERE MetricType = 4)
        GROUP BY MetricName, ServiceName, SeriesId, MetricType, Bucket
    ),
    -- Which samples count in full: buckets are compared one by one where both samples have the same
    -- ones, and through maps from index to count where not.
    compared AS
    (
        SELECT
            * EXCEPT Sorted,
            arrayFilter((point, next) -> point.Time != next.Time, Sorted, arrayShiftLeft(Sorted, 1)) AS Samples,
            length(Samples) AS Length,
            arrayMap(sample -> sample.Min, arrayFilter(sample -> bitTest(sample.Given, 1), Samples)) AS Mins,
            arrayMap(sample -> sample.Max, arrayFilter(sample -> bitTest(sample.Given, 2), Samples)) AS Maxs,
            if(empty(Mins), nan, arrayMin(Mins)) AS Min,
            if(empty(Maxs), nan, arrayMax(Maxs)) AS Max,
            arrayMax(sample -> sample.Threshold, Samples) AS ZeroThreshold,
            arrayMap(
                (now, before) -> AggregationTemporality = 1
                    OR now.Count < before.Count
                    OR now.Zero < before.Zero
                    OR if(
                        now.Scale = before.Scale
                            AND now.PositiveOffset = before.PositiveOffset
                            AND length(now.Positive) >= length(before.Positive),
                        arrayExists((count, count_before) -> count < count_before,
                            arrayResize(now.Positive, length(before.Positive)), before.Positive),
                        arrayExists(change -> change < 0, arrayReduce('sumMap',
                            [arrayConcat(
                                arrayMap(n -> toInt32(floor(
                                    (now.PositiveOffset + n - 1) / exp2(greatest(now.Scale - before.Scale, 0)))),
                                    arrayEnumerate(now.Positive)),
                                arrayMap(n -> toInt32(floor(
                                    (before.PositiveOffset + n - 1) / exp2(greatest(before.Scale - now.Scale, 0)))),
                                    arrayEnumerate(before.Positive)))],
                            [arrayConcat(
                                arrayMap(count -> toInt64(count), now.Positive),
                                arrayMap(count -> -toInt64(count), before.Positive))]).2))
                    OR if(
                        now.Scale = before.Scale
                            AND now.NegativeOffset = before.NegativeOffset
                            AND length(now.Negative) >= length(before.Negative),
                        arrayExists((count, count_before) -> count < count_before,
                            arrayResize(now.Negative, length(before.Negative)), before.Negative),
                        arrayExists(change -> change < 0, arrayReduce('sumMap',
                            [arrayConcat(
                                arrayMap(n -> toInt32(floor(
                                    (now.NegativeOffset + n - 1) / exp2(greatest(now.Scale - before.Scale, 0)))),
                                    arrayEnumerate(now.Negative)),
                                arrayMap(n -> toInt32(floor(
                                    (before.NegativeOffset + n - 1) / exp2(greatest(before.Scale - now.Scale, 0)))),
                                    arrayEnumerate(before.Negative)))],
                            [arrayConcat(
                                arrayMap(count -> toInt64(count), now.Negative),
                                arrayMap(count -> -toInt64(count), before.Negative))]).2)),
                Samples, arrayShiftRight(Samples, 1)) AS IsWhole
        FROM grouped
    ),
    -- The increase is each sample that ends a step less each that begins one: of most both, so nothing.
    weighed AS
    (
        SELECT
            *,
            arrayMap(
                (position, next_is_whole) ->
                    toInt8(AggregationTemporality = 1 OR position > 1)
                    - toInt8(position < Length AND NOT next_is_whole),
                arrayEnumerate(Samples), arrayShiftLeft(IsWhole, 1)) AS Weights
        FROM compared
    ),
    -- The few samples that count, with their buckets' indexes at the smallest scale.
    counted AS
    (
        SELECT
            * EXCEPT (Samples, IsWhole, Weights),
            Sample,
            Weight,
            Position = 1 AS IsFirst,
            Position = Length AS IsLast,
            exp2(Sample.Scale - SmallestScale) AS Shrink,
            if(bitTest(Sample.Given, 0), Sample.Sum, nan) AS Total
        FROM weighed
        LEFT ARRAY JOIN Samples AS Sample, Weights AS Weight, arrayEnumerate(Samples) AS Position
        WHERE Weight != 0 OR IsFirst OR IsLast
    ),
    -- One map for each side: from index to increase, first and last.
    summed AS
    (
        SELECT
            MetricName,
            ServiceName,
            SeriesId,
            MetricType,
            Bucket,
            any(Points) AS Points,
            any(AggregationTemporality) AS AggregationTemporality,
            any(StaleTime) AS StaleTime,
            toUInt32(any(Length)) AS Samples,
            anyIf(Sample.Time, IsFirst) AS FirstTime,
            anyIf(Sample.Time, IsLast) AS LastTime,
            anyIf(Total, IsFirst) AS First,
            anyIf(Total, IsLast) AS Last,
            sum(Total * Weight) AS Increase,
            any(Min) AS Min,
            any(Max) AS Max,
            anyIf(Sample.Count, IsFirst) AS FirstCount,
            anyIf(Sample.Count, IsLast) AS LastCount,
            sum(toInt64(Sample.Count) * Weight) AS CountIncrease,
            any(SmallestScale) AS Scale,
            any(ZeroThreshold) AS ZeroThreshold,
            anyIf(Sample.Zero, IsFirst) AS ZeroFirst,
            anyIf(Sample.Zero, IsLast) AS ZeroLast,
            sum(toInt64(Sample.Zero) * Weight) AS ZeroIncrease,
            sumMap(
                arrayMap(n -> toInt32(floor((Sample.PositiveOffset + n - 1) / Shrink)),
                    arrayEnumerate(Sample.Positive)),
                arrayMap(count -> toInt64(count) * Weight, Sample.Positive),
                arrayMap(count -> count * IsFirst, Sample.Positive),
                arrayMap(count -> count * IsLast, Sample.Positive)) AS Positive,
            sumMap(
                arrayMap(n -> toInt32(floor((Sample.NegativeOffset + n - 1) / Shrink)),
                    arrayEnumerate(Sample.Negative)),
                arrayMap(count -> toInt64(count) * Weight, Sample.Negative),
                arrayMap(count -> count * IsFirst, Sample.Negative),
                arrayMap(count -> count * IsLast, Sample.Negative)) AS Negative
        FROM counted
        GROUP BY MetricName, ServiceName, SeriesId, MetricType, Bucket
    )
SELECT
    * EXCEPT (Positive, Negative),
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
SETTINGS max_bytes_before_external_group_by = 2000000000;
