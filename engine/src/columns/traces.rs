//! The columns of `otel_traces`. The walk appends attributes, events and links of a span as it meets
//! them and ends the span's row; resource and scope columns are filled by run when their spans are done.

use spanmill_schema::{Promoted, TableId};

use super::column::column_group;
use super::nested::{Events, Links};
use super::{
    Attributes, ColumnSet, DICTIONARY_ENTRY_BYTES, Fixed, Integers, LowCardinality, NotUtf8,
    Origin, RowAttributes, Strings, Text,
};

column_group! {
    /// Rows of `otel_traces` that wait to be sealed.
    TraceColumns {
        timestamp: Integers,
        trace_id: Fixed<16>,
        span_id: Fixed<8>,
        parent_span_id: Fixed<8>,
        trace_state: Strings,
        flags: Fixed<4>,
        name: LowCardinality,
        kind: Fixed<1>,
        origin: Origin,
        duration: Integers,
        status_code: Fixed<1>,
        status_message: Strings,
        attributes: RowAttributes,
        dropped_attributes: Fixed<4>,
        dropped_events: Fixed<4>,
        dropped_links: Fixed<4>,
        events: Events,
        links: Links,
    }
}

impl ColumnSet for TraceColumns {
    const TABLE: TableId = TableId::Traces;

    fn rows(&self) -> usize {
        self.timestamp.rows()
    }

    fn timestamps(&self) -> Option<&Integers> {
        Some(&self.timestamp)
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
    pub(crate) name: Text<'a>,
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
    /// Without rows, with the columns of these promoted attributes.
    pub(crate) fn new(promoted: &[Promoted]) -> Self {
        TraceColumns {
            attributes: RowAttributes::new(promoted),
            ..TraceColumns::default()
        }
    }

    /// At least the bytes that a row takes, besides its texts, attributes, events and links.
    pub(crate) fn row_bytes(&self) -> usize {
        // Times, ids, lengths of two texts, flags, name, kind, status, dropped counts, offsets.
        const ROW: usize =
            16 + 32 + 2 * 5 + 4 + (4 + DICTIONARY_ENTRY_BYTES) + 1 + 1 + 3 * 4 + 2 * 8;
        ROW + Origin::ROW_BYTES + self.attributes.row_bytes()
    }

    /// At least the bytes that rows take when their resource is filled in.
    pub(crate) fn unfilled_bytes(&self) -> usize {
        let rows = self.rows() - self.origin.rows();
        rows * Origin::ROW_BYTES + self.attributes.fill_bytes(rows)
    }

    /// The attributes of the span that is being built.
    #[inline]
    pub(crate) fn attributes(&mut self) -> &mut RowAttributes {
        &mut self.attributes
    }

    pub(crate) fn origin(&mut self) -> &mut Origin {
        &mut self.origin
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
        self.name.push_text(span.name)?;
        self.kind.push([span.kind]);
        self.duration.push(span.duration.to_le_bytes());
        self.status_code.push([span.status_code]);
        self.status_message.push(span.status_message);
        self.attributes.end_row();
        self.dropped_attributes
            .push(span.dropped_attributes.to_le_bytes());
        self.dropped_events.push(span.dropped_events.to_le_bytes());
        self.dropped_links.push(span.dropped_links.to_le_bytes());
        self.events.offsets.end_row(self.events.timestamp.rows());
        self.links.offsets.end_row(self.links.trace_id.rows());
        Ok(())
    }

    /// Ends an event of the span that is being built; its attributes went to `event_attributes`.
    pub(crate) fn end_event(&mut self, event: &Event<'_>) -> Result<(), NotUtf8> {
        self.events.timestamp.push(event.timestamp.to_le_bytes());
        self.events.name.push_text(event.name)?;
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
    pub(crate) name: Text<'a>,
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
