//! The report as one page of HTML: a report goes in, a file that needs nothing else comes out. Whatever it shows is
//! escaped, and it runs no script.

mod axis;
mod plot;
mod plots;
mod tables;
#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::Report;
use crate::verdict::{Outcome, Verdict};
use crate::words::seconds;

const STYLE: &str = include_str!("style.css");

pub(crate) fn page(report: &Report) -> String {
    let title = "Spanmill certification";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                // Without it browsers ask for one.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(report))
                    section.verdicts {
                        @for verdict in &report.verdicts { (card(verdict)) }
                    }
                    (tables::figures(report))
                    @if !report.notes.is_empty() {
                        ul.notes {
                            @for note in &report.notes { li { (note) } }
                        }
                    }
                    h2 { "Over time" }
                    (plots::plots(report))
                    (tables::disk(report))
                    (tables::phases(report))
                    (tables::queries(report))
                    (tables::facts(report))
                    footer { "Spanmill " (report.version) " · run " code { (report.run) } }
                }
            }
        }
    };
    page.into_string()
}

fn head(report: &Report) -> Markup {
    let outcome = report.outcome();
    let words = match outcome {
        Outcome::Met => "Certified",
        Outcome::Missed => "Not certified",
        Outcome::NotMeasured => "Incomplete",
    };
    let met = report
        .verdicts
        .iter()
        .filter(|verdict| verdict.outcome == Outcome::Met)
        .count();
    html! {
        header {
            p.product { "Spanmill certification" }
            h1 class=(class(outcome)) {
                span.sign aria-hidden="true" { (sign(outcome)) }
                span #outcome { (words) }
            }
            p.lead {
                (met) " of " (report.verdicts.len()) " targets met"
                @if report.interrupted { ", ended early" }
                ". "
                (date(report.started_unix_seconds)) ", profile " (tables::profile(report))
                ", " (seconds(report.seconds))
                @if let Some(host) = &report.facts.host.name { ", on " (host) }
                "."
            }
        }
    }
}

fn card(verdict: &Verdict) -> Markup {
    html! {
        article class=(format!("card {}", class(verdict.outcome)))
            data-target=(verdict.target) data-outcome=(class(verdict.outcome)) {
            p.outcome {
                span.sign aria-hidden="true" { (sign(verdict.outcome)) }
                (verdict.outcome.words())
            }
            h2 { (verdict.title) }
            p.measured { (verdict.measured) }
            p.bound { "target: " (verdict.bound) }
            p.sentence { (verdict.sentence) }
        }
    }
}

fn class(outcome: Outcome) -> &'static str {
    ["met", "missed", "not-measured"][outcome as usize]
}

fn sign(outcome: Outcome) -> &'static str {
    ["✓", "✗", "?"][outcome as usize]
}

/// `2026-01-31 10:00:00 UTC`
fn date(unix_seconds: f64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(unix_seconds.max(0.0) as u64);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}
