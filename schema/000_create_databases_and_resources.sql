-- The two databases and the table of resources. `spanmill` holds what is stored, in this project's
-- own layout; `otel` holds views of it under the OpenTelemetry Collector exporter's names.

CREATE DATABASE IF NOT EXISTS spanmill {{on_cluster}};

CREATE DATABASE IF NOT EXISTS otel {{on_cluster}};

-- One row per distinct resource; rows of every signal carry only its ResourceId, the hash of the
-- canonical resource. A shard writes the row when it first sees the resource, before the rows that
-- name it, and again each day; all copies of one id differ in LastSeen alone.
CREATE TABLE IF NOT EXISTS spanmill.otel_resources {{on_cluster}}
(
    `ResourceId` UInt64 CODEC(ZSTD(1)),
    `LastSeen` DateTime CODEC(ZSTD(1)),
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `Attributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `AttributeTypes` Array(UInt8) CODEC(ZSTD(1)),
    `SchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `DroppedAttributesCount` UInt32 CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}ReplacingMergeTree(LastSeen)
ORDER BY ResourceId
-- A small granule, because the dictionary below looks single ids up.
-- The window is derived in 003_create_otel_traces.sql; resources are inserted more seldom than spans.
SETTINGS index_granularity = 256, {{deduplication}};

-- A resource outlives every row that names it. A resource in use is written again each day, a daily
-- partition goes as a whole, and merges that drop rows take hours: three days; the rest is slack.
ALTER TABLE spanmill.otel_resources {{on_cluster}}
MODIFY TTL
    LastSeen + toIntervalDay(greatest({{retention_raw}}, {{retention_5m}}, {{retention_1h}}) + 10);

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_resources_distributed {{on_cluster}}
AS spanmill.otel_resources
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_resources', ResourceId);

-- How the views in `otel` find a resource's attributes. DIRECT asks the table for just the ids of
-- the rows being shown: a stored resource is visible at once, and nothing is kept in memory.
-- HASHED was no option: an embedded ClickHouse never reloads it.
-- A dictionary reads with the rights of the account it names, which is the migrator's own. Each run
-- repeats the statements that name the account, so that a changed password reaches them.
CREATE OR REPLACE DICTIONARY spanmill.otel_resource_attributes {{on_cluster}}
(
    `ResourceId` UInt64,
    `Attributes` Map(LowCardinality(String), String),
    `SchemaUrl` String
)
PRIMARY KEY ResourceId
SOURCE(CLICKHOUSE(USER {{user}} PASSWORD {{password}} DB 'spanmill' TABLE 'otel_resources{{distributed}}'))
LAYOUT(DIRECT());
