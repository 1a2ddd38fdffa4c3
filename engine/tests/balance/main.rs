//! Several shards share the work: connections spread over all of them, and what one busy connection brings
//! is walked by others as well, without anything being lost, doubled, or left without an answer.

mod bodies;
mod connections;
#[path = "../ledger/mod.rs"]
mod ledger;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;

use spanmill_engine::{Config, HandOver};
use support::{Stack, metric, metrics};

/// Every body goes to another shard that has room for it, whoever is busy: what is tested does not hang
/// on how fast this machine is.
const ALWAYS: HandOver = HandOver {
    body_bytes_min: 0,
    busy_percent_min: 0,
    idle_percent_max: 100,
};

/// So many shards, of which each hands over whatever it can.
fn always_handing_over(config: &mut Config, shards: usize) {
    config.shards = shards;
    config.hand_over = ALWAYS;
}

/// What each shard says of a metric; `labels` follow the shard's.
fn of_each_shard(stack: &Stack, shards: usize, name: &str, labels: &str) -> Vec<u64> {
    let text = metrics(stack.admin_addr());
    let of = |shard| {
        metric(
            &text,
            &format!("spanmill_{name}{{shard=\"{shard}\"{labels}}}"),
        )
    };
    (0..shards)
        .map(|shard| of(shard).unwrap_or_else(|| panic!("no {name} of shard {shard}")) as u64)
        .collect()
}

/// Spans walked by each shard.
fn decoded(stack: &Stack, shards: usize) -> Vec<u64> {
    of_each_shard(stack, shards, "decoded_rows_total", ",signal=\"traces\"")
}
