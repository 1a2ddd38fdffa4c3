//! The kinds of questions with their targets: subjects go in, for each kind paths and what their answers must hold
//! come out. No two questions of a kind are the same where it has parameters at all.

use std::time::Duration;

use fastrand::Rng;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::data::{RARE_IN_COLUMN, RARE_IN_MAP};
use crate::expect::{Expect, Searched};
use crate::subjects::{Rare, Subjects};

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
/// What Jaeger's UI asks for.
const LIMIT: usize = 20;
/// Stands in a path for the time of asking, in microseconds since 1970.
pub(crate) const NOW: &str = "{now}";

/// Questions that are judged together.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// For the 95th percentile.
    pub(crate) target: Duration,
    pub(crate) questions: Vec<Question>,
}

/// A path with its parameters, and what the answer must hold.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) path: String,
    pub(crate) expect: Expect,
}

/// All kinds, with so many questions each.
pub(crate) fn all(subjects: &Subjects, seed: u64, count: usize) -> Vec<Kind> {
    let maker = Maker {
        subjects,
        seed,
        count,
    };
    let mut kinds = vec![
        maker.kind("trace by id", 50, Maker::trace),
        maker.kind("trace by id, absent", 50, Maker::absent_trace),
        maker.kind("services", 20, Maker::services),
        maker.kind("operations", 20, Maker::operations),
        maker.kind("service, an hour", 100, |maker, random, _| {
            maker.of_service(random, HOUR)
        }),
        maker.kind("service, a day", 100, |maker, random, _| {
            maker.of_service(random, DAY)
        }),
        maker.kind("service and operation, an hour", 100, Maker::of_operation),
    ];
    for (name_hour, name_day, tag) in TAGS {
        for (name, length, target) in [(name_hour, HOUR, 400), (name_day, DAY, 1000)] {
            kinds.push(maker.kind(name, target, |maker, random, index| {
                maker.of_attribute(tag, random, index, length)
            }));
        }
    }
    kinds.push(maker.kind("dependencies, 7 days", 100, Maker::dependencies));
    kinds.push(maker.kind("service stats, 30 days", 200, Maker::stats));
    kinds
}

#[derive(Debug, Clone, Copy)]
enum Tag {
    FrequentInMap,
    FrequentInColumn,
    RareInMap,
    RareInColumn,
    AbsentInMap,
    AbsentInColumn,
}

const TAGS: [(&str, &str, Tag); 6] = [
    (
        "map, frequent, an hour",
        "map, frequent, a day",
        Tag::FrequentInMap,
    ),
    (
        "column, frequent, an hour",
        "column, frequent, a day",
        Tag::FrequentInColumn,
    ),
    ("map, rare, an hour", "map, rare, a day", Tag::RareInMap),
    (
        "column, rare, an hour",
        "column, rare, a day",
        Tag::RareInColumn,
    ),
    (
        "map, absent, an hour",
        "map, absent, a day",
        Tag::AbsentInMap,
    ),
    (
        "column, absent, an hour",
        "column, absent, a day",
        Tag::AbsentInColumn,
    ),
];

struct Maker<'a> {
    subjects: &'a Subjects,
    seed: u64,
    count: usize,
}

impl Maker<'_> {
    fn kind(
        &self,
        name: &'static str,
        target_ms: u64,
        question: impl Fn(&Self, &mut Rng, usize) -> Question,
    ) -> Kind {
        let mut random = Rng::with_seed(self.seed);
        let questions = (0..self.count).map(|index| question(self, &mut random, index));
        Kind {
            name,
            target: Duration::from_millis(target_ms),
            questions: questions.collect(),
        }
    }

    fn trace(&self, _: &mut Rng, index: usize) -> Question {
        let trace = &self.subjects.traces[index % self.subjects.traces.len()];
        Question {
            path: format!("/api/traces/{}", trace.id),
            expect: Expect::Trace(trace.clone()),
        }
    }

    fn absent_trace(&self, random: &mut Rng, _: usize) -> Question {
        Question {
            path: format!("/api/traces/{:032x}", random.u128(1..)),
            expect: Expect::NoTrace,
        }
    }

    fn services(&self, _: &mut Rng, _: usize) -> Question {
        let mut names: Vec<_> = self
            .subjects
            .operations
            .iter()
            .map(|(service, _)| service.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        Question {
            path: "/api/services".into(),
            expect: Expect::Names(names),
        }
    }

    fn operations(&self, _: &mut Rng, index: usize) -> Question {
        let (service, _) = self.operation(index);
        let of_service = self
            .subjects
            .operations
            .iter()
            .filter(|(of, _)| of == service);
        let mut names: Vec<_> = of_service.map(|(_, operation)| operation.clone()).collect();
        names.sort_unstable();
        Question {
            path: format!("/api/services/{}/operations", encoded(service)),
            expect: Expect::Names(names),
        }
    }

    fn operation(&self, index: usize) -> &(String, String) {
        &self.subjects.operations[index % self.subjects.operations.len()]
    }

    /// A stretch so long, in seconds since 1970, that ends at a random time of the day, or now.
    fn stretch(&self, random: &mut Rng, length: u64) -> (u64, u64) {
        let end = self.subjects.end - random.u64(0..=DAY - length);
        (end - length, end)
    }

    fn of_service(&self, random: &mut Rng, length: u64) -> Question {
        let (service, _) = self.operation(random.usize(..));
        let stretch = self.stretch(random, length);
        search(
            &[("service", service)],
            stretch,
            Expect::Search(Searched {
                service: Some(service.clone()),
                ..self.searched(stretch)
            }),
        )
    }

    fn of_operation(&self, random: &mut Rng, _: usize) -> Question {
        let (service, operation) = self.operation(random.usize(..));
        let stretch = self.stretch(random, HOUR);
        let parameters = [("service", service.as_str()), ("operation", operation)];
        search(
            &parameters,
            stretch,
            Expect::Search(Searched {
                service: Some(service.clone()),
                operation: Some(operation.clone()),
                // Some operations come a few times a day.
                least: 0,
                ..self.searched(stretch)
            }),
        )
    }

    fn searched(&self, (start, end): (u64, u64)) -> Searched {
        Searched {
            start_micros: start * 1_000_000,
            end_micros: end * 1_000_000,
            service: None,
            operation: None,
            tag: None,
            least: 1,
            most: LIMIT,
            only: None,
        }
    }

    /// Over the last so many seconds before the data's end, and all that came since.
    fn of_attribute(&self, tag: Tag, random: &mut Rng, index: usize, length: u64) -> Question {
        let subjects = self.subjects;
        let start = subjects.end - length;
        let rare: &[Rare] = if length == HOUR {
            &subjects.rare_lately
        } else {
            &subjects.rare_before
        };
        let rare = &rare[index % rare.len()];
        let frequent = |values: &[(String, String)]| values[index % values.len()].clone();
        let absent = random.u64(..);
        let (key, value) = match tag {
            Tag::FrequentInMap => frequent(&subjects.frequent_in_map),
            Tag::FrequentInColumn => frequent(&subjects.frequent_in_column),
            Tag::RareInMap => (RARE_IN_MAP.into(), format!("rare-{}", rare.number)),
            Tag::RareInColumn => (RARE_IN_COLUMN.into(), format!("/rare/{}", rare.number)),
            Tag::AbsentInMap => (RARE_IN_MAP.into(), format!("absent-{absent}")),
            Tag::AbsentInColumn => (RARE_IN_COLUMN.into(), format!("/absent/{absent}")),
        };
        let only = match tag {
            Tag::RareInMap | Tag::RareInColumn => Some(rare.trace.clone()),
            _ => None,
        };
        let least = !matches!(tag, Tag::AbsentInMap | Tag::AbsentInColumn);
        let most = match tag {
            Tag::AbsentInMap | Tag::AbsentInColumn => 0,
            _ => LIMIT,
        };
        let tag = format!("tag={}", encoded(&format!("{key}:{value}")));
        Question {
            path: format!("/api/v1/traces?start={start}000000&end={NOW}&limit={LIMIT}&{tag}"),
            expect: Expect::Search(Searched {
                tag: Some((key, value)),
                least: usize::from(least),
                most,
                only,
                // What comes in meanwhile belongs to it.
                ..self.searched((start, u64::MAX / 1_000_000))
            }),
        }
    }

    fn dependencies(&self, _: &mut Rng, index: usize) -> Question {
        let end = (self.subjects.end - index as u64) * 1000;
        Question {
            path: format!("/api/dependencies?endTs={end}&lookback={}", 7 * DAY * 1000),
            expect: Expect::Edges,
        }
    }

    fn stats(&self, _: &mut Rng, index: usize) -> Question {
        let end = self.subjects.end - 60 * index as u64;
        Question {
            path: format!(
                "/api/v1/services/stats?start={}&end={}",
                (end - 30 * DAY) * 1_000_000,
                end * 1_000_000
            ),
            expect: Expect::Stats,
        }
    }
}

fn search(parameters: &[(&str, &str)], (start, end): (u64, u64), expect: Expect) -> Question {
    let mut path = format!("/api/traces?start={start}000000&end={end}000000&limit={LIMIT}");
    for (name, value) in parameters {
        path += &format!("&{name}={}", encoded(value));
    }
    Question { path, expect }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
