//! Packs integers of eight bytes to an LZ4 block: counts, times and offsets come in, and each is compared with the
//! one before it only. Nothing is looked for, so it takes a nanosecond or two for an integer, where LZ4's own search
//! takes ten and finds little more. It never decompresses.
//!
//! Of an integer that differs from the one before in its lower bytes only, those are literals; the upper ones and all
//! equal integers behind them are one match.
//!
//! Source: "LZ4 Block Format Description" of LZ4's documentation.

use std::ops::Range;

/// Bytes of an integer, and how far back a match lies.
const WORD: usize = 8;
/// Lower bytes that may differ: with more, there is no match of the least length.
const DIFFERS_MAX: usize = WORD - MATCH_MIN;
const MATCH_MIN: usize = 4;
/// Bytes at the end that no match reaches: the format wants the last 5 to be literals, and no match to begin
/// within the last 12.
const TAIL: usize = 16;
/// A length from this on has further bytes.
const LONG: usize = 15;
/// Equal integers are looked at by so many.
const AT_ONCE: usize = 4;

/// Packs `plain` into `packed` and gives the length. Integers lie in `spans`, one after the other; what is outside
/// becomes literals.
///
/// # Panics
/// When `packed` is shorter than `plain` with a 255th of it and 16 bytes, or a span reaches past `plain`.
pub(super) fn pack(plain: &[u8], spans: &[Range<usize>], packed: &mut [u8]) -> usize {
    let end = plain.len().saturating_sub(TAIL);
    let mut packer = Packer { plain, packed };
    let mut done = Done::default();
    for span in spans {
        if span.start < end {
            done = packer.span(span.start..span.end.min(end), done);
        }
    }
    packer.literals(done, plain.len(), 0)
}

/// How far the packer is.
#[derive(Clone, Copy, Default)]
struct Done {
    /// Bytes of `packed` written.
    packed: usize,
    /// Bytes of `plain` that those stand for.
    plain: usize,
}

struct Packer<'a> {
    plain: &'a [u8],
    packed: &'a mut [u8],
}

impl Packer<'_> {
    // What is done goes from hand to hand, so that it stays in registers.
    fn span(&mut self, span: Range<usize>, mut done: Done) -> Done {
        let plain = self.plain;
        let (words, _) = plain[span.clone()].as_chunks::<WORD>();
        let mut last = words.first().map_or(0, |word| u64::from_le_bytes(*word));
        let mut index = 1;
        while let Some(word) = words.get(index) {
            let start = span.start + index * WORD;
            let value = u64::from_le_bytes(*word);
            let differs = value ^ last;
            last = value;
            index += 1;
            let Ok(differs) = u32::try_from(differs) else {
                continue;
            };
            index += equal(&words[index..], *word);
            let literals = DIFFERS_MAX - differs.leading_zeros() as usize / 8;
            let (from, to) = (start + literals, span.start + index * WORD);
            let length = to - from - MATCH_MIN;
            done.packed = if done.plain == start && length < LONG + 255 {
                self.short_sequence(done.packed, value, literals, length)
            } else {
                self.sequence(done, from, length)
            };
            done.plain = to;
        }
        done
    }

    /// The lowest bytes of a value, and a match. Gives where it ends, as all of these do.
    #[inline(always)]
    fn short_sequence(&mut self, at: usize, value: u64, literals: usize, length: usize) -> usize {
        // Token, up to four literals, the offset and one further byte of the length fit eight bytes.
        let token = (literals << 4 | length.min(LONG)) as u64;
        let text = value & ((1 << (8 * literals)) - 1);
        let offset = WORD as u64 | (length.wrapping_sub(LONG) as u64 & 0xff) << 16;
        let bytes = token | text << 8 | offset << (8 * literals + 8);
        self.packed[at..at + WORD].copy_from_slice(&bytes.to_le_bytes());
        at + literals + 3 + usize::from(length >= LONG)
    }

    /// Literals up to `from`, and a match.
    #[inline(never)]
    fn sequence(&mut self, done: Done, from: usize, length: usize) -> usize {
        let at = self.literals(done, from, length.min(LONG));
        let at = self.push(at, &(WORD as u16).to_le_bytes());
        self.rest_of_length(at, length)
    }

    /// A token with the lower half `length`, and the literals up to `from`.
    fn literals(&mut self, done: Done, from: usize, length: usize) -> usize {
        let literals = &self.plain[done.plain..from];
        let token = literals.len().min(LONG) << 4 | length;
        let at = self.push(done.packed, &[token as u8]);
        let at = self.rest_of_length(at, literals.len());
        self.push(at, literals)
    }

    fn rest_of_length(&mut self, at: usize, length: usize) -> usize {
        let Some(rest) = length.checked_sub(LONG) else {
            return at;
        };
        let last = at + rest / 255;
        self.packed[at..last].fill(255);
        self.push(last, &[(rest % 255) as u8])
    }

    fn push(&mut self, at: usize, bytes: &[u8]) -> usize {
        let end = at + bytes.len();
        self.packed[at..end].copy_from_slice(bytes);
        end
    }
}

/// How many of `words` are `word` before another comes.
#[inline(always)]
fn equal(words: &[[u8; WORD]], word: [u8; WORD]) -> usize {
    let mut count = 0;
    while let Some(next) = words[count..].first_chunk::<AT_ONCE>() {
        // Where a short run ends is not to be foreseen: no branch tries to.
        let mut all = 1;
        let mut run = 0;
        for next in next {
            all &= usize::from(*next == word);
            run += all;
        }
        count += run;
        if all == 0 {
            return count;
        }
    }
    while words.get(count) == Some(&word) {
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs into no more room than is promised to be enough, and has another implementation unpack it.
    fn packed_length(plain: &[u8], spans: &[Range<usize>]) -> usize {
        let mut packed = vec![0; plain.len() + plain.len() / 255 + 16];
        let length = pack(plain, spans, &mut packed);
        let back = lz4_flex::block::decompress(&packed[..length], plain.len()).unwrap();
        assert!(back == plain, "{} bytes", plain.len());
        length
    }

    fn bytes_of(words: impl IntoIterator<Item = u64>) -> Vec<u8> {
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Scenario: a constant, offsets that grow a little, small counts among zeros, and random ids.
    /// Guarantee: they take what the module says, and nothing grows by more than a 255th.
    #[test]
    fn what_columns_hold_gets_small() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut length = |next: &mut dyn FnMut(u64, &mut fastrand::Rng) -> u64| {
            let plain = bytes_of((0..4000).map(|row| next(row, &mut random)));
            let all = 0..plain.len();
            packed_length(&plain, &[all])
        };
        assert!(length(&mut |_, _| 7) < 200);
        assert!(length(&mut |row, _| 6 * row) < 4_100 * 4);
        assert!(length(&mut |_, random| random.u64(0..3) / 2 * 9) < 4_000 * 4);
        assert!(length(&mut |_, random| random.u64(..)) < 32_200);
    }

    proptest! {
        /// Scenario: values that differ from those before in any of their bytes or not at all, runs of any
        /// length, in spans with other bytes between them, and last values cut anywhere.
        /// Guarantee: another implementation gets the same bytes back, within the promised room.
        #[test]
        fn another_decompressor_gets_it_back(
            parts in prop::collection::vec(
                (
                    prop::collection::vec((0..9_u32, any::<u64>(), 0..40_usize), 0..40),
                    prop::collection::vec(any::<u8>(), 0..40),
                    0..20_usize,
                ),
                0..6,
            ),
        ) {
            let mut plain = Vec::new();
            let mut spans = Vec::new();
            for (words, between, cut) in parts {
                let start = plain.len();
                let mut last = 0;
                for (bytes, change, times) in words {
                    last ^= change.checked_shr(64 - 8 * bytes).unwrap_or(0);
                    plain.extend(bytes_of([last]).repeat(times));
                }
                plain.truncate(plain.len().saturating_sub(cut).max(start));
                spans.push(start..plain.len());
                plain.extend(between);
            }
            packed_length(&plain, &spans);
        }
    }
}
