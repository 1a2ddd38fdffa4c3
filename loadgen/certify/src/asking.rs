//! Asks the queries beside the load, each when it is due whatever became of those before: queries go in, latencies
//! from the due time and failures come out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use spanmill_loadgen::Latencies;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::clickhouse::{ClickHouse, Failure};
use crate::queries::{QUERIES, Query, SERVICES, Subject, TRACE};
use crate::query_server::QueryServer;

/// How long a query may take; one that fails counts as if it had taken so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Queries under way at most; one that is due beyond fails.
const UNDER_WAY_MAX: usize = 16;
/// How often they ask about something else.
const SUBJECT_EVERY: Duration = Duration::from_secs(2);

/// How queries went.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct QueryReport {
    pub(crate) name: &'static str,
    /// A path of the query server, or SQL.
    pub(crate) question: &'static str,
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) max_ms: f64,
    /// What the first failure said.
    pub(crate) example: Option<String>,
}

#[derive(Debug, Clone)]
struct Tally {
    micros: Latencies,
    failed: u64,
    example: Option<String>,
}

/// Who is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) clickhouse: ClickHouse,
    /// Where the installation has one; else all is asked by SQL.
    pub(crate) query_server: Option<QueryServer>,
}

impl Asked {
    async fn answer(&self, query: &Query, subject: &Subject) -> Result<(), Failure> {
        let path = query.path(subject, SystemTime::now());
        let answer = match (&self.query_server, path) {
            (Some(server), Some(path)) => server.text(&path, PATIENCE).await,
            _ => {
                let parameters = query.parameters(subject);
                self.clickhouse.text(query.sql, &parameters, PATIENCE).await
            }
        };
        answer.map(drop)
    }
}

/// Asks until it is dropped.
#[derive(Debug)]
pub(crate) struct Asking {
    tallies: Arc<Mutex<Vec<Tally>>>,
    is_served: bool,
    task: JoinHandle<()>,
}

impl Asking {
    /// `rate` queries a second.
    pub(crate) fn start(on: &Handle, asked: Asked, rate: f64) -> Self {
        let empty = Tally {
            micros: histogram(),
            failed: 0,
            example: None,
        };
        let tallies = Arc::new(Mutex::new(vec![empty; QUERIES.len()]));
        let is_served = asked.query_server.is_some();
        let task = on.spawn(ask(asked, rate, Arc::clone(&tallies)));
        Asking {
            tallies,
            is_served,
            task,
        }
    }

    /// Of all queries together, and of each.
    pub(crate) fn finish(self) -> (QueryReport, Vec<QueryReport>) {
        self.task.abort();
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Tally {
            micros: histogram(),
            failed: 0,
            example: None,
        };
        for tally in tallies.iter() {
            // Histograms of the same bounds always add up.
            let _ = all.micros.add(&tally.micros);
            all.failed += tally.failed;
        }
        let each = QUERIES.iter().zip(tallies.iter());
        let each = each.map(|(query, tally)| {
            let path = query.path.filter(|_| self.is_served);
            tally.report(query.name, path.unwrap_or(query.sql))
        });
        (all.report("all queries", ""), each.collect())
    }
}

impl Tally {
    fn report(&self, name: &'static str, question: &'static str) -> QueryReport {
        let at = |quantile| self.micros.value_at_quantile(quantile) as f64 / 1000.0;
        QueryReport {
            name,
            question: question.trim(),
            asked: self.micros.len(),
            failed: self.failed,
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            max_ms: self.micros.max() as f64 / 1000.0,
            example: self.example.clone(),
        }
    }
}

fn histogram() -> Latencies {
    // Only bounds that are out of order or too many digits are refused.
    Latencies::new_with_bounds(1, 3_600_000_000, 3).unwrap_or_else(|_| unreachable!())
}

async fn ask(asked: Asked, rate: f64, tallies: Arc<Mutex<Vec<Tally>>>) {
    let (found, mut subject) = watch::channel(None);
    // What chooses the subject neither delays queries nor counts as one.
    let mut under_way = JoinSet::new();
    under_way.spawn(keep_finding(asked.clickhouse.clone(), found));
    // Until something is stored there is nothing to ask about.
    if subject.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let begun = Instant::now();
    for number in 0_u32.. {
        let due = begun + Duration::from_secs_f64(f64::from(number) / rate);
        tokio::time::sleep_until(due.into()).await;
        while under_way.try_join_next().is_some() {}
        let place = number as usize % QUERIES.len();
        let Some(subject) = subject.borrow().clone() else {
            continue;
        };
        if under_way.len() > UNDER_WAY_MAX {
            let words = format!("not asked: {UNDER_WAY_MAX} others were under way");
            count(&tallies, place, Err(words));
            continue;
        }
        let (asked, tallies) = (asked.clone(), Arc::clone(&tallies));
        under_way.spawn(async move {
            let outcome = match asked.answer(&QUERIES[place], &subject).await {
                Ok(()) => Ok(due.elapsed()),
                Err(Failure::Silent(words) | Failure::Said(words)) => Err(words),
            };
            count(&tallies, place, outcome);
        });
    }
}

async fn keep_finding(clickhouse: ClickHouse, found: watch::Sender<Option<Subject>>) {
    let mut ticks = tokio::time::interval(SUBJECT_EVERY);
    loop {
        ticks.tick().await;
        if let Some(subject) = find(&clickhouse).await {
            found.send_replace(Some(subject));
        }
    }
}

fn count(tallies: &Mutex<Vec<Tally>>, place: usize, outcome: Result<Duration, String>) {
    let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
    let tally = &mut tallies[place];
    let took = outcome.unwrap_or_else(|words| {
        tally.failed += 1;
        tally.example.get_or_insert(words);
        PATIENCE
    });
    tally
        .micros
        .saturating_record(took.as_micros().max(1) as u64);
}

async fn find(clickhouse: &ClickHouse) -> Option<Subject> {
    #[derive(Deserialize)]
    struct Service {
        service: String,
    }
    #[derive(Deserialize)]
    struct Trace {
        trace: String,
    }
    let services: Vec<Service> = clickhouse.rows(SERVICES, &[]).await.ok()?;
    let chosen = services.get(fastrand::usize(..services.len().max(1)))?;
    let service = chosen.service.clone();
    let parameters = [("service", service.as_str())];
    let traces: Vec<Trace> = clickhouse.rows(TRACE, &parameters).await.ok()?;
    let trace = traces.into_iter().next()?.trace;
    Some(Subject { trace, service })
}
