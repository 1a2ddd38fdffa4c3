-- Which service calls which, by the hour. A span and its parent may arrive in different inserts and
-- late, so no incremental view can tell: hours that were touched are marked, and computed from the
-- spans once they are over and quiet, as often as they are touched again.
--
-- An edge is a span whose parent (same trace, its SpanId is the span's ParentSpanId) is of another
-- service. It counts in the hour of the span. The parent is looked for from an hour before that hour
-- until five minutes after it.

-- One row says that spans which may change an hour's edges were inserted; Marked is the time when that
-- insert began.
CREATE TABLE IF NOT EXISTS spanmill.otel_service_dependencies_touched {{on_cluster}}
(
    `Hour` DateTime,
    `Marked` SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{Replicated}}AggregatingMergeTree
ORDER BY Hour
-- Forgets insert tokens on purpose. A retry may store the spans hours after its first attempt stored
-- the mark: it must mark anew. A mark too many only has an hour computed once more.
SETTINGS non_replicated_deduplication_window = 0, replicated_deduplication_window = 0;

ALTER TABLE spanmill.otel_service_dependencies_touched {{on_cluster}}
MODIFY TTL Hour + toIntervalDay({{retention_raw}} + 1);

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_service_dependencies_touched_distributed {{on_cluster}}
AS spanmill.otel_service_dependencies_touched
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_service_dependencies_touched', rand());

-- A span may be a child in its own hour, a parent in the next, and within five minutes a parent of a
-- child in the hour before.
CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_service_dependencies_touched_mv {{on_cluster}}
TO spanmill.otel_service_dependencies_touched
AS SELECT
    arrayJoin([Touched, Touched + toIntervalHour(1), toStartOfHour(Earlier, 'UTC')]) AS Hour,
    now() AS Marked
FROM
(
    SELECT
        toStartOfHour(toDateTime(Timestamp), 'UTC') AS Touched,
        toDateTime(min(Timestamp)) - toIntervalMinute(5) AS Earlier
    FROM spanmill.otel_traces
    GROUP BY Touched
)
GROUP BY Hour;

-- One row an hour, replaced as a whole: an edge that a later computation no longer finds is gone, and
-- a computation is seen entirely or not at all.
CREATE TABLE IF NOT EXISTS spanmill.otel_service_dependencies_hours {{on_cluster}}
(
    `Hour` DateTime CODEC(ZSTD(1)),
    -- When the computation began: it knows every span stored before.
    `Computed` DateTime CODEC(ZSTD(1)),
    `Edges.Caller` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    `Edges.Callee` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    `Edges.Count` Array(UInt64) CODEC(ZSTD(1)),
    `Edges.ErrorCount` Array(UInt64) CODEC(ZSTD(1))
)
ENGINE = {{Replicated}}ReplacingMergeTree(Computed)
ORDER BY Hour
SETTINGS index_granularity = 64, {{deduplication}};

ALTER TABLE spanmill.otel_service_dependencies_hours {{on_cluster}}
MODIFY TTL Hour + toIntervalDay({{retention_1h}});

{{if_cluster}} CREATE TABLE IF NOT EXISTS spanmill.otel_service_dependencies_hours_distributed {{on_cluster}}
AS spanmill.otel_service_dependencies_hours
ENGINE = Distributed({{cluster}}, 'spanmill', 'otel_service_dependencies_hours', rand());

-- For readers: each hour, caller and callee once.
CREATE VIEW IF NOT EXISTS spanmill.otel_service_dependencies_1h {{on_cluster}}
AS SELECT
    h.Hour AS Hour,
    edge.1 AS Caller,
    edge.2 AS Callee,
    edge.3 AS Count,
    edge.4 AS ErrorCount
FROM
(
    SELECT
        Hour,
        argMax(
            (`Edges.Caller`, `Edges.Callee`, `Edges.Count`, `Edges.ErrorCount`), Computed) AS Edges
    FROM spanmill.otel_service_dependencies_hours{{distributed}}
    GROUP BY Hour
) AS h
ARRAY JOIN arrayZip(h.Edges.1, h.Edges.2, h.Edges.3, h.Edges.4) AS edge;

-- The hours to compute now, newest first and a few at a time. An hour is computed
-- - when it is over,
-- - unless a computation began at least ten minutes after the newest mark: as long as an insert may
--   take from its mark to its commit,
-- - and once no mark came for ten minutes, or every hour while marks keep coming,
-- - while all spans that it needs are kept.
CREATE OR REPLACE VIEW spanmill.otel_service_dependencies_due {{on_cluster}}
AS SELECT Hour
FROM
(
    SELECT Hour, Marked, toDateTime(0) AS Computed
    FROM spanmill.otel_service_dependencies_touched{{distributed}}
    UNION ALL
    SELECT Hour, toDateTime(0), Computed
    FROM spanmill.otel_service_dependencies_hours{{distributed}}
)
GROUP BY Hour
HAVING Hour + toIntervalHour(1) <= now()
    AND max(Marked) + toIntervalMinute(10) >= max(Computed)
    AND (max(Marked) + toIntervalMinute(10) <= now()
        OR greatest(max(Computed), Hour + toIntervalHour(1)) + toIntervalHour(1) <= now())
    AND Hour - toIntervalHour(2) > now() - toIntervalDay({{retention_raw}})
ORDER BY Hour DESC
LIMIT 4;

-- Computes them. The hours are asked for once, as a scalar, so that an hour that becomes due meanwhile
-- cannot be half in; as subqueries and by minutes, because those find their places in the spans' key. The join
-- is on a hash of trace and span id; what exceeds the memory given below goes to disk.
CREATE VIEW IF NOT EXISTS spanmill.otel_service_dependencies_computed {{on_cluster}}
AS WITH (SELECT groupArray(Hour) FROM spanmill.otel_service_dependencies_due) AS hours
SELECT
    Hour,
    now() AS Computed,
    groupArrayIf(Caller, Count > 0) AS `Edges.Caller`,
    groupArrayIf(Callee, Count > 0) AS `Edges.Callee`,
    groupArrayIf(Count, Count > 0) AS `Edges.Count`,
    groupArrayIf(ErrorCount, Count > 0) AS `Edges.ErrorCount`
FROM
(
    SELECT
        child.Hour AS Hour,
        parent.ServiceName AS Caller,
        child.ServiceName AS Callee,
        count() AS Count,
        countIf(child.StatusCode = 2) AS ErrorCount
    FROM
    (
        SELECT
            toStartOfHour(toDateTime(Timestamp), 'UTC') AS Hour,
            cityHash64(TraceId, ParentSpanId) AS ParentHash,
            ServiceName,
            StatusCode
        FROM spanmill.otel_traces{{distributed}}
        WHERE notEmpty(hours)
            AND toStartOfMinute(Timestamp, 'UTC')
                GLOBAL IN (SELECT arrayJoin(hours) + arrayJoin(range(0, 3600, 60)))
            AND notEmpty(ParentSpanId)
    ) AS child
    GLOBAL SEMI LEFT JOIN
    (
        SELECT toDateTime(Timestamp) AS Time, cityHash64(TraceId, SpanId) AS SpanHash, ServiceName
        FROM spanmill.otel_traces{{distributed}}
        WHERE notEmpty(hours)
            AND toStartOfMinute(Timestamp, 'UTC')
                GLOBAL IN (SELECT arrayJoin(hours) - 3600 + arrayJoin(range(0, 7500, 60)))
    ) AS parent ON parent.SpanHash = child.ParentHash
    WHERE parent.ServiceName != child.ServiceName
        AND parent.Time >= child.Hour - toIntervalHour(1)
        AND parent.Time < child.Hour + toIntervalMinute(65)
    GROUP BY Hour, Caller, Callee
    UNION ALL
    -- An hour without edges is computed too.
    SELECT arrayJoin(hours), '', '', 0, 0
)
GROUP BY Hour
SETTINGS join_algorithm = 'grace_hash', max_bytes_in_join = 200000000, grace_hash_join_initial_buckets = 8;

CREATE MATERIALIZED VIEW IF NOT EXISTS spanmill.otel_service_dependencies_1h_mv {{on_cluster}}
REFRESH EVERY 5 MINUTE APPEND TO spanmill.otel_service_dependencies_hours
AS SELECT * FROM spanmill.otel_service_dependencies_computed;
