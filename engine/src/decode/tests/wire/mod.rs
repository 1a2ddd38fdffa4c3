//! Writes a message in another of its many encodings: takes protobuf bytes and gives bytes that every
//! correct reader takes for the same message. Fields change their order, scalars come twice, messages in
//! pieces, varints with padding, and unknown fields in between.

use std::collections::{BTreeMap, VecDeque};

use Field::{Choice, ChoiceOf, Many, One, Scalar};
use Wire::{Bool, Bytes, Fixed32, Fixed64, Int32, Int64};
use fastrand::Rng;

/// The messages of a trace request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Message {
    Request,
    ResourceSpans,
    Resource,
    EntityRef,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    Status,
    KeyValue,
    AnyValue,
    Array,
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wire {
    Int32,
    Int64,
    Bool,
    Fixed32,
    Fixed64,
    Bytes,
}

/// What a field is, as far as its encoding goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    /// The last one holds.
    Scalar(Wire),
    /// Several are merged into one.
    One(Message),
    /// Each is an element.
    Many(Message),
    /// Of the alternatives the last one holds.
    Choice(Wire),
    /// The same, but if it follows itself the two are merged.
    ChoiceOf(Message),
}

/// The fields of `message`, from the .proto files.
fn fields(message: Message) -> &'static [(u32, Field)] {
    match message {
        Message::Request => &[(1, Many(Message::ResourceSpans))],
        Message::ResourceSpans => &[
            (1, One(Message::Resource)),
            (2, Many(Message::ScopeSpans)),
            (3, Scalar(Bytes)),
        ],
        Message::Resource => &[
            (1, Many(Message::KeyValue)),
            (2, Scalar(Int32)),
            (3, Many(Message::EntityRef)),
        ],
        Message::EntityRef => &[(1, Scalar(Bytes)), (2, Scalar(Bytes))],
        Message::ScopeSpans => &[
            (1, One(Message::Scope)),
            (2, Many(Message::Span)),
            (3, Scalar(Bytes)),
        ],
        Message::Scope => &[
            (1, Scalar(Bytes)),
            (2, Scalar(Bytes)),
            (3, Many(Message::KeyValue)),
            (4, Scalar(Int32)),
        ],
        Message::Span => &[
            (1, Scalar(Bytes)),
            (2, Scalar(Bytes)),
            (3, Scalar(Bytes)),
            (4, Scalar(Bytes)),
            (5, Scalar(Bytes)),
            (6, Scalar(Int32)),
            (7, Scalar(Fixed64)),
            (8, Scalar(Fixed64)),
            (9, Many(Message::KeyValue)),
            (10, Scalar(Int32)),
            (11, Many(Message::Event)),
            (12, Scalar(Int32)),
            (13, Many(Message::Link)),
            (14, Scalar(Int32)),
            (15, One(Message::Status)),
            (16, Scalar(Fixed32)),
        ],
        Message::Event => &[
            (1, Scalar(Fixed64)),
            (2, Scalar(Bytes)),
            (3, Many(Message::KeyValue)),
            (4, Scalar(Int32)),
        ],
        Message::Link => &[
            (1, Scalar(Bytes)),
            (2, Scalar(Bytes)),
            (3, Scalar(Bytes)),
            (4, Many(Message::KeyValue)),
            (5, Scalar(Int32)),
            (6, Scalar(Fixed32)),
        ],
        Message::Status => &[(2, Scalar(Bytes)), (3, Scalar(Int32))],
        Message::KeyValue => &[
            (1, Scalar(Bytes)),
            (2, One(Message::AnyValue)),
            (3, Scalar(Int32)),
        ],
        Message::AnyValue => &[
            (1, Choice(Bytes)),
            (2, Choice(Bool)),
            (3, Choice(Int64)),
            (4, Choice(Fixed64)),
            (5, ChoiceOf(Message::Array)),
            (6, ChoiceOf(Message::Map)),
            (7, Choice(Bytes)),
            (8, Choice(Int32)),
        ],
        Message::Array => &[(1, Many(Message::AnyValue))],
        Message::Map => &[(1, Many(Message::KeyValue))],
    }
}

/// Another encoding of the request `bytes`; `seed` chooses which, and 0 changes nothing.
pub(super) fn reencode(bytes: &[u8], seed: u64) -> Vec<u8> {
    match seed {
        0 => bytes.to_vec(),
        _ => rewrite(bytes, Message::Request, &mut Rng::with_seed(seed)).concat(),
    }
}

/// Encodings of single fields which together, in this order, are `bytes` rewritten.
fn rewrite(bytes: &[u8], message: Message, rng: &mut Rng) -> Vec<Vec<u8>> {
    // Fields of one lane keep their order.
    let mut lanes = BTreeMap::<u32, VecDeque<Vec<u8>>>::new();
    for (number, payload) in parse(bytes) {
        let lane = lanes.entry(lane_of(message, number)).or_default();
        let known = fields(message).iter().find(|field| field.0 == number);
        match known.map(|field| field.1) {
            Some(Scalar(wire)) => {
                if rng.u8(..6) == 0 {
                    lane.push_back(field(number, &decoy(wire, rng), rng));
                }
                lane.push_back(field(number, &widen(payload, wire, rng), rng));
            }
            Some(Many(inner)) => {
                let whole = rewrite(payload.bytes(), inner, rng).concat();
                lane.push_back(field(number, &Payload::Bytes(whole), rng));
            }
            Some(One(inner)) => lane.extend(pieces(number, &payload, inner, rng)),
            Some(Choice(wire)) => {
                lane.extend(overridden(number, rng));
                lane.push_back(field(number, &widen(payload, wire, rng), rng));
            }
            Some(ChoiceOf(inner)) => {
                lane.extend(overridden(number, rng));
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

/// All alternatives of a oneof keep their order.
fn lane_of(message: Message, number: u32) -> u32 {
    if message == Message::AnyValue {
        0
    } else {
        number
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

/// Alternatives of an `AnyValue` that the real one, `number`, overrides.
fn overridden(number: u32, rng: &mut Rng) -> Vec<Vec<u8>> {
    if rng.u8(..6) != 0 {
        return Vec::new();
    }
    let mut before = Vec::new();
    // The real alternative itself, then another one: an array or map must start afresh.
    for other in [number, 1 + number % 8] {
        let payload = match other {
            1 | 7 => Payload::Bytes(b"overridden".to_vec()),
            4 => Payload::Fixed64(rng.u64(..).to_le_bytes()),
            // An array that holds an empty value, a map that holds an empty entry.
            5 | 6 => Payload::Bytes(vec![0x0a, 0x00]),
            _ => Payload::Varint(rng.u64(..)),
        };
        before.push(field(other, &payload, rng));
    }
    before
}

#[derive(Debug, Clone)]
enum Payload {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Fixed32([u8; 4]),
}

impl Payload {
    fn bytes(&self) -> &[u8] {
        match self {
            Payload::Bytes(bytes) => bytes,
            other => panic!("{other:?} is no message"),
        }
    }

    fn default_of(wire: Wire) -> Payload {
        match wire {
            Int32 | Int64 | Bool => Payload::Varint(0),
            Fixed32 => Payload::Fixed32([0; 4]),
            Fixed64 => Payload::Fixed64([0; 8]),
            Bytes => Payload::Bytes(Vec::new()),
        }
    }
}

/// A value to be overridden.
fn decoy(wire: Wire, rng: &mut Rng) -> Payload {
    match wire {
        Int32 | Int64 | Bool => Payload::Varint(rng.u64(..) >> rng.u32(..64)),
        Fixed32 => Payload::Fixed32(rng.u32(..).to_le_bytes()),
        Fixed64 => Payload::Fixed64(rng.u64(..).to_le_bytes()),
        Bytes => Payload::Bytes(b"decoy"[..rng.usize(..=5)].to_vec()),
    }
}

/// The same value in other bits: readers drop what a 32-bit type cannot hold, and any bit is `true`.
fn widen(payload: Payload, wire: Wire, rng: &mut Rng) -> Payload {
    match (payload, wire) {
        (Payload::Varint(value), Int32) if rng.u8(..8) == 0 => {
            Payload::Varint(value & 0xffff_ffff | rng.u64(..) << 32)
        }
        (Payload::Varint(1), Bool) => Payload::Varint(1 << rng.u32(..64)),
        (payload, _) => payload,
    }
}

/// A field that no version of OTLP has, of any wire type.
fn unknown(rng: &mut Rng, depth: usize) -> Vec<u8> {
    let number = [900 + rng.u32(..99), (1 << 29) - 1, 50][rng.usize(..3)];
    match rng.u8(..5) {
        0 => field(number, &Payload::Varint(rng.u64(..)), rng),
        1 => field(number, &Payload::Fixed64([0xff; 8]), rng),
        2 => field(number, &Payload::Fixed32([0xff; 4]), rng),
        3 => field(number, &Payload::Bytes(vec![0xff; rng.usize(..9)]), rng),
        _ => {
            let mut group = Vec::new();
            put_varint(&mut group, u64::from(number) << 3 | 3, rng);
            for _ in 0..rng.usize(..4 - depth.min(3)) {
                group.extend(unknown(rng, depth + 1));
            }
            put_varint(&mut group, u64::from(number) << 3 | 4, rng);
            group
        }
    }
}

fn field(number: u32, payload: &Payload, rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let mut tag = |out: &mut _, wire: u64| put_varint(out, u64::from(number) << 3 | wire, rng);
    match payload {
        Payload::Varint(value) => {
            tag(&mut out, 0);
            put_varint(&mut out, *value, rng);
        }
        Payload::Fixed64(value) => {
            tag(&mut out, 1);
            out.extend(value);
        }
        Payload::Bytes(value) => {
            tag(&mut out, 2);
            put_varint(&mut out, value.len() as u64, rng);
            out.extend(value);
        }
        Payload::Fixed32(value) => {
            tag(&mut out, 5);
            out.extend(value);
        }
    }
    out
}

/// A varint, now and then longer than it need be.
fn put_varint(out: &mut Vec<u8>, mut value: u64, rng: &mut Rng) {
    let shortest = (64 - (value | 1).leading_zeros()).div_ceil(7) as usize;
    let length = match rng.u8(..8) {
        0 => rng.usize(shortest..=10),
        _ => shortest,
    };
    for _ in 1..length {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fields of a message that prost encoded.
fn parse(mut bytes: &[u8]) -> Vec<(u32, Payload)> {
    let varint = |bytes: &mut &[u8]| prost::encoding::decode_varint(bytes).unwrap();
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let mut take = |length: usize| {
            let (taken, rest) = bytes.split_at(length);
            bytes = rest;
            taken
        };
        let payload = match tag & 7 {
            0 => Payload::Varint(varint(&mut bytes)),
            1 => Payload::Fixed64(take(8).try_into().unwrap()),
            5 => Payload::Fixed32(take(4).try_into().unwrap()),
            _ => {
                let length = varint(&mut bytes) as usize;
                let (payload, rest) = bytes.split_at(length);
                bytes = rest;
                Payload::Bytes(payload.to_vec())
            }
        };
        fields.push(((tag >> 3) as u32, payload));
    }
    fields
}
