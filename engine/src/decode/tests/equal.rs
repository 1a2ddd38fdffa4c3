//! Good requests: what is sealed is what prost decoded.

use proptest::collection::vec;
use proptest::prelude::any;
use spanmill_schema::TableId;

use super::expected::expected;
use super::known::Known;
use super::messages::groups;
use super::store::Store;
use super::tree::{Telemetry, decode, encode};
use super::{DAY, NOW, arrival, for_all, for_every_signal, tables, wire};

for_every_signal! { any_encoding_gives_the_rows_that_prost_gives }

/// Scenario: several requests, each in an arbitrary one of its legal encodings, go into one chunk;
/// then the same again on the next day, and once more on that day; with three choices of promoted
/// attributes.
/// Guarantees: every column of every row, resource and series is what prost's messages say, checksums and
/// lengths are right, each row is in its partition, a sealed chunk leaves nothing to the next, a resource
/// is written once a day and a series once for the days of its points.
fn any_encoding_gives_the_rows_that_prost_gives<S: Telemetry>() {
    let requests = vec((groups::<S>(), any::<u64>()), 1..4);
    for_all(96, (requests, any::<u8>()), |(requests, choice)| {
        let mut store = Store::new(tables(choice));
        let bodies = requests.iter().map(|(request, seed)| {
            let body = wire::reencode(S::SIGNAL, &encode::<S>(request), *seed);
            let decoded = decode::<S>(&body).unwrap();
            let meaning = |request| expected::<S>(request, &store.tables, arrival(NOW));
            assert_eq!(meaning(&decoded), meaning(request), "the meaning changed");
            body
        });
        let bodies: Vec<_> = bodies.collect();
        let mut known = Known::default();
        for (round, now) in [NOW, NOW + DAY, NOW + DAY].into_iter().enumerate() {
            let mut all = Vec::new();
            for ((request, _), body) in requests.iter().zip(&bodies) {
                let (rows, rejected) = expected::<S>(request, &store.tables, arrival(now));
                assert_eq!(rejected, 0);
                assert_eq!(store.counts::<S>(body, arrival(now)), Ok((rows.len(), 0)));
                all.extend(rows);
            }
            let read = store.seal();
            let resources = read.rows(TableId::Resources).count();
            assert_eq!(resources == 0, round == 2 || all.is_empty());
            assert!(round == 0 || read.rows(TableId::MetricSeries).count() == 0);
            known.assert_holds::<S>(&read, &all, now);
        }
    });
}
