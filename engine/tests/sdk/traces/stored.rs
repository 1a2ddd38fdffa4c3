//! Reads stored spans by SQL and compares them with what was sent.

use serde_json::{Value, json};

use crate::attributes::PROMOTED;
use crate::origin::origin_columns;
use crate::rows::{assert_same, json_rows, map, text, typed, typed_each};
use crate::support::Stack;
use crate::way::Way;

pub(crate) fn assert_stored(stack: &Stack, way: Way, sent: &[Value]) {
    let trace_id = text(&sent[0], "trace_id");
    let stored = json_rows(stack, &base_rows(trace_id));
    assert_eq!(stored.len(), sent.len(), "{way}: spans of one trace");
    let shown = json_rows(stack, &view_rows(trace_id));
    assert_eq!(
        shown.len(),
        sent.len(),
        "{way}: spans of one trace in the view"
    );
    for ((sent, stored), shown) in sent.iter().zip(&stored).zip(&shown) {
        let name = text(sent, "name");
        assert_same(way, name, sent, stored);
        assert_same(format!("{way}, in the view"), name, &as_shown(sent), shown);
    }

    let times = stack.query(&format!(
        "SELECT toUnixTimestamp64Nano(min(Start)), toUnixTimestamp64Nano(max(End)) \
         FROM spanmill.otel_trace_index \
         WHERE TraceHash = cityHash64(toFixedString(unhex('{trace_id}'), 16))"
    ));
    let starts = || {
        sent.iter()
            .map(|row| &row["start"])
            .filter_map(Value::as_u64)
    };
    let (first, last) = (starts().min().unwrap_or(0), starts().max().unwrap_or(0));
    assert_eq!(times, format!("{first}\t{last}"), "{way}: trace index");
}

fn base_rows(trace_id: &str) -> String {
    let nested = |prefix: &str| {
        typed_each(
            &format!("t.`{prefix}.Attributes`"),
            &format!("t.`{prefix}.AttributeTypes`"),
        )
    };
    format!(
        "SELECT lower(hex(t.TraceId)) AS trace_id, lower(hex(t.SpanId)) AS span_id,
            lower(hex(t.ParentSpanId)) AS parent, t.TraceState AS trace_state, t.Flags AS flags,
            t.SpanName AS name, t.SpanKind AS kind, t.ServiceName AS service,
            toUnixTimestamp64Nano(t.Timestamp) AS start, t.Duration AS duration,
            t.StatusCode AS status, t.StatusMessage AS status_message,
            [toString(t.HttpRequestMethod), toString(t.HttpResponseStatusCode), toString(t.HttpRoute),
                t.UrlPath, toString(t.ServerAddress), toString(t.DbSystemName), toString(t.RpcMethod),
                toString(t.MessagingDestinationName)] AS promoted,
            {attributes} AS attributes, t.DroppedAttributesCount AS dropped_attributes,
            arrayZip(arrayMap(at -> toUnixTimestamp64Nano(at), t.`Events.Timestamp`), t.`Events.Name`,
                {events}, t.`Events.DroppedAttributesCount`) AS events,
            t.DroppedEventsCount AS dropped_events,
            arrayZip(arrayMap(id -> lower(hex(id)), t.`Links.TraceId`),
                arrayMap(id -> lower(hex(id)), t.`Links.SpanId`), t.`Links.TraceState`,
                t.`Links.Flags`, {links}, t.`Links.DroppedAttributesCount`) AS links,
            t.DroppedLinksCount AS dropped_links,
            {origin}
        FROM spanmill.otel_traces AS t
        LEFT ANY JOIN spanmill.otel_resources AS r ON r.ResourceId = t.ResourceId
        WHERE t.TraceId = unhex('{trace_id}') ORDER BY t.Timestamp",
        attributes = typed("t.SpanAttributes", "t.SpanAttributeTypes"),
        events = nested("Events"),
        links = nested("Links"),
        origin = origin_columns("t"),
    )
}

fn view_rows(trace_id: &str) -> String {
    format!(
        "SELECT * REPLACE (toUnixTimestamp64Nano(Timestamp) AS Timestamp,
            arrayMap(at -> toUnixTimestamp64Nano(at), `Events.Timestamp`) AS `Events.Timestamp`)
        FROM otel.otel_traces AS v WHERE v.TraceId = '{trace_id}' ORDER BY v.Timestamp"
    )
}

/// The same span as the Collector's exporter would have stored it.
fn as_shown(sent: &Value) -> Value {
    const KINDS: [&str; 6] = [
        "Unspecified",
        "Internal",
        "Server",
        "Client",
        "Producer",
        "Consumer",
    ];
    const STATUSES: [&str; 3] = ["Unset", "Ok", "Error"];
    let index = |key: &str| sent[key].as_u64().expect("a number") as usize;
    let list = |key: &str| sent[key].as_array().expect("a list");
    let column =
        |key: &str, at: usize| -> Value { list(key).iter().map(|item| item[at].clone()).collect() };
    let maps =
        |key: &str, at: usize| -> Value { list(key).iter().map(|item| map(&item[at])).collect() };
    let mut attributes = map(&sent["attributes"]);
    for ((key, _), column) in PROMOTED.iter().zip(list("promoted")) {
        if column != "" && column != "0" {
            attributes[*key] = column.clone();
        }
    }
    let parent = text(sent, "parent");
    json!({
        "Timestamp": sent["start"],
        "TraceId": sent["trace_id"],
        "SpanId": sent["span_id"],
        "ParentSpanId": if parent == "0000000000000000" { "" } else { parent },
        "TraceState": sent["trace_state"],
        "SpanName": sent["name"],
        "SpanKind": KINDS[index("kind")],
        "ServiceName": sent["service"],
        "ResourceAttributes": map(&sent["resource_attributes"]),
        "ScopeName": sent["scope"][0],
        "ScopeVersion": sent["scope"][1],
        "SpanAttributes": attributes,
        "Duration": sent["duration"],
        "StatusCode": STATUSES[index("status")],
        "StatusMessage": sent["status_message"],
        "Events.Timestamp": column("events", 0),
        "Events.Name": column("events", 1),
        "Events.Attributes": maps("events", 2),
        "Links.TraceId": column("links", 0),
        "Links.SpanId": column("links", 1),
        "Links.TraceState": column("links", 2),
        "Links.Attributes": maps("links", 4),
    })
}
