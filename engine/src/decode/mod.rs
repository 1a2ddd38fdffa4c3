//! Walks the protobuf bytes of a request and appends its rows to the columns of a shard, in one pass and
//! without building messages. A request that turns out to be bad leaves nothing behind.

mod allowance;
mod growth;
mod logs;
mod metrics;
mod points;
mod prefetch;
mod rejected;
mod request;
mod resource;
mod traces;
mod value;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

use crate::columns::{Columns, NotUtf8};
pub(crate) use rejected::Rejected;
use request::Walk;
pub(crate) use wire::WireError;

/// What a request holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    /// Every signal, for counters.
    pub(crate) const ALL: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

    /// Name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }
}

/// When a request came, which times its rows may have, in Unix nanoseconds, and how much they may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) now: u64,
    /// Rows older than this are rejected.
    pub(crate) earliest: u64,
    /// Rows newer than this are rejected.
    pub(crate) latest: u64,
    /// Bytes that the request may take in columns (as `Columns::bytes` counts them). It is refused before
    /// they hold more. Their buffers may be twice as large, and the one that just grows three times.
    pub(crate) column_bytes_max: usize,
}

impl Arrival {
    fn now_seconds(&self) -> u32 {
        (self.now / 1_000_000_000) as u32
    }

    /// Checks the time that a row is stored under.
    #[inline]
    fn check(&self, time: u64, field: &'static str) -> Result<(), DecodeError> {
        if time < self.earliest || time > self.latest {
            return Err(DecodeError::Time { field });
        }
        Ok(())
    }
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Rows appended: spans, log records or points.
    pub(crate) rows: usize,
    /// Rows left out.
    pub(crate) rejected: Rejected,
}

/// Why a request's body, or a row in it, is refused for good. The text goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// Stored, it would make a partition of its own, and be deleted at once or never.
    #[error(
        "{field} is outside of what this server is set to take; check the sender's clock, or the \
         settings timestamp_past_max and timestamp_future_max"
    )]
    Time { field: &'static str },
    /// Attribute values are nested without measure.
    #[error("an attribute value is nested deeper than {VALUE_DEPTH_MAX} levels")]
    TooDeep,
    /// A few bytes of scope would become many of columns.
    #[error(
        "what a scope holds is stored with each row or block of rows, and here comes to more than \
         {SCOPE_BYTES_MAX} bytes; send fewer rows at a time, rows of fewer days, or smaller scopes"
    )]
    ScopeTooLarge,
    /// A few bytes on the wire would become many in columns, or many would become too many.
    #[error(
        "decoded, the request would take more than the {bytes_max} bytes that there are for it; send \
         smaller batches"
    )]
    ColumnsTooLarge { bytes_max: usize },
    /// Protobuf merges such fields; nobody sends them, and remembering them would cost memory.
    #[error("a field that comes once at most comes more than {PARTS_MAX} times in one message")]
    TooManyParts,
    /// What was guessed of fields that come last is wrong: for `walk_once`, which walks again without guesses.
    #[error("fields come in an order that was not foreseen")]
    GuessedWrong,
}

/// Levels of arrays and maps inside an attribute value. protobuf's own libraries stop at 100 levels of
/// messages, which is about 30 maps or 47 arrays inside each other.
pub(crate) const VALUE_DEPTH_MAX: usize = 32;

/// How often a message may hold a field that is one message and would be merged. 16 bytes are kept for each,
/// in a vector of up to twice the size, on each of up to `VALUE_DEPTH_MAX` levels: 1 MiB.
pub(crate) const PARTS_MAX: usize = 1024;

/// Bytes that one request may have stored of what it sends once: attributes of scopes and of metrics'
/// metadata, which each span, record or series holds, and names of scopes, services and metrics, which each
/// partition's block holds. Without a bound a request of some MiB could ask for TiB. This is 6.5 KiB for
/// each of the 10,000 spans of a Collector's largest batch.
pub(crate) const SCOPE_BYTES_MAX: usize = 64 << 20;

impl From<NotUtf8> for DecodeError {
    fn from(_: NotUtf8) -> Self {
        DecodeError::NotUtf8
    }
}

impl DecodeError {
    /// Whether it is the request that is bad, and not one row in it.
    fn is_of_request(&self) -> bool {
        match self {
            DecodeError::Wire(_)
            | DecodeError::ScopeTooLarge
            | DecodeError::ColumnsTooLarge { .. } => true,
            DecodeError::GuessedWrong
            | DecodeError::NotUtf8
            | DecodeError::IdLength { .. }
            | DecodeError::IdZero { .. }
            | DecodeError::Time { .. }
            | DecodeError::TooDeep
            | DecodeError::TooManyParts => false,
        }
    }
}

/// Appends the rows of an Export request of `signal`.
///
/// Rows that are bad by themselves are left out and reported; they never take others with them. On an
/// error the columns are as they were before.
pub(crate) fn walk(
    signal: Signal,
    body: &[u8],
    columns: &mut Columns,
    arrival: Arrival,
) -> Result<Walked, DecodeError> {
    let before = columns.rows();
    columns.begin_request();
    let mut walked = walk_once(signal, body, columns, arrival, None);
    if walked.as_ref().is_err_and(|error| !error.is_of_request()) {
        // Bad rows are rare: only now is each row's beginning remembered, so that it can be taken back.
        columns.roll_back_request();
        columns.begin_request();
        walked = walk_once(signal, body, columns, arrival, Some(Rejected::default()));
    }
    match walked {
        Ok(rejected) => Ok(Walked {
            rows: columns.rows() - before,
            rejected,
        }),
        Err(error) => {
            columns.roll_back_request();
            Err(error)
        }
    }
}

/// One pass of `walk`, which leaves out bad rows only when there is a `rejected` to add them to.
pub(crate) fn walk_once(
    signal: Signal,
    body: &[u8],
    columns: &mut Columns,
    arrival: Arrival,
    rejected: Option<Rejected>,
) -> Result<Rejected, DecodeError> {
    let guesses = rejected.is_none();
    match walk_by(guesses, signal, body, columns, arrival, rejected) {
        Err(DecodeError::GuessedWrong) => {
            columns.roll_back_request();
            columns.begin_request();
            walk_by(false, signal, body, columns, arrival, None)
        }
        walked => walked,
    }
}

/// See [`Walk::guesses`].
fn walk_by(
    guesses: bool,
    signal: Signal,
    body: &[u8],
    columns: &mut Columns,
    arrival: Arrival,
    rejected: Option<Rejected>,
) -> Result<Rejected, DecodeError> {
    let Columns {
        resources, series, ..
    } = columns;
    let mut walk = Walk::new(resources, series, arrival, rejected);
    walk.guesses = guesses;
    match signal {
        Signal::Traces => walk.request(body, &mut columns.traces)?,
        Signal::Logs => walk.request(body, &mut columns.logs)?,
        Signal::Metrics => walk.request(body, &mut columns.metrics)?,
    }
    Ok(walk.rejected.unwrap_or_default())
}

/// An enum value as one byte. OTLP's enums are small and open; what does not fit is "unspecified". Of a
/// varint with more than 32 bits the lower ones count, as protobuf has it.
fn small_enum(value: u64) -> u8 {
    u8::try_from(value as u32).unwrap_or(0)
}

/// A time as ClickHouse's DateTime64(9) can hold it: until 2262, where an i64 of nanoseconds ends.
#[inline]
fn storable_time(nanos: u64) -> u64 {
    nanos.min(i64::MAX as u64)
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
