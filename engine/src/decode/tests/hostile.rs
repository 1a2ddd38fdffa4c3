//! Bytes that nobody meant: cut, flipped, stretched and made up.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::expected::expected;
use super::full::full;
use super::known::Known;
use super::messages::groups;
use super::store::Store;
use super::tree::{Telemetry, decode, encode};
use super::{NOW, arrival, for_all, for_every_signal, tables, wire};
use crate::decode::walk_once;
use crate::fuzzing::is_overlooked;

for_every_signal! {
    a_full_request_cut_anywhere_is_an_error
    a_request_cut_anywhere_is_an_error
    damaged_requests_agree_with_prost
    joined_requests_are_one
    made_up_bytes_agree_with_prost
}

/// Walks `body` after a good request and checks the outcome against prost's: what prost takes is stored,
/// less the rows that break a rule; what prost refuses is refused, unless the fault is one that takes
/// single rows or lies where the walk does not look; what is not stored leaves no trace.
fn assert_agrees<S: Telemetry>(body: &[u8]) {
    let good = full::<S>();
    let mut store = Store::new(tables(0));
    store.walk::<S>(&encode::<S>(&good), arrival(NOW)).unwrap();
    let outcome = store.counts::<S>(body, arrival(NOW));
    let read = store.seal();
    let (mut rows, _) = expected::<S>(&good, &store.tables, arrival(NOW));
    match (outcome, decode::<S>(body)) {
        (outcome, Ok(groups)) => {
            let (more, rejected) = expected::<S>(&groups, &store.tables, arrival(NOW));
            assert_eq!(outcome, Ok((more.len(), rejected)));
            rows.extend(more);
        }
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            let is_overlooked = is_overlooked(&error) || has_bad_rows::<S>(body);
            assert!(is_overlooked, "taken: {error}");
            return;
        }
        (Err(_), Err(_)) => {}
    }
    Known::default().assert_holds::<S>(&read, &rows, NOW);
}

/// Whether rows, or a resource or scope without rows, are bad by themselves: what comes after the fault in
/// them is not looked at.
fn has_bad_rows<S: Telemetry>(body: &[u8]) -> bool {
    let mut store = Store::new(tables(0));
    walk_once(S::SIGNAL, body, &mut store.columns, arrival(NOW), None).is_err()
}

/// Scenario: a request is cut off at every byte, in `body`.
/// Guarantees: an error wherever it is one for prost, and none of the cut ones leaves anything.
fn assert_cuts_are_errors<S: Telemetry>(body: &[u8]) {
    let mut store = Store::new(tables(0));
    let mut rows = Vec::new();
    for end in 0..=body.len() {
        let outcome = store.counts::<S>(&body[..end], arrival(NOW));
        match decode::<S>(&body[..end]) {
            Err(_) => assert!(outcome.is_err(), "cut at {end}"),
            Ok(groups) => {
                let (more, rejected) = expected::<S>(&groups, &store.tables, arrival(NOW));
                assert_eq!(outcome, Ok((more.len(), rejected)), "cut at {end}");
                rows.extend(more);
            }
        }
    }
    Known::default().assert_holds::<S>(&store.seal(), &rows, NOW);
}

/// Scenario: a request with every field, in several encodings, is cut off at every byte.
/// Guarantees: see `assert_cuts_are_errors`.
fn a_full_request_cut_anywhere_is_an_error<S: Telemetry>() {
    for seed in 0..4 {
        let body = encode::<S>(&full::<S>());
        assert_cuts_are_errors::<S>(&wire::reencode(S::SIGNAL, &body, seed));
    }
}

/// Scenario: arbitrary requests in arbitrary encodings are cut off at every byte.
/// Guarantees: see `assert_cuts_are_errors`.
fn a_request_cut_anywhere_is_an_error<S: Telemetry>() {
    for_all(8, (groups::<S>(), any::<u64>()), |(request, seed)| {
        let body = wire::reencode(S::SIGNAL, &encode::<S>(&request), seed);
        assert_cuts_are_errors::<S>(&body);
    });
}

#[derive(Debug, Clone)]
enum Edit {
    Flip(Index, u8),
    Insert(Index, u8),
    Delete(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Edit::Flip(at, 1 << bit)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        1 => any::<Index>().prop_map(Edit::Delete),
    ]
}

fn edited(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut body = body.to_vec();
    for edit in edits {
        match edit {
            Edit::Insert(at, byte) => body.insert(at.index(body.len() + 1), *byte),
            _ if body.is_empty() => {}
            Edit::Flip(at, bit) => {
                let at = at.index(body.len());
                body[at] ^= bit;
            }
            Edit::Delete(at) => {
                body.remove(at.index(body.len()));
            }
        }
    }
    body
}

/// Scenario: bits of good requests are flipped, bytes inserted and deleted.
/// Guarantees: no panic, and agreement with prost; see `assert_agrees`.
fn damaged_requests_agree_with_prost<S: Telemetry>() {
    let edits = vec(vec(edit(), 1..4), 1..12);
    let strategy = (groups::<S>(), any::<u64>(), edits);
    for_all(48, strategy, |(request, seed, edits)| {
        let body = wire::reencode(S::SIGNAL, &encode::<S>(&request), seed);
        for edits in edits {
            assert_agrees::<S>(&edited(&body, &edits));
        }
    });
}

/// Scenario: two requests one after the other in one body, which protobuf calls a merge.
/// Guarantees: the rows of both.
fn joined_requests_are_one<S: Telemetry>() {
    for_all(32, (groups::<S>(), groups::<S>()), |(first, second)| {
        let joined = [encode::<S>(&first), encode::<S>(&second)].concat();
        assert!(decode::<S>(&joined).is_ok());
        assert_agrees::<S>(&joined);
    });
}

/// Scenario: bytes from nowhere, most of them tags and lengths that occur in requests.
/// Guarantees: no panic, and agreement with prost; see `assert_agrees`.
fn made_up_bytes_agree_with_prost<S: Telemetry>() {
    let bytes = prop_oneof![vec(any::<u8>(), 0..200), vec(0..24u8, 0..40)];
    for_all(256, bytes, |bytes| assert_agrees::<S>(&bytes));
}
