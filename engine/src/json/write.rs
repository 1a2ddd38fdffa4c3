//! Writes protobuf whose messages become known only as they are written.

use prost::encoding::{WireType, encode_key, encode_varint};

/// A length of more than this takes more than one byte.
const ONE_BYTE_MAX: usize = 0x7f;

/// See the module.
pub(super) struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
}

/// A message that is being written: where its content began.
pub(super) struct Begun(usize);

impl<'a> Writer<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>, limit: usize) -> Self {
        Writer { bytes, limit }
    }

    /// Whether more was written than allowed.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() > self.limit
    }

    pub(super) fn varint(&mut self, number: u32, value: u64) {
        encode_key(number, WireType::Varint, self.bytes);
        encode_varint(value, self.bytes);
    }

    pub(super) fn fixed64(&mut self, number: u32, value: u64) {
        encode_key(number, WireType::SixtyFourBit, self.bytes);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32(&mut self, number: u32, value: u32) {
        encode_key(number, WireType::ThirtyTwoBit, self.bytes);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, number: u32, value: &[u8]) {
        encode_key(number, WireType::LengthDelimited, self.bytes);
        encode_varint(value.len() as u64, self.bytes);
        self.bytes.extend_from_slice(value);
    }

    /// Begins a message in a field of the current one.
    pub(super) fn begin(&mut self, number: u32) -> Begun {
        encode_key(number, WireType::LengthDelimited, self.bytes);
        // Most messages are so short that their length takes one byte.
        self.bytes.push(0);
        Begun(self.bytes.len())
    }

    pub(super) fn end(&mut self, begun: &Begun) {
        let Begun(start) = *begun;
        let length = self.bytes.len() - start;
        if length <= ONE_BYTE_MAX {
            self.bytes[start - 1] = length as u8;
        } else {
            let mut prefix = Vec::with_capacity(10);
            encode_varint(length as u64, &mut prefix);
            self.bytes.splice(start - 1..start, prefix);
        }
    }
}
