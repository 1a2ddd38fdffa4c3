//! The points that come of `measured`, as they are expected to be stored.

use opentelemetry_sdk::metrics::Temporality;
use serde_json::{Value, json};
use spanmill_schema::{MetricType, NumberType};

use super::measured::{BOUNDS, DOUBLES, INTS, LARGE, attributes};
use crate::attributes::{entries, sorted};
use crate::origin::stored_origin;
use crate::rows::with;

/// What a metric's points share.
struct Metric<'a> {
    name: &'a str,
    kind: MetricType,
    temporality: u8,
    monotonic: bool,
    unit: &'a str,
    description: &'a str,
    service: &'a str,
}

/// A number as it is stored.
trait Stored {
    fn stored(self) -> Value;
}

impl Stored for i64 {
    /// Type, the bits of the nearest float, and the exact integer.
    fn stored(self) -> Value {
        json!([NumberType::Int as u8, bits(self as f64), self])
    }
}

impl Stored for f64 {
    fn stored(self) -> Value {
        json!([NumberType::Double as u8, bits(self), 0])
    }
}

/// Floats are compared bit by bit.
fn bits(value: f64) -> u64 {
    value.to_bits()
}

fn all_bits(values: &[f64]) -> Vec<u64> {
    values.iter().copied().map(bits).collect()
}

impl Metric<'_> {
    /// A stored point; `changes` says what is not zero or empty.
    fn point(&self, attributes: Value, changes: Value) -> Value {
        let point = json!({
            "metric": self.name,
            "type": self.kind as u8,
            "temporality": self.temporality,
            "monotonic": self.monotonic,
            "unit": self.unit,
            "description": self.description,
            "metadata": [],
            "attributes": sorted(attributes),
            "series": [self.kind as u8, self.temporality, self.monotonic],
            "within_days": 1,
            "flags": 0,
            "number": [NumberType::None as u8, 0, 0],
            "count": 0, "sum": 0, "min": 0, "max": 0, "given": 0,
            "bounds": [], "counts": [],
            "scale": 0, "zero_count": 0, "zero_threshold": 0,
            "positive": [0, []], "negative": [0, []],
            "quantiles": [],
            "exemplars": [],
        });
        with(with(point, stored_origin(self.service)), changes)
    }

    fn number(&self, attributes: Value, number: impl Stored) -> Value {
        self.point(attributes, json!({"number": number.stored()}))
    }

    /// A point of a histogram that has its extremes.
    fn distribution(&self, attributes: Value, sum: f64, extremes: [f64; 2], rest: Value) -> Value {
        let [min, max] = extremes.map(bits);
        let all = json!({"sum": bits(sum), "min": min, "max": max, "given": 7});
        self.point(attributes, with(all, rest))
    }
}

/// All points of a round, in which everything was measured for the `round`th time.
pub(super) fn points(service: &str, preference: Temporality, round: i64) -> Vec<Value> {
    let metric = |name, kind, unit, description| Metric {
        name,
        kind,
        temporality: 0,
        monotonic: false,
        unit,
        description,
        service,
    };
    [
        sums(preference, round, &metric),
        gauges(round, &metric),
        histograms(preference, round, &metric),
        exponential_histograms(preference, round, &metric),
    ]
    .concat()
}

/// A metric by its name, type, unit and description.
type New<'a> = dyn Fn(&'a str, MetricType, &'a str, &'a str) -> Metric<'a> + 'a;

/// OTLP's code for a temporality, and how many rounds a point of this round counts.
fn counted(preference: Temporality, round: i64) -> (u8, i64) {
    match preference {
        Temporality::Delta => (1, 1),
        _ => (2, round),
    }
}

fn none() -> Value {
    json!([])
}

fn every_type() -> Value {
    entries(&attributes())
}

fn sums<'a>(preference: Temporality, round: i64, metric: &New<'a>) -> Vec<Value> {
    let (temporality, n) = counted(preference, round);
    let x = n as f64;
    let counter = |name, unit, description| Metric {
        temporality,
        monotonic: true,
        ..metric(name, MetricType::Sum, unit, description)
    };
    // Whatever is preferred, these are cumulative.
    let up_down = |name, unit| Metric {
        temporality: 2,
        ..metric(name, MetricType::Sum, unit, "")
    };
    let total = round as f64;
    let int = counter("counter.int", "{request}", "Answered ☃ requests");
    let elsewhere = Metric {
        description: "",
        ..counter("counter.int", "{request}", "")
    };
    let scope = json!({"scope": ["elsewhere", "", "", 0], "scope_attributes": []});
    vec![
        int.number(none(), n),
        int.number(every_type(), LARGE * n),
        int.number(json!([["code", "200", 2]]), 2 * n),
        int.number(json!([["code", "200", 0]]), 3 * n),
        int.number(json!([["code", "200", 3]]), 4 * n),
        with(elsewhere.number(none(), 5 * n), scope),
        counter("counter.double", "s", "").number(every_type(), 0.1 * x),
        up_down("up_down.int", "").number(every_type(), -LARGE * round),
        up_down("up_down.double", "").number(none(), -0.1 * total),
        counter("observed.counter.int", "1", "").number(every_type(), LARGE * n),
        counter("observed.counter.double", "1", "").number(none(), 0.1 * x),
        up_down("observed.up_down.int", "1").number(none(), -LARGE * round),
        up_down("observed.up_down.double", "1").number(none(), -0.1 * total),
    ]
}

fn gauges<'a>(round: i64, metric: &New<'a>) -> Vec<Value> {
    let gauge = |name, unit| metric(name, MetricType::Gauge, unit, "");
    let mut points = vec![
        gauge("gauge.unsigned", "").number(every_type(), i64::MAX),
        gauge("observed.gauge.unsigned", "1").number(none(), 7 * round),
        gauge("observed.gauge.int", "1").number(none(), -LARGE * round),
        gauge("observed.gauge.double", "1").number(json!([["a", "true", 1]]), -0.1 * round as f64),
    ];
    points.extend(INTS.map(|value| {
        let attributes = json!([["value", value.to_string(), 2]]);
        gauge("gauge.int", "By").number(attributes, value)
    }));
    let texts = [
        "0.1",
        "-0",
        "5e-324",
        "1.7976931348623157e+308",
        "-1.7976931348623157e+308",
    ];
    points.extend(DOUBLES.into_iter().zip(texts).map(|(value, text)| {
        let attributes = json!([["value", text, 3]]);
        gauge("gauge.double", "").number(attributes, value)
    }));
    points
}

fn histograms<'a>(preference: Temporality, round: i64, metric: &New<'a>) -> Vec<Value> {
    let (temporality, n) = counted(preference, round);
    let x = n as f64;
    let histogram = |name, unit, description| Metric {
        temporality,
        ..metric(name, MetricType::Histogram, unit, description)
    };
    let double = histogram("histogram.double", "ms", "with bounds");
    let bounds = all_bits(&BOUNDS);
    let own_bounds = [
        0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0,
        7500.0, 10000.0,
    ];
    vec![
        double.distribution(
            every_type(),
            1010.75 * x,
            [-2.0, 1000.0],
            json!({"count": 5 * n, "bounds": bounds, "counts": [n, 2 * n, n, n]}),
        ),
        double.distribution(
            none(),
            10.5 * x,
            [10.5, 10.5],
            json!({"count": n, "bounds": bounds, "counts": [0, 0, n, 0]}),
        ),
        histogram("histogram.int", "", "").distribution(
            none(),
            20_011.0 * x,
            [1.0, 20_000.0],
            json!({
                "count": 3 * n,
                "bounds": all_bits(&own_bounds),
                "counts": [0, n, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n],
            }),
        ),
        histogram("histogram.bare", "", "").point(
            none(),
            json!({"count": n, "sum": bits(0.5 * x), "given": 1}),
        ),
    ]
}

fn exponential_histograms<'a>(preference: Temporality, round: i64, metric: &New<'a>) -> Vec<Value> {
    let (temporality, n) = counted(preference, round);
    let x = n as f64;
    let histogram = |name, unit, description| Metric {
        temporality,
        ..metric(name, MetricType::ExponentialHistogram, unit, description)
    };
    let fine_bucket = (1.5f64.log2() * f64::from(1 << 20)) as i32;
    vec![
        // Buckets from -2, each twice as wide as the one before: (0.25, 0.5], ..., (2, 4]; and (4, 8].
        histogram("exponential.coarse", "s", "powers of two").distribution(
            every_type(),
            1.375 * x,
            [-5.0, 3.0],
            json!({
                "count": 6 * n,
                "zero_count": n,
                "positive": [-2, [n, 0, 2 * n, n]],
                "negative": [2, [n]],
            }),
        ),
        histogram("exponential.fine", "", "").distribution(
            none(),
            1.5 * x,
            [1.5, 1.5],
            json!({"count": n, "scale": 20, "positive": [fine_bucket, [n]]}),
        ),
        // 1 and 2^62 in no more than four buckets: each is 2^32 times as wide as the one before.
        histogram("exponential.narrow", "", "").distribution(
            none(),
            ((1u64 << 62) + 1) as f64 * x,
            [1.0, (1u64 << 62) as f64],
            json!({"count": 2 * n, "scale": -5, "positive": [-1, [n, 0, n]]}),
        ),
    ]
}
