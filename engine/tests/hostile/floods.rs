//! Frames without end that carry nothing, and header blocks without end or measure: the connection ends
//! with ENHANCE_YOUR_CALM, whoever counts them.

use spanmill_engine::ReactorChoice;

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY,
    Raw, SETTINGS, WINDOW_UPDATE, export, export_block, frame, literal,
};
use crate::on_each_reactor;
use crate::support::Stack;
use crate::{assert_ended, beside_neighbours};

on_each_reactor! {
    pings
    answers_to_no_ping
    settings
    window_updates
    priorities
    frames_of_no_kind
    empty_data
    tiny_data
    continuations
    hpack_bomb
    headers_past_the_limit
}

/// Frames that no connection may send at once, past what the engine grants (10,000).
const MANY: usize = 15_000;

/// Sends `begin`, then `part` `times` times, on connection after connection, and asserts how each ends: with
/// this text in its GOAWAY, if h2 has one.
fn flood(reactor: ReactorChoice, begin: &[u8], part: &[u8], times: usize, text: &str) {
    let stack = Stack::shared(reactor);
    // A few frames a write, as an attacker would send them; far fewer bytes than are read off after the end.
    let parts = part.repeat(50);
    beside_neighbours(&stack, || {
        let mut raw = Raw::connect(stack.grpc_addr());
        raw.send(begin);
        for _ in 0..times / 50 {
            if !raw.send(&parts) {
                break;
            }
        }
        assert_eq!(raw.assert_goes_away(ENHANCE_YOUR_CALM), text);
    });
    assert_ended(&stack, "grpc", &["flood"]);
}

/// Scenario: PING without pause (CVE-2019-9512).
/// Guarantee: ENHANCE_YOUR_CALM once the grant is used up.
fn pings(reactor: ReactorChoice) {
    flood(reactor, &[], &frame(PING, 0, 0, &[7; 8]), MANY, "");
}

/// Scenario: answers to PINGs that were never sent, each of which h2 writes a warning for.
/// Guarantee: the same, after few.
fn answers_to_no_ping(reactor: ReactorChoice) {
    flood(reactor, &[], &frame(PING, ACK, 0, &[7; 8]), 200, "");
}

/// Scenario: SETTINGS without pause, each of which wants an answer (CVE-2019-9515).
/// Guarantee: the same.
fn settings(reactor: ReactorChoice) {
    let initial_window = [0, 4, 0, 1, 0, 0];
    flood(
        reactor,
        &[],
        &frame(SETTINGS, 0, 0, &initial_window),
        2_000,
        "",
    );
}

/// Scenario: credit, a byte a frame, for an answer that is far away.
/// Guarantee: the same.
fn window_updates(reactor: ReactorChoice) {
    flood(
        reactor,
        &[],
        &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        MANY,
        "",
    );
}

/// Scenario: PRIORITY for a stream that never begins (CVE-2019-9513).
/// Guarantee: the same.
fn priorities(reactor: ReactorChoice) {
    flood(
        reactor,
        &[],
        &frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9]),
        MANY,
        "",
    );
}

/// Scenario: frames of a type that HTTP/2 does not have, which are to be ignored.
/// Guarantee: the same.
fn frames_of_no_kind(reactor: ReactorChoice) {
    flood(reactor, &[], &frame(0xbb, 0, 0, &[]), MANY, "");
}

/// Scenario: DATA without data, in a request that never ends (CVE-2019-9518).
/// Guarantee: the same, counted by h2: it takes a hundred on a connection.
fn empty_data(reactor: ReactorChoice) {
    let part = frame(DATA, 0, 1, &[]);
    flood(reactor, &export(1), &part, 200, "too_many_data_frames");
}

/// Scenario: a body in DATA frames of one byte.
/// Guarantee: the same.
fn tiny_data(reactor: ReactorChoice) {
    let begin = [export(1), frame(DATA, 0, 1, &[0, 0, 1, 0, 0])].concat();
    flood(reactor, &begin, &frame(DATA, 0, 1, b"x"), MANY, "");
}

/// Scenario: a header block that is continued without end, with nothing (CVE-2024-27316).
/// Guarantee: the same, counted by h2: it takes five frames.
fn continuations(reactor: ReactorChoice) {
    let begin = frame(HEADERS, 0, 1, &export_block());
    let part = frame(CONTINUATION, 0, 1, &[]);
    flood(reactor, &begin, &part, 200, "too_many_continuations");
}

/// Scenario: 4 KiB of header under a number of one byte, named ten thousand times (CVE-2016-6581).
/// Guarantee: the same, counted by h2: at four times the limit on headers, 64 KiB.
fn hpack_bomb(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let mut bomb = literal("x", &[b'y'; 4000]);
    // Into the dynamic table, where 62 is the newest entry.
    bomb[0] = 0x40;
    bomb.extend([0x80 | 62; 10_000]);
    let block = [export_block(), bomb].concat();
    beside_neighbours(&stack, || {
        let mut raw = Raw::connect(stack.grpc_addr());
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
        let text = raw.assert_goes_away(ENHANCE_YOUR_CALM);
        assert_eq!(text, "header_list_way_too_large");
    });
}

/// Scenario: 20 KiB of headers, where 16 are allowed.
/// Guarantee: the request is refused with an answer, and the connection goes on.
fn headers_past_the_limit(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let large = literal("x", &[b'y'; 10_000]);
    let block = [export_block(), large.clone(), large].concat();
    beside_neighbours(&stack, || {
        let mut raw = Raw::connect(stack.grpc_addr());
        let (first, rest) = block.split_at(16 << 10);
        raw.send(&frame(HEADERS, END_STREAM, 1, first));
        raw.send(&frame(CONTINUATION, END_HEADERS, 1, rest));
        let answer = raw.next_of(HEADERS);
        assert_eq!((answer.stream, answer.flags & END_STREAM), (1, END_STREAM));
        // :status 431 as a literal under the name at 8: answered by h2 itself.
        raw.round_trip();
    });
}
