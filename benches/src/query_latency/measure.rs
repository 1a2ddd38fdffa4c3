//! Asks every kind of question: one at a time, several at once, and with dropped caches before each; gives latencies
//! and what was wrong. When each kind was asked is noted, so that ClickHouse's log can say what it read for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use spanmill_loadgen::Latencies;
use tokio::runtime::Runtime;

use crate::asking::{Answer, Client};
use crate::caches;
use crate::data::Store;
use crate::kinds::{self, Kind, Question};
use crate::options::Options;
use crate::subjects::Subjects;

/// Questions before those that count.
pub(crate) const WARM_UP: usize = 5;
/// Of an endpoint that is not there. One that is would name what is wrong.
const NOT_THERE: u16 = 404;
const ARRIVAL_LOOK: Duration = Duration::from_millis(100);
/// Seconds of the load that are stored before the first question: until then ClickHouse merges what it found at its
/// start, and the engine begins.
const SETTLED_AFTER: f64 = 10.0;

/// What is measured and with what.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) store: &'a Store,
    pub(crate) subjects: &'a Subjects,
    pub(crate) client: Arc<Client>,
    pub(crate) runtime: &'a Runtime,
}

/// A kind of question and how it went.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) target: Duration,
    /// False where the query server has no such endpoint.
    pub(crate) is_there: bool,
    pub(crate) warm: Series,
    pub(crate) at_once: Series,
    pub(crate) cold: Series,
}

/// Questions of one kind, asked in one way.
pub(crate) struct Series {
    /// In microseconds.
    pub(crate) latencies: Latencies,
    pub(crate) wrong: usize,
    /// What the first wrong answer said.
    pub(crate) example: Option<String>,
    /// Bytes of all answers.
    pub(crate) bytes: usize,
    /// In microseconds since 1970.
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

/// How many questions of a kind there have to be.
pub(crate) fn wanted(options: &Options) -> usize {
    let at_once = if options.clients > 0 { options.asks } else { 0 };
    WARM_UP + (options.asks + at_once + options.cold_asks) as usize
}

impl Bench<'_> {
    /// Asks all kinds, first warm, one question at a time.
    pub(crate) fn run(&self) -> Result<Vec<Measured>> {
        let kinds = kinds::all(self.subjects, self.options.seed, wanted(self.options));
        let only = &self.options.only;
        let chosen =
            |kind: &Kind| only.is_empty() || only.iter().any(|part| kind.name.contains(part));
        let kinds: Vec<_> = kinds.into_iter().filter(chosen).collect();
        self.await_load()?;
        let mut measured = Vec::new();
        for kind in &kinds {
            measured.push(self.warm(kind)?);
        }
        for (kind, measured) in kinds.iter().zip(&mut measured) {
            if measured.is_there {
                let asks = self.options.asks as usize;
                let (at_once, rest) = kind.questions[WARM_UP + asks..].split_at(
                    kind.questions.len() - WARM_UP - asks - self.options.cold_asks as usize,
                );
                measured.at_once = self.at_once(at_once);
                measured.cold = self.one_at_a_time(rest, true)?;
                println!("{}: several at once and cold", kind.name);
            }
        }
        Ok(measured)
    }

    /// The load is there once ClickHouse has some seconds of it.
    fn await_load(&self) -> Result<()> {
        let stored = || -> Result<u64> {
            let answer = self
                .store
                .query("SELECT count() FROM spanmill.otel_traces")?;
            Ok(answer.trim().parse()?)
        };
        let enough = stored()? + (self.options.beside_rate * SETTLED_AFTER) as u64;
        while stored()? < enough {
            std::thread::sleep(ARRIVAL_LOOK);
        }
        Ok(())
    }

    fn warm(&self, kind: &Kind) -> Result<Measured> {
        let (first, rest) = kind.questions.split_at(WARM_UP);
        let asked = self.runtime.block_on(self.client.ask(&first[0].path))?;
        let is_there =
            asked.status != NOT_THERE || first[0].expect.check(asked.status, &asked.body).is_ok();
        let mut warm = Series::new();
        if is_there {
            self.one_at_a_time(&first[1..], false)?;
            warm = self.one_at_a_time(&rest[..self.options.asks as usize], false)?;
        }
        let shown = warm.latencies.value_at_quantile(0.95) as f64 / 1e3;
        println!("{}: p95 {shown:.1} ms", kind.name);
        Ok(Measured {
            name: kind.name,
            target: kind.target,
            is_there,
            warm,
            at_once: Series::new(),
            cold: Series::new(),
        })
    }

    fn one_at_a_time(&self, questions: &[Question], is_cold: bool) -> Result<Series> {
        let mut series = Series::new();
        let begun = Instant::now();
        for question in questions {
            if begun.elapsed() > self.options.kind_time {
                break;
            }
            if is_cold {
                caches::drop_all(self.store)?;
            }
            let answer = self.runtime.block_on(self.client.ask(&question.path));
            series.count(question, answer);
        }
        series.ended = now();
        Ok(series)
    }

    fn at_once(&self, questions: &[Question]) -> Series {
        let next = Arc::new(AtomicUsize::new(0));
        let until = Instant::now() + self.options.kind_time;
        let all: Arc<[Question]> = questions.into();
        let mut series = Series::new();
        self.runtime.block_on(async {
            let mut clients = tokio::task::JoinSet::new();
            for _ in 0..self.options.clients {
                let (next, all, client) = (
                    Arc::clone(&next),
                    Arc::clone(&all),
                    Arc::clone(&self.client),
                );
                clients.spawn(async move {
                    let mut answers = Vec::new();
                    while Instant::now() < until
                        && let Some(question) = all.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        answers.push((question.clone(), client.ask(&question.path).await));
                    }
                    answers
                });
            }
            // A client that panicked has no answers, which then are missing in the count.
            while let Some(answers) = clients.join_next().await {
                for (question, answer) in answers.unwrap_or_default() {
                    series.count(&question, answer);
                }
            }
        });
        series.ended = now();
        series
    }
}

impl Series {
    fn new() -> Self {
        Series {
            // Only bounds that are out of order or too many digits are refused.
            latencies: Latencies::new_with_bounds(1, 3_600_000_000, 3)
                .unwrap_or_else(|_| unreachable!()),
            wrong: 0,
            example: None,
            bytes: 0,
            began: now(),
            ended: now(),
        }
    }

    fn count(&mut self, question: &Question, answer: Result<Answer>) {
        let checked = answer.and_then(|answer| {
            self.latencies
                .saturating_record(answer.took.as_micros().max(1) as u64);
            self.bytes += answer.body.len();
            question.expect.check(answer.status, &answer.body)
        });
        if let Err(error) = checked {
            self.wrong += 1;
            self.example
                .get_or_insert(format!("{}: {error:#}", question.path));
        }
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
