//! Makes the requests of a history: small OTLP bodies of all signals whose rows can be told apart.

use std::time::UNIX_EPOCH;

use fastrand::Rng;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::ledger::{Ledger, RowId};
use crate::decode::Signal;
use crate::reactor::Reactor;
use crate::reactor::sim::Sim;

const NANOS_A_SECOND: u64 = 1_000_000_000;
/// Resources that there are at most.
const RESOURCES: u32 = 12;

/// A request that is entered in the ledger.
pub(super) struct Made {
    pub(super) number: usize,
    pub(super) signal: Signal,
    pub(super) body: Vec<u8>,
}

/// The name that the row with this number has.
pub(super) fn name_of(row: RowId) -> String {
    format!("row {row}")
}

/// Makes a request of one to a few resources with some rows each, and enters it.
pub(super) fn make(ledger: &Ledger, random: &mut Rng) -> Made {
    let signal = Signal::ALL[random.usize(..Signal::ALL.len())];
    let mut rows = Vec::new();
    let resources = if random.u8(..4) == 0 { 3 } else { 1 };
    let groups: Vec<_> = (0..resources)
        .map(|_| {
            let times = (0..random.usize(1..=4)).map(|_| {
                let time = time(random);
                let row = ledger.borrow_mut().new_row();
                rows.push((row, partition(time)));
                (row, time)
            });
            let times: Vec<_> = times.collect();
            (resource(random), times)
        })
        .collect();
    let body = match signal {
        Signal::Traces => traces(groups),
        Signal::Logs => logs(groups),
        Signal::Metrics => metrics(groups, random),
    };
    let number = ledger.borrow_mut().enter(signal, rows);
    Made {
        number,
        signal,
        body,
    }
}

/// Now; sometimes days ago, so that a request reaches into other partitions.
fn time(random: &mut Rng) -> u64 {
    let now = Sim::wall().duration_since(UNIX_EPOCH).unwrap();
    let ago = match random.u8(..40) {
        0 | 1 => 86_400 * random.u64(1..3),
        _ => 0,
    };
    now.as_nanos() as u64 - ago * NANOS_A_SECOND
}

/// By days, as the tables are.
fn partition(time: u64) -> u32 {
    (time / NANOS_A_SECOND / 86_400) as u32
}

type Group = (Resource, Vec<(RowId, u64)>);

fn traces(groups: Vec<Group>) -> Vec<u8> {
    let of = |(resource, rows): Group| {
        let spans = rows.into_iter().map(|(row, time)| Span {
            trace_id: vec![1; 16],
            span_id: row.to_be_bytes().to_vec(),
            name: name_of(row),
            start_time_unix_nano: time,
            end_time_unix_nano: time + row,
            ..Span::default()
        });
        ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    };
    let resource_spans = groups.into_iter().map(of).collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn logs(groups: Vec<Group>) -> Vec<u8> {
    let of = |(resource, rows): Group| {
        let records = rows.into_iter().map(|(row, time)| LogRecord {
            trace_id: vec![1; 16],
            span_id: row.to_be_bytes().to_vec(),
            body: Some(text(&name_of(row))),
            time_unix_nano: time,
            ..LogRecord::default()
        });
        ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![ScopeLogs {
                log_records: records.collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }
    };
    let resource_logs = groups.into_iter().map(of).collect();
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// The number of the row is the value of its point.
fn metrics(groups: Vec<Group>, random: &mut Rng) -> Vec<u8> {
    let of = |(resource, rows): Group| {
        let points = rows.into_iter().map(|(row, time)| NumberDataPoint {
            attributes: vec![attribute("queue", &format!("q{}", random.u8(..6)))],
            time_unix_nano: time,
            value: Some(number_data_point::Value::AsInt(row as i64)),
            ..NumberDataPoint::default()
        });
        let gauge = Gauge {
            data_points: points.collect(),
        };
        ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: "rows".into(),
                    data: Some(metric::Data::Gauge(gauge)),
                    ..Metric::default()
                }],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }
    };
    let resource_metrics = groups.into_iter().map(of).collect();
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn resource(random: &mut Rng) -> Resource {
    // Few come often and many seldom, so that new ones turn up all the time.
    let number = random.u32(..RESOURCES).min(random.u32(..RESOURCES));
    let mut attributes = vec![
        attribute("service.name", &format!("service {}", number % 4)),
        attribute("host.name", &format!("host {number}")),
    ];
    if random.u8(..50) == 0 {
        attributes.push(attribute("note", &"long ".repeat(random.usize(..2_000))));
    }
    Resource {
        attributes,
        ..Resource::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(text(value)),
        ..KeyValue::default()
    }
}

fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(value.into())),
    }
}
