//! Draws lines over time, or over percentiles, as SVG: series go in, a figure comes out. Colours are those of the
//! page's style, so that one picture serves light and dark.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::{Scale, times};

/// The picture, in its own units; text is as large as on the page where it is shown at full width.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 508.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 222.0;
/// A line breaks where so many times its points' own length are missing.
const GAP: f64 = 2.5;
/// A bound further above all values than this would flatten them, and is only written.
const BOUND_SHOWN: f64 = 1.6;

/// One line.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Which of the style's colours.
    pub(super) colour: u8,
    pub(super) dashed: bool,
    pub(super) points: Vec<Dot>,
}

/// A point of a line: where, for how long before, and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) length: f64,
    pub(super) y: Option<f64>,
}

/// A stretch of time with a name.
#[derive(Debug, Clone)]
pub(super) struct Band {
    pub(super) name: &'static str,
    pub(super) from: f64,
    pub(super) until: f64,
    /// The target rate's.
    pub(super) is_main: bool,
}

/// What is along the bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Across<'a> {
    /// Seconds from 0 on, with these stretches behind the lines.
    Time { until: f64, bands: &'a [Band] },
    /// Nines: 0 is 0 %, 1 is 90 %, 2 is 99 %.
    Nines { until: f64 },
}

impl PartialEq for Band {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from && self.until == other.until
    }
}

/// One picture with its words.
pub(super) struct Plot<'a> {
    pub(super) title: &'static str,
    pub(super) note: String,
    pub(super) words: fn(f64) -> String,
    pub(super) is_log: bool,
    pub(super) across: Across<'a>,
    /// A level to stay below, or to reach, with its name.
    pub(super) bound: Option<(f64, &'static str)>,
    pub(super) lines: Vec<Line>,
}

impl Plot<'_> {
    pub(super) fn figure(&self) -> Markup {
        let values = || {
            self.lines
                .iter()
                .flat_map(|line| line.points.iter().filter_map(|dot| dot.y))
        };
        let most = values().fold(0.0, f64::max);
        let bound = self.bound.filter(|(bound, _)| *bound <= most * BOUND_SHOWN);
        let with_bound = values()
            .chain(bound.map(|(bound, _)| bound))
            .collect::<Vec<_>>();
        let scale = match self.is_log {
            true => Scale::log(with_bound.iter().copied()),
            false => Scale::linear(with_bound.iter().copied()),
        };
        html! {
            figure.plot {
                figcaption {
                    h3 { (self.title) }
                    p.legend {
                        @for line in &self.lines {
                            span.key {
                                span class=(format!("swatch c{}{}", line.colour, if line.dashed { " dashed" } else { "" })) {}
                                (line.name)
                            }
                        }
                    }
                }
                @if values().next().is_none() {
                    p.nothing { "Nothing was measured." }
                } @else {
                    svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.title) {
                        (self.bands())
                        (self.grid(scale))
                        @if let Some((level, name)) = bound {
                            (bound_line(scale, level, name))
                        }
                        @for line in &self.lines {
                            path class=(format!("line c{}{}", line.colour, if line.dashed { " dashed" } else { "" }))
                                d=(self.path(line, scale)) {}
                        }
                    }
                }
                @if !self.note.is_empty() {
                    p.note { (self.note) }
                }
            }
        }
    }

    fn x(&self, x: f64) -> f64 {
        let until = match self.across {
            Across::Time { until, .. } | Across::Nines { until } => until.max(f64::MIN_POSITIVE),
        };
        LEFT + (x / until).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    fn bands(&self) -> Markup {
        let Across::Time { bands, .. } = self.across else {
            return html! {};
        };
        html! {
            @for band in bands {
                @let (from, until) = (self.x(band.from), self.x(band.until));
                rect class=(if band.is_main { "band main" } else { "band" })
                    x=(place(from)) y=(place(TOP)) width=(place(until - from)) height=(place(BOTTOM - TOP)) {}
                // A name that does not fit is left out; the table of stretches has them all.
                @if until - from > band.name.len() as f64 * 6.0 {
                    text.band x=(place(f64::midpoint(from, until))) y=(place(TOP - 6.0)) text-anchor="middle" { (band.name) }
                }
            }
        }
    }

    fn grid(&self, scale: Scale) -> Markup {
        let across: Vec<(f64, String)> = match self.across {
            Across::Time { until, .. } => times(until),
            Across::Nines { until } => (0..=until.floor() as u32)
                .map(|nines| (f64::from(nines), percent(nines)))
                .collect(),
        };
        html! {
            @for tick in scale.ticks() {
                @let y = y(scale, tick);
                line.grid x1=(place(LEFT)) x2=(place(RIGHT)) y1=(place(y)) y2=(place(y)) {}
                text.tick x=(place(LEFT - 7.0)) y=(place(y + 4.0)) text-anchor="end" { ((self.words)(tick)) }
            }
            @for (at, words) in across {
                @let x = self.x(at);
                line.mark x1=(place(x)) x2=(place(x)) y1=(place(BOTTOM)) y2=(place(BOTTOM + 4.0)) {}
                text.tick x=(place(x)) y=(place(BOTTOM + 18.0)) text-anchor="middle" { (words) }
            }
        }
    }

    fn path(&self, line: &Line, scale: Scale) -> String {
        let mut path = String::new();
        let mut before: Option<f64> = None;
        for dot in &line.points {
            let Some(level) = dot.y else {
                before = None;
                continue;
            };
            let goes_on = before.is_some_and(|before| dot.x - before <= dot.length * GAP);
            let command = if goes_on { 'L' } else { 'M' };
            // Writing to a string does not fail.
            let _ = write!(
                path,
                "{command}{} {}",
                place(self.x(dot.x)),
                place(y(scale, level))
            );
            before = Some(dot.x);
        }
        path
    }
}

fn bound_line(scale: Scale, level: f64, name: &str) -> Markup {
    let y = y(scale, level);
    html! {
        line.bound x1=(place(LEFT)) x2=(place(RIGHT)) y1=(place(y)) y2=(place(y)) {}
        text.bound x=(place(RIGHT - 2.0)) y=(place(y - 5.0)) text-anchor="end" { (name) }
    }
}

fn y(scale: Scale, value: f64) -> f64 {
    BOTTOM - scale.part(value) * (BOTTOM - TOP)
}

/// A tenth of a unit is less than can be seen.
fn place(at: f64) -> String {
    format!("{at:.1}")
}

/// `0 %`, `90 %`, `99 %`, `99.9 %`
fn percent(nines: u32) -> String {
    match nines {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        more => format!("99.{} %", "9".repeat(more as usize - 2)),
    }
}
