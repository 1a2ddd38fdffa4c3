//! Rows as ClickHouse gives them become spans and resources. The columns that are asked for stand beside the
//! fields that take them. What few spans have, their rows only count: see `rare`.

use std::collections::HashMap;
use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;
use spanmill_schema::ValueType;

use super::promoted::PromotedColumn;
use super::rare::{Counted, Rare};
use super::span::{Attribute, Event, Resource, Scope, Span, SpanId, attributes};

pub(super) type Map = Vec<(String, String)>;

/// What is read of a span, but for promoted attributes, which come as `promoted`.
pub(super) const SPAN_COLUMNS: &str = "toUnixTimestamp64Nano(Timestamp) AS start, TraceId AS trace, \
    SpanId AS id, ParentSpanId AS parent, TraceState AS trace_state, Flags AS flags, SpanName AS name, \
    SpanKind AS kind, ServiceName AS service, ResourceId AS resource, ScopeName AS scope_name, \
    ScopeVersion AS scope_version, ScopeSchemaUrl AS scope_schema, \
    length(ScopeAttributes) AS scope_attributes, ScopeDroppedAttributesCount AS scope_dropped, \
    Duration AS duration, StatusCode AS status, StatusMessage AS status_message, \
    SpanAttributes AS attributes, SpanAttributeTypes AS types, \
    DroppedAttributesCount AS dropped_attributes, DroppedEventsCount AS dropped_events, \
    DroppedLinksCount AS dropped_links, \
    arrayMap(time -> toUnixTimestamp64Nano(time), `Events.Timestamp`) AS event_times, \
    `Events.Name` AS event_names, `Events.Attributes` AS event_attributes, \
    `Events.AttributeTypes` AS event_types, `Events.DroppedAttributesCount` AS event_dropped, \
    length(`Links.TraceId`) AS links";

/// What is read of a resource.
pub(super) const RESOURCE_COLUMNS: &str = "ResourceId AS id, Attributes AS attributes, \
    AttributeTypes AS types, SchemaUrl AS schema_url, DroppedAttributesCount AS dropped";

#[derive(Row, Deserialize, Clone)]
pub(super) struct SpanRow {
    start: i64,
    pub trace: [u8; 16],
    id: SpanId,
    parent: SpanId,
    trace_state: String,
    flags: u32,
    name: String,
    kind: u8,
    service: String,
    pub resource: u64,
    scope_name: String,
    scope_version: String,
    scope_schema: String,
    scope_attributes: u64,
    scope_dropped: u32,
    duration: u64,
    status: u8,
    status_message: String,
    attributes: Map,
    types: Vec<u8>,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    event_times: Vec<i64>,
    event_names: Vec<String>,
    event_attributes: Vec<Map>,
    event_types: Vec<Vec<u8>>,
    event_dropped: Vec<u32>,
    links: u64,
    promoted: Vec<String>,
}

#[derive(Row, Deserialize, Clone)]
pub(super) struct ResourceRow {
    id: u64,
    attributes: Map,
    types: Vec<u8>,
    schema_url: String,
    dropped: u32,
}

pub(super) fn resource(row: &ResourceRow) -> Resource {
    Resource {
        id: row.id,
        attributes: attributes(row.attributes.clone(), &row.types),
        dropped_attributes: row.dropped,
        schema_url: row.schema_url.clone(),
    }
}

impl SpanRow {
    pub(super) fn counted(&self) -> Counted {
        Counted {
            trace: self.trace,
            id: self.id,
            start: self.start,
            links: self.links,
            scope_attributes: self.scope_attributes,
        }
    }
}

/// The row's span. `scope` is the scope of the span before, which mostly is this one's as well.
pub(super) fn span(
    row: SpanRow,
    rare: Rare,
    columns: &[PromotedColumn],
    resources: &HashMap<u64, Arc<Resource>>,
    scope: &mut Arc<Scope>,
) -> Span {
    let events = events(&row);
    let mut all = attributes(row.attributes, &row.types);
    all.extend(promoted(row.promoted, columns));
    let own = Scope {
        name: row.scope_name,
        version: row.scope_version,
        schema_url: row.scope_schema,
        attributes: rare.scope_attributes,
        dropped_attributes: row.scope_dropped,
    };
    if **scope != own {
        *scope = Arc::new(own);
    }
    Span {
        start: row.start,
        duration: row.duration,
        id: row.id,
        parent: row.parent,
        trace_state: row.trace_state,
        flags: row.flags,
        name: row.name,
        kind: row.kind,
        service: row.service,
        resource: resources.get(&row.resource).cloned().unwrap_or_default(),
        scope: Arc::clone(scope),
        status: row.status,
        status_message: row.status_message,
        attributes: all,
        dropped_attributes: row.dropped_attributes,
        events,
        dropped_events: row.dropped_events,
        links: rare.links,
        dropped_links: row.dropped_links,
    }
}

/// Those that the span has: an empty text says that it lacks one.
fn promoted(
    values: Vec<String>,
    columns: &[PromotedColumn],
) -> impl Iterator<Item = Attribute> + '_ {
    let values = values.into_iter().zip(columns);
    let present = values.filter(|(text, _)| !text.is_empty());
    present.map(|(text, column)| Attribute {
        key: column.key.clone(),
        text,
        kind: match column.is_integer {
            true => ValueType::Int,
            false => ValueType::String,
        },
    })
}

fn events(row: &SpanRow) -> Vec<Event> {
    let event = |index: usize| Event {
        time: row.event_times[index],
        name: row.event_names[index].clone(),
        attributes: attributes(row.event_attributes[index].clone(), &row.event_types[index]),
        dropped_attributes: row.event_dropped[index],
    };
    // The arrays of a nested column are equally long.
    (0..row.event_times.len()).map(event).collect()
}
