//! Each table's columns in the order and with the types in which they travel in a Native block. The
//! engine's writer and the migration tests both read this; the SQL files must agree with it.

use std::borrow::Cow;

use crate::promoted::{
    PROMOTED_LOG_ALWAYS, PROMOTED_LOGS, PROMOTED_MAX, PROMOTED_SPANS, Promoted, PromotedError,
    PromotedKind,
};

/// One column as a block header names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Also the name in SQL; dotted names are parts of a nested column and need backticks there.
    pub name: Cow<'static, str>,
    /// ClickHouse's own spelling of the type. Where the table wraps it in `SimpleAggregateFunction`,
    /// the type inside.
    pub kind: &'static str,
}

/// The tables that the engine inserts into, in the order in which it does: what others refer to first.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableId {
    /// `otel_resources`.
    Resources = 0,
    /// `otel_metric_series`.
    MetricSeries = 1,
    /// `otel_traces`.
    Traces = 2,
    /// `otel_logs`.
    Logs = 3,
    /// `otel_metrics`.
    Metrics = 4,
}

/// What a table's partitions are, by its `Timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// One for all rows.
    Whole,
    /// One for each day (UTC).
    Day,
}

/// A table that the engine inserts into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Which of them it is.
    pub id: TableId,
    /// Its name in the database [`DATABASE`].
    pub name: &'static str,
    /// How it is partitioned.
    pub partition: Partition,
    /// All its columns, in the order in which they are sent.
    pub columns: Vec<Column>,
}

/// Every table of one configuration: the columns of promoted attributes are part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    tables: [Table; 5],
    /// Attributes with columns in `otel_traces`, in the columns' order.
    pub promoted_spans: Vec<Promoted>,
    /// Attributes with columns in `otel_logs`, in the columns' order.
    pub promoted_logs: Vec<Promoted>,
}

/// The database of the base tables.
pub const DATABASE: &str = "spanmill";

impl Tables {
    /// The tables with these attributes promoted, and [`PROMOTED_LOG_ALWAYS`].
    ///
    /// # Errors
    /// When two columns of a table would have one name, or there are more than [`PROMOTED_MAX`].
    pub fn new(spans: Vec<Promoted>, mut logs: Vec<Promoted>) -> Result<Self, PromotedError> {
        match logs.iter().find(|log| log.key == PROMOTED_LOG_ALWAYS) {
            Some(log) if log.kind != PromotedKind::Keyword => return Err(PromotedError::Fixed),
            Some(_) => {}
            None => logs.insert(0, PROMOTED_LOG_ALWAYS.parse()?),
        }
        Ok(Tables {
            tables: [
                table(TableId::Resources, Partition::Whole, &[RESOURCES], &[])?,
                table(TableId::MetricSeries, Partition::Whole, &[SERIES], &[])?,
                table(TableId::Traces, Partition::Day, TRACES, &spans)?,
                table(TableId::Logs, Partition::Day, LOGS, &logs)?,
                table(TableId::Metrics, Partition::Day, &[METRICS], &[])?,
            ],
            promoted_spans: spans,
            promoted_logs: logs,
        })
    }

    /// One of them.
    #[must_use]
    pub fn table(&self, id: TableId) -> &Table {
        &self.tables[id as usize]
    }

    /// All of them, in the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter()
    }
}

impl Default for Tables {
    fn default() -> Self {
        let parse = |list: &[&str]| -> Result<Vec<Promoted>, PromotedError> {
            list.iter().map(|text| text.parse()).collect()
        };
        parse(PROMOTED_SPANS)
            .and_then(|spans| Tables::new(spans, parse(PROMOTED_LOGS)?))
            .expect("a test builds the defaults")
    }
}

impl TableId {
    /// All of them, in order.
    pub const ALL: [TableId; 5] = [
        Self::Resources,
        Self::MetricSeries,
        Self::Traces,
        Self::Logs,
        Self::Metrics,
    ];

    /// The table's name in the database [`DATABASE`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resources => "otel_resources",
            Self::MetricSeries => "otel_metric_series",
            Self::Traces => "otel_traces",
            Self::Logs => "otel_logs",
            Self::Metrics => "otel_metrics",
        }
    }
}

/// A column's name and type.
type Described = (&'static str, &'static str);

/// `parts` one after the other, with the promoted columns between the first and the second.
fn table(
    id: TableId,
    partition: Partition,
    parts: &[&[Described]],
    promoted: &[Promoted],
) -> Result<Table, PromotedError> {
    if promoted.len() > PROMOTED_MAX {
        return Err(PromotedError::TooMany(promoted.len()));
    }
    let name = id.name();
    let mut columns: Vec<Column> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        columns.extend(part.iter().map(|&(name, kind)| Column {
            name: name.into(),
            kind,
        }));
        if at == 0 {
            columns.extend(promoted.iter().map(|promoted| Column {
                name: promoted.column.clone().into(),
                kind: promoted.kind.column_type(),
            }));
        }
    }
    for (at, column) in columns.iter().enumerate() {
        if columns[..at]
            .iter()
            .any(|before| before.name == column.name)
        {
            let key = promoted.iter().rfind(|p| p.column == column.name);
            return Err(PromotedError::Taken {
                key: key.map_or_else(String::new, |promoted| promoted.key.clone()),
                column: column.name.to_string(),
                table: name,
            });
        }
    }
    Ok(Table {
        id,
        name,
        partition,
        columns,
    })
}

const NAME: &str = "LowCardinality(String)";
const ATTRIBUTES: &str = "Map(LowCardinality(String), String)";
const TIME: &str = "DateTime64(9)";
const TYPES: &str = "Array(UInt8)";

/// One row a resource, which rows of all signals name by `ResourceId`.
const RESOURCES: &[Described] = &[
    ("ResourceId", "UInt64"),
    ("LastSeen", "DateTime"),
    ("ServiceName", NAME),
    ("Attributes", ATTRIBUTES),
    ("AttributeTypes", TYPES),
    ("SchemaUrl", NAME),
    ("DroppedAttributesCount", "UInt32"),
];

/// One row a span: what comes before and after the promoted columns.
const TRACES: &[&[Described]] = &[
    &[
        ("Timestamp", TIME),
        ("TraceId", "FixedString(16)"),
        ("SpanId", "FixedString(8)"),
        ("ParentSpanId", "FixedString(8)"),
        ("TraceState", "String"),
        ("Flags", "UInt32"),
        ("SpanName", NAME),
        ("SpanKind", "UInt8"),
        ("ServiceName", NAME),
        ("ResourceId", "UInt64"),
        ("ScopeName", NAME),
        ("ScopeVersion", NAME),
        ("ScopeSchemaUrl", NAME),
        ("ScopeAttributes", ATTRIBUTES),
        ("ScopeAttributeTypes", TYPES),
        ("ScopeDroppedAttributesCount", "UInt32"),
        ("Duration", "UInt64"),
        ("StatusCode", "UInt8"),
        ("StatusMessage", "String"),
    ],
    &[
        ("SpanAttributes", ATTRIBUTES),
        ("SpanAttributeTypes", TYPES),
        ("DroppedAttributesCount", "UInt32"),
        ("DroppedEventsCount", "UInt32"),
        ("DroppedLinksCount", "UInt32"),
        ("Events.Timestamp", "Array(DateTime64(9))"),
        ("Events.Name", "Array(LowCardinality(String))"),
        (
            "Events.Attributes",
            "Array(Map(LowCardinality(String), String))",
        ),
        ("Events.AttributeTypes", "Array(Array(UInt8))"),
        ("Events.DroppedAttributesCount", "Array(UInt32)"),
        ("Links.TraceId", "Array(FixedString(16))"),
        ("Links.SpanId", "Array(FixedString(8))"),
        ("Links.TraceState", "Array(String)"),
        ("Links.Flags", "Array(UInt32)"),
        (
            "Links.Attributes",
            "Array(Map(LowCardinality(String), String))",
        ),
        ("Links.AttributeTypes", "Array(Array(UInt8))"),
        ("Links.DroppedAttributesCount", "Array(UInt32)"),
    ],
];

/// One row a log record: what comes before and after the promoted columns.
const LOGS: &[&[Described]] = &[
    &[
        // When it happened; where the record does not say, when it was observed, else received.
        ("Timestamp", TIME),
        ("ObservedTimestamp", TIME),
        // All zeros when the record belongs to no trace.
        ("TraceId", "FixedString(16)"),
        ("SpanId", "FixedString(8)"),
        ("Flags", "UInt32"),
        ("SeverityNumber", "UInt8"),
        ("SeverityText", NAME),
        ("EventName", NAME),
        ("ServiceName", NAME),
        ("ResourceId", "UInt64"),
        ("ScopeName", NAME),
        ("ScopeVersion", NAME),
        ("ScopeSchemaUrl", NAME),
        ("ScopeAttributes", ATTRIBUTES),
        ("ScopeAttributeTypes", TYPES),
        ("ScopeDroppedAttributesCount", "UInt32"),
        // Text as an attribute's value is text; its type is a `ValueType`.
        ("Body", "String"),
        ("BodyType", "UInt8"),
    ],
    &[
        ("LogAttributes", ATTRIBUTES),
        ("LogAttributeTypes", TYPES),
        ("DroppedAttributesCount", "UInt32"),
    ],
];

/// One row a series (a metric's stream: the points that differ in nothing but time and value) for the
/// days that a shard saw points of; `SeriesId` is a hash of everything here but description, metadata,
/// the dropped count and the days.
const SERIES: &[Described] = &[
    ("SeriesId", "UInt64"),
    ("MetricName", NAME),
    // A `MetricType`.
    ("MetricType", "UInt8"),
    // OTLP's AggregationTemporality: 0 where it does not apply, 1 delta, 2 cumulative.
    ("AggregationTemporality", "UInt8"),
    ("IsMonotonic", "Bool"),
    ("MetricUnit", NAME),
    ("MetricDescription", NAME),
    ("MetricMetadata", ATTRIBUTES),
    ("MetricMetadataTypes", TYPES),
    ("ServiceName", NAME),
    ("ResourceId", "UInt64"),
    ("ScopeName", NAME),
    ("ScopeVersion", NAME),
    ("ScopeSchemaUrl", NAME),
    ("ScopeAttributes", ATTRIBUTES),
    ("ScopeAttributeTypes", TYPES),
    ("ScopeDroppedAttributesCount", "UInt32"),
    ("Attributes", ATTRIBUTES),
    ("AttributeTypes", TYPES),
    // UTC days of the points. Copies of a row differ in these, and merge to the whole range.
    ("FirstDay", "Date"),
    ("LastDay", "Date"),
];

/// One row a point. Columns that a type of metric does not have are 0 or empty.
const METRICS: &[Described] = &[
    ("MetricName", NAME),
    ("ServiceName", NAME),
    ("SeriesId", "UInt64"),
    ("MetricType", "UInt8"),
    ("AggregationTemporality", "UInt8"),
    ("IsMonotonic", "Bool"),
    ("Timestamp", TIME),
    ("StartTimestamp", TIME),
    // Bit 0: no recorded value (Prometheus: a stale marker).
    ("Flags", "UInt32"),
    // A `NumberType`: what `Value` was.
    ("ValueType", "UInt8"),
    // An integer too; what its float leaves out, past 2^53, is in the next column.
    ("Value", "Float64"),
    ("IntRemainder", "Int64"),
    // Histograms of both kinds, and summaries.
    ("Count", "UInt64"),
    ("Sum", "Float64"),
    ("Min", "Float64"),
    ("Max", "Float64"),
    // Bits: 1 `Sum`, 2 `Min`, 4 `Max` was given.
    ("Given", "UInt8"),
    ("ExplicitBounds", "Array(Float64)"),
    ("BucketCounts", "Array(UInt64)"),
    ("Scale", "Int32"),
    ("ZeroCount", "UInt64"),
    ("ZeroThreshold", "Float64"),
    ("PositiveOffset", "Int32"),
    ("PositiveBucketCounts", "Array(UInt64)"),
    ("NegativeOffset", "Int32"),
    ("NegativeBucketCounts", "Array(UInt64)"),
    ("ValueAtQuantiles.Quantile", "Array(Float64)"),
    ("ValueAtQuantiles.Value", "Array(Float64)"),
    ("Exemplars.Timestamp", "Array(DateTime64(9))"),
    ("Exemplars.ValueType", "Array(UInt8)"),
    ("Exemplars.Value", "Array(Float64)"),
    ("Exemplars.IntRemainder", "Array(Int64)"),
    // All zeros when the exemplar belongs to no trace.
    ("Exemplars.TraceId", "Array(FixedString(16))"),
    ("Exemplars.SpanId", "Array(FixedString(8))"),
    (
        "Exemplars.FilteredAttributes",
        "Array(Map(LowCardinality(String), String))",
    ),
    ("Exemplars.FilteredAttributeTypes", "Array(Array(UInt8))"),
];

/// `MetricType` in `otel_metrics` and `otel_metric_series`.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// The last value counts.
    Gauge = 1,
    /// Values add up.
    Sum = 2,
    /// Counts in buckets with explicit bounds.
    Histogram = 3,
    /// Counts in buckets whose bounds grow by a factor.
    ExponentialHistogram = 4,
    /// Quantiles computed by the sender.
    Summary = 5,
}

/// `ValueType` in `otel_metrics`: what a number was.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberType {
    /// No number was given, or the point is no number.
    None = 0,
    /// A 64-bit float.
    Double = 1,
    /// A 64-bit integer: `toInt64(toInt128(Value) + IntRemainder)`.
    Int = 2,
}

#[cfg(test)]
mod tests {
    use super::{TableId, Tables};
    use crate::promoted::PromotedError;

    /// Scenario: the default tables.
    /// Guarantees: they can be built, and each stands at the place its id names.
    #[test]
    fn the_defaults_stand() {
        let tables = Tables::default();
        for table in tables.iter() {
            assert_eq!(tables.table(table.id), table);
        }
        let promoted = &tables.promoted_spans;
        let traces = tables.table(TableId::Traces);
        assert!(promoted.iter().all(|promoted| {
            let mut columns = traces.columns.iter();
            columns.any(|c| c.name == promoted.column && c.kind == promoted.kind.column_type())
        }));
    }

    /// Scenario: no log attribute is configured, then the one that the rollup of errors needs as another kind.
    /// Guarantees: its column is there all the same, and never of another type.
    #[test]
    fn what_rollups_need_is_always_promoted() {
        let tables = Tables::new(vec![], vec![]).unwrap();
        let columns = &tables.table(TableId::Logs).columns;
        assert!(columns.iter().any(|column| column.name == "ExceptionType"));
        let text = vec!["exception.type=text".parse().unwrap()];
        assert_eq!(Tables::new(vec![], text), Err(PromotedError::Fixed));
    }

    /// Scenario: attributes whose columns would be named like another's, or like one that is there.
    /// Guarantees: refused with the key, so that no column is filled from two sources.
    #[test]
    fn a_column_has_one_source() {
        for keys in [&["a.b", "a_b"][..], &["x", "trace.id"]] {
            let spans = keys.iter().map(|key| key.parse().unwrap()).collect();
            let Err(PromotedError::Taken { key, .. }) = Tables::new(spans, vec![]) else {
                panic!("{keys:?} were taken");
            };
            assert_eq!(key, keys[1]);
        }
    }
}
