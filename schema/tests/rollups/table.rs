//! Rollup rows as ClickHouse holds them go in, the oracle's rows come out.

use crate::oracle::{Key, Row};
use crate::support::ask;
use spanmill_embedded::testing::TestServer;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;

const COLUMNS: &str = "SeriesId, toUnixTimestamp(Bucket), Bounds, Points, Samples, \
    toUnixTimestamp64Nano(StaleTime), AggregationTemporality, toUnixTimestamp64Nano(FirstTime), \
    toUnixTimestamp64Nano(LastTime), [First, Last, Increase, Min, Max, Sum], \
    [FirstCount, LastCount, CountIncrease, ZeroFirst, ZeroLast, ZeroIncrease], \
    BucketsFirst, BucketsLast, BucketsIncrease, Scale, `Positive.Index`, `Positive.First`, \
    `Positive.Last`, `Positive.Increase`, `Negative.Index`, `Negative.First`, `Negative.Last`, \
    `Negative.Increase`, `ValueAtQuantiles.Quantile`, `ValueAtQuantiles.Value`";

/// Every row of the table, as its readers see it.
pub(crate) fn read(server: &TestServer, table: &str) -> BTreeMap<Key, Row> {
    let text = ask(
        server,
        &format!("SELECT {COLUMNS} FROM spanmill.{table} FINAL FORMAT TSVRaw"),
    );
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let (key, row) = parse(line);
        assert!(rows.insert(key, row).is_none(), "{table}: twice: {line}");
    }
    rows
}

fn parse(line: &str) -> (Key, Row) {
    let mut fields = line.split('\t');
    let mut next = || fields.next().expect("a field for each column");
    let key = (one(next()), one(next()), next().to_owned());
    let row = Row {
        points: one(next()),
        samples: one(next()),
        stale_time: one(next()),
        temporality: one(next()),
        first_time: one(next()),
        last_time: one(next()),
        floats: list(next()).try_into().expect("six floats"),
        counts: list(next()).try_into().expect("six counts"),
        buckets: [list(next()), list(next()), list(next())],
        scale: one(next()),
        positive: map([next(), next(), next(), next()]),
        negative: map([next(), next(), next(), next()]),
        quantiles: list(next()),
        quantile_values: list(next()),
    };
    // Where there is no sample, what stands in the other columns says nothing.
    let row = if row.samples == 0 {
        Row {
            points: row.points,
            stale_time: row.stale_time,
            temporality: row.temporality,
            ..Row::default()
        }
    } else {
        row
    };
    (key, row)
}

fn one<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn list<T: FromStr<Err: Debug>>(text: &str) -> Vec<T> {
    let inside = text.trim_start_matches('[').trim_end_matches(']');
    inside
        .split(',')
        .filter(|one| !one.is_empty())
        .map(one)
        .collect()
}

fn map([index, first, last, increase]: [&str; 4]) -> BTreeMap<i32, [u64; 3]> {
    let (first, last, increase) = (list(first), list(last), list(increase));
    let indexes = list(index).into_iter().enumerate();
    indexes
        .map(|(at, index)| (index, [first[at], last[at], increase[at]]))
        .collect()
}
