//! One request from its due time to its end: sent, and with `--retry` sent again as OTLP says, until it is
//! acknowledged or given up. It counts each try, and the request once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::client::answer::{Failure, Outcome};
use crate::client::{Connection, Target};
use crate::signal::Signal;
use crate::tally::{Tally, locked};
use crate::worker::stopped;

/// The first wait before another try when the receiver names none; it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What a thread's requests share.
pub(crate) struct Lane {
    pub(crate) target: Arc<Target>,
    pub(crate) connections: Rc<[Connection]>,
    pub(crate) tally: Arc<Mutex<Tally>>,
    pub(crate) retry: bool,
    pub(crate) timeout: Duration,
    /// Requests that wait for another try: they leave their place to those that fall due.
    pub(crate) waiting: Cell<usize>,
    pub(crate) waiting_max: usize,
    pub(crate) random: RefCell<Rng>,
    /// True once nothing is waited for any more.
    pub(crate) cut: watch::Receiver<bool>,
}

/// One request.
pub(crate) struct Request {
    pub(crate) signal: Signal,
    pub(crate) items: u64,
    pub(crate) due: Instant,
    pub(crate) body: Bytes,
}

/// See the module; `permit` is the request's place among those in flight, until its first try has ended.
pub(crate) async fn deliver(lane: Rc<Lane>, request: Request, permit: OwnedSemaphorePermit) {
    let mut permit = Some(permit);
    let mut unknown = false;
    for tries in 0.. {
        let failure = match attempt(&lane, &request).await {
            Outcome::Stored { rejected, message } => {
                let rejected = rejected.min(request.items);
                let mut tally = locked(&lane.tally);
                let latency = request.due.elapsed();
                tally.acknowledged(request.signal, (request.items, rejected), latency, unknown);
                if rejected > 0 || !message.is_empty() {
                    tally.partial(rejected, &message);
                }
                return;
            }
            Outcome::Failed(failure) => failure,
        };
        unknown |= failure.unknown;
        locked(&lane.tally).failed(&failure);
        permit.take();
        if !wait_to_retry(&lane, &failure, tries).await {
            locked(&lane.tally).given_up(request.signal, request.items, &failure, unknown);
            return;
        }
    }
}

async fn attempt(lane: &Lane, request: &Request) -> Outcome {
    let connections = lane.connections.iter();
    let Some(connection) = connections.min_by_key(|connection| connection.in_flight()) else {
        return Outcome::Failed(Failure::timeout());
    };
    let send = connection.send(&lane.target, request.signal, request.body.clone());
    let mut cut = lane.cut.clone();
    tokio::select! {
        biased;
        outcome = tokio::time::timeout(lane.timeout, send) => {
            outcome.unwrap_or_else(|_| Outcome::Failed(Failure::timeout()))
        }
        () = stopped(&mut cut) => Outcome::Failed(Failure::timeout()),
    }
}

/// Waits as long as the receiver asks, or ever longer; false when the request is to be given up.
async fn wait_to_retry(lane: &Lane, failure: &Failure, tries: u32) -> bool {
    let mut cut = lane.cut.clone();
    let is_full = lane.waiting.get() >= lane.waiting_max;
    if !lane.retry || !failure.retryable || is_full || *cut.borrow() {
        return false;
    }
    let wait = failure.after.unwrap_or_else(|| {
        let most = BACKOFF_MIN
            .saturating_mul(1 << tries.min(10))
            .min(BACKOFF_MAX);
        // At random, so that what failed together does not come back together.
        most.mul_f64(lane.random.borrow_mut().f64().mul_add(0.5, 0.5))
    });
    lane.waiting.set(lane.waiting.get() + 1);
    let again = tokio::select! {
        () = tokio::time::sleep(wait) => true,
        () = stopped(&mut cut) => false,
    };
    lane.waiting.set(lane.waiting.get() - 1);
    again
}
