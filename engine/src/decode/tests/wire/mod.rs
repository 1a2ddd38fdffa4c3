//! Writes a message in another of its many encodings: takes protobuf bytes and gives bytes that every
//! correct reader takes for the same message. Fields change their order, scalars come twice, messages in
//! pieces, repeated scalars packed, one by one or both, varints with padding, and unknown fields in
//! between.

mod fields;
mod payload;

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use fields::Field::{Choice, ChoiceOf, Many, One, Optional, Repeated, Scalar};
use fields::{Field, Message, Wire, fields};
use payload::{Payload, decoy, field, packed, parse, unknown, unpacked, widen};

use crate::decode::Signal;

/// Another encoding of the request `bytes`; `seed` chooses which, and 0 changes nothing.
pub(super) fn reencode(signal: Signal, bytes: &[u8], seed: u64) -> Vec<u8> {
    let request = Message::Request(signal);
    match seed {
        0 => bytes.to_vec(),
        _ => rewrite(bytes, request, &mut Rng::with_seed(seed)).concat(),
    }
}

/// Encodings of single fields which together, in this order, are `bytes` rewritten.
fn rewrite(bytes: &[u8], message: Message, rng: &mut Rng) -> Vec<Vec<u8>> {
    // Fields of one lane keep their order.
    let mut lanes = BTreeMap::<u32, VecDeque<Vec<u8>>>::new();
    for (number, payload) in parse(bytes) {
        let kind = kind_of(message, number);
        let lane = lanes.entry(lane_of(kind, number)).or_default();
        match kind {
            Some(Scalar(wire) | Optional(wire)) => {
                if rng.u8(..6) == 0 {
                    lane.push_back(field(number, &decoy(wire, rng), rng));
                }
                lane.push_back(field(number, &widen(payload, wire, rng), rng));
            }
            Some(Many(inner)) => {
                let whole = rewrite(payload.bytes(), inner, rng).concat();
                lane.push_back(field(number, &Payload::Bytes(whole), rng));
            }
            Some(Repeated(wire)) => lane.extend(runs(number, &payload, wire, rng)),
            Some(One(inner)) => lane.extend(pieces(number, &payload, inner, rng)),
            Some(Choice(wire)) => {
                lane.extend(overridden(message, number, rng));
                lane.push_back(field(number, &widen(payload, wire, rng), rng));
            }
            Some(ChoiceOf(inner)) => {
                lane.extend(overridden(message, number, rng));
                lane.extend(pieces(number, &payload, inner, rng));
            }
            None => lane.push_back(field(number, &payload, rng)),
        }
    }
    for &(number, kind) in fields(message) {
        // An absent scalar may come all the same, with its default last.
        if let Scalar(wire) = kind
            && !lanes.contains_key(&number)
            && rng.u8(..12) == 0
        {
            let default = [decoy(wire, rng), Payload::default_of(wire)];
            let lane = default.iter().map(|payload| field(number, payload, rng));
            lanes.insert(number, lane.collect());
        }
    }
    for lane in 0..rng.u32(..3) {
        lanes.insert(u32::MAX - lane, [unknown(rng, 0)].into());
    }
    interleave(lanes, rng)
}

fn kind_of(message: Message, number: u32) -> Option<Field> {
    let known = fields(message).iter().find(|field| field.0 == number);
    known.map(|field| field.1)
}

/// All alternatives of a oneof keep their order. No message has two.
fn lane_of(kind: Option<Field>, number: u32) -> u32 {
    match kind {
        Some(Choice(_) | ChoiceOf(_)) => 0,
        _ => number,
    }
}

fn interleave(lanes: BTreeMap<u32, VecDeque<Vec<u8>>>, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut lanes: Vec<_> = lanes.into_values().collect();
    let mut order = Vec::new();
    for (lane, fields) in lanes.iter().enumerate() {
        order.resize(order.len() + fields.len(), lane);
    }
    rng.shuffle(&mut order);
    let next = order.iter().map(|lane| lanes[*lane].pop_front());
    next.map(|field| field.unwrap()).collect()
}

/// A message field in one to three pieces, some of them empty.
fn pieces(number: u32, payload: &Payload, inner: Message, rng: &mut Rng) -> Vec<Vec<u8>> {
    let whole = rewrite(payload.bytes(), inner, rng);
    let mut cuts = vec![0, whole.len()];
    for _ in 0..[0, 0, 1, 2][rng.usize(..4)] {
        cuts.push(rng.usize(..=whole.len()));
    }
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|cut| {
            let piece = whole[cut[0]..cut[1]].concat();
            field(number, &Payload::Bytes(piece), rng)
        })
        .collect()
}

/// A repeated scalar in runs, each packed or one by one.
fn runs(number: u32, payload: &Payload, wire: Wire, rng: &mut Rng) -> Vec<Vec<u8>> {
    let values = unpacked(payload, wire);
    let mut rest = &values[..];
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rng.usize(1..=rest.len()));
        rest = after;
        match rng.u8(..3) {
            0 => fields.extend(run.iter().map(|value| field(number, value, rng))),
            _ => fields.push(field(number, &packed(run, rng), rng)),
        }
        if rng.u8(..6) == 0 {
            fields.push(field(number, &packed(&[], rng), rng));
        }
    }
    fields
}

/// Alternatives of a oneof that the real one, `number`, overrides.
fn overridden(message: Message, number: u32, rng: &mut Rng) -> Vec<Vec<u8>> {
    if rng.u8(..6) != 0 {
        return Vec::new();
    }
    let is_choice = |field: &&(u32, Field)| matches!(field.1, Choice(_) | ChoiceOf(_));
    let choices: Vec<_> = fields(message).iter().filter(is_choice).collect();
    let real = choices.iter().position(|choice| choice.0 == number);
    let real = real.expect("the field is in a oneof");
    let mut before = Vec::new();
    // The real alternative itself, then another one: a message must start afresh.
    for other in [real, (real + rng.usize(1..choices.len())) % choices.len()] {
        let (number, kind) = *choices[other];
        let payload = match kind {
            Choice(wire) => decoy(wire, rng),
            // A list or metric that holds an empty element.
            _ => Payload::Bytes(vec![0x0a, 0x00]),
        };
        before.push(field(number, &payload, rng));
    }
    before
}
