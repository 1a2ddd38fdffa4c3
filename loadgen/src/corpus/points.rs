//! The points of a family of series: each keeps what its SDK would keep between two exports.

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint,
    exemplar,
};

use super::random::{chance, log_normal, span_id, trace_id};
use super::values::text;

/// The bounds that the semantic conventions advise for durations in seconds.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// 2^4 buckets for each doubling.
const SCALE: i32 = 4;
/// Measurements that are drawn for one point; each stands for as many as there are more.
const DRAWN_MAX: u64 = 48;
const SIGMA: f64 = 0.7;
const QUANTILES: [(f64, f64); 5] = [(0.0, 0.2), (0.25, 0.6), (0.5, 1.0), (0.75, 1.6), (1.0, 6.0)];

/// What a family's points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    IntGauge,
    Counter,
    FloatCounter,
    UpDown,
    Histogram,
    Exponential,
    Summary,
}

/// A metric of one instance.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) kind: Kind,
    pub(super) series: Vec<Series>,
}

/// A series and what it has counted.
#[derive(Debug)]
pub(super) struct Series {
    attributes: Vec<KeyValue>,
    /// What a gauge hovers about, or what is counted in a second.
    level: f64,
    /// Of what a histogram measures, in its unit.
    median: f64,
    counted: Counted,
}

#[derive(Debug, Default, Clone)]
struct Counted {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// Of an explicit histogram, or of an exponential one from `offset` on.
    buckets: Vec<u64>,
    offset: i32,
}

/// When a point is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) start: u64,
    pub(super) time: u64,
    /// Since the last one.
    pub(super) seconds: f64,
    /// Counts begin anew with each point.
    pub(super) delta: bool,
}

impl Family {
    /// The process began anew.
    pub(super) fn reset(&mut self) {
        for series in &mut self.series {
            series.counted = Counted::default();
        }
    }

    /// One point of each series.
    pub(super) fn metric(&mut self, random: &mut Rng, moment: Moment) -> Metric {
        let kind = self.kind;
        // What goes up and down is never sent as a difference.
        let delta = moment.delta && kind != Kind::UpDown;
        let temporality = if delta {
            AggregationTemporality::Delta
        } else {
            AggregationTemporality::Cumulative
        } as i32;
        let series = &mut self.series;
        for series in series.iter_mut() {
            if delta {
                series.counted = Counted::default();
            }
            series.measure(random, kind, moment.seconds);
        }
        let data = match kind {
            Kind::Gauge | Kind::IntGauge => Data::Gauge(Gauge {
                data_points: series
                    .iter()
                    .map(|series| NumberDataPoint {
                        start_time_unix_nano: 0,
                        ..series.number(random, kind, moment)
                    })
                    .collect(),
            }),
            Kind::Counter | Kind::FloatCounter | Kind::UpDown => Data::Sum(Sum {
                data_points: series
                    .iter()
                    .map(|series| series.number(random, kind, moment))
                    .collect(),
                aggregation_temporality: temporality,
                is_monotonic: kind != Kind::UpDown,
            }),
            Kind::Histogram => Data::Histogram(Histogram {
                data_points: series
                    .iter()
                    .map(|series| series.histogram(random, moment))
                    .collect(),
                aggregation_temporality: temporality,
            }),
            Kind::Exponential => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: series
                    .iter()
                    .map(|series| series.exponential(random, moment))
                    .collect(),
                aggregation_temporality: temporality,
            }),
            Kind::Summary => Data::Summary(Summary {
                data_points: series
                    .iter()
                    .map(|series| series.summary(random, moment))
                    .collect(),
            }),
        };
        Metric {
            name: self.name.clone(),
            description: format!("Measured as {}", self.name.replace(['.', '_'], " ")),
            unit: self.unit.into(),
            data: Some(data),
            ..Metric::default()
        }
    }
}

impl Series {
    pub(super) fn new(attributes: Vec<KeyValue>, level: f64, median: f64) -> Self {
        Series {
            attributes,
            level,
            median,
            counted: Counted::default(),
        }
    }

    fn measure(&mut self, random: &mut Rng, kind: Kind, seconds: f64) {
        let counted = &mut self.counted;
        match kind {
            // Gauges wander about their level.
            Kind::Gauge | Kind::IntGauge | Kind::UpDown => {
                let before = if counted.count == 0 {
                    self.level
                } else {
                    counted.sum
                };
                let pulled = before + 0.2 * (self.level - before);
                counted.sum = log_normal(random, pulled, 0.08);
                counted.count = 1;
            }
            Kind::Counter => counted.count += events(random, self.level * seconds),
            Kind::FloatCounter => counted.sum += log_normal(random, self.level * seconds, 0.3),
            Kind::Histogram | Kind::Exponential | Kind::Summary => {
                let events = events(random, self.level * seconds);
                let drawn = events.min(DRAWN_MAX);
                for index in 0..drawn {
                    let weight = events / drawn + u64::from(index < events % drawn);
                    counted.add(log_normal(random, self.median, SIGMA), weight, kind);
                }
            }
        }
    }

    fn number(&self, random: &mut Rng, kind: Kind, moment: Moment) -> NumberDataPoint {
        let counted = &self.counted;
        let value = match kind {
            Kind::Counter => Value::AsInt(counted.count as i64),
            Kind::IntGauge | Kind::UpDown => Value::AsInt(counted.sum as i64),
            _ => Value::AsDouble(counted.sum),
        };
        let is_counter = kind == Kind::Counter && chance(random, 0.05);
        NumberDataPoint {
            attributes: self.attributes.clone(),
            start_time_unix_nano: moment.start,
            time_unix_nano: moment.time,
            value: Some(value),
            exemplars: is_counter
                .then(|| exemplar(random, moment, 1.0))
                .into_iter()
                .collect(),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(&self, random: &mut Rng, moment: Moment) -> HistogramDataPoint {
        let counted = &self.counted;
        let mut bucket_counts = counted.buckets.clone();
        bucket_counts.resize(BOUNDS.len() + 1, 0);
        HistogramDataPoint {
            attributes: self.attributes.clone(),
            start_time_unix_nano: moment.start,
            time_unix_nano: moment.time,
            count: counted.count,
            sum: Some(counted.sum),
            bucket_counts,
            explicit_bounds: BOUNDS.to_vec(),
            exemplars: self.exemplars(random, moment),
            min: (counted.count > 0).then_some(counted.min),
            max: (counted.count > 0).then_some(counted.max),
            ..HistogramDataPoint::default()
        }
    }

    fn exponential(&self, random: &mut Rng, moment: Moment) -> ExponentialHistogramDataPoint {
        let counted = &self.counted;
        ExponentialHistogramDataPoint {
            attributes: self.attributes.clone(),
            start_time_unix_nano: moment.start,
            time_unix_nano: moment.time,
            count: counted.count,
            sum: Some(counted.sum),
            scale: SCALE,
            positive: Some(Buckets {
                offset: counted.offset,
                bucket_counts: counted.buckets.clone(),
            }),
            negative: Some(Buckets::default()),
            exemplars: self.exemplars(random, moment),
            min: (counted.count > 0).then_some(counted.min),
            max: (counted.count > 0).then_some(counted.max),
            ..ExponentialHistogramDataPoint::default()
        }
    }

    fn summary(&self, random: &mut Rng, moment: Moment) -> SummaryDataPoint {
        let quantile_values = QUANTILES.map(|(quantile, factor)| ValueAtQuantile {
            quantile,
            value: log_normal(random, self.median * factor, 0.05),
        });
        SummaryDataPoint {
            attributes: self.attributes.clone(),
            start_time_unix_nano: moment.start,
            time_unix_nano: moment.time,
            count: self.counted.count,
            sum: self.counted.sum,
            quantile_values: quantile_values.to_vec(),
            ..SummaryDataPoint::default()
        }
    }

    /// None for most points, else one or two.
    fn exemplars(&self, random: &mut Rng, moment: Moment) -> Vec<Exemplar> {
        if self.counted.count == 0 || !chance(random, 0.25) {
            return Vec::new();
        }
        let count = random.usize(1..=2);
        let drawn = (0..count).map(|_| {
            let value = log_normal(random, self.median, SIGMA);
            exemplar(random, moment, value)
        });
        drawn.collect()
    }
}

impl Counted {
    fn add(&mut self, value: f64, weight: u64, kind: Kind) {
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += weight;
        self.sum += value * weight as f64;
        match kind {
            Kind::Histogram => {
                self.buckets.resize(BOUNDS.len() + 1, 0);
                self.buckets[BOUNDS.partition_point(|bound| *bound < value)] += weight;
            }
            Kind::Exponential => {
                let index = (value.log2() * f64::from(1 << SCALE)).ceil() as i32 - 1;
                if self.buckets.is_empty() {
                    self.offset = index;
                }
                let missing = (self.offset - index).max(0) as usize;
                self.buckets.splice(..0, std::iter::repeat_n(0, missing));
                self.offset = self.offset.min(index);
                let place = (index - self.offset) as usize;
                self.buckets.resize(self.buckets.len().max(place + 1), 0);
                self.buckets[place] += weight;
            }
            _ => {}
        }
    }
}

/// How many events happened where `mean` were to be expected.
fn events(random: &mut Rng, mean: f64) -> u64 {
    let spread = mean.sqrt() * (random.f64() + random.f64() + random.f64() - 1.5) * 2.0;
    (mean + spread).round().max(0.0) as u64
}

fn exemplar(random: &mut Rng, moment: Moment, value: f64) -> Exemplar {
    let earlier = (random.f64() * moment.seconds * 1e9) as u64;
    let filtered =
        chance(random, 0.2).then(|| text("user.id", format!("u-{:07}", random.u32(..50_000))));
    Exemplar {
        filtered_attributes: filtered.into_iter().collect(),
        time_unix_nano: moment.time - earlier,
        span_id: span_id(random),
        trace_id: trace_id(random),
        value: Some(exemplar::Value::AsDouble(value)),
    }
}
