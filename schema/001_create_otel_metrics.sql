-- Metric series, their points, and the Collector exporter's views of both.

-- One row per series: a metric's stream of points that differ in nothing but time and value. A shard
-- writes the row when it first sees the series on a day of its points. SeriesId is a hash of all that
-- tells series apart, so copies of a key differ in the two days, which merge to the whole range, and
-- in description, metadata, the dropped count and the order of attributes, where any copy's will do.
-- Read it with GROUP BY or LIMIT 1 BY SeriesId: copies stay until parts merge.
CREATE TABLE IF NOT EXISTS spanmill.otel_metric_series {{on_cluster}}
(
    `SeriesId` UInt64 CODEC(ZSTD(1)),
    `MetricName` LowCardinality(String) CODEC(ZSTD(1)),
    `MetricType` UInt8 CODEC(ZSTD(1)),
    `AggregationTemporality` UInt8 CODEC(ZSTD(1)),
    `IsMonotonic` Bool CODEC(ZSTD(1)),
    `MetricUnit` LowCardinality(String) CODEC(ZSTD(1)),
    `MetricDescription` LowCardinality(String) CODEC(ZSTD(1)),
    `MetricMetadata` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `MetricMetadataTypes` Array(UInt8) CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `ResourceId` UInt64 CODEC(ZSTD(1)),
    `ScopeName` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeVersion` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeSchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `ScopeAttributeTypes` Array(UInt8) CODEC(ZSTD(1)),
    `ScopeDroppedAttributesCount` UInt32 CODEC(ZSTD(1)),
    `Attributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `AttributeTypes` Array(UInt8) CODEC(ZSTD(1)),
    `FirstDay` SimpleAggregateFunction(min, Date) CODEC(ZSTD(1)),
    `LastDay` SimpleAggregateFunction(max, Date) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}AggregatingMergeTree
ORDER BY (MetricName, ServiceName, SeriesId)
-- A small granule, because readers look single metrics and series up.
-- The window is derived in 003_create_otel_traces.sql; series are inserted more seldom than spans.
-- Columns outside the key depend on it, as said above.
SETTINGS index_granularity = 1024, allow_dimensions_outside_sorting_key = 1, {{deduplication}};

-- A series outlives every row that names it; the slack is that of otel_resources.
ALTER TABLE spanmill.otel_metric_series {{on_cluster}}
MODIFY TTL LastDay + toIntervalDay(greatest({{retention_raw}}, {{retention_5m}}, {{retention_1h}}) + 10);

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_metric_series_distributed {{on_cluster}}
AS spanmill.otel_metric_series
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_metric_series', SeriesId);

-- One row per point. The hour before SeriesId keeps a short range over all series of a metric cheap.
CREATE TABLE IF NOT EXISTS spanmill.otel_metrics {{on_cluster}}
(
    `MetricName` LowCardinality(String) CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `SeriesId` UInt64 CODEC(ZSTD(1)),
    `MetricType` UInt8 CODEC(ZSTD(1)),
    `AggregationTemporality` UInt8 CODEC(ZSTD(1)),
    `IsMonotonic` Bool CODEC(ZSTD(1)),
    `Timestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `StartTimestamp` DateTime64(9) CODEC(ZSTD(1)),
    `Flags` UInt32 CODEC(ZSTD(1)),
    `ValueType` UInt8 CODEC(ZSTD(1)),
    -- Smaller than with Gorilla or FPC, measured: README.md.
    `Value` Float64 CODEC(Delta(8), ZSTD(1)),
    `IntRemainder` Int64 CODEC(ZSTD(1)),
    `Count` UInt64 CODEC(ZSTD(1)),
    `Sum` Float64 CODEC(ZSTD(1)),
    `Min` Float64 CODEC(ZSTD(1)),
    `Max` Float64 CODEC(ZSTD(1)),
    `Given` UInt8 CODEC(ZSTD(1)),
    `ExplicitBounds` Array(Float64) CODEC(ZSTD(1)),
    `BucketCounts` Array(UInt64) CODEC(ZSTD(1)),
    `Scale` Int32 CODEC(ZSTD(1)),
    `ZeroCount` UInt64 CODEC(ZSTD(1)),
    `ZeroThreshold` Float64 CODEC(ZSTD(1)),
    `PositiveOffset` Int32 CODEC(ZSTD(1)),
    `PositiveBucketCounts` Array(UInt64) CODEC(ZSTD(1)),
    `NegativeOffset` Int32 CODEC(ZSTD(1)),
    `NegativeBucketCounts` Array(UInt64) CODEC(ZSTD(1)),
    `ValueAtQuantiles.Quantile` Array(Float64) CODEC(ZSTD(1)),
    `ValueAtQuantiles.Value` Array(Float64) CODEC(ZSTD(1)),
    `Exemplars.Timestamp` Array(DateTime64(9)) CODEC(ZSTD(1)),
    `Exemplars.ValueType` Array(UInt8) CODEC(ZSTD(1)),
    `Exemplars.Value` Array(Float64) CODEC(ZSTD(1)),
    `Exemplars.IntRemainder` Array(Int64) CODEC(ZSTD(1)),
    `Exemplars.TraceId` Array(FixedString(16)) CODEC(ZSTD(1)),
    `Exemplars.SpanId` Array(FixedString(8)) CODEC(ZSTD(1)),
    `Exemplars.FilteredAttributes` Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    `Exemplars.FilteredAttributeTypes` Array(Array(UInt8)) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}MergeTree
PARTITION BY toDate(Timestamp, 'UTC')
ORDER BY (MetricName, ServiceName, toStartOfHour(Timestamp), SeriesId, Timestamp)
-- The size is derived in 003_create_otel_traces.sql.
SETTINGS ttl_only_drop_parts = 1, min_bytes_for_wide_part = 67108864, {{deduplication}};

ALTER TABLE spanmill.otel_metrics {{on_cluster}}
MODIFY TTL toDateTime(Timestamp) + toIntervalDay({{retention_raw}});

-- Engines insert into a shard's own table; this one is for readers.
{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_metrics_distributed {{on_cluster}}
AS spanmill.otel_metrics
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_metrics', SeriesId);

-- The Collector exporter's tables, column for column, so that its readers run unchanged. A filter on
-- MetricName or ServiceName reaches the keys of both tables; a point whose series is not stored has
-- empty labels. A dictionary over series in place of the join took three to six times as long.
CREATE OR REPLACE VIEW otel.otel_metrics_gauge {{on_cluster}}
AS SELECT
    dictGet('spanmill.otel_resource_attributes', 'Attributes', s.ResourceId) AS ResourceAttributes,
    dictGet('spanmill.otel_resource_attributes', 'SchemaUrl', s.ResourceId) AS ResourceSchemaUrl,
    CAST(s.ScopeName, 'String') AS ScopeName,
    CAST(s.ScopeVersion, 'String') AS ScopeVersion,
    s.ScopeAttributes AS ScopeAttributes,
    s.ScopeDroppedAttributesCount AS ScopeDroppedAttrCount,
    CAST(s.ScopeSchemaUrl, 'String') AS ScopeSchemaUrl,
    m.ServiceName AS ServiceName,
    m.MetricName AS MetricName,
    CAST(s.MetricDescription, 'String') AS MetricDescription,
    CAST(s.MetricUnit, 'String') AS MetricUnit,
    s.Attributes AS Attributes,
    m.StartTimestamp AS StartTimeUnix,
    m.Timestamp AS TimeUnix,
    m.Value AS Value,
    m.Flags AS Flags,
    m.`Exemplars.FilteredAttributes` AS `Exemplars.FilteredAttributes`,
    m.`Exemplars.Timestamp` AS `Exemplars.TimeUnix`,
    m.`Exemplars.Value` AS `Exemplars.Value`,
    arrayMap(id -> if(id = toFixedString('', 8), '', lower(hex(id))), m.`Exemplars.SpanId`) AS `Exemplars.SpanId`,
    arrayMap(id -> if(id = toFixedString('', 16), '', lower(hex(id))), m.`Exemplars.TraceId`) AS `Exemplars.TraceId`
FROM spanmill.otel_metrics{{distributed}} AS m
GLOBAL LEFT ANY JOIN spanmill.otel_metric_series{{distributed}} AS s
    ON s.MetricName = m.MetricName AND s.ServiceName = m.ServiceName AND s.SeriesId = m.SeriesId
WHERE m.MetricType = 1;

CREATE OR REPLACE VIEW otel.otel_metrics_sum {{on_cluster}}
AS SELECT
    dictGet('spanmill.otel_resource_attributes', 'Attributes', s.ResourceId) AS ResourceAttributes,
    dictGet('spanmill.otel_resource_attributes', 'SchemaUrl', s.ResourceId) AS ResourceSchemaUrl,
    CAST(s.ScopeName, 'String') AS ScopeName,
    CAST(s.ScopeVersion, 'String') AS ScopeVersion,
    s.ScopeAttributes AS ScopeAttributes,
    s.ScopeDroppedAttributesCount AS ScopeDroppedAttrCount,
    CAST(s.ScopeSchemaUrl, 'String') AS ScopeSchemaUrl,
    m.ServiceName AS ServiceName,
    m.MetricName AS MetricName,
    CAST(s.MetricDescription, 'String') AS MetricDescription,
    CAST(s.MetricUnit, 'String') AS MetricUnit,
    s.Attributes AS Attributes,
    m.StartTimestamp AS StartTimeUnix,
    m.Timestamp AS TimeUnix,
    m.Value AS Value,
    m.Flags AS Flags,
    m.`Exemplars.FilteredAttributes` AS `Exemplars.FilteredAttributes`,
    m.`Exemplars.Timestamp` AS `Exemplars.TimeUnix`,
    m.`Exemplars.Value` AS `Exemplars.Value`,
    arrayMap(id -> if(id = toFixedString('', 8), '', lower(hex(id))), m.`Exemplars.SpanId`) AS `Exemplars.SpanId`,
    arrayMap(id -> if(id = toFixedString('', 16), '', lower(hex(id))), m.`Exemplars.TraceId`) AS `Exemplars.TraceId`,
    toInt32(m.AggregationTemporality) AS AggregationTemporality,
    m.IsMonotonic AS IsMonotonic
FROM spanmill.otel_metrics{{distributed}} AS m
GLOBAL LEFT ANY JOIN spanmill.otel_metric_series{{distributed}} AS s
    ON s.MetricName = m.MetricName AND s.ServiceName = m.ServiceName AND s.SeriesId = m.SeriesId
WHERE m.MetricType = 2;

CREATE OR REPLACE VIEW otel.otel_metrics_histogram {{on_cluster}}
AS SELECT
    dictGet('spanmill.otel_resource_attributes', 'Attributes', s.ResourceId) AS ResourceAttributes,
    dictGet('spanmill.otel_resource_attributes', 'SchemaUrl', s.ResourceId) AS ResourceSchemaUrl,
    CAST(s.ScopeName, 'String') AS ScopeName,
    CAST(s.ScopeVersion, 'String') AS ScopeVersion,
    s.ScopeAttributes AS ScopeAttributes,
    s.ScopeDroppedAttributesCount AS ScopeDroppedAttrCount,
    CAST(s.ScopeSchemaUrl, 'String') AS ScopeSchemaUrl,
    m.ServiceName AS ServiceName,
    m.MetricName AS MetricName,
    CAST(s.MetricDescription, 'String') AS MetricDescription,
    CAST(s.MetricUnit, 'String') AS MetricUnit,
    s.Attributes AS Attributes,
    m.StartTimestamp AS StartTimeUnix,
    m.Timestamp AS TimeUnix,
    m.Count AS Count,
    m.Sum AS Sum,
    m.BucketCounts AS BucketCounts,
    m.ExplicitBounds AS ExplicitBounds,
    m.`Exemplars.FilteredAttributes` AS `Exemplars.FilteredAttributes`,
    m.`Exemplars.Timestamp` AS `Exemplars.TimeUnix`,
    m.`Exemplars.Value` AS `Exemplars.Value`,
    arrayMap(id -> if(id = toFixedString('', 8), '', lower(hex(id))), m.`Exemplars.SpanId`) AS `Exemplars.SpanId`,
    arrayMap(id -> if(id = toFixedString('', 16), '', lower(hex(id))), m.`Exemplars.TraceId`) AS `Exemplars.TraceId`,
    m.Flags AS Flags,
    m.Min AS Min,
    m.Max AS Max,
    toInt32(m.AggregationTemporality) AS AggregationTemporality
FROM spanmill.otel_metrics{{distributed}} AS m
GLOBAL LEFT ANY JOIN spanmill.otel_metric_series{{distributed}} AS s
    ON s.MetricName = m.MetricName AND s.ServiceName = m.ServiceName AND s.SeriesId = m.SeriesId
WHERE m.MetricType = 3;

CREATE OR REPLACE VIEW otel.otel_metrics_exponential_histogram {{on_cluster}}
AS SELECT
    dictGet('spanmill.otel_resource_attributes', 'Attributes', s.ResourceId) AS ResourceAttributes,
    dictGet('spanmill.otel_resource_attributes', 'SchemaUrl', s.ResourceId) AS ResourceSchemaUrl,
    CAST(s.ScopeName, 'String') AS ScopeName,
    CAST(s.ScopeVersion, 'String') AS ScopeVersion,
    s.ScopeAttributes AS ScopeAttributes,
    s.ScopeDroppedAttributesCount AS ScopeDroppedAttrCount,
    CAST(s.ScopeSchemaUrl, 'String') AS ScopeSchemaUrl,
    m.ServiceName AS ServiceName,
    m.MetricName AS MetricName,
    CAST(s.MetricDescription, 'String') AS MetricDescription,
    CAST(s.MetricUnit, 'String') AS MetricUnit,
    s.Attributes AS Attributes,
    m.StartTimestamp AS StartTimeUnix,
    m.Timestamp AS TimeUnix,
    m.Count AS Count,
    m.Sum AS Sum,
    m.Scale AS Scale,
    m.ZeroCount AS ZeroCount,
    m.PositiveOffset AS PositiveOffset,
    m.PositiveBucketCounts AS PositiveBucketCounts,
    m.NegativeOffset AS NegativeOffset,
    m.NegativeBucketCounts AS NegativeBucketCounts,
    m.`Exemplars.FilteredAttributes` AS `Exemplars.FilteredAttributes`,
    m.`Exemplars.Timestamp` AS `Exemplars.TimeUnix`,
    m.`Exemplars.Value` AS `Exemplars.Value`,
    arrayMap(id -> if(id = toFixedString('', 8), '', lower(hex(id))), m.`Exemplars.SpanId`) AS `Exemplars.SpanId`,
    arrayMap(id -> if(id = toFixedString('', 16), '', lower(hex(id))), m.`Exemplars.TraceId`) AS `Exemplars.TraceId`,
    m.Flags AS Flags,
    m.Min AS Min,
    m.Max AS Max,
    toInt32(m.AggregationTemporality) AS AggregationTemporality
FROM spanmill.otel_metrics{{distributed}} AS m
GLOBAL LEFT ANY JOIN spanmill.otel_metric_series{{distributed}} AS s
    ON s.MetricName = m.MetricName AND s.ServiceName = m.ServiceName AND s.SeriesId = m.SeriesId
WHERE m.MetricType = 4;

CREATE OR REPLACE VIEW otel.otel_metrics_summary {{on_cluster}}
AS SELECT
    dictGet('spanmill.otel_resource_attributes', 'Attributes', s.ResourceId) AS ResourceAttributes,
    dictGet('spanmill.otel_resource_attributes', 'SchemaUrl', s.ResourceId) AS ResourceSchemaUrl,
    CAST(s.ScopeName, 'String') AS ScopeName,
    CAST(s.ScopeVersion, 'String') AS ScopeVersion,
    s.ScopeAttributes AS ScopeAttributes,
    s.ScopeDroppedAttributesCount AS ScopeDroppedAttrCount,
    CAST(s.ScopeSchemaUrl, 'String') AS ScopeSchemaUrl,
    m.ServiceName AS ServiceName,
    m.MetricName AS MetricName,
    CAST(s.MetricDescription, 'String') AS MetricDescription,
    CAST(s.MetricUnit, 'String') AS MetricUnit,
    s.Attributes AS Attributes,
    m.StartTimestamp AS StartTimeUnix,
    m.Timestamp AS TimeUnix,
    m.Count AS Count,
    m.Sum AS Sum,
    m.`ValueAtQuantiles.Quantile` AS `ValueAtQuantiles.Quantile`,
    m.`ValueAtQuantiles.Value` AS `ValueAtQuantiles.Value`,
    m.Flags AS Flags
FROM spanmill.otel_metrics{{distributed}} AS m
GLOBAL LEFT ANY JOIN spanmill.otel_metric_series{{distributed}} AS s
    ON s.MetricName = m.MetricName AND s.ServiceName = m.ServiceName AND s.SeriesId = m.SeriesId
WHERE m.MetricType = 5;
