//! The pictures of a report: its series go in, figures come out.

use maud::{Markup, html};

use super::plot::{Across, Band, Dot, Line, Plot};
use crate::judge::mean;
use crate::phase::Kind;
use crate::report::Report;
use crate::sample::{LoadPoint, Sample};
use crate::words::{bytes, count, ms, short};

pub(super) fn plots(report: &Report) -> Markup {
    let bands = bands(report);
    let across = Across::Time {
        until: report
            .samples
            .last()
            .map_or(report.seconds, |sample| sample.at),
        bands: &bands,
    };
    let sampled = |name, colour, of: fn(&Sample) -> Option<f64>| Line {
        name,
        colour,
        dashed: false,
        points: report
            .samples
            .iter()
            .map(|s| Dot {
                x: s.at,
                length: s.seconds,
                y: of(s),
            })
            .collect(),
    };
    let load = |name, colour, dashed, of: fn(&LoadPoint) -> Option<f64>| Line {
        name,
        colour,
        dashed,
        points: report
            .load
            .iter()
            .map(|p| Dot {
                x: p.at,
                length: p.seconds,
                y: of(p),
            })
            .collect(),
    };
    let plot = |title, note: &str, words, lines| Plot {
        title,
        note: note.to_owned(),
        words,
        is_log: false,
        across,
        bound: None,
        lines,
    };
    let targets = &report.options.targets;
    let all = [
        Plot {
            bound: Some((targets.rate, "target")),
            ..plot(
                "Spans a second",
                "Due by the schedule, acknowledged by the engine, inserted into ClickHouse (in batches; the mean of five looks).",
                thousands,
                vec![
                    smooth(&sampled("inserted", 2, |s| s.inserted_per_second)),
                    load("acknowledged", 0, false, |p| {
                        Some(p.acknowledged_per_second)
                    }),
                    load("due", 3, true, |p| Some(p.due_per_second)),
                ],
            )
        },
        Plot {
            is_log: true,
            ..plot(
                "Acknowledgement latency",
                "Of the requests of each second, from when each was due.",
                ms,
                vec![
                    load("p99", 1, false, |p| p.p99_ms),
                    load("p90", 0, false, |p| p.p90_ms),
                    load("p50", 2, false, |p| p.p50_ms),
                ],
            )
        },
        curve(report),
        plot(
            "CPU by process",
            "CPUs that were busy. The generator's peaks are requests being encoded before a stretch.",
            short,
            vec![
                sampled("ClickHouse", 1, |s| s.clickhouse_cpus),
                sampled("engine", 0, |s| s.engine_cpus),
                sampled("generator", 2, |s| s.loadgen_cpus),
            ],
        ),
        Plot {
            bound: Some((targets.rss.as_u64() as f64, "target")),
            ..plot(
                "Memory",
                report.facts.clickhouse.measured.words(),
                bytes,
                vec![
                    sampled("ClickHouse", 1, |s| s.clickhouse_memory_bytes),
                    sampled("engine", 0, |s| s.engine_rss_bytes),
                ],
            )
        },
        plot(
            "Rows that wait for ClickHouse",
            "Taken by the engine and not inserted yet.",
            thousands,
            vec![sampled("rows", 0, |s| s.backlog_rows)],
        ),
        plot(
            "Active parts",
            "Of all tables of the schema, and most in one partition of one table.",
            short,
            vec![
                sampled("all", 0, |s| s.parts),
                sampled("one partition", 1, |s| s.parts_of_partition),
            ],
        ),
        plot(
            "Merges under way",
            "The mean of five looks.",
            short,
            vec![smooth(&sampled("merges", 0, |s| s.merges))],
        ),
    ];
    html! {
        div.plots {
            @for plot in all { (plot.figure()) }
        }
    }
}

/// Each point as the mean of it and the two on either side, where they are.
fn smooth(line: &Line) -> Line {
    let points = &line.points;
    let around = |place: usize| {
        let near = &points[place.saturating_sub(2)..points.len().min(place + 3)];
        mean(near.iter().filter_map(|dot| dot.y))
    };
    let smoothed = points.iter().enumerate().map(|(place, dot)| Dot {
        y: dot.y.and(around(place)),
        ..*dot
    });
    Line {
        points: smoothed.collect(),
        ..*line
    }
}

/// Stretches of load, those of the search as one.
fn bands(report: &Report) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for phase in &report.phases {
        let name = match phase.kind {
            Kind::WarmUp => "warm-up",
            Kind::Hold => "target rate",
            Kind::Cpu => "CPU",
            Kind::Probe | Kind::Step => "search",
        };
        let until = phase.began + phase.sending_seconds;
        match bands.last_mut() {
            Some(last) if last.name == name => last.until = until,
            _ => bands.push(Band {
                name,
                from: phase.began,
                until,
                is_main: phase.kind == Kind::Hold,
            }),
        }
    }
    bands
}

/// Across are nines, so that the last percent has as much room as all others.
fn curve(report: &Report) -> Plot<'static> {
    let dot = |percentile: f64, ms: f64| Dot {
        x: -(1.0 - percentile / 100.0).log10(),
        length: f64::INFINITY,
        y: Some(ms),
    };
    let points: Vec<_> = report
        .ack_curve
        .iter()
        .map(|point| dot(point.percentile, point.ms))
        .collect();
    Plot {
        title: "Acknowledgement latency by percentile",
        note: "At the target rate: so many percent took at most so long.".into(),
        words: ms,
        is_log: false,
        across: Across::Nines {
            until: points.last().map_or(1.0, |last| last.x.max(1.0)),
        },
        bound: report
            .options
            .targets
            .ack_p99
            .map(|bound| (bound.as_secs_f64() * 1e3, "target for p99")),
        lines: vec![Line {
            name: "at most",
            colour: 0,
            dashed: false,
            points,
        }],
    }
}

/// `100k`, `1.2M`
fn thousands(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", short(value / 1e6)),
        value if value >= 1e4 => format!("{}k", short(value / 1e3)),
        value => count(value),
    }
}
