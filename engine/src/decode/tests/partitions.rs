//! Requests whose rows lie in many days. That each block holds rows of one partition, in order,
//! is checked wherever chunks are read, in `Store` and `Known`.

use std::collections::BTreeSet;

use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::any;

use super::expected::{Expected, expected};
use super::full::full;
use super::known::Known;
use super::messages::groups;
use super::store::{Read, Store};
use super::tree::{Group, Telemetry, encode, items};
use super::{NOW, arrival, for_all, for_every_signal, tables};

const DAY: u64 = 86_400_000_000_000;

for_every_signal! {
    rows_lie_in_their_partitions
    many_rows_lie_in_many_partitions
    a_block_has_only_the_texts_of_its_rows
}

/// Walks and seals `requests`, and checks that there is a block for each partition and in it just what
/// prost gives.
fn assert_partitioned<S: Telemetry>(requests: &[Vec<Group<S::Item>>], choice: u8) -> Read {
    let mut store = Store::new(tables(choice));
    let mut all: Vec<Expected> = Vec::new();
    for request in requests {
        let body = encode::<S>(request);
        store.walk::<S>(&body, arrival(NOW)).unwrap();
        all.extend(expected::<S>(request, &store.tables, arrival(NOW)).0);
    }
    let read = store.seal();
    let partitions: BTreeSet<_> = all.iter().map(|row| row.time() / DAY).collect();
    let blocks = read.blocks.get(&S::TABLE).map_or(0, Vec::len);
    assert_eq!(blocks, partitions.len());
    Known::default().assert_holds::<S>(&read, &all, NOW);
    read
}

/// Scenario: items of arbitrary requests are spread over days, some to the nanosecond at their
/// ends, with three choices of promoted attributes.
/// Guarantees: a block for each partition; attributes, promoted columns, events, links, exemplars and
/// buckets stay with their rows.
fn rows_lie_in_their_partitions<S: Telemetry>() {
    let strategy = (vec(groups::<S>(), 1..4), any::<u64>(), any::<u8>());
    for_all(64, strategy, |(mut requests, seed, choice)| {
        let mut rng = Rng::with_seed(seed);
        for item in requests.iter_mut().flat_map(|request| items(request)) {
            let day = u64::from(NOW) / 86_400 + rng.u64(..100);
            let within = [0, 1, DAY - 1, rng.u64(..DAY)][rng.usize(..4)];
            S::set_time(item, day * DAY + within);
        }
        assert_partitioned::<S>(&requests, choice);
    });
}

/// Copies of full items in `days` days in turn, each with its number in every text.
fn numbered<S: Telemetry>(copies: u64, days: u64) -> Vec<Group<S::Item>> {
    let mut request = full::<S>();
    let copied = (0..copies).flat_map(|number| {
        let mut copied = S::full();
        for item in &mut copied {
            S::texts(item, &mut |text| {
                text.push_str(&format!(" number {number:05}"))
            });
            S::set_time(item, u64::from(NOW) * 1_000_000_000 + number % days * DAY);
        }
        copied
    });
    request[0].scopes[0].items = copied.collect();
    request
}

/// Scenario: 600 full items with other texts each, over 100 days in turn.
/// Guarantees: as above, with dictionaries that need two bytes a key.
fn many_rows_lie_in_many_partitions<S: Telemetry>() {
    assert_partitioned::<S>(&[numbered::<S>(600, 100)], 0);
}

/// Scenario: a block once held the dictionaries of the whole chunk, so that a small request over many
/// days became hundreds of times its size. So: the same items on one day and on 100 days.
/// Guarantees: the blocks of many partitions have together hardly more bytes than the one of all rows.
fn a_block_has_only_the_texts_of_its_rows<S: Telemetry>() {
    let bytes = |days| {
        let read = assert_partitioned::<S>(&[numbered::<S>(300, days)], 0);
        let blocks = read.blocks[&S::TABLE].len();
        let names = 2_000 * blocks;
        (read.plain.len() - names.min(read.plain.len()), blocks)
    };
    let (one, _) = bytes(1);
    let (many, blocks) = bytes(100);
    assert!(blocks > 4);
    assert!(many < 2 * one, "{one} bytes became {many}");
}
