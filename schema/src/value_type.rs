//! The one byte that says what a value was before it became text.

/// What an attribute, or a log's body, was before it became text. The n-th byte of a types column
/// belongs to the n-th entry of the map beside it.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// The text itself.
    String = 0,
    /// `true` or `false`.
    Bool = 1,
    /// Decimal, 64 bits signed.
    Int = 2,
    /// The shortest decimal that reads back as the same 64-bit float.
    Double = 3,
    /// Base64.
    Bytes = 4,
    /// JSON.
    Array = 5,
    /// JSON.
    Map = 6,
    /// An attribute without a value: the empty text.
    Empty = 7,
}

impl TryFrom<u8> for ValueType {
    type Error = u8;

    /// # Errors
    /// The byte itself, if a newer writer must have stored it.
    fn try_from(byte: u8) -> Result<Self, u8> {
        Ok(match byte {
            0 => Self::String,
            1 => Self::Bool,
            2 => Self::Int,
            3 => Self::Double,
            4 => Self::Bytes,
            5 => Self::Array,
            6 => Self::Map,
            7 => Self::Empty,
            unknown => return Err(unknown),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ValueType;

    /// Scenario: every byte is read as an attribute type.
    /// Guarantees: the known ones read back as themselves, all others are refused.
    #[test]
    fn type_bytes_read_back() {
        for byte in 0..=u8::MAX {
            match ValueType::try_from(byte) {
                Ok(known) => assert_eq!(known as u8, byte),
                Err(unknown) => assert!(unknown == byte && byte > ValueType::Empty as u8),
            }
        }
    }
}
