//! Fields as bytes: takes numbers and payloads and gives encodings, and reads what prost encoded.

use fastrand::Rng;

use super::fields::Wire;
use Wire::{Bool, Bytes, Fixed32, Fixed64, Int32, Int64};

#[derive(Debug, Clone)]
pub(super) enum Payload {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Fixed32([u8; 4]),
}

impl Payload {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Payload::Bytes(bytes) => bytes,
            other => panic!("{other:?} is no message"),
        }
    }

    pub(super) fn default_of(wire: Wire) -> Payload {
        match wire {
            Int32 | Int64 | Bool => Payload::Varint(0),
            Fixed32 => Payload::Fixed32([0; 4]),
            Fixed64 => Payload::Fixed64([0; 8]),
            Bytes => Payload::Bytes(Vec::new()),
        }
    }
}

/// A value to be overridden.
pub(super) fn decoy(wire: Wire, rng: &mut Rng) -> Payload {
    match wire {
        Int32 | Int64 | Bool => Payload::Varint(rng.u64(..) >> rng.u32(..64)),
        Fixed32 => Payload::Fixed32(rng.u32(..).to_le_bytes()),
        Fixed64 => Payload::Fixed64(rng.u64(..).to_le_bytes()),
        Bytes => Payload::Bytes(b"decoy"[..rng.usize(..=5)].to_vec()),
    }
}

/// The same value in other bits: readers drop what a 32-bit type cannot hold, and any bit is `true`.
pub(super) fn widen(payload: Payload, wire: Wire, rng: &mut Rng) -> Payload {
    match (payload, wire) {
        (Payload::Varint(value), Int32) if rng.u8(..8) == 0 => {
            Payload::Varint(value & 0xffff_ffff | rng.u64(..) << 32)
        }
        (Payload::Varint(1), Bool) => Payload::Varint(1 << rng.u32(..64)),
        (payload, _) => payload,
    }
}

/// A field that no version of OTLP has, of any wire type.
pub(super) fn unknown(rng: &mut Rng, depth: usize) -> Vec<u8> {
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

pub(super) fn field(number: u32, payload: &Payload, rng: &mut Rng) -> Vec<u8> {
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
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64, rng: &mut Rng) {
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

/// The values in a repeated field that prost encoded, each as it would be encoded by itself.
pub(super) fn unpacked(payload: &Payload, wire: Wire) -> Vec<Payload> {
    let mut bytes = payload.bytes();
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(match wire {
            Fixed64 => {
                let (value, rest) = bytes.split_first_chunk().unwrap();
                bytes = rest;
                Payload::Fixed64(*value)
            }
            Int64 => Payload::Varint(prost::encoding::decode_varint(&mut bytes).unwrap()),
            other => panic!("no repeated field of OTLP is {other:?}"),
        });
    }
    values
}

/// Values one after the other without tags.
pub(super) fn packed(values: &[Payload], rng: &mut Rng) -> Payload {
    let mut out = Vec::new();
    for value in values {
        match value {
            Payload::Varint(value) => put_varint(&mut out, *value, rng),
            Payload::Fixed64(value) => out.extend(value),
            other => panic!("{other:?} is not packed"),
        }
    }
    Payload::Bytes(out)
}

/// The fields of a message that prost encoded.
pub(super) fn parse(mut bytes: &[u8]) -> Vec<(u32, Payload)> {
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
