//! The base-128 varint that ClickHouse's Native format and protobuf share.

/// Appends `value` as ClickHouse's (and protobuf's) base-128 varint.
#[inline]
pub(crate) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes the varint that `push_varint` put at the start; `None` at the end of the bytes.
pub(super) fn split_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: values around each change of length.
    /// Guarantee: seven bits a byte, the lowest first, all but the last marked.
    #[test]
    fn seven_bits_a_byte() {
        for (value, expected) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_384, &[0x80, 0x80, 0x01]),
        ] {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            assert_eq!(out, expected);
            assert_eq!(split_varint(&out), Some((value, &[][..])));
        }
    }
}
