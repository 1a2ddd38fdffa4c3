//! The figures as Markdown tables.

use std::collections::BTreeMap;

use super::Options;
use super::fill::Filled;
use super::measure::{Apart, Optimized, Sustained};
use super::variants::Variant;
use spanmill_benches::signal::Signal;

/// Parts of a table that are smaller than this are summed up in their group alone.
const SHOWN_BYTES_A_ROW: f64 = 0.1;

/// Prints what was measured of one signal.
pub(crate) fn print(
    signal: Signal,
    options: &Options,
    filled: &Filled,
    variants: &[Variant],
    apart: &[Vec<Apart>],
    sustained: &[Vec<Sustained>],
) {
    let rows = filled.ours.rows as f64;
    let millions = rows / 1e6;
    println!("## {}s\n", signal.noun());
    println!(
        "{millions:.1} M rows, {} an INSERT, {} runs. CPU seconds per million rows: minimum (median).\n",
        options.block, options.runs
    );
    println!("| variant | insert | merge after | together | sustained | refreshes | bytes a row |");
    println!("|---|---|---|---|---|---|---|");
    for (index, variant) in variants.iter().enumerate() {
        let (apart, sustained) = (&apart[index], &sustained[index]);
        let figure = |of: &dyn Fn(&Apart) -> f64| low_and_middle(apart.iter().map(of), millions);
        let whole = low_and_middle(sustained.iter().map(|run| run.total), millions);
        let refresh = low_and_middle(sustained.iter().map(|run| run.refresh), millions);
        let optimized = apart.iter().find_map(|run| run.optimized.as_ref());
        let bytes: u64 = optimized.map_or(0, |optimized| {
            optimized.bytes.iter().map(|part| part.2).sum()
        });
        println!(
            "| {} | {} | {} | {} | {whole} | {refresh} | {:.1} |",
            variant.name,
            figure(&|run| run.insert),
            figure(&|run| run.merge),
            figure(&|run| run.insert + run.merge),
            bytes as f64 / rows,
        );
    }
    for (variant, apart) in variants.iter().zip(apart) {
        let shown =
            variant.name == "ours" || variant.name == "exporter" || variant.name.contains("try");
        if let Some(optimized) = apart
            .iter()
            .find_map(|run| run.optimized.as_ref())
            .filter(|_| shown)
        {
            print_bytes(variant, optimized, rows);
        }
    }
}

fn low_and_middle(values: impl Iterator<Item = f64>, millions: f64) -> String {
    let mut values: Vec<f64> = values.map(|value| value / millions).collect();
    values.sort_by(f64::total_cmp);
    match values.first() {
        Some(low) => format!("{low:.2} ({:.2})", values[values.len() / 2]),
        None => "–".into(),
    }
}

fn print_bytes(variant: &Variant, optimized: &Optimized, rows: f64) {
    println!(
        "\n{}, bytes a row after OPTIMIZE FINAL ({:.1} CPU s in all):\n",
        variant.name, optimized.cpu
    );
    // By table and group: all bytes, and those of each part.
    type Groups<'a> = BTreeMap<(&'a str, &'a str), (u64, Vec<(&'a str, u64)>)>;
    let mut groups = Groups::new();
    for (table, part, bytes) in &optimized.bytes {
        let group = groups.entry((table, group(part))).or_default();
        group.0 += bytes;
        group.1.push((part, *bytes));
    }
    println!("| table | group | bytes | of it |");
    println!("|---|---|---|---|");
    let mut all: Vec<_> = groups.into_iter().collect();
    all.sort_by_key(|(_, group)| std::cmp::Reverse(group.0));
    for ((table, group), (bytes, mut parts)) in all {
        parts.sort_by_key(|part| std::cmp::Reverse(part.1));
        let parts = parts
            .iter()
            .filter(|part| part.1 as f64 / rows >= SHOWN_BYTES_A_ROW);
        let parts: Vec<String> = parts
            .map(|(part, bytes)| format!("{part} {:.2}", *bytes as f64 / rows))
            .collect();
        if bytes as f64 / rows >= SHOWN_BYTES_A_ROW / 2.0 {
            println!(
                "| {table} | {group} | {:.2} | {} |",
                bytes as f64 / rows,
                parts.join(", ")
            );
        }
    }
}

/// What a column tells.
fn group(column: &str) -> &'static str {
    match column {
        "skip indexes" => "skip indexes",
        "primary key and marks" => "primary key and marks",
        "all columns" => "all columns",
        _ if column.starts_with("Events.") || column.starts_with("Links.") => "events and links",
        _ if column.starts_with("Exemplars.") => "exemplars",
        "TraceId" | "SpanId" | "ParentSpanId" => "ids",
        _ if column.contains("Time")
            || column == "Duration"
            || column == "Start"
            || column == "End" =>
        {
            "times"
        }
        _ if column.starts_with("Resource")
            || column.starts_with("Scope")
            || column.starts_with("__otel") =>
        {
            "resource and scope"
        }
        _ if column.starts_with("Body") => "body",
        "SpanName" | "ServiceName" | "SpanKind" | "StatusCode" | "StatusMessage"
        | "SeverityText" | "SeverityNumber" | "EventName" | "MetricName" => "names",
        "Value" | "IntRemainder" | "Count" | "Sum" | "Min" | "Max" | "Given" => "values",
        _ if column.contains("Bucket")
            || column.contains("Bounds")
            || column.contains("Quantile")
            || column.contains("Offset")
            || column.starts_with("Zero")
            || column == "Scale" =>
        {
            "buckets"
        }
        _ => "attributes and the rest",
    }
}
