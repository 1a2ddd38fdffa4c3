#![allow(unsafe_code)]
//! Asks the CPU to fetch the bytes of a request that are read next, where the walk leaps over what it reads later: a
//! body is larger than the nearer caches, and the CPU foresees only reads that go on evenly. It reads nothing itself.

const LINE: usize = 64;
/// So far behind a part, in bytes, lies what is fetched while that part is read.
const AHEAD: usize = 1024;
/// Of a longer part only so much is taken for the length of what comes then.
const LENGTH_MAX: usize = 1024;

/// Fetches as many bytes as this part of a request has, a little behind its end. There may be none.
#[inline]
pub(super) fn behind(part: &[u8]) {
    let start = part.as_ptr_range().end.wrapping_add(AHEAD);
    for offset in (0..part.len().min(LENGTH_MAX)).step_by(LINE) {
        fetch(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: it is a hint, of no effect but on caches; an address that is not mapped is let be.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_: *const u8) {}
