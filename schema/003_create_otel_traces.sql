-- Spans, the index from a trace id to its time range, and the Collector exporter's view of both.

CREATE TABLE IF NOT EXISTS spanmill.otel_traces {{on_cluster}}
(
    `Timestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `TraceId` FixedString(16) CODEC(ZSTD(1)),
    -- Random by definition: compressing it costs time and saves nothing.
    `SpanId` FixedString(8) CODEC(NONE),
    `ParentSpanId` FixedString(8) CODEC(ZSTD(1)),
    `TraceState` String CODEC(ZSTD(1)),
    `Flags` UInt32 CODEC(ZSTD(1)),
    `SpanName` LowCardinality(String) CODEC(ZSTD(1)),
    `SpanKind` UInt8 CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `ResourceId` UInt64 CODEC(ZSTD(1)),
    `ScopeName` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeVersion` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeSchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `ScopeAttributeTypes` Array(UInt8) CODEC(ZSTD(1)),
    `ScopeDroppedAttributesCount` UInt32 CODEC(ZSTD(1)),
    `Duration` UInt64 CODEC(T64, ZSTD(1)),
    `StatusCode` UInt8 CODEC(ZSTD(1)),
    `StatusMessage` String CODEC(ZSTD(1)),
    -- Here stand the columns of promoted attributes, added below.
    `SpanAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    `SpanAttributeTypes` Array(UInt8) CODEC(ZSTD(1)),
    `DroppedAttributesCount` UInt32 CODEC(ZSTD(1)),
    `DroppedEventsCount` UInt32 CODEC(ZSTD(1)),
    `DroppedLinksCount` UInt32 CODEC(ZSTD(1)),
    `Events.Timestamp` Array(DateTime64(9)) CODEC(ZSTD(1)),
    `Events.Name` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    `Events.Attributes` Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    `Events.AttributeTypes` Array(Array(UInt8)) CODEC(ZSTD(1)),
    `Events.DroppedAttributesCount` Array(UInt32) CODEC(ZSTD(1)),
    `Links.TraceId` Array(FixedString(16)) CODEC(ZSTD(1)),
    `Links.SpanId` Array(FixedString(8)) CODEC(ZSTD(1)),
    `Links.TraceState` Array(String) CODEC(ZSTD(1)),
    `Links.Flags` Array(UInt32) CODEC(ZSTD(1)),
    `Links.Attributes` Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    `Links.AttributeTypes` Array(Array(UInt8)) CODEC(ZSTD(1)),
    `Links.DroppedAttributesCount` Array(UInt32) CODEC(ZSTD(1)),
    -- On the text form, because that is what a filter on the view in `otel` compares. One in a thousand, since
    -- a list of traces asks for many ids at once, each of which may be wrong in each granule.
    INDEX idx_trace_id_hex lower(hex(TraceId)) TYPE bloom_filter(0.001) GRANULARITY 1,
    -- Serves SpanAttributes['key'] = 'value': a rare value reads no granule in vain.
    INDEX idx_attribute_values mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    -- Within the minute of the key.
    INDEX idx_timestamp Timestamp TYPE minmax GRANULARITY 1
)
ENGINE = {{Replicated}}MergeTree
-- A month of hours would be thousands of parts, each of which every query looks at before it reads.
PARTITION BY toDate(Timestamp, 'UTC')
-- The minute first, so that the spans of a trace lie near one another, whatever their services. Not `Timestamp`
-- itself at the end: ClickHouse matches a filter on time with one column of the key alone, which must be the first.
ORDER BY (toStartOfMinute(Timestamp, 'UTC'), ServiceName, SpanName, toUnixTimestamp64Nano(Timestamp))
SETTINGS
    ttl_only_drop_parts = 1,
    -- An insert of 100,000 rows makes a part of a few files instead of two for each of some 80 streams,
    -- which was half of its cost. Parts from a merge are larger and have their columns apart.
    min_bytes_for_wide_part = 67108864,
    -- Lengths beside their texts. In streams of their own they take 7 % more disk, and scans a third more time.
    string_serialization_version = 'single_stream',
    -- Marks are in memory once a part is there, after merges and after a start: some 80 files for each part that
    -- the first question to it would open.
    prewarm_mark_cache = 1,
    -- How many inserted parts are remembered, so that an insert retried under its token is dropped.
    -- 64 shards * 5 inserts a second * 300 s of retrying by one of them = 96,000 inserts by the
    -- others; * 2 because an insert at the turn of a day makes two parts = 192,000.
    -- A shard has one insert in flight, so its own later inserts never push a retry out.
    -- Cost, measured: 240 bytes of the server's memory for each part remembered, 48 MB when full.
    -- On a cluster ClickHouse Keeper remembers them instead, for each ClickHouse shard.
    {{deduplication}};

-- An empty string or 0 in a promoted column says that the span lacks the key or that its value is of
-- another type, and then stands in SpanAttributes. The comment of such a column holds the key.
ALTER TABLE spanmill.otel_traces {{on_cluster}} {{span_promoted_columns}};

ALTER TABLE spanmill.otel_traces {{on_cluster}}
MODIFY TTL toDateTime(Timestamp) + toIntervalDay({{retention_raw}});

-- Engines insert into a shard's own table; this one is for readers.
{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_traces_distributed {{on_cluster}}
AS spanmill.otel_traces
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_traces', rand());

-- Attributes that were promoted after it was made.
{{if_cluster}} ALTER TABLE spanmill.otel_traces_distributed {{on_cluster}} {{span_promoted_columns}};

-- Which time range a trace lies in, so that a search by id can name literal bounds on Timestamp.
-- A trace may have several rows until parts merge, and one per day afterwards: read min(Start),
-- max(End) with GROUP BY. Two traces may share a hash: the range is then too wide, never too narrow.
CREATE TABLE IF NOT EXISTS spanmill.otel_trace_index {{on_cluster}}
(
    `TraceHash` UInt64 CODEC(ZSTD(1)),
    `Start` SimpleAggregateFunction(min, DateTime64(9)) CODEC(ZSTD(1)),
    `End` SimpleAggregateFunction(max, DateTime64(9)) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}AggregatingMergeTree
PARTITION BY toDate(Start, 'UTC')
ORDER BY TraceHash
-- A small granule, because a trace is one row or a few.
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, prewarm_mark_cache = 1, {{deduplication}};

ALTER TABLE spanmill.otel_trace_index {{on_cluster}}
MODIFY TTL toDateTime(Start) + toIntervalDay({{retention_raw}} + 1);

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_trace_index_distributed {{on_cluster}}
AS spanmill.otel_trace_index
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_trace_index', TraceHash);

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_trace_index_mv {{on_cluster}} TO spanmill.otel_trace_index
AS SELECT
    cityHash64(TraceId) AS TraceHash,
    min(Timestamp) AS Start,
    max(Timestamp) AS End
FROM spanmill.otel_traces
GROUP BY TraceHash;

-- The Collector exporter's table, column for column, so that its readers run unchanged.
-- TraceId stays a bare expression, without a special case for zeroes, because only then does a
-- filter on it reach the bloom filter above. Promoted attributes return under their own keys.
CREATE OR REPLACE VIEW otel.otel_traces {{on_cluster}}
AS SELECT
    t.Timestamp AS Timestamp,
    lower(hex(t.TraceId)) AS TraceId,
    lower(hex(t.SpanId)) AS SpanId,
    if(t.ParentSpanId = toFixedString('', 8), '', lower(hex(t.ParentSpanId))) AS ParentSpanId,
    t.TraceState AS TraceState,
    t.SpanName AS SpanName,
    CAST(
        ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'][t.SpanKind + 1],
        'LowCardinality(String)') AS SpanKind,
    t.ServiceName AS ServiceName,
    dictGet('spanmill.otel_resource_attributes', 'Attributes', t.ResourceId) AS ResourceAttributes,
    CAST(t.ScopeName, 'String') AS ScopeName,
    CAST(t.ScopeVersion, 'String') AS ScopeVersion,
    mapConcat(t.SpanAttributes, {{span_promoted_map}}) AS SpanAttributes,
    t.Duration AS Duration,
    CAST(['Unset', 'Ok', 'Error'][t.StatusCode + 1], 'LowCardinality(String)') AS StatusCode,
    t.StatusMessage AS StatusMessage,
    t.`Events.Timestamp` AS `Events.Timestamp`,
    t.`Events.Name` AS `Events.Name`,
    t.`Events.Attributes` AS `Events.Attributes`,
    arrayMap(id -> lower(hex(id)), t.`Links.TraceId`) AS `Links.TraceId`,
    arrayMap(id -> lower(hex(id)), t.`Links.SpanId`) AS `Links.SpanId`,
    t.`Links.TraceState` AS `Links.TraceState`,
    t.`Links.Attributes` AS `Links.Attributes`
FROM spanmill.otel_traces{{distributed}} AS t;

-- The exporter's lookup table, which Grafana asks before it opens a trace. Computed from the spans:
-- the trace index is keyed by a hash of the binary id, which a filter on the text form cannot use.
CREATE VIEW IF NOT EXISTS otel.otel_traces_trace_id_ts {{on_cluster}}
AS SELECT
    lower(hex(t.TraceId)) AS TraceId,
    toDateTime(min(t.Timestamp)) AS Start,
    toDateTime(max(t.Timestamp)) AS End
FROM spanmill.otel_traces{{distributed}} AS t
GROUP BY TraceId;
