//! Reads stored log records by SQL and compares them with what was sent.

use serde_json::{Value, json};

use crate::origin::origin_columns;
use crate::rows::{assert_same, json_rows, map, text, typed};
use crate::support::Stack;

pub(crate) fn assert_stored(stack: &Stack, service: &str, sent: &[Value]) {
    let mut sent = sent.to_vec();
    sent.sort_by_key(time);
    let stored = json_rows(stack, &base_rows(service));
    assert_eq!(stored.len(), sent.len(), "{service}: records");
    let shown = json_rows(stack, &view_rows(service));
    assert_eq!(shown.len(), sent.len(), "{service}: records in the view");
    for ((sent, stored), shown) in sent.iter().zip(&stored).zip(&shown) {
        let name = text(sent, "body");
        assert_same(service, name, sent, stored);
        let in_view = format!("{service}, in the view");
        assert_same(in_view, name, &as_shown(sent), shown);
    }

    let errors = stack.query(&format!(
        "SELECT sum(Count), toUnixTimestamp64Nano(min(FirstSeen)), toUnixTimestamp64Nano(max(LastSeen))
        FROM spanmill.otel_logs_errors_1h WHERE ServiceName = '{service}'"
    ));
    let is_error = |row: &&Value| row["severity"].as_u64() >= Some(17);
    let times: Vec<u64> = sent.iter().filter(is_error).map(time).collect();
    let (first, last) = (times[0], times[times.len() - 1]);
    assert_eq!(
        errors,
        format!("{}\t{first}\t{last}", times.len()),
        "{service}: errors of the hours"
    );
}

fn time(row: &Value) -> u64 {
    row["time"].as_u64().expect("a time")
}

fn base_rows(service: &str) -> String {
    format!(
        "SELECT toUnixTimestamp64Nano(l.Timestamp) AS time,
            toUnixTimestamp64Nano(l.ObservedTimestamp) AS observed,
            lower(hex(l.TraceId)) AS trace_id, lower(hex(l.SpanId)) AS span_id, l.Flags AS flags,
            l.SeverityNumber AS severity, l.SeverityText AS severity_text, l.EventName AS event,
            l.ServiceName AS service, l.Body AS body, l.BodyType AS body_type,
            l.ExceptionType AS promoted, {attributes} AS attributes,
            l.DroppedAttributesCount AS dropped_attributes, {origin}
        FROM spanmill.otel_logs AS l
        LEFT ANY JOIN spanmill.otel_resources AS r ON r.ResourceId = l.ResourceId
        WHERE l.ServiceName = '{service}' ORDER BY l.Timestamp",
        attributes = typed("l.LogAttributes", "l.LogAttributeTypes"),
        origin = origin_columns("l"),
    )
}

fn view_rows(service: &str) -> String {
    format!(
        "SELECT * REPLACE (toUnixTimestamp64Nano(Timestamp) AS Timestamp,
            toUnixTimestamp(TimestampTime) AS TimestampTime)
        FROM otel.otel_logs AS v WHERE v.ServiceName = '{service}' ORDER BY v.Timestamp"
    )
}

/// The same record as the Collector's exporter would have stored it.
fn as_shown(sent: &Value) -> Value {
    let id = |key: &str| text(sent, key).trim_matches('0');
    let id = |key: &str| {
        if id(key).is_empty() {
            ""
        } else {
            text(sent, key)
        }
    };
    let mut attributes = map(&sent["attributes"]);
    if sent["promoted"] != "" {
        attributes["exception.type"] = sent["promoted"].clone();
    }
    json!({
        "Timestamp": sent["time"],
        "TimestampTime": time(sent) / 1_000_000_000,
        "TraceId": id("trace_id"),
        "SpanId": id("span_id"),
        "TraceFlags": sent["flags"],
        "SeverityText": sent["severity_text"],
        "SeverityNumber": sent["severity"],
        "ServiceName": sent["service"],
        "Body": sent["body"],
        "ResourceSchemaUrl": sent["resource"][1],
        "ResourceAttributes": map(&sent["resource_attributes"]),
        "ScopeSchemaUrl": sent["scope"][2],
        "ScopeName": sent["scope"][0],
        "ScopeVersion": sent["scope"][1],
        "ScopeAttributes": map(&sent["scope_attributes"]),
        "LogAttributes": attributes,
        "EventName": sent["event"],
    })
}
