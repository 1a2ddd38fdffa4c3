//! Points go in, the rows that rollups of them must hold come out, computed point by point and without
//! ClickHouse.

use crate::points::{DELTA, EXPONENTIAL, GAUGE, HISTOGRAM, Point, SECOND, SUM, SUMMARY};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Series, bucket in seconds since 1970, bounds as text.
pub(crate) type Key = (u64, i64, String);

/// A row of a rollup.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) points: u64,
    pub(crate) samples: u64,
    pub(crate) stale_time: i64,
    pub(crate) temporality: u8,
    pub(crate) first_time: i64,
    pub(crate) last_time: i64,
    /// First, last, increase, least, greatest and sum.
    pub(crate) floats: [f64; 6],
    /// First, last and increase of the count, then of the zero count.
    pub(crate) counts: [u64; 6],
    /// First, last and increase of the cumulative buckets.
    pub(crate) buckets: [Vec<u64>; 3],
    pub(crate) scale: i32,
    /// From index to first, last and increase.
    pub(crate) positive: BTreeMap<i32, [u64; 3]>,
    pub(crate) negative: BTreeMap<i32, [u64; 3]>,
    pub(crate) quantiles: Vec<f64>,
    pub(crate) quantile_values: Vec<f64>,
}

/// The bucket that a moment lies in: open at its start, closed at its end.
fn bucket(time: i64, width: i64) -> i64 {
    (time - 1).div_euclid(width * SECOND) * width
}

/// What rollups over `width` seconds hold of `points`.
pub(crate) fn rollup(points: &[Point], width: i64) -> BTreeMap<Key, Row> {
    let mut groups: BTreeMap<Key, Vec<&Point>> = BTreeMap::new();
    for point in points {
        let bounds = format!("{:?}", point.bounds)
            .replace(' ', "")
            .replace(".0", "");
        groups
            .entry((point.series, bucket(point.time, width), bounds))
            .or_default()
            .push(point);
    }
    groups
        .into_iter()
        .map(|(key, points)| (key, row(&points)))
        .collect()
}

fn row(points: &[&Point]) -> Row {
    let samples = samples(points);
    let mut row = Row {
        points: points.len() as u64,
        samples: samples.len() as u64,
        stale_time: points
            .iter()
            .filter(|p| p.stale)
            .map(|p| p.time)
            .max()
            .unwrap_or(0),
        temporality: points[0].temporality,
        ..Row::default()
    };
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return row;
    };
    (row.first_time, row.last_time) = (first.time, last.time);
    row.floats = floats(&samples);
    if first.kind == EXPONENTIAL {
        // Points that lost to another of the same time count here, too: all were met.
        let scales = points.iter().filter(|p| !p.stale).map(|p| p.scale);
        row.scale = scales.min().unwrap_or(0);
        exponential(&samples, &mut row);
    } else if first.kind > SUM {
        let count: Vec<_> = samples.iter().map(|p| p.count).collect();
        row.counts[..3].copy_from_slice(&counter(&count, row.temporality));
    }
    if first.kind == HISTOGRAM {
        let cumulative: Vec<_> = samples.iter().map(|p| cumulative(p)).collect();
        for le in 0..cumulative[0].len() {
            let counts: Vec<_> = cumulative.iter().map(|buckets| buckets[le]).collect();
            for (to, value) in row
                .buckets
                .iter_mut()
                .zip(counter(&counts, row.temporality))
            {
                to.push(value);
            }
        }
    }
    (row.quantiles, row.quantile_values) = (last.quantiles.clone(), last.quantile_values.clone());
    row
}

/// Points with a value, in order of time, of those with one time the greatest.
pub(crate) fn samples<'a>(points: &[&'a Point]) -> Vec<&'a Point> {
    let mut samples: Vec<_> = points
        .iter()
        .copied()
        .filter(|p| !p.stale && (p.kind > SUM || p.has_value))
        .collect();
    // NaN is greater than all.
    let float = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(a.is_nan().cmp(&b.is_nan()));
    samples.sort_by(|a, b| {
        a.time
            .cmp(&b.time)
            .then(float(a.value, b.value))
            .then(a.count.cmp(&b.count))
            .then(float(a.sum, b.sum))
            .then_with(|| cumulative(a).cmp(&cumulative(b)))
    });
    let mut kept: Vec<&Point> = Vec::new();
    for sample in samples {
        if kept.last().is_some_and(|last| last.time == sample.time) {
            kept.pop();
        }
        kept.push(sample);
    }
    kept
}

fn cumulative(point: &Point) -> Vec<u64> {
    if point.buckets.is_empty() {
        return vec![point.count];
    }
    let mut sum = 0;
    let add = |count: &u64| {
        sum += count;
        sum
    };
    point.buckets.iter().map(add).collect()
}

fn floats(samples: &[&Point]) -> [f64; 6] {
    let kind = samples[0].kind;
    let number = kind == GAUGE || kind == SUM;
    let value = |p: &&Point| match kind {
        _ if number => p.value,
        SUMMARY => p.sum,
        _ if p.given & 1 == 0 => f64::NAN,
        _ => p.sum,
    };
    let values: Vec<f64> = samples.iter().map(value).collect();
    let of = |bit: u8, field: fn(&Point) -> f64| -> Vec<f64> {
        let given = samples.iter().filter(|p| p.given & bit != 0);
        given.map(|p| field(p)).collect()
    };
    let (mins, maxs) = if number {
        let comparable: Vec<_> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        (comparable.clone(), comparable)
    } else {
        (of(2, |p| p.min), of(4, |p| p.max))
    };
    let best = |values: Vec<f64>, order: Ordering| {
        let better = |a: f64, b: f64| {
            if a.partial_cmp(&b) == Some(order) {
                a
            } else {
                b
            }
        };
        values.into_iter().reduce(better).unwrap_or(f64::NAN)
    };
    let step = |pair: &[f64]| pair[1] - if pair[1] < pair[0] { 0.0 } else { pair[0] };
    let increase = if !number && values.iter().any(|v| v.is_nan()) {
        f64::NAN
    } else if samples[0].temporality == DELTA {
        values.iter().sum()
    } else {
        values.windows(2).map(step).sum()
    };
    [
        values[0],
        values[values.len() - 1],
        increase,
        best(mins, Ordering::Less),
        best(maxs, Ordering::Greater),
        if number { values.iter().sum() } else { 0.0 },
    ]
}

/// First, last and increase.
pub(crate) fn counter(counts: &[u64], temporality: u8) -> [u64; 3] {
    let step = |pair: &[u64]| pair[1] - if pair[1] < pair[0] { 0 } else { pair[0] };
    let increase = if temporality == DELTA {
        counts.iter().sum()
    } else {
        counts.windows(2).map(step).sum()
    };
    [counts[0], counts[counts.len() - 1], increase]
}

/// Non-zero counts by index at `scale`.
fn at_scale((offset, counts): &(i32, Vec<u64>), from: i32, scale: i32) -> BTreeMap<i32, u64> {
    let mut map = BTreeMap::new();
    for (index, &count) in (*offset..).zip(counts).filter(|(_, count)| **count != 0) {
        *map.entry(index >> (from - scale)).or_default() += count;
    }
    map
}

fn exponential(samples: &[&Point], row: &mut Row) {
    let falls = |a: &Point, b: &Point, side: fn(&Point) -> &(i32, Vec<u64>)| {
        let scale = a.scale.min(b.scale);
        let now = at_scale(side(b), b.scale, scale);
        let before = at_scale(side(a), a.scale, scale);
        before
            .iter()
            .any(|(i, count)| now.get(i).copied().unwrap_or(0) < *count)
    };
    let mut increase = 0.0;
    for (at, sample) in samples.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| samples[at]);
        let whole = row.temporality == DELTA
            || before.is_some_and(|b| {
                sample.count < b.count
                    || sample.zero < b.zero
                    || falls(b, sample, |p| &p.positive)
                    || falls(b, sample, |p| &p.negative)
            });
        let from = if whole { None } else { before };
        let counts = whole || before.is_some();
        if counts {
            increase += sample.sum - from.map_or(0.0, |b| b.sum);
        }
        let ends = (at == 0, at == samples.len() - 1);
        let add = |slots: &mut [u64], now: u64, from: u64| {
            if ends.0 {
                slots[0] = now;
            }
            if ends.1 {
                slots[1] = now;
            }
            if counts {
                slots[2] += now - from;
            }
        };
        add(
            &mut row.counts[..3],
            sample.count,
            from.map_or(0, |b| b.count),
        );
        add(
            &mut row.counts[3..],
            sample.zero,
            from.map_or(0, |b| b.zero),
        );
        for (map, side) in [
            (
                &mut row.positive,
                (|p| &p.positive) as fn(&Point) -> &(i32, Vec<u64>),
            ),
            (&mut row.negative, |p| &p.negative),
        ] {
            let before = from.map_or_else(BTreeMap::new, |b| at_scale(side(b), b.scale, row.scale));
            for (index, now) in at_scale(side(sample), sample.scale, row.scale) {
                let from = before.get(&index).copied().unwrap_or(0);
                add(map.entry(index).or_default(), now, from);
            }
        }
    }
    // The sum starts over with the counts, even where it does not fall.
    if !row.floats[2].is_nan() {
        row.floats[2] = increase;
    }
    for map in [&mut row.positive, &mut row.negative] {
        map.retain(|_, slots| *slots != [0; 3]);
    }
}
