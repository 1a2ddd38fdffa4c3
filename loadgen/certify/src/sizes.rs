//! Bytes on disk for a span: the sizes of tables go in, bytes by table come out.

use serde::Serialize;

use crate::clickhouse::TableSize;
use crate::words::count;

/// Tables whose bytes spans cause; those of logs and metrics are left out.
const OF_SPANS: [&str; 8] = [
    "otel_traces",
    "otel_trace_index",
    "otel_span_stats_1h",
    "otel_span_stats_1d",
    "otel_span_stats_1w",
    "otel_service_dependencies_hours",
    "otel_service_dependencies_touched",
    "otel_resources",
];
/// Below this part of what is stored, what was there before says nothing.
const FRESH: f64 = 0.01;

/// What spans take on disk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sizes {
    pub(crate) tables: Vec<OfTable>,
    /// All that are stored, whoever sent them.
    pub(crate) spans: f64,
    pub(crate) bytes_per_span: Option<f64>,
    /// What was counted, in a sentence.
    pub(crate) basis: String,
}

/// What one table takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OfTable {
    pub(crate) table: String,
    pub(crate) rows: f64,
    pub(crate) bytes: f64,
    pub(crate) parts: f64,
    pub(crate) bytes_per_span: f64,
}

/// The bytes of all tables of spans over all spans that are stored; `before` this run `spans_before` were.
pub(crate) fn sizes(before: &[TableSize], after: &[TableSize]) -> Sizes {
    let spans_in = |tables: &[TableSize]| {
        let spans = tables.iter().find(|size| size.table == OF_SPANS[0]);
        spans.map_or(0.0, |size| size.rows)
    };
    let (earlier, spans) = (spans_in(before), spans_in(after));
    let of_spans = after
        .iter()
        .filter(|size| OF_SPANS.contains(&size.table.as_str()));
    let tables: Vec<_> = of_spans
        .map(|size| OfTable {
            table: size.table.clone(),
            rows: size.rows,
            bytes: size.bytes,
            parts: size.parts,
            bytes_per_span: size.bytes / spans.max(1.0),
        })
        .collect();
    let whose = match earlier <= spans * FRESH {
        true => format!(
            "all {} spans stored here, which this run sent",
            count(spans)
        ),
        false => format!(
            "all {} spans stored here, of which {} were there before: an average over both",
            count(spans),
            count(earlier)
        ),
    };
    let sum: f64 = tables.iter().map(|table| table.bytes).sum();
    Sizes {
        basis: format!(
            "bytes_on_disk of the active parts of the {} tables that spans fill (spans, trace index, rollups, resources), as merged as they are now, over {whose}.",
            tables.len()
        ),
        bytes_per_span: (spans > 0.0).then(|| sum / spans),
        tables,
        spans,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(table: &str, rows: f64, bytes: f64) -> TableSize {
        TableSize {
            table: table.into(),
            rows,
            bytes,
            parts: 1.0,
        }
    }

    /// Scenario: a fresh installation, one with ten times as much from before, and an empty one; logs beside.
    /// Guarantees: only tables of spans count, the average says what it is over, and none is made up.
    #[test]
    fn bytes_are_of_spans_alone() {
        let after = [
            table("otel_traces", 1000.0, 48_000.0),
            table("otel_trace_index", 300.0, 2_000.0),
            table("otel_logs", 5.0, 1e9),
        ];
        let fresh = sizes(&[], &after);
        assert_eq!(fresh.bytes_per_span, Some(50.0));
        assert_eq!(fresh.tables.len(), 2);
        assert!(fresh.basis.contains("this run sent"), "{}", fresh.basis);
        let shared = sizes(&[table("otel_traces", 900.0, 1.0)], &after);
        assert!(
            shared.basis.contains("900 were there before"),
            "{}",
            shared.basis
        );
        assert_eq!(sizes(&[], &[]).bytes_per_span, None);
    }
}
