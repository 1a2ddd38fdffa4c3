-- Spans, the index from a trace id to its time range, and the Collector exporter's view of both.

CREATE TABLE IF NOT EXISTS spanmill.otel_traces
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
    -- Promoted attributes. An empty string or 0 says that the span lacks the key or that its value is
    -- of another type, and then stands in SpanAttributes.
    `HttpRequestMethod` LowCardinality(String) CODEC(ZSTD(1)),
    `HttpResponseStatusCode` UInt16 CODEC(ZSTD(1)),
    `HttpRoute` LowCardinality(String) CODEC(ZSTD(1)),
    `UrlPath` String CODEC(ZSTD(1)),
    `ServerAddress` LowCardinality(String) CODEC(ZSTD(1)),
    `DbSystemName` LowCardinality(String) CODEC(ZSTD(1)),
    `RpcMethod` LowCardinality(String) CODEC(ZSTD(1)),
    `MessagingDestinationName` LowCardinality(String) CODEC(ZSTD(1)),
    `SpanAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
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
    -- On the text form, because that is what a filter on the view in `otel` compares.
    INDEX idx_trace_id_hex lower(hex(TraceId)) TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
TTL toDateTime(Timestamp) + toIntervalDay(30)
SETTINGS
    ttl_only_drop_parts = 1,
    -- How many inserted parts are remembered, so that an insert retried under its token is dropped.
    -- 64 shards * 5 inserts a second * 300 s of retrying by one of them = 96,000 inserts by the
    -- others; * 2 because an insert at the turn of an hour makes two parts = 192,000.
    -- A shard has one insert in flight, so its own later inserts never push a retry out.
    -- Cost, measured: 240 bytes of the server's memory for each part remembered, 48 MB when full.
    non_replicated_deduplication_window = 200000;

-- Which time range a trace lies in, so that a search by id can name literal bounds on Timestamp.
-- A trace may have several rows until parts merge, and one per day afterwards: read min(Start),
-- max(End) with GROUP BY. Two traces may share a hash: the range is then too wide, never too narrow.
CREATE TABLE IF NOT EXISTS spanmill.otel_trace_index
(
    `TraceHash` UInt64 CODEC(ZSTD(1)),
    `Start` SimpleAggregateFunction(min, DateTime64(9)) CODEC(ZSTD(1)),
    `End` SimpleAggregateFunction(max, DateTime64(9)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Start)
ORDER BY TraceHash
TTL toDateTime(Start) + toIntervalDay(31)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 200000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_trace_index_mv TO spanmill.otel_trace_index
AS SELECT
    cityHash64(TraceId) AS TraceHash,
    min(Timestamp) AS Start,
    max(Timestamp) AS End
FROM spanmill.otel_traces
GROUP BY TraceHash;

-- The Collector exporter's table, column for column, so that its readers run unchanged.
-- TraceId stays a bare expression, without a special case for zeroes, because only then does a
-- filter on it reach the bloom filter above. Promoted attributes return under their own keys.
CREATE VIEW IF NOT EXISTS otel.otel_traces
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
    mapConcat(
        t.SpanAttributes,
        CAST(
            mapFilter((k, v) -> v != '', map(
                'http.request.method', CAST(t.HttpRequestMethod, 'String'),
                'http.response.status_code',
                if(t.HttpResponseStatusCode = 0, '', toString(t.HttpResponseStatusCode)),
                'http.route', CAST(t.HttpRoute, 'String'),
                'url.path', t.UrlPath,
                'server.address', CAST(t.ServerAddress, 'String'),
                'db.system.name', CAST(t.DbSystemName, 'String'),
                'rpc.method', CAST(t.RpcMethod, 'String'),
                'messaging.destination.name', CAST(t.MessagingDestinationName, 'String'))),
            'Map(LowCardinality(String), String)')) AS SpanAttributes,
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
FROM spanmill.otel_traces AS t;

-- The exporter's lookup table, which Grafana asks before it opens a trace. Computed from the spans:
-- the trace index is keyed by a hash of the binary id, which a filter on the text form cannot use.
CREATE VIEW IF NOT EXISTS otel.otel_traces_trace_id_ts
AS SELECT
    lower(hex(t.TraceId)) AS TraceId,
    toDateTime(min(t.Timestamp)) AS Start,
    toDateTime(max(t.Timestamp)) AS End
FROM spanmill.otel_traces AS t
GROUP BY TraceId;
