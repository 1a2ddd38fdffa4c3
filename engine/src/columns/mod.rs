//! Takes values from the walk, keeps them in ClickHouse's Native column layout, and seals them into
//! chunks. Nothing here knows protobuf or the network; a request that fails is rolled back whole.

mod attributes;
mod block;
mod canonical;
mod column;
mod fixed;
mod logs;
mod lowcard;
mod lz4;
mod metrics;
mod nested;
mod numbers;
mod origin;
mod promoted;
mod resources;
mod row_attributes;
mod seal;
mod series;
mod set;
mod strings;
mod text;
mod traces;
mod varint;
mod words;

pub(crate) use attributes::{Attributes, OwnedAttribute, Value};
#[cfg(feature = "stages")]
pub(crate) use block::checksum;
pub(crate) use block::{BlockWriter, Compressor, empty_block};
pub(crate) use column::{Buffer, Column};
pub(crate) use fixed::{Arrays, Fixed, Integers, Offsets};
pub(crate) use logs::{LogColumns, LogRow};
pub(crate) use lowcard::{DICTIONARY_ENTRY_BYTES, LowCardinality};
pub(crate) use metrics::{
    Distribution, Exemplar, MetricColumns, MetricKind, PointExemplars, PointRow,
};
pub(crate) use numbers::Number;
pub(crate) use origin::{Origin, Scope};
pub(crate) use resources::{ResourceId, ResourceRow, Resources};
pub(crate) use row_attributes::RowAttributes;
pub(crate) use seal::{ColumnSet, NANOS_A_DAY};
pub(crate) use series::{Metric, Series, SeriesKey, series_key};
pub(crate) use set::Columns;
pub(crate) use strings::Strings;
pub(crate) use text::Text;
pub(crate) use traces::{Event, Link, SpanRow, TraceColumns};
pub(crate) use varint::push_varint;

/// A string that is no UTF-8 reached a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotUtf8;

/// Capacity that a cleared buffer may always keep, in bytes.
const KEEP_BYTES: usize = 1 << 20;

/// Empties a buffer for the next chunk; one that an outlier blew up is given back, so that a single
/// large request does not raise a shard's memory for ever.
pub(crate) fn clear_buffer<T>(buffer: &mut Vec<T>) {
    let used = buffer.len();
    buffer.clear();
    if let Some(capacity) = smaller_capacity(buffer.capacity(), used, size_of::<T>()) {
        buffer.shrink_to(capacity);
    }
}

/// Takes a buffer back to `length` elements; memory that only what is taken back needed is given back.
pub(crate) fn truncate_buffer<T>(buffer: &mut Vec<T>, length: usize) {
    buffer.truncate(length);
    if let Some(capacity) = smaller_capacity(buffer.capacity(), length, size_of::<T>()) {
        buffer.shrink_to(capacity);
    }
}

/// What to shrink a buffer to that has room for `capacity` elements of `size` bytes and needed `used`.
fn smaller_capacity(capacity: usize, used: usize, size: usize) -> Option<usize> {
    let keep = KEEP_BYTES / size;
    (capacity > keep && capacity / 8 > used).then(|| keep.max(used * 2))
}
