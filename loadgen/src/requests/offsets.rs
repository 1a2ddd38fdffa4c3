//! Where ids and times lie in an encoded request, and how many items it holds. Only what this crate encoded
//! itself is read, once, before the start.

use crate::signal::Signal;

/// Where the fields lie that a sender writes anew before each send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    /// 16 bytes each, or 32 hex digits in JSON.
    pub(super) traces: Vec<u32>,
    /// 8 bytes each, or 16 hex digits.
    pub(super) spans: Vec<u32>,
    /// 8 bytes each, little-endian, or 19 decimal digits.
    pub(super) times: Vec<u32>,
    pub(super) items: u64,
}

/// What a field of a message is to this walk.
#[derive(Clone, Copy)]
enum Field {
    Trace,
    Span,
    Time,
    Within(&'static [(u64, Field)]),
    /// The same, and counted.
    Item(&'static [(u64, Field)]),
}

use Field::{Item, Span, Time, Trace, Within};

type Fields = &'static [(u64, Field)];

const EVENT: Fields = &[(1, Time)];
const LINK: Fields = &[(1, Trace), (2, Span)];
const SPAN: Fields = &[
    (1, Trace),
    (2, Span),
    (4, Span),
    (7, Time),
    (8, Time),
    (11, Within(EVENT)),
    (13, Within(LINK)),
];
const RECORD: Fields = &[(1, Time), (9, Trace), (10, Span), (11, Time)];
const EXEMPLAR: Fields = &[(2, Time), (4, Span), (5, Trace)];
// Start times stay: most points are cumulative, and theirs does not move from export to export.
const NUMBERS: Fields = &[(1, Item(&[(3, Time), (5, Within(EXEMPLAR))]))];
const HISTOGRAMS: Fields = &[(1, Item(&[(3, Time), (8, Within(EXEMPLAR))]))];
const EXPONENTIALS: Fields = &[(1, Item(&[(3, Time), (11, Within(EXEMPLAR))]))];
const SUMMARIES: Fields = &[(1, Item(&[(3, Time)]))];
const METRIC: Fields = &[
    (5, Within(NUMBERS)),
    (7, Within(NUMBERS)),
    (9, Within(HISTOGRAMS)),
    (10, Within(EXPONENTIALS)),
    (11, Within(SUMMARIES)),
];
const TRACES: Fields = &[(1, Within(&[(2, Within(&[(2, Item(SPAN))]))]))];
const LOGS: Fields = &[(1, Within(&[(2, Within(&[(2, Item(RECORD))]))]))];
const METRICS: Fields = &[(1, Within(&[(2, Within(&[(2, Within(METRIC))]))]))];

/// The offsets in a protobuf request; `None` when the bytes are no such message.
pub(super) fn in_protobuf(signal: Signal, body: &[u8]) -> Option<Offsets> {
    let mut found = Offsets::default();
    let fields = [TRACES, LOGS, METRICS][signal as usize];
    walk(fields, body, 0, body.len(), &mut found)?;
    Some(found)
}

fn walk(fields: Fields, all: &[u8], mut at: usize, end: usize, found: &mut Offsets) -> Option<()> {
    while at < end {
        let key = varint(all, &mut at)?;
        let field = fields.iter().find(|(number, _)| *number == key >> 3);
        let length = match key & 7 {
            0 => {
                varint(all, &mut at)?;
                continue;
            }
            1 => 8,
            2 => varint(all, &mut at)? as usize,
            5 => 4,
            _ => return None,
        };
        let next = at.checked_add(length).filter(|next| *next <= end)?;
        let place = u32::try_from(at).ok()?;
        match field.map(|(_, field)| *field) {
            Some(Trace) if length == 16 => found.traces.push(place),
            Some(Span) if length == 8 => found.spans.push(place),
            Some(Time) => found.times.push(place),
            Some(Within(fields)) => walk(fields, all, at, next, found)?,
            Some(Item(fields)) => {
                found.items += 1;
                walk(fields, all, at, next, found)?;
            }
            _ => {}
        }
        at = next;
    }
    Some(())
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The offsets in a JSON request without spaces; `items` is left at 0. A key cannot be found within a value:
/// quotes are escaped there.
pub(super) fn in_json(body: &[u8]) -> Offsets {
    let mut found = Offsets::default();
    let mut at = 0;
    while let Some(quote) = body[at..].iter().position(|byte| *byte == b'"') {
        at += quote;
        let rest = &body[at..];
        let digits_behind = |key: &[u8], places: &mut Vec<u32>, digits: usize| {
            let is_key = rest.starts_with(key);
            if is_key && rest.get(key.len() + digits) == Some(&b'"') {
                places.push((at + key.len()) as u32);
            }
            is_key
        };
        let is_known = digits_behind(b"\"traceId\":\"", &mut found.traces, 32)
            || digits_behind(b"\"spanId\":\"", &mut found.spans, 16)
            || digits_behind(b"\"parentSpanId\":\"", &mut found.spans, 16)
            || digits_behind(b"\"timeUnixNano\":\"", &mut found.times, 19)
            || digits_behind(b"\"observedTimeUnixNano\":\"", &mut found.times, 19)
            || digits_behind(b"\"endTimeUnixNano\":\"", &mut found.times, 19);
        // A span's start; a point's stays, see above.
        let key = b"\"startTimeUnixNano\":\"";
        if !is_known && rest.starts_with(key) && is_spans(&rest[key.len()..]) {
            found.times.push((at + key.len()) as u32);
        }
        at += 1;
    }
    found
}

/// A span's start is followed by its end.
fn is_spans(behind: &[u8]) -> bool {
    behind
        .get(19..)
        .is_some_and(|rest| rest.starts_with(b"\",\"endTimeUnixNano\""))
}
