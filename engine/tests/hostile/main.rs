//! Peers that attack the wire: floods of frames, streams opened to be reset, headers that unpack to
//! megabytes, requests that never end, answers that nobody takes, connections by the hundred, and peers that
//! do not let the engine stop. Each meets its bound, and beside each of them good clients go on being
//! answered, on connections that they had before.

#[path = "../support/mod.rs"]
mod support;

mod crowds;
mod drain;
mod floods;
mod frames;
mod slow;
mod streams;
mod stuck;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::grpc::{Call, GrpcClient, message};
use support::http1::{HttpClient, post};
use support::spans::{good, new_trace_id};
use support::{Stack, await_true, metric, metrics};

/// Answers that each neighbour gets during an attack, at least.
const ANSWERS: usize = 10;

/// Repeats an attack until a good client on each transport has been answered [`ANSWERS`] times meanwhile, and
/// goes on with those for as long as the attack takes.
fn beside_neighbours(stack: &Stack, mut attack: impl FnMut()) {
    let mut grpc = GrpcClient::connect(stack.grpc_addr());
    let mut http = HttpClient::connect(stack.http_addr());
    let mut by_grpc = || {
        let answer = grpc.call(Call::new([message(0, &good(new_trace_id()))]));
        assert_eq!(answer.code(), 0, "{answer:?}");
    };
    let mut by_http = || {
        let answer = http.ask(&post(&[], &good(new_trace_id())));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    // Both are known good before the attack begins.
    by_grpc();
    by_http();
    let attacked = AtomicBool::new(false);
    let served = |call: &mut (dyn FnMut() + Send)| {
        let mut answers = 0;
        while answers < ANSWERS || !attacked.load(Ordering::Relaxed) {
            call();
            answers += 1;
        }
    };
    thread::scope(|scope| {
        let neighbours = [
            scope.spawn(|| served(&mut by_grpc)),
            scope.spawn(|| served(&mut by_http)),
        ];
        // Set also when the attack panics, so that its neighbours end.
        let _attacked = SetWhenDropped(&attacked);
        loop {
            attack();
            attacked.store(true, Ordering::Relaxed);
            if neighbours.iter().all(|thread| thread.is_finished()) {
                break;
            }
        }
    });
}

/// The engine has counted at least one connection that it ended on this transport for one of these reasons.
fn assert_ended(stack: &Stack, transport: &str, reasons: &[&str]) {
    await_true("the end is counted", || {
        let metrics = metrics(stack.admin_addr());
        let count = |reason: &&str| {
            let labels = format!("shard=\"0\",transport=\"{transport}\",reason=\"{reason}\"");
            let name = format!("spanmill_ended_connections_total{{{labels}}}");
            metric(&metrics, &name).unwrap_or_else(|| panic!("no {name}:\n{metrics}"))
        };
        reasons.iter().map(count).sum::<f64>() > 0.0
    });
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
