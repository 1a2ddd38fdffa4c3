//! Writes OTLP/JSON from messages, apart from the engine's own tables, in each of the forms that a sender
//! may choose: which form, dice decide.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fastrand::Rng;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    SummaryDataPoint, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

/// A sender that is not of one mind.
pub(crate) struct Sender(pub(crate) Rng);

impl Sender {
    pub(crate) fn traces(&mut self, request: &ExportTraceServiceRequest) -> Value {
        let resources = list(&request.resource_spans, |of| {
            let scopes = list(&of.scope_spans, |of| {
                let spans = list(&of.spans, |span| self.span(span));
                let scope = self.scope(&of.scope);
                self.object(vec![
                    ("scope", scope),
                    ("spans", spans),
                    ("schemaUrl", json!(of.schema_url)),
                ])
            });
            let resource = self.resource(&of.resource);
            self.object(vec![
                ("resource", resource),
                ("scopeSpans", scopes),
                ("schemaUrl", json!(of.schema_url)),
            ])
        });
        self.object(vec![("resourceSpans", resources)])
    }

    pub(crate) fn logs(&mut self, request: &ExportLogsServiceRequest) -> Value {
        let resources = list(&request.resource_logs, |of| {
            let scopes = list(&of.scope_logs, |of| {
                let records = list(&of.log_records, |record| self.record(record));
                let scope = self.scope(&of.scope);
                self.object(vec![
                    ("scope", scope),
                    ("logRecords", records),
                    ("schemaUrl", json!(of.schema_url)),
                ])
            });
            let resource = self.resource(&of.resource);
            self.object(vec![
                ("resource", resource),
                ("scopeLogs", scopes),
                ("schemaUrl", json!(of.schema_url)),
            ])
        });
        self.object(vec![("resourceLogs", resources)])
    }

    pub(crate) fn metrics(&mut self, request: &ExportMetricsServiceRequest) -> Value {
        let resources = list(&request.resource_metrics, |of| {
            let scopes = list(&of.scope_metrics, |of| {
                let metrics = list(&of.metrics, |metric| self.metric(metric));
                let scope = self.scope(&of.scope);
                self.object(vec![
                    ("scope", scope),
                    ("metrics", metrics),
                    ("schemaUrl", json!(of.schema_url)),
                ])
            });
            let resource = self.resource(&of.resource);
            self.object(vec![
                ("resource", resource),
                ("scopeMetrics", scopes),
                ("schemaUrl", json!(of.schema_url)),
            ])
        });
        self.object(vec![("resourceMetrics", resources)])
    }

    /// An object in any order, in which fields that hold their default may be left out or null (those that
    /// know whether they are there are null already when they are not), and fields that nobody knows.
    fn object(&mut self, mut fields: Vec<(&str, Value)>) -> Value {
        fields.retain(|(_, value)| match value {
            Value::Null => self.0.bool(),
            Value::String(text) if text.is_empty() => self.0.bool(),
            Value::Array(values) if values.is_empty() => self.0.bool(),
            _ => true,
        });
        if self.0.u8(..8) == 0 {
            let unknown = json!({"key": [null, -1e300, {"traceId": "not hex"}], "scope_spans": 1});
            fields.push(("aFieldOfTheFuture", unknown));
        }
        self.0.shuffle(&mut fields);
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn number(&mut self, value: impl Into<serde_json::Number>) -> Value {
        let number = value.into();
        if self.0.bool() {
            Value::String(number.to_string())
        } else {
            Value::Number(number)
        }
    }

    fn double(&mut self, value: f64) -> Value {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.number(number),
            None if value.is_nan() => json!("NaN"),
            None if value > 0.0 => json!("Infinity"),
            None => json!("-Infinity"),
        }
    }

    fn optional(&mut self, value: Option<f64>) -> Value {
        value.map_or(Value::Null, |value| self.double(value))
    }

    fn id(&mut self, id: &[u8]) -> Value {
        let upper = self.0.bool();
        let digits = id.iter().map(|byte| match upper {
            true => format!("{byte:02X}"),
            false => format!("{byte:02x}"),
        });
        Value::String(digits.collect())
    }

    fn enumeration(&mut self, value: i32, names: &[&str]) -> Value {
        match names.get(value as usize) {
            Some(name) if self.0.bool() => json!(name),
            _ => json!(value),
        }
    }

    fn resource(&mut self, resource: &Option<Resource>) -> Value {
        let Some(resource) = resource else {
            return Value::Null;
        };
        let fields = vec![
            ("attributes", self.attributes(&resource.attributes)),
            (
                "droppedAttributesCount",
                self.number(resource.dropped_attributes_count),
            ),
        ];
        self.object(fields)
    }

    fn scope(&mut self, scope: &Option<InstrumentationScope>) -> Value {
        let Some(scope) = scope else {
            return Value::Null;
        };
        let fields = vec![
            ("name", json!(scope.name)),
            ("version", json!(scope.version)),
            ("attributes", self.attributes(&scope.attributes)),
            (
                "droppedAttributesCount",
                self.number(scope.dropped_attributes_count),
            ),
        ];
        self.object(fields)
    }

    fn attributes(&mut self, attributes: &[KeyValue]) -> Value {
        list(attributes, |attribute| {
            let value = self.value(&attribute.value);
            self.object(vec![("key", json!(attribute.key)), ("value", value)])
        })
    }

    fn value(&mut self, value: &Option<AnyValue>) -> Value {
        let Some(AnyValue { value }) = value else {
            return Value::Null;
        };
        // Not `object`: of these fields each is there or not, whatever it holds.
        match value {
            None => json!({}),
            Some(Any::StringValue(text)) => json!({ "stringValue": text }),
            Some(Any::BoolValue(value)) => json!({ "boolValue": value, "intValue": null }),
            Some(Any::IntValue(value)) => json!({ "intValue": self.number(*value) }),
            Some(Any::DoubleValue(value)) => json!({ "doubleValue": self.double(*value) }),
            Some(Any::BytesValue(bytes)) => {
                let text = if self.0.bool() {
                    STANDARD.encode(bytes)
                } else {
                    URL_SAFE_NO_PAD.encode(bytes)
                };
                json!({ "bytesValue": text })
            }
            Some(Any::ArrayValue(array)) => {
                let values = list(&array.values, |value| self.value(&Some(value.clone())));
                json!({ "arrayValue": self.object(vec![("values", values)]) })
            }
            Some(Any::KvlistValue(map)) => {
                let values = self.attributes(&map.values);
                json!({ "kvlistValue": self.object(vec![("values", values)]) })
            }
            Some(Any::StringValueStrindex(_)) => unreachable!("only profiles have it"),
        }
    }

    fn span(&mut self, span: &Span) -> Value {
        let kinds = [
            "UNSPECIFIED",
            "INTERNAL",
            "SERVER",
            "CLIENT",
            "PRODUCER",
            "CONSUMER",
        ];
        let kinds = kinds.map(|name| format!("SPAN_KIND_{name}"));
        let kinds = kinds.each_ref().map(String::as_str);
        let codes = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
        let events = list(&span.events, |event| {
            let fields = vec![
                ("timeUnixNano", self.number(event.time_unix_nano)),
                ("name", json!(event.name)),
                ("attributes", self.attributes(&event.attributes)),
                (
                    "droppedAttributesCount",
                    self.number(event.dropped_attributes_count),
                ),
            ];
            self.object(fields)
        });
        let links = list(&span.links, |link| {
            let fields = vec![
                ("traceId", self.id(&link.trace_id)),
                ("spanId", self.id(&link.span_id)),
                ("traceState", json!(link.trace_state)),
                ("attributes", self.attributes(&link.attributes)),
                (
                    "droppedAttributesCount",
                    self.number(link.dropped_attributes_count),
                ),
                ("flags", self.number(link.flags)),
            ];
            self.object(fields)
        });
        let status = match &span.status {
            None => Value::Null,
            Some(status) => {
                let code = self.enumeration(status.code, &codes);
                self.object(vec![("message", json!(status.message)), ("code", code)])
            }
        };
        let fields = vec![
            ("traceId", self.id(&span.trace_id)),
            ("spanId", self.id(&span.span_id)),
            ("traceState", json!(span.trace_state)),
            ("parentSpanId", self.id(&span.parent_span_id)),
            ("flags", self.number(span.flags)),
            ("name", json!(span.name)),
            ("kind", self.enumeration(span.kind, &kinds)),
            ("startTimeUnixNano", self.number(span.start_time_unix_nano)),
            ("endTimeUnixNano", self.number(span.end_time_unix_nano)),
            ("attributes", self.attributes(&span.attributes)),
            (
                "droppedAttributesCount",
                self.number(span.dropped_attributes_count),
            ),
            ("events", events),
            ("droppedEventsCount", self.number(span.dropped_events_count)),
            ("links", links),
            ("droppedLinksCount", self.number(span.dropped_links_count)),
            ("status", status),
        ];
        self.object(fields)
    }

    fn record(&mut self, record: &LogRecord) -> Value {
        let mut names = vec!["SEVERITY_NUMBER_UNSPECIFIED".to_owned()];
        for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] {
            names.extend(["", "2", "3", "4"].map(|n| format!("SEVERITY_NUMBER_{level}{n}")));
        }
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let fields = vec![
            ("timeUnixNano", self.number(record.time_unix_nano)),
            (
                "observedTimeUnixNano",
                self.number(record.observed_time_unix_nano),
            ),
            (
                "severityNumber",
                self.enumeration(record.severity_number, &names),
            ),
            ("severityText", json!(record.severity_text)),
            ("body", self.value(&record.body)),
            ("attributes", self.attributes(&record.attributes)),
            (
                "droppedAttributesCount",
                self.number(record.dropped_attributes_count),
            ),
            ("flags", self.number(record.flags)),
            ("traceId", self.id(&record.trace_id)),
            ("spanId", self.id(&record.span_id)),
            ("eventName", json!(record.event_name)),
        ];
        self.object(fields)
    }

    fn metric(&mut self, metric: &Metric) -> Value {
        let mut fields = vec![
            ("name", json!(metric.name)),
            ("description", json!(metric.description)),
            ("unit", json!(metric.unit)),
            ("metadata", self.attributes(&metric.metadata)),
        ];
        match &metric.data {
            None => {}
            Some(metric::Data::Gauge(gauge)) => {
                let points = list(&gauge.data_points, |point| self.number_point(point));
                fields.push(("gauge", self.object(vec![("dataPoints", points)])));
            }
            Some(metric::Data::Sum(sum)) => {
                let points = list(&sum.data_points, |point| self.number_point(point));
                let data = vec![
                    ("dataPoints", points),
                    self.temporality(sum.aggregation_temporality),
                    ("isMonotonic", json!(sum.is_monotonic)),
                ];
                fields.push(("sum", self.object(data)));
            }
            Some(metric::Data::Histogram(histogram)) => {
                let points = list(&histogram.data_points, |point| self.histogram_point(point));
                let data = vec![
                    ("dataPoints", points),
                    self.temporality(histogram.aggregation_temporality),
                ];
                fields.push(("histogram", self.object(data)));
            }
            Some(metric::Data::ExponentialHistogram(histogram)) => {
                let points = list(&histogram.data_points, |point| {
                    self.exponential_point(point)
                });
                let data = vec![
                    ("dataPoints", points),
                    self.temporality(histogram.aggregation_temporality),
                ];
                fields.push(("exponentialHistogram", self.object(data)));
            }
            Some(metric::Data::Summary(summary)) => {
                let points = list(&summary.data_points, |point| self.summary_point(point));
                fields.push(("summary", self.object(vec![("dataPoints", points)])));
            }
        }
        self.object(fields)
    }

    fn temporality(&mut self, value: i32) -> (&'static str, Value) {
        let names = ["UNSPECIFIED", "DELTA", "CUMULATIVE"];
        let names = names.map(|name| format!("AGGREGATION_TEMPORALITY_{name}"));
        let names = names.each_ref().map(String::as_str);
        ("aggregationTemporality", self.enumeration(value, &names))
    }

    fn number_point(&mut self, point: &NumberDataPoint) -> Value {
        let mut fields = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.number(point.start_time_unix_nano)),
            ("timeUnixNano", self.number(point.time_unix_nano)),
            ("exemplars", self.exemplars(&point.exemplars)),
            ("flags", self.number(point.flags)),
        ];
        match point.value {
            None => {}
            Some(number_data_point::Value::AsDouble(value)) => {
                fields.push(("asDouble", self.double(value)));
            }
            Some(number_data_point::Value::AsInt(value)) => {
                fields.push(("asInt", self.number(value)));
            }
        }
        self.object(fields)
    }

    fn histogram_point(&mut self, point: &HistogramDataPoint) -> Value {
        let fields = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.number(point.start_time_unix_nano)),
            ("timeUnixNano", self.number(point.time_unix_nano)),
            ("count", self.number(point.count)),
            ("sum", self.optional(point.sum)),
            (
                "bucketCounts",
                list(&point.bucket_counts, |count| self.number(*count)),
            ),
            (
                "explicitBounds",
                list(&point.explicit_bounds, |bound| self.double(*bound)),
            ),
            ("exemplars", self.exemplars(&point.exemplars)),
            ("flags", self.number(point.flags)),
            ("min", self.optional(point.min)),
            ("max", self.optional(point.max)),
        ];
        self.object(fields)
    }

    fn exponential_point(&mut self, point: &ExponentialHistogramDataPoint) -> Value {
        let fields = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.number(point.start_time_unix_nano)),
            ("timeUnixNano", self.number(point.time_unix_nano)),
            ("count", self.number(point.count)),
            ("sum", self.optional(point.sum)),
            ("scale", self.number(point.scale)),
            ("zeroCount", self.number(point.zero_count)),
            ("positive", self.buckets(&point.positive)),
            ("negative", self.buckets(&point.negative)),
            ("flags", self.number(point.flags)),
            ("exemplars", self.exemplars(&point.exemplars)),
            ("min", self.optional(point.min)),
            ("max", self.optional(point.max)),
            ("zeroThreshold", self.double(point.zero_threshold)),
        ];
        self.object(fields)
    }

    fn buckets(&mut self, buckets: &Option<Buckets>) -> Value {
        let Some(buckets) = buckets else {
            return Value::Null;
        };
        let counts = list(&buckets.bucket_counts, |count| self.number(*count));
        let offset = self.number(buckets.offset);
        self.object(vec![("offset", offset), ("bucketCounts", counts)])
    }

    fn summary_point(&mut self, point: &SummaryDataPoint) -> Value {
        let quantiles = list(&point.quantile_values, |of| {
            let (quantile, value) = (self.double(of.quantile), self.double(of.value));
            self.object(vec![("quantile", quantile), ("value", value)])
        });
        let fields = vec![
            ("attributes", self.attributes(&point.attributes)),
            ("startTimeUnixNano", self.number(point.start_time_unix_nano)),
            ("timeUnixNano", self.number(point.time_unix_nano)),
            ("count", self.number(point.count)),
            ("sum", self.double(point.sum)),
            ("quantileValues", quantiles),
            ("flags", self.number(point.flags)),
        ];
        self.object(fields)
    }

    fn exemplars(&mut self, exemplars: &[Exemplar]) -> Value {
        list(exemplars, |exemplar| {
            let mut fields = vec![
                (
                    "filteredAttributes",
                    self.attributes(&exemplar.filtered_attributes),
                ),
                ("timeUnixNano", self.number(exemplar.time_unix_nano)),
                ("spanId", self.id(&exemplar.span_id)),
                ("traceId", self.id(&exemplar.trace_id)),
            ];
            match exemplar.value {
                None => {}
                Some(exemplar::Value::AsDouble(value)) => {
                    fields.push(("asDouble", self.double(value)));
                }
                Some(exemplar::Value::AsInt(value)) => {
                    fields.push(("asInt", self.number(value)));
                }
            }
            self.object(fields)
        })
    }
}

fn list<T>(values: &[T], each: impl FnMut(&T) -> Value) -> Value {
    Value::Array(values.iter().map(each).collect())
}
