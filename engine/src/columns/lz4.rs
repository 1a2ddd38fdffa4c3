#![allow(unsafe_code)]
//! Compresses plain bytes to an LZ4 block with the C library, into room that is kept. It never decompresses.
//!
//! The Rust crates for LZ4 have no acceleration: `benches/README.md` has what it gains in time and gives up in
//! bytes.

use std::ffi::{c_char, c_int};
use std::ops::Range;

use lz4_sys::LZ4_compress_fast;

use super::words;

/// How fast LZ4 gives up on bytes that do not repeat; 1 is its default.
const ACCELERATION: c_int = 4;

/// Room for the LZ4 block of the longest input that it was made for.
pub(super) struct Lz4 {
    packed: Box<[u8]>,
}

impl Lz4 {
    /// For inputs of at most `plain_max` bytes, fewer than 2 GB.
    pub(super) fn new(plain_max: usize) -> Self {
        Lz4 {
            packed: vec![0; packed_max(plain_max)].into(),
        }
    }

    /// The LZ4 block of `plain`.
    ///
    /// # Panics
    /// When `plain` is longer than what this was made for.
    pub(super) fn pack(&mut self, plain: &[u8]) -> &[u8] {
        assert!(packed_max(plain.len()) <= self.packed.len());
        // SAFETY: it reads `plain.len()` bytes of `plain` and writes at most `packed.len()` bytes of `packed`,
        // which lie apart; both lengths fit an int, as `new` asks for.
        let length = unsafe {
            LZ4_compress_fast(
                plain.as_ptr().cast::<c_char>(),
                self.packed.as_mut_ptr().cast::<c_char>(),
                plain.len() as c_int,
                self.packed.len() as c_int,
                ACCELERATION,
            )
        };
        &self.packed[..length as usize]
    }

    /// The LZ4 block of `plain`, of which all but a few bytes are integers, in `spans`.
    ///
    /// # Panics
    /// When `plain` is longer than what this was made for.
    pub(super) fn pack_words(&mut self, plain: &[u8], spans: &[Range<usize>]) -> &[u8] {
        let length = words::pack(plain, spans, &mut self.packed);
        &self.packed[..length]
    }
}

/// `LZ4_COMPRESSBOUND`: bytes that do not repeat at all grow by this much. With so much room LZ4 cannot fail.
fn packed_max(plain: usize) -> usize {
    plain + plain / 255 + 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_comes_back(lz4: &mut Lz4, plain: &[u8]) {
        let back = lz4_flex::block::decompress(lz4.pack(plain), plain.len()).unwrap();
        assert!(back == plain, "{} bytes", plain.len());
    }

    /// Scenario: inputs of every small length and up to the longest, that repeat wholly, in part or not at all.
    /// Guarantee: another implementation gets each back.
    #[test]
    fn another_decompressor_gets_it_back() {
        const LONGEST: usize = 1 << 20;
        let mut lz4 = Lz4::new(LONGEST);
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..LONGEST).map(|_| random.u8(..)).collect();
        let words: Vec<u8> = (0..LONGEST / 8)
            .flat_map(|_| random.u64(..100).to_le_bytes())
            .collect();
        for length in (1..300).chain([4095, 4096, 65_535, 65_536, 65_548, LONGEST - 1, LONGEST]) {
            for plain in [&noise, &words, &vec![7; LONGEST]] {
                assert_comes_back(&mut lz4, &plain[..length]);
            }
        }
    }

    /// Scenario: the longest input that may come, of bytes that do not repeat.
    /// Guarantee: its block is no longer than the library's own bound.
    #[test]
    fn the_bound_is_the_librarys() {
        for plain in [1, 254, 255, 1 << 20] {
            // SAFETY: plain numbers.
            let bound = unsafe { lz4_sys::LZ4_compressBound(plain) };
            assert_eq!(packed_max(plain as usize), bound as usize);
        }
    }
}
