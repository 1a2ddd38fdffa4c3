//! The columns of `otel_traces`. The walk appends attributes, events and links of a span as it meets
//! them and ends the span's row; resource and scope columns are filled by run when their spans are done.

use spanmill_schema::tables::{TRACES, ValueType};

use super::chunk::column_set;
use super::nested::{Events, Links};
use super::promoted::Promotion;
use super::{Attributes, Fixed, LowCardinality, NotUtf8, OwnedAttribute, Strings};

column_set! {
    /// Rows of `otel_traces` that wait to be sealed.
    TraceColumns of TRACES, rows by resource_id {
        timestamp: Fixed<8>,
        trace_id: Fixed<16>,
        span_id: Fixed<8>,
        parent_span_id: Fixed<8>,
        trace_state: Strings,
        flags: Fixed<4>,
        name: LowCardinality,
        kind: Fixed<1>,
        service: LowCardinality,
        resource_id: Fixed<8>,
        scope_name: LowCardinality,
        scope_version: LowCardinality,
        scope_schema_url: LowCardinality,
        scope_attributes: Attributes,
        scope_dropped_attributes: Fixed<4>,
        duration: Fixed<8>,
        status_code: Fixed<1>,
        status_message: Strings,
        promoted: Promotion,
        attributes: Attributes,
        dropped_attributes: Fixed<4>,
        dropped_events: Fixed<4>,
        dropped_links: Fixed<4>,
        events: Events,
        links: Links,
    }
}

/// What a span's row holds besides attributes, events and links.
#[derive(Default)]
pub(crate) struct SpanRow<'a> {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    /// All zero for a root span.
    pub(crate) parent_span_id: [u8; 8],
    pub(crate) trace_state: &'a [u8],
    pub(crate) flags: u32,
    pub(crate) name: &'a [u8],
    pub(crate) kind: u8,
    /// Unix nanoseconds.
    pub(crate) start: u64,
    /// Nanoseconds.
    pub(crate) duration: u64,
    pub(crate) status_code: u8,
    pub(crate) status_message: &'a [u8],
    pub(crate) dropped_attributes: u32,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
}

impl TraceColumns {
    /// Appends an attribute to the span that is being built: to its typed column when it is promoted
    /// and of the right type, to the map otherwise. `value` is UTF-8.
    #[inline]
    pub(crate) fn attribute(
        &mut self,
        key: &[u8],
        kind: ValueType,
        value: &[u8],
    ) -> Result<(), NotUtf8> {
        if self.attributes.has_no_keys() {
            self.promoted.claim_keys(&mut self.attributes)?;
        }
        let key = self.attributes.key_of(key)?;
        if self.promoted.take(key, kind, value)? {
            return Ok(());
        }
        self.attributes.push_by_key(key, kind, value);
        Ok(())
    }

    /// Ends the row of the span whose attributes, events and links were appended.
    #[inline]
    pub(crate) fn end_span(&mut self, span: &SpanRow<'_>) -> Result<(), NotUtf8> {
        self.timestamp.push(span.start.to_le_bytes());
        self.trace_id.push(span.trace_id);
        self.span_id.push(span.span_id);
        self.parent_span_id.push(span.parent_span_id);
        self.trace_state.push(span.trace_state);
        self.flags.push(span.flags.to_le_bytes());
        self.name.push(span.name)?;
        self.kind.push([span.kind]);
        self.duration.push(span.duration.to_le_bytes());
        self.status_code.push([span.status_code]);
        self.status_message.push(span.status_message);
        self.promoted.end_row();
        self.attributes.end_row();
        self.dropped_attributes
            .push(span.dropped_attributes.to_le_bytes());
        self.dropped_events.push(span.dropped_events.to_le_bytes());
        self.dropped_links.push(span.dropped_links.to_le_bytes());
        self.events.offsets.end_row(self.events.timestamp.rows());
        self.links.offsets.end_row(self.links.trace_id.rows());
        Ok(())
    }

    /// Spans whose rows were ended, with or without their scope and resource.
    pub(crate) fn spans(&self) -> usize {
        self.timestamp.rows()
    }

    /// Fills the scope columns of every span that has none yet.
    pub(crate) fn end_scope(
        &mut self,
        name: &[u8],
        version: &[u8],
        schema_url: &[u8],
        attributes: &[OwnedAttribute],
        dropped_attributes: u32,
    ) -> Result<(), NotUtf8> {
        let rows = self.spans() - self.scope_name.rows();
        if rows == 0 {
            return Ok(());
        }
        self.scope_name.push_run(name, rows)?;
        self.scope_version.push_run(version, rows)?;
        self.scope_schema_url.push_run(schema_url, rows)?;
        self.scope_attributes.push_run(attributes, rows)?;
        self.scope_dropped_attributes
            .push_run(dropped_attributes.to_le_bytes(), rows);
        Ok(())
    }

    /// Fills the resource columns, and those of promoted attributes, of every span that has none yet.
    pub(crate) fn end_resource(&mut self, id: u64, service: &[u8]) -> Result<(), NotUtf8> {
        let rows = self.spans() - self.resource_id.rows();
        self.promoted.fill()?;
        self.resource_id.push_run(id.to_le_bytes(), rows);
        self.service.push_run(service, rows)
    }

    /// Ends an event of the span that is being built; its attributes went to `event_attributes`.
    pub(crate) fn end_event(&mut self, event: &Event<'_>) -> Result<(), NotUtf8> {
        self.events.timestamp.push(event.timestamp.to_le_bytes());
        self.events.name.push(event.name)?;
        self.events.attributes.end_row();
        self.events
            .dropped_attributes
            .push(event.dropped_attributes.to_le_bytes());
        Ok(())
    }

    /// Ends a link of the span that is being built; its attributes went to `link_attributes`.
    pub(crate) fn end_link(&mut self, link: &Link<'_>) {
        self.links.trace_id.push(link.trace_id);
        self.links.span_id.push(link.span_id);
        self.links.trace_state.push(link.trace_state);
        self.links.flags.push(link.flags.to_le_bytes());
        self.links.attributes.end_row();
        self.links
            .dropped_attributes
            .push(link.dropped_attributes.to_le_bytes());
    }

    pub(crate) fn event_attributes(&mut self) -> &mut Attributes {
        &mut self.events.attributes
    }

    pub(crate) fn link_attributes(&mut self) -> &mut Attributes {
        &mut self.links.attributes
    }
}

/// One event of a span.
#[derive(Default)]
pub(crate) struct Event<'a> {
    pub(crate) timestamp: u64,
    pub(crate) name: &'a [u8],
    pub(crate) dropped_attributes: u32,
}

/// One link of a span.
#[derive(Default)]
pub(crate) struct Link<'a> {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) trace_state: &'a [u8],
    pub(crate) flags: u32,
    pub(crate) dropped_attributes: u32,
}
