//! The tables as ClickHouse reports them against what Rust and the Collector's exporter say.

mod support;

use spanmill_schema::{DATABASE, Tables};
use support::{ask, migrated};

/// The columns of the Collector exporter's `otel_traces` as `DESCRIBE` shows them, nested ones
/// flattened. Written from its published table definition.
const EXPORTER_TRACES: &[(&str, &str)] = &[
    ("Timestamp", "DateTime64(9)"),
    ("TraceId", "String"),
    ("SpanId", "String"),
    ("ParentSpanId", "String"),
    ("TraceState", "String"),
    ("SpanName", "LowCardinality(String)"),
    ("SpanKind", "LowCardinality(String)"),
    ("ServiceName", "LowCardinality(String)"),
    ("ResourceAttributes", "Map(LowCardinality(String), String)"),
    ("ScopeName", "String"),
    ("ScopeVersion", "String"),
    ("SpanAttributes", "Map(LowCardinality(String), String)"),
    ("Duration", "UInt64"),
    ("StatusCode", "LowCardinality(String)"),
    ("StatusMessage", "String"),
    ("Events.Timestamp", "Array(DateTime64(9))"),
    ("Events.Name", "Array(LowCardinality(String))"),
    (
        "Events.Attributes",
        "Array(Map(LowCardinality(String), String))",
    ),
    ("Links.TraceId", "Array(String)"),
    ("Links.SpanId", "Array(String)"),
    ("Links.TraceState", "Array(String)"),
    (
        "Links.Attributes",
        "Array(Map(LowCardinality(String), String))",
    ),
];

/// The columns of the exporter's `otel_logs`.
const EXPORTER_LOGS: &[(&str, &str)] = &[
    ("Timestamp", "DateTime64(9)"),
    ("TimestampTime", "DateTime"),
    ("TraceId", "String"),
    ("SpanId", "String"),
    ("TraceFlags", "UInt8"),
    ("SeverityText", "LowCardinality(String)"),
    ("SeverityNumber", "UInt8"),
    ("ServiceName", "LowCardinality(String)"),
    ("Body", "String"),
    ("ResourceSchemaUrl", "LowCardinality(String)"),
    ("ResourceAttributes", "Map(LowCardinality(String), String)"),
    ("ScopeSchemaUrl", "LowCardinality(String)"),
    ("ScopeName", "String"),
    ("ScopeVersion", "LowCardinality(String)"),
    ("ScopeAttributes", "Map(LowCardinality(String), String)"),
    ("LogAttributes", "Map(LowCardinality(String), String)"),
    ("EventName", "String"),
];

/// The exporter's table from a trace id to its time range.
const EXPORTER_TRACE_ID_TS: &[(&str, &str)] = &[
    ("TraceId", "String"),
    ("Start", "DateTime"),
    ("End", "DateTime"),
];

/// Names and types, in order.
type Columns = &'static [(&'static str, &'static str)];

/// What the exporter's five tables of metrics begin with. Its newest version keeps the two times in
/// whole seconds; the views keep them to the nanosecond, as all versions before it did.
const EXPORTER_METRICS: &[(&str, &str)] = &[
    ("ResourceAttributes", "Map(LowCardinality(String), String)"),
    ("ResourceSchemaUrl", "String"),
    ("ScopeName", "String"),
    ("ScopeVersion", "String"),
    ("ScopeAttributes", "Map(LowCardinality(String), String)"),
    ("ScopeDroppedAttrCount", "UInt32"),
    ("ScopeSchemaUrl", "String"),
    ("ServiceName", "LowCardinality(String)"),
    ("MetricName", "LowCardinality(String)"),
    ("MetricDescription", "String"),
    ("MetricUnit", "String"),
    ("Attributes", "Map(LowCardinality(String), String)"),
    ("StartTimeUnix", "DateTime64(9)"),
    ("TimeUnix", "DateTime64(9)"),
];

const EXPORTER_EXEMPLARS: &[(&str, &str)] = &[
    (
        "Exemplars.FilteredAttributes",
        "Array(Map(LowCardinality(String), String))",
    ),
    ("Exemplars.TimeUnix", "Array(DateTime64(9))"),
    ("Exemplars.Value", "Array(Float64)"),
    ("Exemplars.SpanId", "Array(String)"),
    ("Exemplars.TraceId", "Array(String)"),
];

/// How the exporter's tables of metrics go on, each after [`EXPORTER_METRICS`].
const EXPORTER_METRIC_KINDS: &[(&str, &[Columns])] = &[
    (
        "otel_metrics_gauge",
        &[
            &[("Value", "Float64"), ("Flags", "UInt32")],
            EXPORTER_EXEMPLARS,
        ],
    ),
    (
        "otel_metrics_sum",
        &[
            &[("Value", "Float64"), ("Flags", "UInt32")],
            EXPORTER_EXEMPLARS,
            &[("AggregationTemporality", "Int32"), ("IsMonotonic", "Bool")],
        ],
    ),
    (
        "otel_metrics_histogram",
        &[
            &[
                ("Count", "UInt64"),
                ("Sum", "Float64"),
                ("BucketCounts", "Array(UInt64)"),
                ("ExplicitBounds", "Array(Float64)"),
            ],
            EXPORTER_EXEMPLARS,
            HISTOGRAM_END,
        ],
    ),
    (
        "otel_metrics_exponential_histogram",
        &[
            &[
                ("Count", "UInt64"),
                ("Sum", "Float64"),
                ("Scale", "Int32"),
                ("ZeroCount", "UInt64"),
                ("PositiveOffset", "Int32"),
                ("PositiveBucketCounts", "Array(UInt64)"),
                ("NegativeOffset", "Int32"),
                ("NegativeBucketCounts", "Array(UInt64)"),
            ],
            EXPORTER_EXEMPLARS,
            HISTOGRAM_END,
        ],
    ),
    (
        "otel_metrics_summary",
        &[&[
            ("Count", "UInt64"),
            ("Sum", "Float64"),
            ("ValueAtQuantiles.Quantile", "Array(Float64)"),
            ("ValueAtQuantiles.Value", "Array(Float64)"),
            ("Flags", "UInt32"),
        ]],
    ),
];

const HISTOGRAM_END: &[(&str, &str)] = &[
    ("Flags", "UInt32"),
    ("Min", "Float64"),
    ("Max", "Float64"),
    ("AggregationTemporality", "Int32"),
];

/// The type in which a column travels: what `SimpleAggregateFunction(function, type)` wraps.
fn stored_as(kind: &str) -> &str {
    kind.strip_prefix("SimpleAggregateFunction(")
        .and_then(|inner| inner.strip_suffix(')')?.split_once(", "))
        .map_or(kind, |(_, inner)| inner)
}

fn lines<'a>(columns: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    columns
        .map(|(name, kind)| format!("{name}\t{kind}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Scenario: all migrations are applied; `system.columns` is read for every described table and for
/// the views.
/// Guarantees: names, types and order are those of the Rust description, which the engine's blocks
/// follow, and those of the exporter, which its readers rely on.
#[tokio::test]
async fn columns_are_as_described() {
    let (server, _) = migrated().await;
    let columns = |database: &str, table: &str| {
        ask(
            &server,
            &format!(
                "SELECT name, type FROM system.columns WHERE database = '{database}' \
                 AND table = '{table}' ORDER BY position FORMAT TSVRaw"
            ),
        )
    };
    let tables = Tables::default();
    for table in tables.iter() {
        let described = lines(table.columns.iter().map(|c| (c.name.as_ref(), c.kind)));
        let stored = columns(DATABASE, table.name)
            .lines()
            .map(|line| line.split_once('\t').expect("a name and a type"))
            .map(|(name, kind)| format!("{name}\t{}", stored_as(kind)))
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(stored, described, "{}", table.name);
    }
    for (view, described) in [
        ("otel_logs", EXPORTER_LOGS),
        ("otel_traces", EXPORTER_TRACES),
        ("otel_traces_trace_id_ts", EXPORTER_TRACE_ID_TS),
    ] {
        assert_eq!(
            columns("otel", view),
            lines(described.iter().copied()),
            "{view}"
        );
    }
    for (view, parts) in EXPORTER_METRIC_KINDS {
        let described = EXPORTER_METRICS
            .iter()
            .chain(parts.iter().copied().flatten());
        assert_eq!(columns("otel", view), lines(described.copied()), "{view}");
    }
}

/// Scenario: every MergeTree table in `spanmill` that receives telemetry, views' targets included,
/// is looked up in `system.tables`.
/// Guarantees: each remembers insert tokens; without that a retried insert would count twice. The
/// table of touched hours must not: a retry touches anew, and a mark too many does no harm.
#[tokio::test]
async fn every_table_remembers_insert_tokens() {
    let (server, _) = migrated().await;
    let forgetful = ask(
        &server,
        "SELECT name FROM system.tables WHERE database = 'spanmill' AND engine LIKE '%MergeTree' \
         AND name NOT IN ('schema_migrations', 'otel_service_dependencies_touched') \
         AND create_table_query NOT LIKE '%non_replicated_deduplication_window = 200000%'",
    );
    assert_eq!(forgetful, "");
}

/// Scenario: a span with every attribute that is promoted by default is stored and read through the
/// view.
/// Guarantees: the view gives each back under its key.
#[tokio::test]
async fn the_view_returns_every_promoted_attribute() {
    let (server, _) = migrated().await;
    let tables = Tables::default();
    let promoted = &tables.promoted_spans;
    let columns: Vec<_> = promoted.iter().map(|p| p.column.as_str()).collect();
    let values: Vec<_> = (1..=promoted.len()).map(|n| format!("'{n}'")).collect();
    ask(
        &server,
        &format!(
            "INSERT INTO spanmill.otel_traces (Timestamp, {}) VALUES (now64(9), {})",
            columns.join(", "),
            values.join(", ")
        ),
    );
    let expected: Vec<_> = promoted
        .iter()
        .zip(1..)
        .map(|(p, n)| format!("'{}':'{n}'", p.key))
        .collect();
    assert_eq!(
        ask(
            &server,
            "SELECT SpanAttributes FROM otel.otel_traces FORMAT TSVRaw"
        ),
        format!("{{{}}}", expected.join(","))
    );
}
