//! Packs integers of eight bytes to an LZ4 block: counts, times and offsets come in, and each is compared with the
//! one before it only. Nothing is looked for, so it takes about a nanosecond for an integer, where LZ4's own search
//! takes ten and finds little more. It never decompresses.
//!
//! Of an integer that differs from the one before in its lower bytes only, those are literals; the upper ones and all
//! equal integers behind them are one match.
//!
//! Source: "LZ4 Block Format Description" of LZ4's documentation.

use std::ops::Range;

/// Bytes of an integer, and how far back a match lies.
const WORD: usize = 8;
const MATCH_MIN: usize = 4;
/// Lower bytes that differ, at most, where no equal integer follows: with more, there is no match of the least length.
const SHORT_LITERALS_MAX: usize = WORD - MATCH_MIN;
/// Bytes at the end that no match reaches: the format wants the last 5 to be literals, and no match to begin
/// within the last 12.
const TAIL: usize = 16;
/// A length from this on has further bytes.
const LONG: usize = 15;
/// Integers that are compared at once, a bit for each.
const BLOCK: usize = 64;

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

/// Equal integers, one behind the other.
#[derive(Clone, Copy)]
struct Run {
    /// Where the first lies.
    at: usize,
    value: u64,
    /// Bits in which it differs from what comes before.
    differs: u64,
}

struct Packer<'a> {
    plain: &'a [u8],
    packed: &'a mut [u8],
}

impl Packer<'_> {
    // What is done goes from hand to hand, so that it stays in registers.
    fn span(&mut self, span: Range<usize>, mut done: Done) -> Done {
        let plain = self.plain;
        let (mut words, _) = plain[span.clone()].as_chunks::<WORD>();
        let Some(first) = words.first() else {
            return done;
        };
        let (mut start, end) = (span.start, span.start + words.len() * WORD);
        let mut run = Run {
            at: start,
            value: u64::from_le_bytes(*first),
            differs: u64::MAX,
        };
        while let Some(block) = words.first_chunk() {
            (run, done) = self.block(block, start, run, done);
            start += BLOCK * WORD;
            words = &words[BLOCK..];
        }
        if let Some(last) = words.last() {
            let mut block = [*last; BLOCK + 1];
            block[..words.len()].copy_from_slice(words);
            (run, done) = self.block(&block, start, run, done);
        }
        self.run(run, end, done)
    }

    /// Packs the runs that end among these words, which lie from `start` on; the first was looked at before. Gives
    /// the run that goes on.
    #[inline(always)]
    fn block(
        &mut self,
        words: &[[u8; WORD]; BLOCK + 1],
        start: usize,
        mut run: Run,
        mut done: Done,
    ) -> (Run, Done) {
        let mut changes = changes(words);
        while changes != 0 {
            let index = changes.trailing_zeros() as usize;
            changes &= changes - 1;
            let at = start + (index + 1) * WORD;
            done = self.run(run, at, done);
            let value = u64::from_le_bytes(words[index + 1]);
            let differs = value ^ u64::from_le_bytes(words[index]);
            run = Run { at, value, differs };
        }
        (run, done)
    }

    /// Packs a run that ends at `to`, unless it must be literals.
    #[inline(always)]
    fn run(&mut self, run: Run, to: usize, mut done: Done) -> Done {
        let literals = WORD - (run.differs | 1).leading_zeros() as usize / 8;
        let from = run.at + literals;
        let Some(length) = (to - from).checked_sub(MATCH_MIN) else {
            return done;
        };
        let is_short =
            done.plain == run.at && literals <= SHORT_LITERALS_MAX && length < LONG + 255;
        done.packed = match is_short {
            true => self.short_sequence(done.packed, run.value, literals, length),
            false => self.sequence(done, from, length),
        };
        done.plain = to;
        done
    }

    /// The lowest bytes of a value, and a match. Gives where it ends, as all of these do.
    #[inline(always)]
    fn short_sequence(&mut self, at: usize, value: u64, literals: usize, length: usize) -> usize {
        // What of the value is not wanted, the offset and the length's further byte lie over.
        let room = &mut self.packed[at..at + WORD + 1];
        let token = (literals << 4 | length.min(LONG)) as u64;
        room[..WORD].copy_from_slice(&(token | value << 8).to_le_bytes());
        let behind = WORD as u32 | (length.wrapping_sub(LONG) as u32) << 16;
        room[1 + literals..][..4].copy_from_slice(&behind.to_le_bytes());
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

/// Which words differ from the one before: a bit for each but the first, lowest first.
#[inline(never)]
fn changes(words: &[[u8; WORD]; BLOCK + 1]) -> u64 {
    let (parts, _) = words.as_chunks::<8>();
    let (nexts, _) = words[1..].as_chunks::<8>();
    let mut changes = 0;
    // From the first on, as memory is fetched ahead; and without branches, which are not to be foreseen here.
    for (index, (part, next)) in parts.iter().zip(nexts).enumerate() {
        let pairs = part.iter().zip(next).rev();
        let bits = pairs.fold(0, |bits, (word, next)| bits << 1 | u64::from(word != next));
        changes |= bits << (8 * index);
    }
    changes
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
