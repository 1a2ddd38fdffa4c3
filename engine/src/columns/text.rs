//! A text of a request and, when it is short, the bytes around it: its length byte before, whatever follows
//! behind. Protobuf and ClickHouse both write a short text as one length byte and its bytes, so that it can be
//! compared and copied by a fixed number of bytes, without a loop or a call for its length.

use std::ops::Range;

/// Bytes that are compared or copied at once: a length byte, and a text of up to 31 bytes.
pub(super) const WINDOW: usize = 32;
/// `MASKS[WINDOW - size..][..WINDOW]` has `size` bytes set.
const MASKS: [u8; 2 * WINDOW] = {
    let mut masks = [0; 2 * WINDOW];
    let mut index = 0;
    while index < WINDOW {
        masks[index] = 0xff;
        index += 1;
    }
    masks
};
const HIGH_BITS: u128 = u128::from_ne_bytes([0x80; 16]);

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    /// From the length byte on; only of a text that fits.
    window: Option<&'a [u8; WINDOW]>,
}

impl<'a> Text<'a> {
    /// The text at the start of `around`, behind its length in one byte; `None` if there is no such text.
    #[inline]
    pub(crate) fn at_start_of(around: &'a [u8]) -> Option<Self> {
        let (&length, rest) = around.split_first()?;
        if length >= 0x80 {
            return None;
        }
        let bytes = rest.get(..usize::from(length))?;
        let window = match bytes.len() < WINDOW {
            true => around.first_chunk(),
            false => None,
        };
        Some(Text { bytes, window })
    }

    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether all bytes are below 0x80.
    #[inline(always)]
    pub(crate) fn is_ascii(self) -> bool {
        match self.window {
            Some(window) => {
                let mask = halves(mask(1 + self.bytes.len()));
                let [low, high] = halves(window);
                (low & mask[0] | high & mask[1]) & HIGH_BITS == 0
            }
            None => self.bytes.is_ascii(),
        }
    }

    /// Whether length and bytes of this text are what lies at `place` in `stored`. Long texts, and places with
    /// fewer than `WINDOW` bytes behind their beginning, may be taken for different.
    #[inline(always)]
    pub(super) fn is_stored_at(self, stored: &[u8], place: Range<usize>) -> bool {
        let Some(window) = self.window else {
            return false;
        };
        let Some(found) = stored.get(place.start..).and_then(<[u8]>::first_chunk) else {
            return false;
        };
        let (window, found) = (halves(window), halves(found));
        let mask = halves(mask(1 + self.bytes.len()));
        let differs = (window[0] ^ found[0]) & mask[0] | (window[1] ^ found[1]) & mask[1];
        place.len() == 1 + self.bytes.len() && differs == 0
    }

    /// Of a short text a hash that costs little; its upper bits are the best.
    #[inline]
    pub(super) fn hash(self) -> Option<u64> {
        // Odd, and without a pattern.
        const FACTORS: [u64; 4] = [
            0x9e37_79b9_7f4a_7c15,
            0xbf58_476d_1ce4_e5b9,
            0x94d0_49bb_1331_11eb,
            0xd6e8_feb8_6659_fd93,
        ];
        let window = halves(self.window?);
        let mask = halves(mask(1 + self.bytes.len()));
        let [a, b] = [window[0] & mask[0], window[1] & mask[1]];
        let words = [a as u64, (a >> 64) as u64, b as u64, (b >> 64) as u64];
        let mixed = words.into_iter().zip(FACTORS);
        Some(mixed.fold(0, |hash, (word, factor)| {
            hash ^ (word ^ word >> 32).wrapping_mul(factor)
        }))
    }

    /// Appends length and bytes, if the text is short.
    #[inline]
    pub(super) fn push_short(self, out: &mut Vec<u8>) -> bool {
        let Some(window) = self.window else {
            return false;
        };
        let end = out.len() + 1 + self.bytes.len();
        out.extend_from_slice(window);
        out.truncate(end);
        true
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Text {
            bytes,
            window: None,
        }
    }
}

/// `size` set bytes; at most `WINDOW`.
#[inline]
fn mask(size: usize) -> &'static [u8; WINDOW] {
    let mask = MASKS[WINDOW - size..].first_chunk();
    mask.unwrap_or(&[0xff; WINDOW])
}

#[inline]
fn halves(window: &[u8; WINDOW]) -> [u128; 2] {
    let (halves, _) = window.as_chunks();
    [0, 1].map(|half: usize| u128::from_ne_bytes(halves[half]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text as it lies in a request, with other bytes behind it.
    fn around(text: &[u8], behind: usize) -> Vec<u8> {
        [&[text.len() as u8], text, &vec![0xee; behind]].concat()
    }

    /// Scenario: texts of every length with much, little and nothing behind them.
    /// Guarantee: each is read whole, is appended whole, and is found where it is stored, whatever follows.
    #[test]
    fn texts_of_every_length() {
        for length in 0..128 {
            let text: Vec<u8> = (0..length).collect();
            for behind in [0, 1, 16, 40] {
                let around = around(&text, behind);
                let read = Text::at_start_of(&around).unwrap();
                assert_eq!(read.bytes(), text);
                assert!(read.is_ascii());
                let is_short = text.len() < WINDOW && around.len() >= WINDOW;
                let mut out = vec![b'x'];
                assert_eq!(read.push_short(&mut out), is_short);
                if is_short {
                    assert_eq!(out[1..], around[..=text.len()]);
                }
                let stored = [&around[..=text.len()], &[0xaa; WINDOW]].concat();
                assert_eq!(read.is_stored_at(&stored, 0..1 + text.len()), is_short);
            }
        }
    }

    /// Scenario: texts that differ in one byte, one bit of which makes it no ASCII, or in length.
    /// Guarantee: both differences are seen, and neither is seen behind the text.
    #[test]
    fn one_byte_makes_a_difference() {
        for length in 1..WINDOW {
            let text: Vec<u8> = (0..length as u8).collect();
            let right = around(&text, WINDOW);
            for at in 0..length {
                let mut other = text.clone();
                other[at] |= 0x80;
                let other = around(&other, WINDOW);
                let read = Text::at_start_of(&other).unwrap();
                assert!(!read.is_ascii());
                assert!(!read.is_stored_at(&right, 0..1 + length));
            }
            let longer = around(&[&text[..], b"x"].concat(), WINDOW);
            let read = Text::at_start_of(&longer).unwrap();
            assert!(!read.is_stored_at(&right, 0..1 + length));
        }
    }

    /// Scenario: lengths of two bytes, lengths past the end, nothing.
    /// Guarantee: no text.
    #[test]
    fn what_is_no_short_text() {
        for around in [&[][..], &[1], &[0x80, 0x01], &[5, b'a', b'b']] {
            assert!(Text::at_start_of(around).is_none());
        }
    }
}
