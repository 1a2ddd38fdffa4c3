//! The columns of `otel_logs`. The walk appends the attributes of a record as it meets them and ends the
//! record's row; resource and scope columns are filled by run when their records are done.

use spanmill_schema::{Promoted, TableId, ValueType};

use super::column::column_group;
use super::{
    ColumnSet, DICTIONARY_ENTRY_BYTES, Fixed, Integers, LowCardinality, NotUtf8, Origin,
    RowAttributes, Strings, Text,
};

column_group! {
    /// Rows of `otel_logs` that wait to be sealed.
    LogColumns {
        timestamp: Integers,
        observed_timestamp: Integers,
        trace_id: Fixed<16>,
        span_id: Fixed<8>,
        flags: Fixed<4>,
        severity_number: Fixed<1>,
        severity_text: LowCardinality,
        event_name: LowCardinality,
        origin: Origin,
        body: Strings,
        body_type: Fixed<1>,
        attributes: RowAttributes,
        dropped_attributes: Fixed<4>,
    }
}

impl ColumnSet for LogColumns {
    const TABLE: TableId = TableId::Logs;

    fn rows(&self) -> usize {
        self.timestamp.rows()
    }

    fn timestamps(&self) -> Option<&Integers> {
        Some(&self.timestamp)
    }
}

/// What a log record's row holds besides attributes.
pub(crate) struct LogRow<'a> {
    /// Unix nanoseconds.
    pub(crate) timestamp: u64,
    /// Unix nanoseconds; 0 when not given.
    pub(crate) observed_timestamp: u64,
    /// All zeros when the record belongs to no trace.
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) flags: u32,
    pub(crate) severity_number: u8,
    pub(crate) severity_text: Text<'a>,
    pub(crate) event_name: Text<'a>,
    /// UTF-8.
    pub(crate) body: &'a [u8],
    pub(crate) body_type: ValueType,
    pub(crate) dropped_attributes: u32,
}

impl LogColumns {
    /// Without rows, with the columns of these promoted attributes.
    pub(crate) fn new(promoted: &[Promoted]) -> Self {
        LogColumns {
            attributes: RowAttributes::new(promoted),
            ..LogColumns::default()
        }
    }

    /// What is filled in when a resource ends, besides attributes: an event's name and the dropped count.
    const FILL_BYTES: usize = Origin::ROW_BYTES + 4 + 4;

    /// At least the bytes that a row takes, besides its texts and attributes.
    pub(crate) fn row_bytes(&self) -> usize {
        // Times, ids, flags, severity, the number of its text, two dictionary values, the body's length and type.
        const ROW: usize = 16 + 24 + 4 + 1 + 4 + 2 * DICTIONARY_ENTRY_BYTES + 5 + 1;
        ROW + Self::FILL_BYTES + self.attributes.row_bytes()
    }

    /// At least the bytes that rows take when their resource is filled in.
    pub(crate) fn unfilled_bytes(&self) -> usize {
        let rows = self.rows() - self.origin.rows();
        // One of them may be the first without an event's name.
        let empty = if rows > 0 { DICTIONARY_ENTRY_BYTES } else { 0 };
        rows * Self::FILL_BYTES + empty + self.attributes.fill_bytes(rows)
    }

    /// The attributes of the record that is being built.
    #[inline]
    pub(crate) fn attributes(&mut self) -> &mut RowAttributes {
        &mut self.attributes
    }

    /// Ends the row of the record whose attributes were appended.
    #[inline]
    pub(crate) fn end_record(&mut self, record: &LogRow<'_>) -> Result<(), NotUtf8> {
        self.timestamp.push(record.timestamp.to_le_bytes());
        self.observed_timestamp
            .push(record.observed_timestamp.to_le_bytes());
        self.trace_id.push(record.trace_id);
        self.span_id.push(record.span_id);
        self.flags.push(record.flags.to_le_bytes());
        self.severity_number.push([record.severity_number]);
        self.severity_text.push_text(record.severity_text)?;
        if !record.event_name.bytes().is_empty() {
            let before = self.timestamp.rows() - 1;
            self.event_name.fill(b"", before)?;
            self.event_name.push_text(record.event_name)?;
        }
        self.body.push(record.body);
        self.body_type.push([record.body_type as u8]);
        self.attributes.end_row();
        if record.dropped_attributes != 0 {
            let before = self.timestamp.rows() - 1;
            self.dropped_attributes.fill([0; 4], before);
            self.dropped_attributes
                .push(record.dropped_attributes.to_le_bytes());
        }
        Ok(())
    }

    /// Fills what few records have, for those that do not.
    pub(crate) fn fill(&mut self) -> Result<(), NotUtf8> {
        let rows = self.timestamp.rows();
        self.dropped_attributes.fill([0; 4], rows);
        self.event_name.fill(b"", rows)?;
        self.attributes.fill()
    }

    pub(crate) fn origin(&mut self) -> &mut Origin {
        &mut self.origin
    }
}
