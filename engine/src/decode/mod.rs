//! Walks the protobuf bytes of a request and appends its rows to the columns of a shard, in one pass and
//! without building messages. A request that turns out to be bad leaves nothing behind.

mod resource;
mod traces;
mod value;
mod wire;

#[cfg(test)]
mod tests;

use crate::columns::{Columns, NotUtf8};
use wire::WireError;

/// Why a request's body is refused for good. The text goes to the client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The bytes are no protobuf message of the expected type.
    #[error("the body is not the protobuf message it should be: {0}")]
    Wire(#[from] WireError),
    /// A string field holds other bytes.
    #[error("a string field is not valid UTF-8")]
    NotUtf8,
    /// An id has a length that OTLP does not allow.
    #[error("{field} has {length} bytes, where OTLP wants {wanted}")]
    IdLength {
        field: &'static str,
        length: usize,
        wanted: &'static str,
    },
    /// An id that must name something is all zeros.
    #[error("{field} is all zeros, which OTLP calls invalid")]
    IdZero { field: &'static str },
    /// Attribute values are nested without measure.
    #[error("an attribute value is nested deeper than {VALUE_DEPTH_MAX} levels")]
    TooDeep,
    /// A few bytes of scope would become many of columns.
    #[error(
        "scope attributes are stored with each span, and here come to more than {SCOPE_BYTES_MAX} bytes; \
         send fewer spans at a time or smaller scope attributes"
    )]
    ScopeTooLarge,
}

/// Levels of arrays and maps inside an attribute value. protobuf's own libraries stop at 100 levels of
/// messages, which is about 30 maps or 47 arrays inside each other.
pub(crate) const VALUE_DEPTH_MAX: usize = 32;

/// Bytes of scope attributes in all rows of one request. A scope is sent once and stored with each of its
/// spans, so without a bound a request of some MiB could ask for TiB. This is 6.5 KiB for each of the
/// 10,000 spans of a Collector's largest batch.
pub(crate) const SCOPE_BYTES_MAX: usize = 64 << 20;

impl From<NotUtf8> for DecodeError {
    fn from(_: NotUtf8) -> Self {
        DecodeError::NotUtf8
    }
}

/// Appends the spans of an `ExportTraceServiceRequest` and returns how many there were.
///
/// `now` (Unix seconds) dates the resources. On an error the columns are as they were before.
pub(crate) fn walk_traces(
    body: &[u8],
    columns: &mut Columns,
    now: u32,
) -> Result<usize, DecodeError> {
    let before = columns.rows();
    columns.begin_request();
    match traces::walk(body, columns, now) {
        Ok(()) => Ok(columns.rows() - before),
        Err(error) => {
            columns.roll_back_request();
            Err(error)
        }
    }
}

#[inline]
fn utf8(text: &[u8]) -> Result<&[u8], DecodeError> {
    // Nearly all text is short and ASCII, where this look is cheaper than the call below.
    if text.is_ascii() {
        return Ok(text);
    }
    match simdutf8::basic::from_utf8(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(DecodeError::NotUtf8),
    }
}
