//! Reads numbers, ids and bytes from what JSON has them as.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// ProtoJSON: base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A whole number from JSON's text: as it is, or with a point or an exponent as long as it stays whole.
pub(super) fn integer(text: &str) -> Option<i128> {
    if text.starts_with('+') {
        return None;
    }
    text.parse().ok().or_else(|| number(text).and_then(whole))
}

/// A whole number of 64 bits, or one past them that no field can hold.
pub(super) fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0).then_some(number as i128)
}

/// A double from JSON's text, with ProtoJSON's names for those that JSON does not have.
pub(super) fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => number(text),
    }
}

/// A number as JSON writes it; not the names and forms that only Rust takes.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// An id from its hex digits, of whatever case.
///
/// What is no hex is an id that no field takes, so that it costs its row only, or becomes "none" where OTLP
/// wants that: the text as it is, with a byte more if its length could pass for an id's.
pub(super) fn id(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8));
    match bytes.collect::<Option<Vec<u8>>>() {
        Some(id) if rest.is_empty() => id,
        _ => {
            let mut bytes = text.as_bytes().to_vec();
            if matches!(bytes.len(), 8 | 16) {
                bytes.push(0);
            }
            bytes
        }
    }
}

/// Bytes from base64, in the standard alphabet or in the one for URLs.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let standard = text.bytes().map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    });
    BASE64.decode(standard.collect::<Vec<u8>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: integers in every form that ProtoJSON allows, and texts that are none.
    /// Guarantee: the exact value up to 64 bits, or nothing.
    #[test]
    fn integers() {
        for (text, value) in [
            ("0", 0),
            ("-9223372036854775808", i64::MIN.into()),
            ("18446744073709551615", u64::MAX.into()),
            ("1e3", 1000),
            ("1.5e1", 15),
            ("-2.0", -2),
        ] {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        for text in [
            "", " 1", "+1", "1.5", "1e-1", "0x10", "inf", "NaN", "1_000", "one",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    /// Scenario: doubles with their names, and names that only Rust knows.
    /// Guarantee: ProtoJSON's names and numbers, nothing else.
    #[test]
    fn doubles() {
        for (text, value) in [
            ("0.1", 0.1),
            ("-0", -0.0),
            ("1.7976931348623157e308", f64::MAX),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            let found = double(text).map(f64::to_bits);
            assert_eq!(found, Some(value.to_bits()), "{text}");
        }
        assert!(double("NaN").is_some_and(f64::is_nan));
        for text in [
            "", "inf", "-inf", "nan", "infinity", "+1", ".5", "1e400", "--1",
        ] {
            assert_eq!(double(text), None, "{text}");
        }
    }

    /// Scenario: ids in hex of both cases, and texts that are no hex, of lengths that an id could have.
    /// Guarantee: the bytes, or something that passes for no id.
    #[test]
    fn ids() {
        assert_eq!(id("00fF10aB"), [0, 0xff, 0x10, 0xab]);
        assert!(id("").is_empty());
        for text in [
            "g",
            "0",
            "00g0",
            "sixteen letters!",
            "8 bytes!",
            "AAAAAAAAAAAAAAAAAAAAAQ==",
            "+1+1+1+1+1+1+1+1",
        ] {
            assert!(![0, 8, 16].contains(&id(text).len()), "{text}");
        }
    }

    /// Scenario: base64 in both alphabets, with padding and without.
    /// Guarantee: the same bytes; what is no base64 is nothing.
    #[test]
    fn base64() {
        for text in ["+/+/AQ==", "-_-_AQ==", "+/+/AQ", "-_-_AQ"] {
            assert_eq!(bytes(text), Some(vec![0xfb, 0xff, 0xbf, 1]), "{text}");
        }
        assert_eq!(bytes(""), Some(vec![]));
        for text in ["A", "A===", "AQ==AQ==", "ä", "A Q="] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
