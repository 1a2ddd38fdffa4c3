//! Reads protobuf's wire format from a slice: tags, varints, fixed-width values and length-delimited
//! fields. It checks every length against what is there and knows nothing of messages.
//!
//! Source: "Encoding" of the Protocol Buffers documentation.

use crate::columns::Text;

/// Groups may nest this deep while they are skipped; nothing in OTLP uses them.
const GROUP_DEPTH_MAX: usize = 32;

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the message ends inside a field")]
    Truncated,
    #[error("a length says more bytes than its message holds")]
    LengthPastEnd,
    #[error("a varint is longer than 64 bits")]
    VarintTooLong,
    #[error("a field has number 0 or one past the highest allowed")]
    FieldNumber,
    #[error("a field has wire type {found} where its type needs {needed}")]
    WireType { found: u8, needed: u8 },
    #[error("a group is not closed, not open, or nested too deep")]
    Group,
}

/// A field's wire type, as its three bits.
pub(crate) type WireType = u8;
pub(crate) const VARINT: WireType = 0;
pub(crate) const FIXED64: WireType = 1;
pub(crate) const BYTES: WireType = 2;
pub(crate) const START_GROUP: WireType = 3;
pub(crate) const END_GROUP: WireType = 4;
pub(crate) const FIXED32: WireType = 5;

/// A message that is being read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Reader { rest: message }
    }

    /// Bytes of the message that were not read yet.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next field's number and wire type; `None` at the end of the message.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<(u32, WireType)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.any_varint()?;
        let field = tag >> 3;
        if field == 0 || tag > u64::from(u32::MAX) {
            return Err(WireError::FieldNumber);
        }
        Ok(Some((field as u32, tag as u8 & 7)))
    }

    /// A varint field's value.
    #[inline]
    pub(crate) fn varint(&mut self, found: WireType) -> Result<u64, WireError> {
        need(found, VARINT)?;
        self.any_varint()
    }

    #[inline]
    pub(crate) fn fixed64(&mut self, found: WireType) -> Result<u64, WireError> {
        need(found, FIXED64)?;
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn fixed32(&mut self, found: WireType) -> Result<u32, WireError> {
        need(found, FIXED32)?;
        self.array().map(u32::from_le_bytes)
    }

    /// A length-delimited field: a string, bytes, or a message.
    #[inline]
    pub(crate) fn bytes(&mut self, found: WireType) -> Result<&'a [u8], WireError> {
        need(found, BYTES)?;
        let length = self.any_varint()?;
        let length = usize::try_from(length).map_err(|_| WireError::LengthPastEnd)?;
        let (field, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError::LengthPastEnd)?;
        self.rest = rest;
        Ok(field)
    }

    /// The same of a text.
    #[inline]
    pub(crate) fn text(&mut self, found: WireType) -> Result<Text<'a>, WireError> {
        let before = self.rest;
        let bytes = self.bytes(found)?;
        Ok(Text::at_start_of(before).unwrap_or(bytes.into()))
    }

    /// A length-delimited field, and from its first byte on all that is left of the message.
    #[inline]
    pub(crate) fn bytes_and_behind(
        &mut self,
        found: WireType,
    ) -> Result<(&'a [u8], &'a [u8]), WireError> {
        let before = self.rest;
        let field = self.bytes(found)?;
        let behind = &before[before.len() - self.rest.len() - field.len()..];
        Ok((field, behind))
    }

    /// The next field's value if it is this one, below 16, of 64 bits; else nothing is read.
    #[inline]
    pub(crate) fn fixed64_of(&mut self, field: u8) -> Option<u64> {
        let ([tag, value @ ..], rest) = self.rest.split_first_chunk::<9>()?;
        if *tag != field << 3 | FIXED64 {
            return None;
        }
        self.rest = rest;
        Some(u64::from_le_bytes(*value))
    }

    /// Passes over fields that are known to take so many bytes.
    #[inline]
    pub(crate) fn pass(&mut self, length: usize) -> Result<(), WireError> {
        self.rest = self.rest.get(length..).ok_or(WireError::Truncated)?;
        Ok(())
    }

    /// The values of a repeated 64-bit field, packed or one: their bytes, lowest first.
    #[inline]
    pub(crate) fn fixed64s(&mut self, found: WireType) -> Result<&'a [[u8; 8]], WireError> {
        let bytes = match found {
            BYTES => self.bytes(found)?,
            _ => {
                need(found, FIXED64)?;
                let (value, rest) = self.rest.split_at_checked(8).ok_or(WireError::Truncated)?;
                self.rest = rest;
                value
            }
        };
        match bytes.as_chunks() {
            (values, []) => Ok(values),
            _ => Err(WireError::Truncated),
        }
    }

    /// The values of a repeated varint field, packed or one by one.
    pub(crate) fn each_varint(
        &mut self,
        found: WireType,
        mut take: impl FnMut(u64),
    ) -> Result<(), WireError> {
        if found != BYTES {
            take(self.varint(found)?);
            return Ok(());
        }
        let mut values = Reader::new(self.bytes(found)?);
        while !values.rest.is_empty() {
            take(values.any_varint()?);
        }
        Ok(())
    }

    /// Passes over a field that nobody here knows.
    #[inline]
    pub(crate) fn skip(&mut self, field: u32, found: WireType) -> Result<(), WireError> {
        match found {
            BYTES => self.bytes(BYTES).map(drop),
            _ => self.skip_at(field, found, 0),
        }
    }

    fn skip_at(&mut self, field: u32, found: WireType, depth: usize) -> Result<(), WireError> {
        match found {
            VARINT => self.any_varint().map(drop),
            FIXED64 => self.array::<8>().map(drop),
            FIXED32 => self.array::<4>().map(drop),
            BYTES => self.bytes(BYTES).map(drop),
            START_GROUP if depth < GROUP_DEPTH_MAX => loop {
                match self.tag()?.ok_or(WireError::Truncated)? {
                    (inner, END_GROUP) if inner == field => return Ok(()),
                    (_, END_GROUP) => return Err(WireError::Group),
                    (inner, wire) => self.skip_at(inner, wire, depth + 1)?,
                }
            },
            START_GROUP | END_GROUP => Err(WireError::Group),
            _ => Err(WireError::WireType {
                found,
                needed: BYTES,
            }),
        }
    }

    /// The varint that `bytes` is all of, if it is one.
    #[inline]
    pub(crate) fn only_varint(bytes: &[u8]) -> Option<u64> {
        let mut reader = Reader::new(bytes);
        let value = reader.any_varint().ok()?;
        reader.rest.is_empty().then_some(value)
    }

    #[inline]
    fn any_varint(&mut self) -> Result<u64, WireError> {
        let (&first, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
        if first < 0x80 {
            self.rest = rest;
            return Ok(u64::from(first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        if let Some(bytes) = self.rest.first_chunk()
            && let Some((value, length)) = varint_of(u64::from_le_bytes(*bytes))
        {
            self.rest = &self.rest[length..];
            return Ok(value);
        }
        let mut value = 0;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    return Err(WireError::VarintTooLong);
                }
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            WireError::Truncated
        } else {
            WireError::VarintTooLong
        })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (value, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*value)
    }
}

/// The varint that eight bytes, lowest first, begin with, and its length, if it ends in them.
#[inline]
fn varint_of(bytes: u64) -> Option<(u64, usize)> {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let ends = !bytes & HIGH_BITS;
    if ends == 0 {
        return None;
    }
    // All up to the first byte without a high bit.
    let its = bytes & (ends ^ (ends - 1)) & !HIGH_BITS;
    // Seven bits of each byte come together in twos, fours and eights.
    let twos = its & 0x007f_007f_007f_007f | (its & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = twos & 0x0000_3fff_0000_3fff | (twos & 0x3fff_0000_3fff_0000) >> 2;
    let value = fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4;
    Some((value, ends.trailing_zeros() as usize / 8 + 1))
}

#[inline]
fn need(found: WireType, needed: WireType) -> Result<(), WireError> {
    if found == needed {
        Ok(())
    } else {
        Err(WireError::WireType { found, needed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::push_varint;

    fn varint(bytes: &[u8]) -> Result<u64, WireError> {
        Reader::new(bytes).varint(VARINT)
    }

    /// Scenario: varints of every length, cut short, over-long, and past 64 bits.
    /// Guarantee: the value or the exact fault.
    #[test]
    fn varints() {
        assert_eq!(varint(&[0x7f]), Ok(127));
        assert_eq!(varint(&[0xac, 0x02]), Ok(300));
        assert_eq!(varint(&[0x80, 0x00]), Ok(0), "padding is legal");
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(varint(&max), Ok(u64::MAX));
        let mut past = max;
        past[9] = 0x02;
        assert_eq!(varint(&past), Err(WireError::VarintTooLong));
        assert_eq!(varint(&[0x80; 11]), Err(WireError::VarintTooLong));
        assert_eq!(varint(&max[..9]), Err(WireError::Truncated));
        assert_eq!(varint(&[]), Err(WireError::Truncated));
        for bits in 0..64 {
            let value = u64::MAX >> bits & 0x5a5a_5a5a_dead_beef;
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(varint(&bytes), Ok(value), "nothing behind it");
            bytes.extend([0xff; 8]);
            assert_eq!(varint(&bytes), Ok(value), "something behind it");
        }
    }

    /// Scenario: fields to be skipped: groups right, unclosed, crossed and nested without end.
    /// Guarantee: right ones are passed over, the others are faults and never recurse past the bound.
    #[test]
    fn groups_are_skipped_within_bounds() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let (field, wire) = reader.tag().unwrap().unwrap();
            reader.skip(field, wire).map(|()| reader.rest.len())
        };
        assert_eq!(skip(&[0x0b, 0x10, 0x01, 0x0c, 0xff]), Ok(1));
        assert_eq!(skip(&[0x0b, 0x10, 0x01]), Err(WireError::Truncated));
        assert_eq!(skip(&[0x0b, 0x14]), Err(WireError::Group));
        assert_eq!(skip(&[0x0b; 10_000]), Err(WireError::Group));
        assert!(matches!(skip(&[0x0f]), Err(WireError::WireType { .. })));
    }
}
