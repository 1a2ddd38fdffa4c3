//! What makes all points of a metric bad.

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric};

use super::{Fault, too_deep};
use crate::decode::tests::texts::each_point;

pub(in crate::decode::tests) const FAULTS: &[Fault<Metric>] = &[
    |metric| metric.metadata.push(too_deep()),
    |metric| each_point!(metric, |point| point.attributes.push(too_deep())),
    |metric| each_point!(metric, |point| point.time_unix_nano = u64::MAX),
    with_bad_exemplars,
];

fn with_bad_exemplars(metric: &mut Metric) {
    let exemplar = || Exemplar {
        filtered_attributes: vec![too_deep()],
        ..Exemplar::default()
    };
    match &mut metric.data {
        Some(Data::Gauge(data)) => data
            .data_points
            .iter_mut()
            .for_each(|point| point.exemplars.push(exemplar())),
        Some(Data::Histogram(data)) => data
            .data_points
            .iter_mut()
            .for_each(|point| point.exemplars.insert(0, exemplar())),
        Some(Data::ExponentialHistogram(data)) => data
            .data_points
            .iter_mut()
            .for_each(|point| point.exemplars.push(exemplar())),
        _ => metric.metadata.push(too_deep()),
    }
}
