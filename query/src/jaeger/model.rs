//! The JSON of Jaeger's traces. Times and durations are in microseconds, ids in hex.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Serialize)]
pub(super) struct TraceJson {
    #[serde(rename = "traceID")]
    pub trace_id: String,
    pub spans: Vec<SpanJson>,
    pub processes: BTreeMap<String, ProcessJson>,
    pub warnings: Option<()>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpanJson {
    #[serde(rename = "traceID")]
    pub trace_id: String,
    #[serde(rename = "spanID")]
    pub span_id: String,
    pub flags: u32,
    pub operation_name: String,
    pub references: Vec<ReferenceJson>,
    pub start_time: i64,
    pub duration: u64,
    pub tags: Vec<TagJson>,
    pub logs: Vec<LogJson>,
    #[serde(rename = "processID")]
    pub process_id: String,
    pub warnings: Option<()>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReferenceJson {
    pub ref_type: &'static str,
    #[serde(rename = "traceID")]
    pub trace_id: String,
    #[serde(rename = "spanID")]
    pub span_id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct TagJson {
    pub key: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub value: Value,
}

#[derive(Debug, Serialize)]
pub(super) struct LogJson {
    pub timestamp: i64,
    pub fields: Vec<TagJson>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProcessJson {
    pub service_name: String,
    pub tags: Vec<TagJson>,
}
