-- Log records, the hourly rollup of the errors among them, and the Collector exporter's view.

CREATE TABLE IF NOT EXISTS spanmill.otel_logs {{on_cluster}}
(
    `Timestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `ObservedTimestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `TraceId` FixedString(16) CODEC(ZSTD(1)),
    -- Compressed, unlike a span's own: many records have none.
    `SpanId` FixedString(8) CODEC(ZSTD(1)),
    `Flags` UInt32 CODEC(ZSTD(1)),
    `SeverityNumber` UInt8 CODEC(ZSTD(1)),
    `SeverityText` LowCardinality(String) CODEC(ZSTD(1)),
    `EventName` LowCardinality(String) CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `ResourceId` UInt64 CODEC(ZSTD(1)),
    `ScopeName` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeVersion` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeSchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `ScopeAttributeTypes` Array(UInt8) CODEC(ZSTD(1)),
    `ScopeDroppedAttributesCount` UInt32 CODEC(ZSTD(1)),
    `Body` String CODEC(ZSTD(1)),
    `BodyType` UInt8 CODEC(ZSTD(1)),
    `LogAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `LogAttributeTypes` Array(UInt8) CODEC(ZSTD(1)),
    `DroppedAttributesCount` UInt32 CODEC(ZSTD(1)),
    -- Word for word the view's expression: only then does a filter on the view reach it.
    INDEX idx_trace_id_hex if(empty(TraceId), '', lower(hex(TraceId))) TYPE bloom_filter(0.01) GRANULARITY 1,
    -- Within an hour and a service the key cannot prune by time, and this costs nothing.
    INDEX idx_timestamp Timestamp TYPE minmax GRANULARITY 1,
    -- Serves hasToken, hasAllTokens, LIKE '%word%' and ILIKE '%word%' on Body; the README says at what
    -- price, and what it does not serve.
    INDEX idx_body Body TYPE text(tokenizer = 'splitByNonAlpha', posting_list_codec = 'bitpacking')
)
ENGINE = {{Replicated}}MergeTree
PARTITION BY toDate(Timestamp, 'UTC')
-- The hour first, so that a time range without a service prunes too. Timestamp must not stand here by
-- itself: ClickHouse would match filters with that column alone and no longer with the hour. Through
-- toDateTime, because filters name Timestamp or, on the view, TimestampTime.
ORDER BY (toStartOfHour(toDateTime(Timestamp)), ServiceName, toUnixTimestamp64Nano(Timestamp))
-- The size is derived in 003_create_otel_traces.sql.
SETTINGS ttl_only_drop_parts = 1, min_bytes_for_wide_part = 67108864, {{deduplication}};

-- An empty string or 0 in a promoted column says that the record lacks the key or that its value is of
-- another type, and then stands in LogAttributes. The comment of such a column holds the key.
ALTER TABLE spanmill.otel_logs {{on_cluster}} {{log_promoted_columns}};

ALTER TABLE spanmill.otel_logs {{on_cluster}}
MODIFY TTL toDateTime(Timestamp) + toIntervalDay({{retention_raw}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_logs_distributed {{on_cluster}}
AS spanmill.otel_logs
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_logs', rand());

{{if_cluster}} ALTER TABLE spanmill.otel_logs_distributed {{on_cluster}} {{log_promoted_columns}};

-- Records of severity ERROR and above (17 to 24), counted by everything that tells one error from
-- another and stays few, with a few bodies to recognise it by. A group may have several rows until
-- parts merge: read sum(Count) with GROUP BY.
CREATE TABLE IF NOT EXISTS spanmill.otel_logs_errors_1h {{on_cluster}}
(
    `Hour` DateTime CODEC(Delta(4), ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `SeverityNumber` UInt8 CODEC(ZSTD(1)),
    `SeverityText` LowCardinality(String) CODEC(ZSTD(1)),
    `EventName` LowCardinality(String) CODEC(ZSTD(1)),
    -- The attribute exception.type, which is always promoted; empty if a record has none.
    `ExceptionType` LowCardinality(String) CODEC(ZSTD(1)),
    `Count` SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    `FirstSeen` SimpleAggregateFunction(min, DateTime64(9)) CODEC(ZSTD(1)),
    `LastSeen` SimpleAggregateFunction(max, DateTime64(9)) CODEC(ZSTD(1)),
    -- Distinct beginnings of bodies, 300 characters each.
    `Samples` SimpleAggregateFunction(groupUniqArrayArray(5), Array(String)) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}AggregatingMergeTree
PARTITION BY toDate(Hour)
ORDER BY (ServiceName, SeverityNumber, SeverityText, EventName, ExceptionType, Hour)
SETTINGS ttl_only_drop_parts = 1, {{deduplication}};

ALTER TABLE spanmill.otel_logs_errors_1h {{on_cluster}}
MODIFY TTL Hour + toIntervalDay({{retention_1h}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_logs_errors_1h_distributed {{on_cluster}}
AS spanmill.otel_logs_errors_1h
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_logs_errors_1h', rand());

-- No view that rows are inserted through may be altered: until the next restart of ClickHouse it would
-- remember insert tokens in a form that is not found again afterwards (seen in 26.7).
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_logs_errors_1h_mv {{on_cluster}}
TO spanmill.otel_logs_errors_1h
AS SELECT
    toStartOfHour(toDateTime(Timestamp), 'UTC') AS Hour,
    ServiceName,
    SeverityNumber,
    SeverityText,
    EventName,
    -- Of another type than a string it stays in the map.
    CAST(
        if(l.ExceptionType != '', l.ExceptionType, l.LogAttributes['exception.type']),
        'LowCardinality(String)') AS ExceptionType,
    count() AS Count,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen,
    groupUniqArray(5)(leftUTF8(Body, 300)) AS Samples
FROM spanmill.otel_logs AS l
WHERE SeverityNumber >= 17
GROUP BY Hour, ServiceName, SeverityNumber, SeverityText, EventName, ExceptionType;

-- The Collector exporter's table, column for column, so that its readers run unchanged. Body is the
-- text that the exporter would store, whatever the body was.
CREATE OR REPLACE VIEW otel.otel_logs {{on_cluster}}
AS SELECT
    l.Timestamp AS Timestamp,
    toDateTime(l.Timestamp) AS TimestampTime,
    if(empty(l.TraceId), '', lower(hex(l.TraceId))) AS TraceId,
    if(empty(l.SpanId), '', lower(hex(l.SpanId))) AS SpanId,
    toUInt8(bitAnd(l.Flags, 255)) AS TraceFlags,
    l.SeverityText AS SeverityText,
    l.SeverityNumber AS SeverityNumber,
    l.ServiceName AS ServiceName,
    l.Body AS Body,
    CAST(
        dictGet('spanmill.otel_resource_attributes', 'SchemaUrl', l.ResourceId),
        'LowCardinality(String)') AS ResourceSchemaUrl,
    dictGet('spanmill.otel_resource_attributes', 'Attributes', l.ResourceId) AS ResourceAttributes,
    l.ScopeSchemaUrl AS ScopeSchemaUrl,
    CAST(l.ScopeName, 'String') AS ScopeName,
    l.ScopeVersion AS ScopeVersion,
    l.ScopeAttributes AS ScopeAttributes,
    mapConcat(l.LogAttributes, {{log_promoted_map}}) AS LogAttributes,
    CAST(l.EventName, 'String') AS EventName
FROM spanmill.otel_logs{{distributed}} AS l;
