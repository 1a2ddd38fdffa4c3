//! The tables of a report: figures, disk, stretches of load, queries, and what it ran on.

use maud::{Markup, html};

use crate::options::Profile;
use crate::report::Report;
use crate::sizes::OfTable;
use crate::words::{bytes, count, ms, seconds, short};

pub(super) fn profile(report: &Report) -> &'static str {
    match report.options.profile {
        Profile::Smoke => "smoke",
        Profile::Standard => "standard",
        Profile::Soak => "soak",
    }
}

pub(super) fn figures(report: &Report) -> Markup {
    html! {
        section.figures {
            @for figure in &report.figures {
                div.figure {
                    p.name { (figure.name) }
                    p.value { (figure.words) }
                    p.note { (figure.note) }
                }
            }
        }
    }
}

/// Bars of bytes for a span by table.
pub(super) fn disk(report: &Report) -> Markup {
    let Some(sizes) = &report.sizes else {
        return html! {};
    };
    let longest = sizes
        .tables
        .iter()
        .map(|table| table.bytes_per_span)
        .fold(0.0, f64::max);
    let bar = |table: &OfTable| {
        let part = table.bytes_per_span / longest.max(f64::MIN_POSITIVE) * 100.0;
        format!("width:{:.2}%", part.clamp(0.3, 100.0))
    };
    html! {
        h2 { "Disk" }
        div.scroll {
            table {
                thead { tr { th { "Table" } th.number { "Bytes a span" } th.wide {} th.number { "Rows" } th.number { "On disk" } th.number { "Parts" } } }
                tbody {
                    @for table in &sizes.tables {
                        tr {
                            td { code { (table.table) } }
                            td.number { (short(table.bytes_per_span)) }
                            td.wide { span.bar style=(bar(table)) {} }
                            td.number { (count(table.rows)) }
                            td.number { (bytes(table.bytes)) }
                            td.number { (count(table.parts)) }
                        }
                    }
                }
            }
        }
        p.note { "Counted: " (sizes.basis) }
    }
}

pub(super) fn phases(report: &Report) -> Markup {
    html! {
        h2 { "Stretches of load" }
        div.scroll {
            table {
                thead { tr {
                    th { "What" } th.number { "Spans/s" } th.number { "Ack p99" }
                    th.number { "Engine" } th.number { "ClickHouse" } th.number { "Caught up" } th { "Sustained" }
                } }
                tbody {
                    @for phase in &report.phases {
                        tr {
                            td.name { (phase.name) }
                            td.number { (count(phase.acknowledged_per_second)) }
                            td.number { (ms(phase.ack_ms.p99)) }
                            td.number { (million(phase.per_million(phase.engine_cpu_seconds))) }
                            td.number { (million(phase.per_million(phase.clickhouse_cpu_seconds))) }
                            td.number { (phase.caught_up_seconds.map_or_else(|| "never".to_owned(), |after| format!("{after:.1} s"))) }
                            td.words {
                                @if !phase.kind.is_judged() { "—" }
                                @else if phase.is_sustained() { "yes" } @else { "no: " (phase.not_sustained.join("; ")) }
                            }
                        }
                    }
                }
            }
        }
        p.note { "Engine and ClickHouse: CPU seconds for a million spans, from the first request until ClickHouse had caught up after the last." }
    }
}

fn million(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "—".to_owned(), |seconds| format!("{} s", short(seconds)))
}

pub(super) fn queries(report: &Report) -> Markup {
    html! {
        h2 { "Queries beside the target rate" }
        div.scroll {
            table {
                thead { tr { th { "Query" } th.number { "Asked" } th.number { "Failed" } th.number { "p50" } th.number { "p95" } th.number { "Max" } } }
                tbody {
                    @for query in &report.queries {
                        tr {
                            td { details { summary { (query.name) } pre { (query.question) } } }
                            td.number { (query.asked) }
                            td.number { (query.failed) }
                            td.number { (ms(query.p50_ms)) }
                            td.number { (ms(query.p95_ms)) }
                            td.number { (ms(query.max_ms)) }
                        }
                        @if let Some(example) = &query.example {
                            tr { td colspan="6" { "First failure: " (example) } }
                        }
                    }
                }
            }
        }
    }
}

/// A name, and what is told of it.
type Fact<'a> = (&'a str, Option<String>);

pub(super) fn facts(report: &Report) -> Markup {
    let (host, engine, server) = (
        &report.facts.host,
        &report.facts.engine,
        &report.facts.clickhouse,
    );
    let options = &report.options;
    let number = |value: Option<f64>| value.map(count);
    let size = |value: Option<u64>| value.map(|value| bytes(value as f64));
    let endpoint = match &options.otlp_http {
        Some(http) => format!("HTTP, {http}"),
        None => format!("gRPC, {}", options.otlp_grpc),
    };
    let lists: [(&str, Vec<Fact>); 3] = [
        (
            "This host",
            vec![
                ("name", host.name.clone()),
                ("CPU", host.cpu_model.clone()),
                ("usable CPUs", host.cpus.map(|cpus| cpus.to_string())),
                ("memory", size(host.memory_bytes)),
                ("memory limit of the cgroup", size(host.cgroup_memory_bytes)),
                ("kernel", host.kernel.clone()),
            ],
        ),
        (
            "Installation",
            vec![
                ("engine", engine.version.clone()),
                ("shards", number(engine.shards)),
                ("CPUs of the engine", number(engine.cpus)),
                ("ClickHouse", Some(server.version.clone())),
                ("its host", Some(server.host.clone())),
                ("it was up for", Some(seconds(server.up_seconds))),
                (
                    "spans stored before",
                    Some(count(server.spans_stored_before)),
                ),
            ],
        ),
        (
            "Load",
            vec![
                ("sent over", Some(endpoint)),
                (
                    "compression",
                    Some(format!("{:?}", options.compression).to_lowercase()),
                ),
                (
                    "spans in a request",
                    Some(count(options.spans_per_request as f64)),
                ),
                (
                    "bytes of a request",
                    report
                        .phases
                        .first()
                        .map(|phase| bytes(phase.bytes_per_request)),
                ),
                ("connections", Some(options.connections.to_string())),
                ("threads", Some(options.threads.to_string())),
                ("queries a second", Some(short(options.query_rate))),
            ],
        ),
    ];
    html! {
        h2 { "What it ran on" }
        section.facts {
            @for (title, list) in lists {
                div {
                    h3 { (title) }
                    dl {
                        @for (name, value) in list {
                            dt { (name) }
                            dd { (value.unwrap_or_else(|| "not told".to_owned())) }
                        }
                    }
                }
            }
        }
    }
}
