//! One round of measurements with every instrument of the SDK. `expected` holds what comes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, Stream};

use crate::attributes::{Attribute, every_type, key_values};

/// No float holds it or its double.
pub(super) const LARGE: i64 = (1 << 60) + 1;
pub(super) const BOUNDS: [f64; 3] = [0.0, 5.0, 10.5];

/// Attributes of every type. Not a number: the SDK would make a new series of it each time.
pub(super) fn attributes() -> Vec<Attribute> {
    let mut attributes = every_type();
    attributes.retain(|(sent, ..)| sent.key.as_str() != "double.nan");
    attributes
}

/// Aggregations that no instrument has by default.
pub(super) fn view(instrument: &Instrument) -> Option<Stream> {
    let exponential = |max_size, max_scale| Aggregation::Base2ExponentialHistogram {
        max_size,
        max_scale,
        record_min_max: true,
    };
    let aggregation = match instrument.name() {
        "histogram.bare" => Aggregation::ExplicitBucketHistogram {
            boundaries: Vec::new(),
            record_min_max: false,
        },
        "exponential.coarse" => exponential(160, 0),
        "exponential.fine" => exponential(160, 20),
        "exponential.narrow" => exponential(4, 0),
        _ => return None,
    };
    let stream = Stream::builder().with_aggregation(aggregation);
    Some(stream.build().expect("a stream"))
}

pub(super) fn measure(meter: &Meter) {
    let every_type = key_values(attributes());
    let counter = meter
        .u64_counter("counter.int")
        .with_unit("{request}")
        .with_description("Answered ☃ requests")
        .build();
    counter.add(1, &[]);
    counter.add(LARGE as u64, &every_type);
    // Three series: types differ, texts do not.
    counter.add(2, &[KeyValue::new("code", 200)]);
    counter.add(3, &[KeyValue::new("code", "200")]);
    counter.add(4, &[KeyValue::new("code", 200.0)]);
    let counter = meter.f64_counter("counter.double").with_unit("s").build();
    counter.add(0.1, &every_type);
    let up_down = meter.i64_up_down_counter("up_down.int").build();
    up_down.add(-LARGE, &every_type);
    let up_down = meter.f64_up_down_counter("up_down.double").build();
    up_down.add(-0.1, &[]);

    let gauge = meter.u64_gauge("gauge.unsigned").build();
    gauge.record(i64::MAX as u64, &every_type);
    let gauge = meter.i64_gauge("gauge.int").with_unit("By").build();
    for value in INTS {
        gauge.record(value, &[KeyValue::new("value", value)]);
    }
    let gauge = meter.f64_gauge("gauge.double").build();
    for value in DOUBLES {
        gauge.record(value, &[KeyValue::new("value", value)]);
    }
    distribute(meter);
}

pub(super) const INTS: [i64; 6] = [0, -1, (1 << 53) + 1, -(1 << 53) - 1, i64::MIN, i64::MAX];
pub(super) const DOUBLES: [f64; 5] = [0.1, -0.0, 5e-324, f64::MAX, f64::MIN];

fn distribute(meter: &Meter) {
    let every_type = key_values(attributes());
    let histogram = meter
        .f64_histogram("histogram.double")
        .with_unit("ms")
        .with_description("with bounds")
        .with_boundaries(BOUNDS.to_vec())
        .build();
    for value in [0.25, 5.0, 7.5, 1000.0, -2.0] {
        histogram.record(value, &every_type);
    }
    histogram.record(10.5, &[]);
    // The SDK's own bounds.
    let histogram = meter.u64_histogram("histogram.int").build();
    for value in [1, 10, 20_000] {
        histogram.record(value, &[]);
    }
    let histogram = meter.f64_histogram("histogram.bare").build();
    histogram.record(0.5, &[]);

    let histogram = meter.f64_histogram("exponential.coarse").with_unit("s");
    let histogram = histogram.with_description("powers of two").build();
    for value in [0.0, 1.5, 1.5, 3.0, 0.375, -5.0] {
        histogram.record(value, &every_type);
    }
    let histogram = meter.f64_histogram("exponential.fine").build();
    histogram.record(1.5, &[]);
    let histogram = meter.u64_histogram("exponential.narrow").build();
    for value in [1, 1 << 62] {
        histogram.record(value, &[]);
    }
}

/// Under a scope of which nothing is known but its name, a metric that the other scope has too.
pub(super) fn measure_elsewhere(meter: &Meter) {
    let counter = meter.u64_counter("counter.int").with_unit("{request}");
    counter.build().add(5, &[]);
}

/// Instruments that are asked in each round.
pub(super) fn observe(meter: &Meter, round: &Arc<AtomicU64>) {
    /// Reports `$value` times the number of the round.
    macro_rules! growing {
        ($instrument:ident, $name:literal, $value:expr, $kind:ty, $attributes:expr) => {
            let (round, attributes) = (Arc::clone(round), $attributes);
            let callback = move |of: &dyn opentelemetry::metrics::AsyncInstrument<$kind>| {
                let round = round.load(Ordering::SeqCst) as $kind;
                of.observe($value * round, &attributes);
            };
            meter
                .$instrument($name)
                .with_unit("1")
                .with_callback(callback)
                .build();
        };
    }
    let every_type = key_values(attributes());
    growing!(
        u64_observable_counter,
        "observed.counter.int",
        LARGE as u64,
        u64,
        every_type
    );
    growing!(
        f64_observable_counter,
        "observed.counter.double",
        0.1,
        f64,
        []
    );
    growing!(
        i64_observable_up_down_counter,
        "observed.up_down.int",
        -LARGE,
        i64,
        []
    );
    growing!(
        f64_observable_up_down_counter,
        "observed.up_down.double",
        -0.1,
        f64,
        []
    );
    growing!(u64_observable_gauge, "observed.gauge.unsigned", 7, u64, []);
    growing!(i64_observable_gauge, "observed.gauge.int", -LARGE, i64, []);
    let a = [KeyValue::new("a", true)];
    growing!(f64_observable_gauge, "observed.gauge.double", -0.1, f64, a);
}
