//! Reads stored spans by SQL and compares them with what was sent.

use serde_json::{Map, Value, json};

use crate::attributes::PROMOTED;
use crate::support::Stack;

pub(crate) fn assert_stored(stack: &Stack, way: &str, sent: &[Value]) {
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
        assert_same(way, sent, stored);
        assert_same(&format!("{way}, in the view"), &as_shown(sent), shown);
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

/// Equal, or the fields that differ.
fn assert_same(way: &str, sent: &Value, stored: &Value) {
    let (Some(sent), Some(stored)) = (sent.as_object(), stored.as_object()) else {
        panic!("rows are objects");
    };
    for key in sent.keys().chain(stored.keys()) {
        let name = sent.get("name").or_else(|| sent.get("SpanName"));
        assert_eq!(
            sent.get(key),
            stored.get(key),
            "{way}: {key} of {name:?}, sent and stored"
        );
    }
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().expect("a text")
}

fn json_rows(stack: &Stack, sql: &str) -> Vec<Value> {
    let answer = stack.query(&format!(
        "{sql} FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0, \
         output_format_json_named_tuples_as_objects = 0"
    ));
    let rows = answer.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().expect("JSON")
}

/// Key, text and type byte of each entry.
fn typed(map: &str, types: &str) -> String {
    format!("arrayZip(mapKeys({map}), mapValues({map}), {types})")
}

fn base_rows(trace_id: &str) -> String {
    let nested = |prefix: &str| {
        let entries = typed("map", "types");
        format!(
            "arrayMap((map, types) -> {entries}, t.`{prefix}.Attributes`, t.`{prefix}.AttributeTypes`)"
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
            tuple(t.ScopeName, t.ScopeVersion, t.ScopeSchemaUrl, t.ScopeDroppedAttributesCount) AS scope,
            {scope} AS scope_attributes,
            tuple(r.ServiceName, r.SchemaUrl, r.DroppedAttributesCount) AS resource,
            {resource} AS resource_attributes
        FROM spanmill.otel_traces AS t
        LEFT ANY JOIN spanmill.otel_resources AS r ON r.ResourceId = t.ResourceId
        WHERE t.TraceId = unhex('{trace_id}') ORDER BY t.Timestamp",
        attributes = typed("t.SpanAttributes", "t.SpanAttributeTypes"),
        events = nested("Events"),
        links = nested("Links"),
        scope = typed("t.ScopeAttributes", "t.ScopeAttributeTypes"),
        resource = typed("r.Attributes", "r.AttributeTypes"),
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

/// Entries without their types.
fn map(entries: &Value) -> Value {
    let entries = entries.as_array().expect("entries").iter();
    let map: Map<_, _> = entries
        .map(|entry| {
            (
                entry[0].as_str().expect("a key").to_owned(),
                entry[1].clone(),
            )
        })
        .collect();
    Value::Object(map)
}
