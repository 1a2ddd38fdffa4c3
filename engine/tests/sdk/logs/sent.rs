//! Sends log records through the SDK, and says what is expected to be stored of each.

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use opentelemetry::{Context, Key, SpanId, TraceFlags, TraceId};
use opentelemetry_otlp::LogExporter;
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use serde_json::{Value, json};
use spanmill_schema::ValueType;

use crate::attributes::every_type;
use crate::origin::{resource, scope, stored_origin};
use crate::rows::{a_minute_ago, at, with};

const TRACE_ID: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN_ID: u64 = 0xb7ad_6b71_6920_3331;

/// A key, and its value with the text and the type byte that it is stored as.
type Attribute = (Key, AnyValue, &'static str, ValueType);

/// Values of every type: those that all signals have, and those that only logs have.
fn values() -> Vec<Attribute> {
    let shared = every_type()
        .into_iter()
        .map(|(sent, text, kind)| (sent.key, any_value(sent.value), text, kind));
    let bytes = |bytes: &[u8]| AnyValue::Bytes(Box::new(bytes.to_vec()));
    let list: [AnyValue; 6] = [
        "1".into(),
        1.into(),
        1.0.into(),
        true.into(),
        bytes(b"\0\xff"),
        AnyValue::from_iter([("deep", AnyValue::from_iter([2]))]),
    ];
    // One key each, since the SDK's maps have no order.
    let map = AnyValue::from_iter([("a", AnyValue::from_iter([("b", list[5].clone())]))]);
    let of_logs = [
        (
            "bytes",
            bytes(b"\0\x01\xfe\xff"),
            "AAH+/w==",
            ValueType::Bytes,
        ),
        ("bytes.none", bytes(b""), "", ValueType::Bytes),
        (
            "list",
            AnyValue::from_iter(list),
            r#"["1",1,1.0,true,"AP8=",{"deep":[2]}]"#,
            ValueType::Array,
        ),
        ("map", map, r#"{"a":{"b":{"deep":[2]}}}"#, ValueType::Map),
        (
            "map.none",
            AnyValue::Map(Box::default()),
            "{}",
            ValueType::Map,
        ),
        (
            "double.negative.zero",
            AnyValue::Double(-0.0),
            "-0",
            ValueType::Double,
        ),
    ];
    let of_logs = of_logs.map(|(key, sent, text, kind)| (key.into(), sent, text, kind));
    shared.chain(of_logs).collect()
}

fn any_value(value: opentelemetry::Value) -> AnyValue {
    use opentelemetry::{Array, Value};
    match value {
        Value::Bool(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::F64(value) => value.into(),
        Value::String(value) => value.into(),
        Value::Array(Array::Bool(values)) => AnyValue::from_iter(values),
        Value::Array(Array::I64(values)) => AnyValue::from_iter(values),
        Value::Array(Array::F64(values)) => AnyValue::from_iter(values),
        Value::Array(Array::String(values)) => AnyValue::from_iter(values),
        other => panic!("a type that the SDK did not have: {other:?}"),
    }
}

fn entries(attributes: &[Attribute]) -> Value {
    let entry = |(key, _, text, kind): &Attribute| json!([key.as_str(), text, *kind as u8]);
    attributes.iter().map(entry).collect()
}

const SEVERITIES: [Severity; 24] = [
    Severity::Trace,
    Severity::Trace2,
    Severity::Trace3,
    Severity::Trace4,
    Severity::Debug,
    Severity::Debug2,
    Severity::Debug3,
    Severity::Debug4,
    Severity::Info,
    Severity::Info2,
    Severity::Info3,
    Severity::Info4,
    Severity::Warn,
    Severity::Warn2,
    Severity::Warn3,
    Severity::Warn4,
    Severity::Error,
    Severity::Error2,
    Severity::Error3,
    Severity::Error4,
    Severity::Fatal,
    Severity::Fatal2,
    Severity::Fatal3,
    Severity::Fatal4,
];

/// Emits records, each a nanosecond after the one before, and notes what is expected of each.
struct Emitter<'a> {
    logger: SdkLogger,
    service: &'a str,
    /// Unix nanoseconds.
    now: u64,
    sent: Vec<Value>,
}

impl Emitter<'_> {
    /// A record as `fill` makes it; `changes` says what is stored that is not as by default.
    fn emit(&mut self, fill: impl FnOnce(&mut SdkLogRecord), changes: Value) {
        self.now += 1;
        let mut record = self.logger.create_log_record();
        // A second later, so that the two cannot be taken for each other.
        record.set_observed_timestamp(at(self.now + 1_000_000_000));
        fill(&mut record);
        self.logger.emit(record);
        let row = json!({
            "time": self.now,
            "observed": self.now + 1_000_000_000,
            "trace_id": "00000000000000000000000000000000",
            "span_id": "0000000000000000",
            "flags": 0,
            "severity": 0,
            "severity_text": "",
            "event": "",
            "body": "",
            "body_type": ValueType::Empty as u8,
            "promoted": "",
            "attributes": [],
            "dropped_attributes": 0,
        });
        self.sent
            .push(with(with(row, stored_origin(self.service)), changes));
    }
}

/// Records with everything, with next to nothing, and with each severity and type of body.
pub(crate) fn send_everything(exporter: LogExporter, service: &str) -> Vec<Value> {
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource(service))
        .with_batch_exporter(exporter)
        .build();
    let mut emitter = Emitter {
        logger: provider.logger_with_scope(scope()),
        service,
        now: a_minute_ago(),
        sent: Vec::new(),
    };
    emit_full(&mut emitter);
    emit_sparse(&mut emitter);
    emit_each(&mut emitter);
    provider.force_flush().expect("the export is acknowledged");
    provider.shutdown().expect("the SDK stops");
    emitter.sent
}

fn emit_full(emitter: &mut Emitter<'_>) {
    let time = at(emitter.now + 1);
    emitter.emit(
        |record| {
            record.set_timestamp(time);
            record.set_event_name("shop.order.failed");
            record.set_severity_number(Severity::Error2);
            record.set_severity_text("ERR ☃");
            record.set_body("böom: no such user".into());
            let flags = Some(TraceFlags::new(3));
            record.set_trace_context(TraceId::from(TRACE_ID), SpanId::from(SPAN_ID), flags);
            let attributes = values().into_iter().map(|(key, value, ..)| (key, value));
            record.add_attributes(attributes);
            record.add_attribute("exception.type", "NoSuchUser");
        },
        json!({
            "trace_id": format!("{TRACE_ID:032x}"),
            "span_id": format!("{SPAN_ID:016x}"),
            "flags": 3,
            "severity": 18,
            "severity_text": "ERR ☃",
            "event": "shop.order.failed",
            "body": "böom: no such user",
            "body_type": ValueType::String as u8,
            "promoted": "NoSuchUser",
            "attributes": entries(&values()),
        }),
    );

    // Under a span, which the SDK finds by itself.
    let span = SpanContext::new(
        TraceId::from(TRACE_ID + 1),
        SpanId::from(SPAN_ID + 1),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let _under = Context::new().with_remote_span_context(span).attach();
    let time = at(emitter.now + 1);
    emitter.emit(
        |record| record.set_timestamp(time),
        json!({
            "trace_id": format!("{:032x}", TRACE_ID + 1),
            "span_id": format!("{:016x}", SPAN_ID + 1),
            "flags": 1,
        }),
    );
}

fn emit_sparse(emitter: &mut Emitter<'_>) {
    // Without a time it happened when it was observed.
    let observed = emitter.now + 1 + 1_000_000_000;
    emitter.emit(|_| (), json!({"time": observed}));

    let time = at(emitter.now + 1);
    // The appenders' own scope: its name takes the place of the logger's.
    emitter.emit(
        |record| {
            record.set_timestamp(time);
            record.set_target("shop::orders");
        },
        json!({"scope": with_name("shop::orders", emitter.service)}),
    );

    // A promoted key with values that do not fit its column.
    for (value, text, kind) in [
        (AnyValue::Int(7), "7", ValueType::Int),
        ("".into(), "", ValueType::String),
    ] {
        let time = at(emitter.now + 1);
        emitter.emit(
            |record| {
                record.set_timestamp(time);
                record.add_attribute("exception.type", value);
            },
            json!({"attributes": [["exception.type", text, kind as u8]]}),
        );
    }
}

fn with_name(name: &str, service: &str) -> Value {
    let mut scope = stored_origin(service)["scope"].take();
    scope[0] = name.into();
    scope
}

fn emit_each(emitter: &mut Emitter<'_>) {
    let values = values();
    assert_eq!(values.len(), SEVERITIES.len(), "each comes once");
    for (severity, (_, body, text, kind)) in SEVERITIES.into_iter().zip(values) {
        let time = at(emitter.now + 1);
        emitter.emit(
            |record| {
                record.set_timestamp(time);
                record.set_severity_number(severity);
                record.set_severity_text(severity.name());
                record.set_body(body);
            },
            json!({
                "severity": severity as u8,
                "severity_text": severity.name(),
                "body": text,
                "body_type": kind as u8,
            }),
        );
    }
}
