//! Good requests: what is sealed is what prost decoded.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::expected::expected;
use super::messages::request;
use super::{DAY, Known, NOW, assert_holds, cases, decode, seal, wire};
use crate::columns::Columns;
use crate::decode::walk_traces;

proptest! {
    #![proptest_config(cases(128))]

    /// Scenario: several requests, each in an arbitrary one of its legal encodings, go into one chunk;
    /// then the same again on the next day, and once more on that day.
    /// Guarantees: every column of every span and resource is what prost's messages say, checksums and
    /// lengths are right, a sealed chunk leaves nothing to the next, and a resource is written once a day.
    #[test]
    fn any_encoding_gives_the_rows_that_prost_gives(
        requests in vec((request(), any::<u64>()), 1..4)
    ) {
        let mut all = Vec::new();
        let mut bodies = Vec::new();
        for (request, seed) in &requests {
            let body = wire::reencode(&request.encode_to_vec(), *seed);
            let rows = expected(&decode(&body).unwrap()).unwrap();
            prop_assert_eq!(&rows, &expected(request).unwrap(), "the meaning changed");
            bodies.push((body, rows.len()));
            all.extend(rows);
        }
        let mut columns = Columns::default();
        let mut known = Known::new();
        for (round, now) in [NOW, NOW + DAY, NOW + DAY].into_iter().enumerate() {
            for (body, rows) in &bodies {
                prop_assert_eq!(walk_traces(body, &mut columns, now), Ok(*rows));
            }
            let read = seal(&mut columns);
            prop_assert_eq!(read.resources.is_empty(), round == 2 || all.is_empty());
            assert_holds(&read, &all, now, &mut known);
            if round == 0 {
                let ids = read.resources.iter().map(super::resource_id);
                let used = read.spans.iter().map(super::resource_id);
                let sorted = |ids: Vec<u64>| std::collections::BTreeSet::from_iter(ids);
                prop_assert_eq!(sorted(ids.collect()), sorted(used.collect()));
            }
        }
    }
}
