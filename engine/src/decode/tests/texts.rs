//! Visits every text of a request that is stored.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::tree::{Group, ScopeGroup, Telemetry};

/// What is done with each text.
type Visit<'a> = &'a mut dyn FnMut(&mut String);

/// Does `$do` with every point of a metric; the points' types have equal fields, but share no trait.
macro_rules! each_point {
    ($metric:expr, |$point:ident| $do:expr) => {{
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        match &mut $metric.data {
            None => {}
            Some(Data::Gauge(data)) => data.data_points.iter_mut().for_each(|$point| $do),
            Some(Data::Sum(data)) => data.data_points.iter_mut().for_each(|$point| $do),
            Some(Data::Histogram(data)) => data.data_points.iter_mut().for_each(|$point| $do),
            Some(Data::ExponentialHistogram(data)) => {
                data.data_points.iter_mut().for_each(|$point| $do);
            }
            Some(Data::Summary(data)) => data.data_points.iter_mut().for_each(|$point| $do),
        }
    }};
}
pub(super) use each_point;

/// The exemplars of all points.
macro_rules! with_exemplars {
    ($data:expr) => {
        $data
            .data_points
            .iter_mut()
            .flat_map(|point| &mut point.exemplars)
            .collect()
    };
}

pub(super) fn texts<S: Telemetry>(groups: &mut [Group<S::Item>], visit: Visit<'_>) {
    groups
        .iter_mut()
        .for_each(|group| group_texts::<S>(group, visit));
}

pub(super) fn group_texts<S: Telemetry>(group: &mut Group<S::Item>, visit: Visit<'_>) {
    visit(&mut group.schema_url);
    if let Some(resource) = &mut group.resource {
        attributes(&mut resource.attributes, visit);
    }
    for below in &mut group.scopes {
        scope_texts::<S>(below, visit);
    }
}

pub(super) fn scope_texts<S: Telemetry>(below: &mut ScopeGroup<S::Item>, visit: Visit<'_>) {
    visit(&mut below.schema_url);
    if let Some(scope) = &mut below.scope {
        visit(&mut scope.name);
        visit(&mut scope.version);
        attributes(&mut scope.attributes, visit);
    }
    below
        .items
        .iter_mut()
        .for_each(|item| S::texts(item, visit));
}

pub(super) fn spans(span: &mut Span, visit: Visit<'_>) {
    visit(&mut span.name);
    visit(&mut span.trace_state);
    attributes(&mut span.attributes, visit);
    for event in &mut span.events {
        visit(&mut event.name);
        attributes(&mut event.attributes, visit);
    }
    for link in &mut span.links {
        visit(&mut link.trace_state);
        attributes(&mut link.attributes, visit);
    }
    if let Some(status) = &mut span.status {
        visit(&mut status.message);
    }
}

pub(super) fn logs(record: &mut LogRecord, visit: Visit<'_>) {
    visit(&mut record.severity_text);
    visit(&mut record.event_name);
    if let Some(body) = &mut record.body {
        value(body, visit);
    }
    attributes(&mut record.attributes, visit);
}

pub(super) fn metrics(metric: &mut Metric, visit: Visit<'_>) {
    visit(&mut metric.name);
    visit(&mut metric.unit);
    visit(&mut metric.description);
    attributes(&mut metric.metadata, visit);
    each_point!(metric, |point| attributes(&mut point.attributes, visit));
    let exemplars: Vec<&mut Exemplar> = match &mut metric.data {
        None | Some(Data::Summary(_)) => Vec::new(),
        Some(Data::Gauge(data)) => with_exemplars!(data),
        Some(Data::Sum(data)) => with_exemplars!(data),
        Some(Data::Histogram(data)) => with_exemplars!(data),
        Some(Data::ExponentialHistogram(data)) => with_exemplars!(data),
    };
    for exemplar in exemplars {
        attributes(&mut exemplar.filtered_attributes, visit);
    }
}

fn attributes(attributes: &mut [KeyValue], visit: Visit<'_>) {
    for attribute in attributes {
        visit(&mut attribute.key);
        if let Some(any) = &mut attribute.value {
            value(any, visit);
        }
    }
}

fn value(any: &mut AnyValue, visit: Visit<'_>) {
    match &mut any.value {
        Some(Value::StringValue(text)) => visit(text),
        Some(Value::ArrayValue(array)) => {
            array.values.iter_mut().for_each(|any| value(any, visit));
        }
        Some(Value::KvlistValue(map)) => attributes(&mut map.values, visit),
        _ => {}
    }
}
