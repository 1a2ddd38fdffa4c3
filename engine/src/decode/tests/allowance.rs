//! What a request may take in columns: no request takes more, whatever grows in it, and one that would is
//! refused whole.

use proptest::prelude::any;

use super::full::full;
use super::messages::groups;
use super::store::Store;
use super::tree::{Logs, Telemetry, Traces, encode};
use super::{NOW, arrival, for_all, for_every_signal, tables, wire};
use crate::decode::{Arrival, DecodeError, PARTS_MAX, Signal, walk};

for_every_signal! {
    no_request_takes_more_than_it_may
    every_bound_below_refuses
    a_refusal_of_one_request_does_not_touch_others
}

fn within(column_bytes_max: usize) -> Arrival {
    Arrival {
        column_bytes_max,
        ..arrival(NOW)
    }
}

fn too_large(bytes_max: usize) -> DecodeError {
    DecodeError::ColumnsTooLarge { bytes_max }
}

/// Scenario: arbitrary requests in arbitrary encodings, some with bad rows, each with every kind of bound:
/// far too small, one byte too small, exact, and ample.
/// Guarantees: with one byte less than it takes a request is refused, whole and leaving nothing; with the
/// ample one (twice as many, and what is held outside of the columns meanwhile) it is taken; it is never
/// taken with more than it may take.
fn no_request_takes_more_than_it_may<S: Telemetry>() {
    let strategy = (groups::<S>(), any::<u64>(), any::<u8>(), 0..100_usize);
    for_all(96, strategy, |(request, seed, choice, percent)| {
        let body = wire::reencode(S::SIGNAL, &encode::<S>(&request), seed);
        let mut store = Store::new(tables(choice));
        let taken = store.counts::<S>(&body, within(usize::MAX)).unwrap();
        let bytes = store.columns.bytes();
        if bytes == 0 {
            return;
        }
        for less in [0, bytes * percent / 100, bytes - 1] {
            let mut store = Store::new(tables(choice));
            let outcome = store.counts::<S>(&body, within(less));
            assert_eq!(outcome, Err(too_large(less)), "{less} of {bytes}");
            assert_eq!(store.columns.bytes(), 0);
        }
        for more in [bytes, bytes + bytes * percent / 100, bytes * 2] {
            let mut store = Store::new(tables(choice));
            let outcome = store.counts::<S>(&body, within(more));
            assert!(outcome == Ok(taken) || outcome == Err(too_large(more)));
        }
        let ample = 2 * bytes + 64 * body.len() + (16 << 10);
        let mut store = Store::new(tables(choice));
        assert_eq!(store.counts::<S>(&body, within(ample)), Ok(taken));
    });
}

/// Scenario: requests of one item that uses every field, with every bound below what it takes.
/// Guarantees: all are refused, wherever in them the columns are measured.
fn every_bound_below_refuses<S: Telemetry>() {
    for item in S::full() {
        let mut request = full::<S>();
        request[0].scopes[0].items = vec![item];
        assert_refused_below(S::SIGNAL, &encode::<S>(&request));
    }
}

/// Scenario: when the columns were measured for a new series, its point had been foreseen, but lay in the
/// columns only in part, so that the rest of it was forgotten. So: a point of each kind with a time and
/// nothing else, with every bound below what it takes.
/// Guarantees: all are refused.
#[test]
fn a_point_of_a_new_series_is_not_forgotten() {
    let time = [&[3 << 3 | 1][..], &[1; 8]].concat();
    for kind in [5, 7, 9, 10, 11] {
        assert_refused_below(Signal::Metrics, &request(&point(kind, &time)));
    }
}

fn assert_refused_below(signal: Signal, body: &[u8]) {
    let walk_within = |bytes_max| {
        let mut columns = crate::columns::Columns::new(tables(0));
        let outcome = walk(signal, body, &mut columns, within(bytes_max));
        (outcome, columns.bytes())
    };
    let (outcome, bytes) = walk_within(usize::MAX);
    assert!(outcome.is_ok_and(|walked| walked.rows == 1));
    for less in 0..bytes {
        assert_eq!(walk_within(less), (Err(too_large(less)), 0));
    }
}

/// Scenario: a good request, one that is refused for the room that it needs, and the good one again.
/// Guarantees: what columns hold already counts for nothing, and the chunk is the one of the good requests.
fn a_refusal_of_one_request_does_not_touch_others<S: Telemetry>() {
    let good = encode::<S>(&full::<S>());
    let large = good.repeat(40);
    let mut alone = Store::new(tables(0));
    let mut among = Store::new(tables(0));
    for _ in 0..20 {
        let room = 40 * good.len() + 8192;
        alone.walk::<S>(&good, arrival(NOW)).unwrap();
        let outcome = among.walk::<S>(&large, within(room / 8));
        assert_eq!(outcome, Err(too_large(room / 8)));
        among.walk::<S>(&good, within(room)).unwrap();
    }
    assert!(among.seal() == alone.seal());
}

/// A field with a length.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(
        number,
        prost::encoding::WireType::LengthDelimited,
        &mut bytes,
    );
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A request with one item, which is this.
fn request(item: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, item)))
}

/// A span with what the least one has.
fn span() -> Vec<u8> {
    let mut span = [field(1, &[1; 16]), field(2, &[1; 8])].concat();
    span.extend_from_slice(&[0x39, 1, 0, 0, 0, 0, 0, 0, 0]);
    span
}

/// A metric of a kind (by its field) with one point that holds this.
fn point(kind: u32, fields: &[u8]) -> Vec<u8> {
    field(kind, &field(1, fields))
}

/// An attribute with these bytes as its `AnyValue`.
fn attribute(value: &[u8]) -> Vec<u8> {
    field(2, value)
}

/// Everything of which there may be many in one row, or once for many rows, as requests of about `bytes`
/// bytes: the name, the signal and the body.
fn hostile(bytes: usize) -> Vec<(&'static str, Signal, Vec<u8>)> {
    use Signal::{Logs, Metrics, Traces};
    let many = |part: &[u8]| part.repeat(bytes / part.len());
    let in_span = |part: &[u8]| request(&[span(), many(part)].concat());
    let in_point = |kind, part: &[u8]| request(&point(kind, &many(part)));
    let in_array = |item: &[u8]| field(9, &attribute(&field(5, &many(&field(1, item)))));
    let in_map = |item: &[u8]| field(9, &attribute(&field(6, &many(&field(1, item)))));
    let escaped = field(9, &attribute(&field(5, &field(1, &field(1, &many(&[1]))))));
    let with_span = |part: Vec<u8>| request(&[span(), part].concat());
    let distinct = |number: u32| -> Vec<u8> {
        let keys = (0..bytes as u32 / 8).map(|key| format!("{key:x}"));
        keys.flat_map(|key| field(number, &field(1, key.as_bytes())))
            .collect()
    };
    let series = |number: u32| {
        let points = (0..bytes as u32 / 20).flat_map(|series| {
            let key = format!("{series:x}");
            field(1, &field(7, &field(1, key.as_bytes())))
        });
        field(number, &points.collect::<Vec<u8>>())
    };
    vec![
        ("events", Traces, in_span(&[0x5a, 0])),
        (
            "events' attributes",
            Traces,
            with_span(field(11, &many(&[0x1a, 0]))),
        ),
        (
            "links",
            Traces,
            in_span(&field(
                13,
                &[field(1, &[1; 16]), field(2, &[1; 8])].concat(),
            )),
        ),
        ("attributes", Traces, in_span(&[0x4a, 0])),
        ("keys", Traces, with_span(distinct(9))),
        ("array", Traces, with_span(in_array(&[]))),
        (
            "numbers",
            Traces,
            with_span(in_array(&[
                0x21, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff,
            ])),
        ),
        ("map", Traces, with_span(in_map(&[]))),
        ("escaped", Traces, with_span(escaped)),
        ("records", Logs, field(1, &field(2, &many(&[0x12, 0])))),
        (
            "body",
            Logs,
            request(&field(5, &field(5, &many(&[0x0a, 0])))),
        ),
        ("points", Metrics, request(&field(5, &many(&[0x0a, 0])))),
        (
            "buckets",
            Metrics,
            request(&point(10, &field(8, &field(2, &many(&[0]))))),
        ),
        (
            "single buckets",
            Metrics,
            request(&point(10, &field(8, &many(&[0x10, 0])))),
        ),
        ("quantiles", Metrics, in_point(11, &[0x32, 0])),
        ("exemplars", Metrics, in_point(5, &[0x2a, 0])),
        ("histogram's exemplars", Metrics, in_point(9, &[0x42, 0])),
        (
            "exemplars' attributes",
            Metrics,
            request(&point(5, &field(5, &many(&[0x3a, 0])))),
        ),
        ("series", Metrics, request(&series(5))),
        ("series' attributes", Metrics, in_point(5, &[0x3a, 0])),
        (
            "metadata",
            Metrics,
            request(&[many(&[0x62, 0]), point(5, &[])].concat()),
        ),
        (
            "resource",
            Logs,
            field(
                1,
                &[field(1, &many(&[0x0a, 0])), field(2, &[0x12, 0])].concat(),
            ),
        ),
        (
            "scope",
            Logs,
            field(
                1,
                &field(2, &[field(1, &many(&[0x1a, 0])), vec![0x12, 0]].concat()),
            ),
        ),
        ("scope's rows", Logs, {
            let scope = field(1, &field(3, &field(1, b"key")));
            field(1, &field(2, &[scope, many(&[0x12, 0])].concat()))
        }),
    ]
}

/// Scenario: each thing of which a row or a request can have very many, in a request of 256 KiB; with a
/// bound of twice its size, then with one that is ample.
/// Guarantees: it is refused for its size, leaving neither bytes nor, with the row bound, blown-up memory;
/// with the ample one it is taken, and takes no more than that.
#[test]
fn nothing_grows_past_the_bound() {
    for (name, signal, body) in hostile(256 << 10) {
        let mut columns = crate::columns::Columns::new(tables(0));
        let bound = 2 * body.len();
        let outcome = walk(signal, &body, &mut columns, within(bound));
        assert_eq!(outcome, Err(too_large(bound)), "{name}");
        assert_eq!((columns.rows(), columns.bytes()), (0, 0), "{name}");
        let ample = 256 << 20;
        let outcome = walk(signal, &body, &mut columns, within(ample));
        assert!(outcome.is_ok_and(|walked| walked.rows > 0), "{name}");
        assert!(columns.bytes() <= ample, "{name}");
    }
}

/// Scenario: large plain values, which take about as much in columns as on the wire: a body, a text
/// attribute, ten thousand least spans, and one with as many common attributes; with room for half as much
/// again as they take, and twice as much for the last, whose keys could all be new.
/// Guarantees: foreseeing does not refuse what fits.
#[test]
fn what_fits_is_not_refused() {
    let text = vec![b'x'; 4 << 20];
    let key_value = |number: usize| {
        let key = format!("some.attribute.key.{}", number % 100);
        let value = field(
            1,
            format!("a value of fifty bytes, that is {number:020}").as_bytes(),
        );
        field(9, &[field(1, key.as_bytes()), field(2, &value)].concat())
    };
    let attributes: Vec<u8> = (0..10_000).flat_map(key_value).collect();
    let large = field(9, &attribute(&field(1, &text)));
    for (body, percent) in [
        (request(&[span(), large].concat()), 150),
        (request(&span()).repeat(10_000), 150),
        (request(&[span(), attributes].concat()), 200),
    ] {
        let signal = Signal::Traces;
        let mut columns = crate::columns::Columns::new(tables(1));
        let walked = walk(signal, &body, &mut columns, within(usize::MAX)).unwrap();
        let bytes = columns.bytes();
        let mut columns = crate::columns::Columns::new(tables(1));
        let outcome = walk(signal, &body, &mut columns, within(bytes / 100 * percent));
        assert_eq!(outcome, Ok(walked));
    }
}

/// Scenario: messages that come once at most come a thousand times, and then more often.
/// Guarantees: up to the bound they are merged; past it the row, or all rows below, are left out.
#[test]
fn merged_parts_are_bounded() {
    let body = |times: usize| {
        let part = field(5, &field(5, &field(1, &field(1, b"x"))));
        request(&part.repeat(times))
    };
    let mut store = Store::new(tables(0));
    let mut counts = |times| store.counts::<Logs>(&body(times), arrival(NOW)).unwrap();
    assert_eq!(counts(PARTS_MAX), (1, 0));
    assert_eq!(counts(PARTS_MAX + 1), (0, 1));
    let scopes = [field(1, b"").repeat(PARTS_MAX + 1), field(2, &span())].concat();
    let request = field(1, &field(2, &scopes));
    let mut store = Store::new(tables(0));
    assert_eq!(store.counts::<Traces>(&request, arrival(NOW)), Ok((0, 1)));
}
