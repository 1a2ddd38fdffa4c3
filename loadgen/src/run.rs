//! A run from its options to its report: requests are encoded, threads connect, begin together and are looked
//! at once a second. It sends nothing itself.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::client::Target;
use crate::error::Error;
use crate::options::{Options, Rate};
use crate::report::{Kept, Quantiles, Report, ids_and_times};
use crate::requests::{self, Template};
use crate::signal::Signal;
use crate::tally::Tally;
use crate::watch::{LOOK, Snapshot, Watch};
use crate::worker::{self, Plan, Start};

/// How long one address of the endpoint may take to answer before the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between what the threads are told and the start, so that all of them know of it by then.
const LEAD: Duration = Duration::from_millis(5);

/// Ends a run early from any thread: nothing more is sent, answers are still awaited.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Stop(watch::Sender::new(false))
    }
}

impl Stop {
    /// Ends the run.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// Runs load as `options` say until it ends or `stop` ends it; `progress` is called once a second.
///
/// # Errors
/// When it cannot begin: options that do not go together, an endpoint that takes no connections. What fails
/// later is in the report.
pub fn run(
    options: &Options,
    stop: &Stop,
    mut progress: impl FnMut(&Snapshot),
) -> Result<Report, Error> {
    options.check()?;
    let address = reachable(&options.endpoint())?;
    let encoded_at = wall();
    let templates = requests::encode(options, encoded_at, encoded_at)?;
    let bytes_per_request = mean_bytes(&templates);
    let in_flight = options.in_flight(bytes_per_request as usize);
    let waiting = options.waiting(bytes_per_request as usize);
    let tallies: Vec<_> = (0..options.threads)
        .map(|_| Arc::new(Mutex::new(Tally::default())))
        .collect();
    let plans = plans(
        options,
        address,
        templates,
        (in_flight, waiting),
        encoded_at,
        &tallies,
        stop,
    );
    let threads = Threads::start(plans, &options.endpoint())?;
    let start = threads.begin();

    let mut watch = Watch::new(tallies, options.schedule(1), start.at);
    while threads.still_run(watch.seen() + LOOK) {
        progress(&watch.look().0);
    }
    let ends = threads.join()?;
    let (snapshot, totals) = watch.look();
    progress(&snapshot);

    let stopped_early = stop.is_stopped();
    let sent_until = ends
        .iter()
        .map(|end| end.sent_until)
        .max()
        .unwrap_or(start.at);
    let sending = if stopped_early {
        sent_until.saturating_duration_since(start.at)
    } else {
        options.duration
    };
    let answered = totals.last_answer.map_or(Duration::ZERO, |last| {
        last.saturating_duration_since(start.at)
    });
    let total = snapshot.total;
    let acknowledged = total.acknowledged as f64;
    let cpu_seconds: f64 = ends.iter().map(|end| end.cpu.as_secs_f64()).sum();
    let signals = Signal::ALL
        .into_iter()
        .filter(|signal| options.signals.weights[*signal as usize] > 0);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        options: options.clone(),
        mode: match options.rate {
            Rate::Items(_) => "open loop",
            Rate::Max => "closed loop",
        },
        ids_and_times: ids_and_times(options.compression),
        started_unix_nanos: start.wall,
        sending_seconds: sending.as_secs_f64(),
        answered_seconds: answered.as_secs_f64(),
        acknowledged_per_second: acknowledged / sending.max(answered).as_secs_f64().max(1e-9),
        total,
        signals: signals
            .map(|signal| (signal.name(), totals.signals[signal as usize]))
            .collect(),
        bytes_per_request,
        failures: totals.failures,
        schedule: Kept {
            behind: totals.held_up > 0,
            requests_held_up: totals.held_up,
            in_flight_max: in_flight,
            lag_ms: Quantiles::from(&totals.lags),
        },
        latency_ms: Quantiles::from(&totals.latencies),
        cpu_seconds,
        cpu_seconds_per_million: if acknowledged > 0.0 {
            cpu_seconds / acknowledged * 1e6
        } else {
            0.0
        },
        series: watch.series(),
        histogram: totals.latencies,
    })
}

/// Nanoseconds since 1970.
fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// The first address of the endpoint that takes connections.
fn reachable(endpoint: &str) -> Result<SocketAddr, Error> {
    let addresses = endpoint
        .to_socket_addrs()
        .map_err(|source| Error::Resolve {
            endpoint: endpoint.to_owned(),
            source,
        })?;
    let mut reason = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(address),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(Error::Connect {
        endpoint: endpoint.to_owned(),
        reason,
    })
}

fn mean_bytes(templates: &[Vec<Template>; 3]) -> f64 {
    let (mut count, mut bytes) = (0, 0);
    for template in templates.iter().flatten() {
        count += 1;
        bytes += template.len();
    }
    bytes as f64 / f64::from(count.max(1))
}

/// Deals templates, connections and room out to the threads. A thread's templates follow each other, so that
/// most traces which lie in two requests are sent together.
fn plans(
    options: &Options,
    address: SocketAddr,
    templates: [Vec<Template>; 3],
    (in_flight, waiting): (usize, usize),
    run: u64,
    tallies: &[Arc<Mutex<Tally>>],
    stop: &Stop,
) -> Vec<Plan> {
    let target = Arc::new(Target::new(options, address));
    let threads = options.threads;
    let part = |all: usize, number: usize| all * (number + 1) / threads - all * number / threads;
    let mut rest = templates;
    let plan = |number: usize| {
        let templates = rest.each_mut().map(|of_signal| {
            let count = part(options.distinct, number).min(of_signal.len());
            of_signal.drain(..count).collect()
        });
        Plan {
            options: options.clone(),
            number,
            target: Arc::clone(&target),
            templates,
            connections: part(options.connections, number),
            in_flight: part(in_flight, number).max(1),
            waiting: part(waiting, number).max(1),
            run,
            tally: Arc::clone(&tallies[number]),
            stop: stop.0.subscribe(),
        }
    };
    (0..threads).map(plan).collect()
}

/// The threads that send.
struct Threads {
    handles: Vec<JoinHandle<std::io::Result<worker::End>>>,
    starts: Vec<Sender<Start>>,
    /// Ends when all of them have.
    running: Receiver<()>,
}

impl Threads {
    /// Comes back when all have connected.
    fn start(plans: Vec<Plan>, endpoint: &str) -> Result<Self, Error> {
        let (ready, readiness) = channel();
        let (alive, running) = channel::<()>();
        let mut threads = Threads {
            handles: Vec::new(),
            starts: Vec::new(),
            running,
        };
        for plan in plans {
            let (start, told) = channel();
            let (ready, alive) = (ready.clone(), alive.clone());
            let body = move || {
                let _alive = alive;
                // Nobody listens any more only when the run has failed already.
                let says = move |opened| drop(ready.send(opened));
                worker::run(plan, says, || told.recv().ok())
            };
            let name = format!("loadgen-{}", threads.handles.len());
            let handle = std::thread::Builder::new().name(name).spawn(body);
            threads.handles.push(handle.map_err(Error::Thread)?);
            threads.starts.push(start);
        }
        drop(ready);
        // Ends when each has said so, or has ended without a word.
        let mut open = 0;
        for opened in readiness {
            opened.map_err(|error| Error::Connect {
                endpoint: endpoint.to_owned(),
                reason: error.to_string(),
            })?;
            open += 1;
        }
        if open < threads.handles.len() {
            threads.join()?;
            return Err(Error::Panicked);
        }
        Ok(threads)
    }

    fn begin(&self) -> Start {
        let start = Start {
            at: Instant::now() + LEAD,
            wall: wall() + LEAD.as_nanos() as u64,
        };
        // One that has ended says why when it is joined.
        for told in &self.starts {
            let _ = told.send(start);
        }
        start
    }

    /// Waits until `moment`; false as soon as all have ended.
    fn still_run(&self, moment: Instant) -> bool {
        let left = moment.saturating_duration_since(Instant::now());
        self.running.recv_timeout(left) == Err(RecvTimeoutError::Timeout)
    }

    fn join(self) -> Result<Vec<worker::End>, Error> {
        drop(self.starts);
        let ends = self.handles.into_iter().map(|handle| {
            let end = handle.join().map_err(|_| Error::Panicked)?;
            end.map_err(Error::Thread)
        });
        ends.collect()
    }
}
