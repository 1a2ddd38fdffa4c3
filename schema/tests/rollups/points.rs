//! A seed goes in, points of every kind of metric come out, with what goes wrong in the field: resets,
//! gaps, repeated and unordered points, stale markers, changing bounds and scales. Values are such that
//! their sums are exact in 64-bit floats.

use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(crate) const GAUGE: u8 = 1;
pub(crate) const SUM: u8 = 2;
pub(crate) const HISTOGRAM: u8 = 3;
pub(crate) const EXPONENTIAL: u8 = 4;
pub(crate) const SUMMARY: u8 = 5;

pub(crate) const DELTA: u8 = 1;
const CUMULATIVE: u8 = 2;

pub(crate) const SECOND: i64 = 1_000_000_000;

/// A row of `otel_metrics`, as far as rollups look at it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) series: u64,
    pub(crate) kind: u8,
    pub(crate) temporality: u8,
    /// Nanoseconds since 1970.
    pub(crate) time: i64,
    pub(crate) stale: bool,
    pub(crate) has_value: bool,
    pub(crate) value: f64,
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) given: u8,
    pub(crate) bounds: Vec<f64>,
    pub(crate) buckets: Vec<u64>,
    pub(crate) scale: i32,
    pub(crate) zero: u64,
    pub(crate) positive: (i32, Vec<u64>),
    pub(crate) negative: (i32, Vec<u64>),
    pub(crate) quantiles: Vec<f64>,
    pub(crate) quantile_values: Vec<f64>,
}

/// The points of `series` series from `start` (seconds since 1970) for `seconds`, in order of time
/// within each.
pub(crate) fn generate(random: &mut Rng, series: u64, start: i64, seconds: i64) -> Vec<Point> {
    let mut points = Vec::new();
    for id in 0..series {
        let kind = [GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY, SUM, HISTOGRAM][(id % 7) as usize];
        let temporality = match kind {
            GAUGE | SUMMARY => 0,
            _ if percent(random, 30) => DELTA,
            _ => CUMULATIVE,
        };
        let given = if percent(random, 80) { 7 } else { 0 };
        let interval = 5 + random.i64(0..60);
        let aligned = percent(random, 50);
        let mut state = State::default();
        let mut time = start * SECOND;
        loop {
            time += interval * SECOND;
            if percent(random, 3) {
                time += random.i64(0..1_500) * SECOND;
            }
            if aligned {
                // Many points right on the borders of buckets.
                time += (15 * SECOND) - time % (15 * SECOND);
            } else {
                time += random.i64(0..SECOND);
            }
            if time > (start + seconds) * SECOND {
                break;
            }
            let before = state.clone();
            let restarted = state.step(random, temporality == DELTA);
            let mut point = Point {
                series: id,
                kind,
                temporality,
                time,
                given,
                has_value: true,
                ..Point::default()
            };
            match random.u64(..100) {
                0 | 1 => point.stale = true,
                2 if kind <= SUM => point.has_value = false,
                _ => state.show(random, &mut point),
            }
            if percent(random, 3) && !point.stale && !restarted {
                // The same moment once more, with what was true before.
                let mut again = point.clone();
                before.show(random, &mut again);
                points.push(again);
            }
            points.push(point);
        }
    }
    points
}

const BOUNDS: [&[f64]; 3] = [&[1.0, 2.0, 4.0], &[1.0, 2.0, 4.0, 8.0], &[]];

/// What a process counts, in all forms at once.
#[derive(Clone, Default)]
struct State {
    value: f64,
    layout: usize,
    buckets: [u64; 5],
    /// How often the exponential scale was halved since the start.
    halved: i32,
    zero: u64,
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
}

impl State {
    /// The next moment, and whether a counting process was started anew before it.
    fn step(&mut self, random: &mut Rng, delta: bool) -> bool {
        // By then all counts are above what a first step brings, so that a restart shows in them. One
        // that shows in fine buckets only is not seen from rows that were brought to a coarser scale.
        let restarted = !delta && self.positive.values().sum::<u64>() > 50 && percent(random, 5);
        if delta || restarted {
            let layout = self.layout;
            *self = State {
                layout,
                ..State::default()
            };
        }
        if percent(random, 2) {
            self.layout = random.usize(..BOUNDS.len());
        }
        if percent(random, 3) {
            self.halved += 1;
            for side in [&mut self.positive, &mut self.negative] {
                let mut halved = BTreeMap::new();
                for (index, count) in side.iter() {
                    *halved.entry(index >> 1).or_default() += count;
                }
                *side = halved;
            }
        }
        self.value += f64::from(random.u32(1..1 << 20)) / 64.0;
        for _ in 0..random.u64(..4) {
            self.buckets[random.usize(..5)] += random.u64(..7);
            let index = random.i32(-30..30) >> self.halved;
            *self.positive.entry(index).or_default() += 1 + random.u64(..9);
        }
        if percent(random, 30) {
            self.zero += 1;
            *self
                .negative
                .entry(random.i32(0..5) >> self.halved)
                .or_default() += 1;
        }
        restarted
    }

    fn show(&self, random: &mut Rng, point: &mut Point) {
        (point.min, point.max) = (self.value / 8.0, self.value * 2.0);
        point.sum = self.value;
        match point.kind {
            GAUGE if percent(random, 2) => point.value = f64::NAN,
            GAUGE => point.value = f64::from(random.u32(..1 << 20)) / 64.0 - 50.0,
            SUM => point.value = self.value,
            HISTOGRAM => {
                point.bounds = BOUNDS[self.layout].to_vec();
                let (own, rest) = self.buckets.split_at(point.bounds.len());
                point.buckets = own.to_vec();
                point.count = self.buckets.iter().sum();
                // Without bounds there may be one bucket or none.
                if !own.is_empty() || percent(random, 50) {
                    point.buckets.push(rest.iter().sum());
                }
            }
            EXPONENTIAL => {
                point.scale = 3 - self.halved;
                point.zero = self.zero;
                point.positive = dense(random, &self.positive);
                point.negative = dense(random, &self.negative);
                point.count = self.zero
                    + self.positive.values().sum::<u64>()
                    + self.negative.values().sum::<u64>();
            }
            _ => {
                point.count = self.buckets.iter().sum();
                point.quantiles = vec![0.5, 0.99];
                point.quantile_values = vec![point.min, point.max];
            }
        }
    }
}

fn percent(random: &mut Rng, chance: u64) -> bool {
    random.u64(..100) < chance
}

/// The offset and counts that stand for `counts`, now and then with zeroes around them.
fn dense(random: &mut Rng, counts: &BTreeMap<i32, u64>) -> (i32, Vec<u64>) {
    let (Some((first, _)), Some((last, _))) = (counts.first_key_value(), counts.last_key_value())
    else {
        return (0, vec![]);
    };
    let around = i32::from(percent(random, 20));
    let range = first - around..=last + around;
    let count = |index| counts.get(&index).copied().unwrap_or(0);
    (*range.start(), range.map(count).collect())
}

/// The statement that stores `points`, under `token` if there is one.
pub(crate) fn insert(points: &[Point], token: &str) -> String {
    let mut sql = String::from(
        "INSERT INTO spanmill.otel_metrics (MetricName, ServiceName, SeriesId, MetricType, \
         AggregationTemporality, IsMonotonic, Timestamp, Flags, ValueType, Value, Count, Sum, Min, Max, \
         Given, ExplicitBounds, BucketCounts, Scale, ZeroCount, PositiveOffset, PositiveBucketCounts, \
         NegativeOffset, NegativeBucketCounts, `ValueAtQuantiles.Quantile`, `ValueAtQuantiles.Value`) \
         SETTINGS async_insert = 0, insert_deduplicate = 1, \
         deduplicate_blocks_in_dependent_materialized_views = 1",
    );
    if !token.is_empty() {
        let _ = write!(sql, ", insert_deduplication_token = '{token}'");
    }
    sql += " VALUES ";
    for p in points {
        let _ = write!(
            sql,
            "('m{}', 's{}', {}, {}, {}, {}, fromUnixTimestamp64Nano({}), {}, {}, {:?}, {}, {:?}, {:?}, \
             {:?}, {}, {:?}, {:?}, {}, {}, {}, {:?}, {}, {:?}, {:?}, {:?}),",
            p.kind,
            p.series % 3,
            p.series,
            p.kind,
            p.temporality,
            p.kind == SUM,
            p.time,
            u8::from(p.stale),
            u8::from(p.kind <= SUM && p.has_value),
            p.value,
            p.count,
            p.sum,
            p.min,
            p.max,
            p.given,
            p.bounds,
            p.buckets,
            p.scale,
            p.zero,
            p.positive.0,
            p.positive.1,
            p.negative.0,
            p.negative.1,
            p.quantiles,
            p.quantile_values,
        );
    }
    sql.pop();
    sql
}
