//! Requests begun to be taken back, by their sender or by provoking the engine, and more of them than may be
//! in flight.

use std::collections::HashSet;
use std::time::Duration;

use spanmill_engine::ReactorChoice;

use crate::beside_neighbours;
use crate::frames::{
    DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, PRIORITY,
    REFUSED_STREAM, RST_STREAM, Raw, SETTINGS, export, frame, reset, streams,
};
use crate::on_each_reactor;
use crate::support::Stack;
use crate::support::grpc::message;
use crate::support::spans::nothing;

on_each_reactor! {
    rapid_reset
    paced_reset
    made_you_reset
    headers_without_fields
    streams_past_the_limit
    streams_of_many_connections
}

/// Scenario: requests in one write, each taken back at once (CVE-2023-44487).
/// Guarantee: ENHANCE_YOUR_CALM, counted by h2: it takes twenty that were not looked at yet.
fn rapid_reset(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    let burst: Vec<u8> = streams()
        .take(500)
        .flat_map(|stream| [export(stream), reset(stream)].concat())
        .collect();
    beside_neighbours(&stack, || {
        let mut raw = Raw::connect(stack.grpc_addr());
        raw.send(&burst);
        assert_eq!(raw.assert_goes_away(ENHANCE_YOUR_CALM), "too_many_resets");
    });
}

/// A SETTINGS payload: this much credit for each answer. Without any, an answer's headers come and show that
/// its request was served, while the stream stays open.
fn credit(bytes: u16) -> Vec<u8> {
    let [high, low] = bytes.to_be_bytes();
    vec![0, 4, 0, 0, high, low]
}

/// A whole request that brings nothing to store.
fn whole(stream: u32) -> Vec<u8> {
    let body = message(0, &nothing(100));
    [export(stream), frame(DATA, END_STREAM, stream, &body)].concat()
}

/// Scenario: the same, but each is taken back when it has been served and only its answer is missing, so that
/// h2 has nothing to count.
/// Guarantee: ENHANCE_YOUR_CALM after a thousand or so, and not before what an honest sender may do that gives
/// up on all its requests.
fn paced_reset(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    beside_neighbours(&stack, || {
        let mut raw = Raw::with_settings(stack.grpc_addr(), &credit(0));
        let mut resets = 0;
        for stream in streams() {
            assert!(resets < 100_000, "it goes on for ever");
            raw.send(&whole(stream));
            let answer = std::iter::from_fn(|| raw.next());
            let mut answer = answer.skip_while(|frame| ![HEADERS, GOAWAY].contains(&frame.kind));
            let answer = answer.next().expect("an answer or GOAWAY");
            if answer.kind == GOAWAY {
                assert_eq!(answer.code(), ENHANCE_YOUR_CALM);
                break;
            }
            raw.send(&reset(stream));
            resets += 1;
        }
        assert!(resets >= 3 * 256, "after {resets}");
        assert_eq!(raw.rest().len(), 0);
    });
}

/// Scenario: requests whose sender breaks a rule of their stream, so that the engine resets them
/// (CVE-2025-8671): a stream that depends on itself.
/// Guarantee: each is reset; ENHANCE_YOUR_CALM, counted by h2, after 1,024.
fn made_you_reset(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    beside_neighbours(&stack, || {
        let mut raw = Raw::connect(stack.grpc_addr());
        for stream in streams().take(2_000) {
            let mut on_itself = stream.to_be_bytes().to_vec();
            on_itself.push(9);
            let broken = [export(stream), frame(PRIORITY, 0, stream, &on_itself)].concat();
            if !raw.send(&broken) {
                break;
            }
        }
        assert_resets(raw, 1_024);
    });
}

/// Scenario: HEADERS without a single field, stream after stream.
/// Guarantee: the same.
fn headers_without_fields(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    beside_neighbours(&stack, || {
        let mut raw = Raw::connect(stack.grpc_addr());
        for stream in streams().take(2_000) {
            if !raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &[])) {
                break;
            }
        }
        assert_resets(raw, 1_024);
    });
}

/// The connection has reset so many streams, then ended with ENHANCE_YOUR_CALM.
fn assert_resets(raw: Raw, count: usize) {
    let frames = raw.rest();
    let resets: HashSet<u32> = of_kind(&frames, RST_STREAM)
        .map(|reset| reset.stream)
        .collect();
    let goaway = of_kind(&frames, GOAWAY).last().expect("GOAWAY");
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
    assert_eq!(&goaway.payload[8..], b"too_many_internal_resets");
    assert!(resets.len() <= count, "{} resets", resets.len());
}

fn of_kind(frames: &[Frame], kind: u8) -> impl DoubleEndedIterator<Item = &Frame> {
    frames.iter().filter(move |frame| frame.kind == kind)
}

/// Scenario: 256 requests whose answers wait for credit, which is as many as may be in flight, and 44 more.
/// Guarantee: those past the limit are refused, so that their sender may begin them elsewhere; with credit
/// the others get their answers, and there is room again.
fn streams_past_the_limit(reactor: ReactorChoice) {
    let stack = Stack::shared(reactor);
    beside_neighbours(&stack, || {
        let mut raw = Raw::with_settings(stack.grpc_addr(), &credit(0));
        let begun: Vec<u32> = streams().take(300).collect();
        for stream in &begun[..256] {
            assert!(raw.send(&whole(*stream)));
            assert_eq!(raw.next_of(HEADERS).stream, *stream);
        }
        for stream in &begun[256..] {
            assert!(raw.send(&export(*stream)));
            let refused = raw.next_of(RST_STREAM);
            assert_eq!((refused.stream, refused.code()), (*stream, REFUSED_STREAM));
        }
        assert!(raw.send(&frame(SETTINGS, 0, 0, &credit(100))));
        let mut taken: Vec<u32> = (0..256).map(|_| raw.next_of(DATA).stream).collect();
        taken.sort_unstable();
        assert_eq!(taken, begun[..256]);
        raw.round_trip();
        raw.send(&whole(1001));
        assert_eq!(raw.next_of(DATA).stream, 1001);
    });
}

/// Scenario: four connections begin 32 requests each that never end, where a shard may have 64 in flight.
/// Guarantee: past that, connections that have more than their share are refused more, so that those with few
/// go on.
fn streams_of_many_connections(reactor: ReactorChoice) {
    let calls = 64;
    let stack = Stack::shared_with("calls", reactor, |config| config.peers.calls = calls);
    let begin: Vec<u8> = streams().take(calls / 2).flat_map(export).collect();
    beside_neighbours(&stack, || {
        let mut peers = [(); 4].map(|()| Raw::connect(stack.grpc_addr()));
        for raw in &mut peers {
            assert!(raw.send(&begin));
        }
        let refused = |frame: &Frame| frame.kind == RST_STREAM && frame.code() == REFUSED_STREAM;
        while !peers
            .iter()
            .any(|raw| raw.during(Duration::from_millis(10)).iter().any(refused))
        {}
    });
}
