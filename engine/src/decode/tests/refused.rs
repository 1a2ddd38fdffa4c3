//! Refused requests among good ones: nothing of them stays, and nothing good is lost with them.

use proptest::prelude::any;

use super::expected::expected;
use super::full::full;
use super::known::Known;
use super::messages::groups;
use super::store::{Read, Store};
use super::texts::texts;
use super::tree::{Group, Telemetry, decode, encode};
use super::{NOW, arrival, for_all, for_every_signal, tables};

/// Stands in every text of what is refused or rejected.
pub(super) const MARK: &str = "only-in-what-is-refused";

for_every_signal! {
    refused_requests_leave_nothing
    a_refused_full_request_leaves_nothing
}

/// Scenario: arbitrary requests are broken at their ends, and come among good ones.
/// Guarantees: each is refused; the chunk is byte for byte the one of the good requests alone.
fn refused_requests_leave_nothing<S: Telemetry>() {
    let requests = (groups::<S>(), groups::<S>(), groups::<S>(), any::<u8>());
    for_all(48, requests, |(good, other, bad, choice)| {
        assert_leaves_nothing::<S>(&good, &other, bad, choice);
    });
}

/// Scenario: the same with requests that use every field.
/// Guarantees: as above.
fn a_refused_full_request_leaves_nothing<S: Telemetry>() {
    for choice in 0..3 {
        assert_leaves_nothing::<S>(&full::<S>(), &full::<S>(), full::<S>(), choice);
    }
}

fn assert_leaves_nothing<S: Telemetry>(
    good: &[Group<S::Item>],
    other: &[Group<S::Item>],
    mut marked: Vec<Group<S::Item>>,
    choice: u8,
) {
    texts::<S>(&mut marked, &mut mark);
    let body = encode::<S>(&marked);
    let refused = broken(&body);
    let walk = |store: &mut Store, refused: &[Vec<u8>]| -> Read {
        for request in [good, good, other] {
            for body in refused {
                assert!(decode::<S>(body).is_err());
                let outcome = store.walk::<S>(body, arrival(NOW));
                outcome.expect_err("a broken request was taken");
            }
            store
                .walk::<S>(&encode::<S>(request), arrival(NOW))
                .unwrap();
        }
        store.seal()
    };
    let alone = walk(&mut Store::new(tables(choice)), &[]);
    let mut store = Store::new(tables(choice));
    let among = walk(&mut store, &refused);
    assert!(among == alone, "refused requests changed the chunk");
    assert!(!contains(&among.plain, MARK));

    // A resource or series that came with a refused request must not count as written.
    let mut known = Known::default();
    let rows = |request: &[Group<S::Item>]| {
        let (rows, rejected) = expected::<S>(request, &tables(choice), arrival(NOW));
        assert_eq!(rejected, 0);
        rows
    };
    let goods = [good, good, other].map(rows).concat();
    known.assert_holds::<S>(&among, &goods, NOW);
    store.walk::<S>(&body, arrival(NOW)).unwrap();
    known.assert_holds::<S>(&store.seal(), &rows(&marked), NOW);
}

/// Appends the mark to a text, unless that would change which attributes are promoted or name the
/// service.
pub(super) fn mark(text: &mut String) {
    let keys = [
        spanmill_schema::PROMOTED_SPANS,
        spanmill_schema::PROMOTED_LOGS,
    ]
    .concat();
    let mut keys = keys
        .iter()
        .map(|key| key.split('=').next().unwrap_or_default());
    if !keys.any(|key| key == text) && !["service.name", "host.name", "k", "n"].contains(&&**text) {
        text.push_str(MARK);
    }
}

pub(super) fn contains(haystack: &[u8], needle: &str) -> bool {
    let mut windows = haystack.windows(needle.len());
    windows.any(|part| part == needle.as_bytes())
}

/// `body` with a fault after all its rows: a field number of 0, a length past the end, a group that is
/// not open, and a resource that ends inside a field.
fn broken(body: &[u8]) -> Vec<Vec<u8>> {
    let ends: [&[u8]; 4] = [&[0x00], &[0x0a, 0x05], &[0x0c], &[0x0a, 0x01, 0x12]];
    let with_end = |end: &&[u8]| [body, end].concat();
    ends.iter().map(with_end).collect()
}
