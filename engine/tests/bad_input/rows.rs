//! Requests of each signal with good rows and rows that are bad by themselves. The good ones have one
//! name, the bad ones another.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use crate::support::signals::{LOGS, METRICS, Signal, TRACES, new_name};

/// A request with good rows and bad ones.
pub(crate) struct Mixed {
    pub(crate) signal: &'static Signal,
    /// What is wrong with the bad rows.
    pub(crate) fault: &'static str,
    /// What their sender is told, in part.
    pub(crate) told: &'static str,
    pub(crate) good: String,
    pub(crate) bad: String,
    pub(crate) good_rows: usize,
    pub(crate) bad_rows: i64,
    pub(crate) protobuf: Vec<u8>,
}

/// Stands in for bytes that are not UTF-8 until a request is encoded.
const NOT_UTF8: &str = "@@";

/// Unix nanoseconds.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("a clock after 1970").as_nanos() as u64
}

fn mixed(
    signal: &'static Signal,
    fault: &'static str,
    told: &'static str,
    bad_rows: i64,
    request: impl FnOnce(&str, &str) -> Vec<u8>,
) -> Mixed {
    let (good, bad) = (new_name(), new_name());
    let mut protobuf = request(&good, &bad);
    while let Some(place) = protobuf
        .windows(2)
        .position(|pair| pair == NOT_UTF8.as_bytes())
    {
        protobuf[place..place + 2].copy_from_slice(b"\xff\xfe");
    }
    Mixed {
        signal,
        fault,
        told,
        good,
        bad,
        good_rows: 2,
        bad_rows,
        protobuf,
    }
}

/// Every fault of a row, of each signal.
pub(crate) fn bad_rows() -> Vec<Mixed> {
    let mut all = Vec::new();
    for (fault, told, spoil) in BAD_SPANS {
        all.push(mixed(&TRACES, fault, told, 1, |good, bad| {
            let mut span = span(bad);
            spoil(&mut span);
            traces(vec![span_group(vec![
                self::span(good),
                span,
                self::span(good),
            ])])
        }));
    }
    for (fault, told, spoil) in BAD_RECORDS {
        all.push(mixed(&LOGS, fault, told, 1, |good, bad| {
            let mut record = record(bad);
            spoil(&mut record);
            logs(vec![log_group(vec![
                self::record(good),
                record,
                self::record(good),
            ])])
        }));
    }
    for (fault, told, spoil) in BAD_METRICS {
        all.push(mixed(&METRICS, fault, told, 2, |good, bad| {
            let mut metric = metric(bad);
            spoil(&mut metric);
            metrics(vec![metric_group(vec![self::metric(good), metric])])
        }));
    }
    for (fault, told, spoil) in BAD_GROUPS {
        all.push(mixed(&TRACES, fault, told, 2, |good, bad| {
            let mut group = span_group(vec![span(bad), span(bad)]);
            let scope = group.scope_spans[0].scope.get_or_insert_default();
            let resource = group.resource.get_or_insert_default();
            spoil(resource, scope, &mut group.schema_url);
            let good = || span_group(vec![span(good)]);
            traces(vec![good(), group, good()])
        }));
        all.push(mixed(&LOGS, fault, told, 2, |good, bad| {
            let mut group = log_group(vec![record(bad), record(bad)]);
            let scope = group.scope_logs[0].scope.get_or_insert_default();
            let resource = group.resource.get_or_insert_default();
            spoil(resource, scope, &mut group.schema_url);
            let good = || log_group(vec![record(good)]);
            logs(vec![good(), group, good()])
        }));
        all.push(mixed(&METRICS, fault, told, 2, |good, bad| {
            let mut group = metric_group(vec![metric(bad)]);
            let scope = group.scope_metrics[0].scope.get_or_insert_default();
            let resource = group.resource.get_or_insert_default();
            spoil(resource, scope, &mut group.schema_url);
            metrics(vec![metric_group(vec![metric(good)]), group])
        }));
    }
    all.push(mixed(
        &METRICS,
        "a bad point between two good ones of its metric",
        UTF8,
        1,
        |good, _| {
            let mut metric = metric(good);
            let Some(Data::Gauge(gauge)) = &mut metric.data else {
                unreachable!("it is a gauge")
            };
            let mut point = gauge.data_points[0].clone();
            point.attributes = text_attribute(NOT_UTF8, "value");
            gauge.data_points.insert(1, point);
            metrics(vec![metric_group(vec![metric])])
        },
    ));
    all
}

/// One request of each signal whose bad row has the time `at`.
pub(crate) fn rows_at(at: u64) -> [Mixed; 3] {
    [
        mixed(
            &TRACES,
            "time",
            "span.start_time_unix_nano",
            1,
            |good, bad| {
                let bad = Span {
                    start_time_unix_nano: at,
                    ..span(bad)
                };
                traces(vec![span_group(vec![span(good), bad, span(good)])])
            },
        ),
        mixed(
            &LOGS,
            "time",
            "log_record.time_unix_nano",
            1,
            |good, bad| {
                let bad = LogRecord {
                    time_unix_nano: at,
                    ..record(bad)
                };
                logs(vec![log_group(vec![record(good), bad, record(good)])])
            },
        ),
        mixed(
            &METRICS,
            "time",
            "data_point.time_unix_nano",
            2,
            |good, bad| {
                let mut bad = metric(bad);
                if let Some(Data::Gauge(gauge)) = &mut bad.data {
                    for point in &mut gauge.data_points {
                        point.time_unix_nano = at;
                    }
                }
                metrics(vec![metric_group(vec![metric(good), bad])])
            },
        ),
    ]
}

/// A good request of each signal, with two rows of this name.
pub(crate) fn good_rows(name: &str) -> [(&'static Signal, Vec<u8>); 3] {
    [
        (
            &TRACES,
            traces(vec![span_group(vec![span(name), span(name)])]),
        ),
        (
            &LOGS,
            logs(vec![log_group(vec![record(name), record(name)])]),
        ),
        (&METRICS, metrics(vec![metric_group(vec![metric(name)])])),
    ]
}

const UTF8: &str = "not valid UTF-8";
const DEEP: &str = "nested deeper than 32 levels";

/// A fault: what it is, what its sender is told, and how to make it.
type Fault<T> = (&'static str, &'static str, fn(&mut T));

const BAD_SPANS: &[Fault<Span>] = &[
    ("no trace id", "span.trace_id has 0 bytes", |span| {
        span.trace_id.clear()
    }),
    (
        "a trace id of 15 bytes",
        "span.trace_id has 15 bytes",
        |span| {
            span.trace_id.truncate(15);
        },
    ),
    (
        "a trace id of 17 bytes",
        "span.trace_id has 17 bytes",
        |span| span.trace_id.push(1),
    ),
    ("a trace id in hex", "span.trace_id has 32 bytes", |span| {
        span.trace_id = vec![b'a'; 32];
    }),
    (
        "a trace id of zeros",
        "span.trace_id is all zeros",
        |span| span.trace_id.fill(0),
    ),
    ("no span id", "span.span_id has 0 bytes", |span| {
        span.span_id.clear()
    }),
    ("a span id of 7 bytes", "span.span_id has 7 bytes", |span| {
        span.span_id.truncate(7)
    }),
    ("a span id of 9 bytes", "span.span_id has 9 bytes", |span| {
        span.span_id.push(1)
    }),
    ("a span id of zeros", "span.span_id is all zeros", |span| {
        span.span_id.fill(0)
    }),
    (
        "a parent id of 4 bytes",
        "span.parent_span_id has 4 bytes",
        |span| {
            span.parent_span_id = vec![1; 4];
        },
    ),
    (
        "a parent id of 16 bytes",
        "span.parent_span_id has 16 bytes",
        |span| {
            span.parent_span_id = vec![1; 16];
        },
    ),
    (
        "a link with a trace id of 15 bytes",
        "link.trace_id has 15 bytes",
        |span| {
            span.links = vec![link(15, 8)];
        },
    ),
    (
        "a link with a span id of 9 bytes",
        "link.span_id has 9 bytes",
        |span| {
            span.links = vec![link(16, 9)];
        },
    ),
    ("arrays nested 33 levels", DEEP, |span| {
        span.attributes = deep(nested_arrays(33))
    }),
    ("maps nested 33 levels", DEEP, |span| {
        span.attributes = deep(nested_maps(33))
    }),
    ("arrays nested 1,000 levels", DEEP, |span| {
        span.attributes = deep(nested_arrays(1000))
    }),
    ("maps too deep in an event", DEEP, |span| {
        span.events = vec![Event {
            attributes: deep(nested_maps(33)),
            ..Event::default()
        }];
    }),
    ("a name that is not UTF-8", UTF8, |span| {
        span.name.push_str(NOT_UTF8)
    }),
    ("a trace state that is not UTF-8", UTF8, |span| {
        span.trace_state = NOT_UTF8.into()
    }),
    ("a status that is not UTF-8", UTF8, |span| {
        span.status = Some(Status {
            message: NOT_UTF8.into(),
            code: 2,
        });
    }),
    ("a key that is not UTF-8", UTF8, |span| {
        span.attributes = text_attribute(NOT_UTF8, "")
    }),
    ("a value that is not UTF-8", UTF8, |span| {
        span.attributes = text_attribute("key", NOT_UTF8);
    }),
    ("an event's name that is not UTF-8", UTF8, |span| {
        span.events = vec![Event {
            name: NOT_UTF8.into(),
            ..Event::default()
        }];
    }),
];

const BAD_RECORDS: &[Fault<LogRecord>] = &[
    ("a body that is not UTF-8", UTF8, |record| {
        record.body = Some(text_value(NOT_UTF8));
    }),
    ("a severity that is not UTF-8", UTF8, |record| {
        record.severity_text = NOT_UTF8.into()
    }),
    ("an event name that is not UTF-8", UTF8, |record| {
        record.event_name.push_str(NOT_UTF8)
    }),
    ("a key that is not UTF-8", UTF8, |record| {
        record.attributes = text_attribute(NOT_UTF8, "");
    }),
    ("a body nested 33 levels", DEEP, |record| {
        record.body = Some(AnyValue {
            value: Some(nested_maps(33)),
        });
    }),
    ("an attribute nested 33 levels", DEEP, |record| {
        record.attributes = deep(nested_arrays(33));
    }),
];

const BAD_METRICS: &[Fault<Metric>] = &[
    ("a name that is not UTF-8", UTF8, |metric| {
        metric.name.push_str(NOT_UTF8)
    }),
    ("a unit that is not UTF-8", UTF8, |metric| {
        metric.unit = NOT_UTF8.into()
    }),
    ("metadata that is not UTF-8", UTF8, |metric| {
        metric.metadata = text_attribute("key", NOT_UTF8);
    }),
    ("points with a key that is not UTF-8", UTF8, |metric| {
        for point in points(metric) {
            point.attributes = text_attribute(NOT_UTF8, "");
        }
    }),
    (
        "points with an attribute nested 33 levels",
        DEEP,
        |metric| {
            for point in points(metric) {
                point.attributes = deep(nested_maps(33));
            }
        },
    ),
    (
        "exemplars with an attribute nested 33 levels",
        DEEP,
        |metric| {
            for point in points(metric) {
                point.exemplars = vec![Exemplar {
                    filtered_attributes: deep(nested_arrays(33)),
                    ..Exemplar::default()
                }];
            }
        },
    ),
];

type SpoilGroup = fn(&mut Resource, &mut InstrumentationScope, &mut String);

/// What rows share and is bad costs them all, and no others.
const BAD_GROUPS: &[(&str, &str, SpoilGroup)] = &[
    (
        "a resource's key that is not UTF-8",
        UTF8,
        |resource, _, _| {
            resource.attributes = text_attribute(NOT_UTF8, "");
        },
    ),
    (
        "a resource's value that is not UTF-8",
        UTF8,
        |resource, _, _| {
            resource.attributes = text_attribute("key", NOT_UTF8);
        },
    ),
    (
        "a resource's attribute nested 33 levels",
        DEEP,
        |resource, _, _| {
            resource.attributes = deep(nested_maps(33));
        },
    ),
    (
        "a schema URL that is not UTF-8",
        UTF8,
        |_, _, schema_url| {
            *schema_url = NOT_UTF8.into();
        },
    ),
    ("a scope's name that is not UTF-8", UTF8, |_, scope, _| {
        scope.name = NOT_UTF8.into()
    }),
    (
        "a scope's version that is not UTF-8",
        UTF8,
        |_, scope, _| {
            scope.version = NOT_UTF8.into();
        },
    ),
    (
        "a scope's attribute nested 33 levels",
        DEEP,
        |_, scope, _| {
            scope.attributes = deep(nested_arrays(33));
        },
    ),
];

fn span(name: &str) -> Span {
    Span {
        trace_id: vec![5; 16],
        span_id: vec![7; 8],
        name: name.into(),
        start_time_unix_nano: now(),
        end_time_unix_nano: now(),
        ..Span::default()
    }
}

fn record(name: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: now(),
        event_name: name.into(),
        ..LogRecord::default()
    }
}

/// A gauge with two points.
fn metric(name: &str) -> Metric {
    let point = |host: &str| NumberDataPoint {
        time_unix_nano: now(),
        attributes: text_attribute("host", host),
        ..NumberDataPoint::default()
    };
    Metric {
        name: name.into(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![point("a"), point("b")],
        })),
        ..Metric::default()
    }
}

fn points(metric: &mut Metric) -> &mut [NumberDataPoint] {
    match &mut metric.data {
        Some(Data::Gauge(gauge)) => &mut gauge.data_points,
        _ => unreachable!("it is a gauge"),
    }
}

fn span_group(spans: Vec<Span>) -> ResourceSpans {
    ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn log_group(log_records: Vec<LogRecord>) -> ResourceLogs {
    ResourceLogs {
        scope_logs: vec![ScopeLogs {
            log_records,
            ..ScopeLogs::default()
        }],
        ..ResourceLogs::default()
    }
}

fn metric_group(metrics: Vec<Metric>) -> ResourceMetrics {
    ResourceMetrics {
        scope_metrics: vec![ScopeMetrics {
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }
}

fn traces(resource_spans: Vec<ResourceSpans>) -> Vec<u8> {
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn logs(resource_logs: Vec<ResourceLogs>) -> Vec<u8> {
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn metrics(resource_metrics: Vec<ResourceMetrics>) -> Vec<u8> {
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn link(trace_id_bytes: usize, span_id_bytes: usize) -> Link {
    Link {
        trace_id: vec![1; trace_id_bytes],
        span_id: vec![1; span_id_bytes],
        ..Link::default()
    }
}

fn text_value(text: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(text.into())),
    }
}

fn text_attribute(key: &str, value: &str) -> Vec<KeyValue> {
    vec![KeyValue {
        key: key.into(),
        value: Some(text_value(value)),
        ..KeyValue::default()
    }]
}

fn deep(value: Value) -> Vec<KeyValue> {
    vec![attribute(value)]
}

fn attribute(value: Value) -> KeyValue {
    KeyValue {
        key: "key".into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn nested_arrays(levels: usize) -> Value {
    (0..levels).fold(Value::BoolValue(true), |value, _| {
        Value::ArrayValue(ArrayValue {
            values: vec![AnyValue { value: Some(value) }],
        })
    })
}

fn nested_maps(levels: usize) -> Value {
    (0..levels).fold(Value::BoolValue(true), |value, _| {
        Value::KvlistValue(KeyValueList {
            values: vec![attribute(value)],
        })
    })
}
