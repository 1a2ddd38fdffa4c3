//! Bytes that nobody meant: cut, flipped, stretched and made up.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message as _;

use super::expected::expected;
use super::messages::request;
use super::shapes::full;
use super::{Known, NOW, assert_holds, cases, decode, seal, wire};
use crate::columns::Columns;
use crate::decode::{DecodeError, walk_traces};

/// Walks `body` after a good request and checks the outcome against prost's: what prost takes and OTLP
/// allows is stored, what breaks a rule is refused, and what is refused leaves no trace.
fn assert_agrees(body: &[u8]) -> Result<usize, DecodeError> {
    let good = full();
    let mut columns = Columns::default();
    walk_traces(&good.encode_to_vec(), &mut columns, NOW).unwrap();
    let outcome = walk_traces(body, &mut columns, NOW);
    let read = seal(&mut columns);
    let mut rows = expected(&good).unwrap();
    match (&outcome, decode(body).map(|request| expected(&request))) {
        (_, Ok(Ok(more))) => {
            assert_eq!(outcome, Ok(more.len()));
            rows.extend(more);
        }
        (taken, Ok(Err(rule))) => assert!(taken.is_err(), "{rule} was broken"),
        // The walk does not look into what it does not store, so it may take what prost does not.
        (Ok(_), Err(_)) => return outcome,
        (Err(_), Err(_)) => {}
    }
    assert_holds(&read, &rows, NOW, &mut Known::new());
    outcome
}

/// Scenario: a request is cut off at every byte, in `body`.
/// Guarantees: an error wherever it is one for prost, and none of the cut ones leaves anything.
fn assert_cuts_are_errors(body: &[u8]) {
    let mut columns = Columns::default();
    let mut rows = Vec::new();
    for end in 0..=body.len() {
        let outcome = walk_traces(&body[..end], &mut columns, NOW);
        match decode(&body[..end]) {
            Err(_) => assert!(outcome.is_err(), "cut at {end}"),
            Ok(request) => {
                let more = expected(&request).unwrap();
                assert_eq!(outcome, Ok(more.len()), "cut at {end}");
                rows.extend(more);
            }
        }
    }
    assert_holds(&seal(&mut columns), &rows, NOW, &mut Known::new());
}

/// Scenario: a request with every field, in several encodings, is cut off at every byte.
/// Guarantees: see `assert_cuts_are_errors`.
#[test]
fn a_full_request_cut_anywhere_is_an_error() {
    for seed in 0..4 {
        assert_cuts_are_errors(&wire::reencode(&full().encode_to_vec(), seed));
    }
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

proptest! {
    #![proptest_config(cases(8))]

    /// Scenario: arbitrary requests in arbitrary encodings are cut off at every byte.
    /// Guarantees: see `assert_cuts_are_errors`.
    #[test]
    fn a_request_cut_anywhere_is_an_error(request in request(), seed in any::<u64>()) {
        assert_cuts_are_errors(&wire::reencode(&request.encode_to_vec(), seed));
    }
}

proptest! {
    #![proptest_config(cases(48))]

    /// Scenario: bits of good requests are flipped, bytes inserted and deleted.
    /// Guarantees: no panic, and agreement with prost; see `assert_agrees`.
    #[test]
    fn damaged_requests_agree_with_prost(
        request in request(),
        seed in any::<u64>(),
        edits in vec(vec(edit(), 1..4), 1..12),
    ) {
        let body = wire::reencode(&request.encode_to_vec(), seed);
        for edits in edits {
            let _ = assert_agrees(&edited(&body, &edits));
        }
    }

    /// Scenario: two requests one after the other in one body, which protobuf calls a merge.
    /// Guarantees: the rows of both.
    #[test]
    fn joined_requests_are_one(first in request(), second in request()) {
        let joined = [first.encode_to_vec(), second.encode_to_vec()].concat();
        prop_assert!(assert_agrees(&joined).is_ok());
    }
}

proptest! {
    #![proptest_config(cases(256))]

    /// Scenario: bytes from nowhere, most of them tags and lengths that occur in requests.
    /// Guarantees: no panic, and agreement with prost; see `assert_agrees`.
    #[test]
    fn made_up_bytes_agree_with_prost(
        bytes in prop_oneof![vec(any::<u8>(), 0..200), vec(0..24u8, 0..40)]
    ) {
        let _ = assert_agrees(&bytes);
    }
}
