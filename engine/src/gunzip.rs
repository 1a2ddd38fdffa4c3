#![allow(unsafe_code)]
//! Decompresses a whole gzip body at once with libdeflate, into a buffer that never grows past a limit.
//! All members of a body are taken, as RFC 1952 wants. The size a body claims is a hint, never trusted.
//!
//! libdeflate is called directly because its safe wrapper cannot tell where a member ends, and would drop
//! every member after the first.

use std::ptr::{self, NonNull};

use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_gzip_decompress_ex, libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE as NO_ROOM,
    libdeflate_result_LIBDEFLATE_SUCCESS as SUCCESS,
};

/// Most that deflate can blow one byte up to, rounded up.
const RATIO_MAX: usize = 1040;
/// Room to begin with when the body claims nothing useful.
const ROOM_MIN: usize = 4096;

/// Why a body was not decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GunzipError {
    /// It is no gzip, or damaged, or cut short.
    Broken,
    /// It is larger than the limit when decompressed.
    TooLarge,
    /// There is no memory for the decompressor.
    NoMemory,
}

/// A decompressor, made at its first use.
#[derive(Default)]
pub(crate) struct Gunzip(Option<Handle>);

struct Handle(NonNull<libdeflate_decompressor>);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the pointer came from libdeflate_alloc_decompressor and is freed only here.
        unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

impl Gunzip {
    /// Appends what `packed` holds to `plain`, which must be empty and ends no longer than `limit`.
    pub(crate) fn decompress(
        &mut self,
        packed: &[u8],
        plain: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), GunzipError> {
        if self.0.is_none() {
            // SAFETY: takes nothing; a null pointer is the only failure.
            let handle = NonNull::new(unsafe { libdeflate_alloc_decompressor() });
            self.0 = Some(Handle(handle.ok_or(GunzipError::NoMemory)?));
        }
        let Some(handle) = &self.0 else {
            return Err(GunzipError::NoMemory);
        };
        let mut rest = packed;
        // Room is bounded by the claim, the limit, and what deflate could possibly make of the input.
        let mut room = claimed_size(packed)
            .min(packed.len().saturating_mul(RATIO_MAX))
            .clamp(ROOM_MIN, limit.max(ROOM_MIN));
        while !rest.is_empty() {
            plain.reserve(room);
            match handle.member(rest, plain, room) {
                Ok(consumed) => {
                    rest = &rest[consumed..];
                    room = ROOM_MIN;
                }
                Err(Failure::NoRoom) if room > limit => return Err(GunzipError::TooLarge),
                Err(Failure::NoRoom) => room = room.saturating_mul(2).min(limit + 1),
                Err(Failure::Broken) => return Err(GunzipError::Broken),
            }
            if plain.len() > limit {
                return Err(GunzipError::TooLarge);
            }
        }
        if packed.is_empty() {
            return Err(GunzipError::Broken);
        }
        Ok(())
    }
}

enum Failure {
    NoRoom,
    Broken,
}

impl Handle {
    /// Appends one member's content, using at most `room` bytes of the spare capacity that `plain` has,
    /// and gives the bytes that the member took.
    fn member(&self, packed: &[u8], plain: &mut Vec<u8>, room: usize) -> Result<usize, Failure> {
        let spare = plain.spare_capacity_mut();
        let room = room.min(spare.len());
        let (mut consumed, mut written) = (0, 0);
        // SAFETY: the handle is live and used by one thread (`&self` of a type that is not Sync); `packed`
        // is readable for its length; the first `room` bytes of `spare` are writable; libdeflate writes
        // no more than that and stores both counts.
        let result = unsafe {
            libdeflate_gzip_decompress_ex(
                self.0.as_ptr(),
                packed.as_ptr().cast(),
                packed.len(),
                spare.as_mut_ptr().cast(),
                room,
                &raw mut consumed,
                ptr::from_mut(&mut written),
            )
        };
        match result {
            SUCCESS => {
                // SAFETY: on success exactly `written` bytes after the old length are initialised.
                unsafe { plain.set_len(plain.len() + written) };
                Ok(consumed)
            }
            NO_ROOM => Err(Failure::NoRoom),
            _ => Err(Failure::Broken),
        }
    }
}

/// The size modulo 4 GiB that a gzip body's last four bytes claim.
fn claimed_size(packed: &[u8]) -> usize {
    packed
        .last_chunk()
        .map_or(0, |size| u32::from_le_bytes(*size) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn pack(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, GunzipError> {
        let mut plain = Vec::new();
        Gunzip::default().decompress(packed, &mut plain, limit)?;
        Ok(plain)
    }

    /// Scenario: bodies of one and of several members, identical ones among them, and an empty member.
    /// Guarantee: all members' content, in order.
    #[test]
    fn every_member_counts() {
        let long = vec![7; 100_000];
        assert_eq!(unpack(&pack(&long), 1 << 20).unwrap(), long);
        let twice = [pack(b"same"), pack(b"same"), pack(b""), pack(b"end")].concat();
        assert_eq!(unpack(&twice, 1 << 20).unwrap(), b"samesameend");
    }

    /// Scenario: a body of exactly the limit, one byte more, and a bomb whose claimed size is a lie.
    /// Guarantee: the limit is met exactly and room never grows past it.
    #[test]
    fn the_limit_holds_whatever_is_claimed() {
        let body = pack(&vec![1; 50_000]);
        assert!(unpack(&body, 50_000).is_ok());
        assert_eq!(unpack(&body, 49_999), Err(GunzipError::TooLarge));
        let mut liar = pack(&vec![0; 10 << 20]);
        let size = liar.len() - 4;
        liar[size..].copy_from_slice(&1u32.to_le_bytes());
        let mut plain = Vec::new();
        let result = Gunzip::default().decompress(&liar, &mut plain, 1 << 20);
        assert!(result.is_err() && plain.capacity() <= 2 << 20);
    }

    /// Scenario: a body cut at every byte, damaged, followed by rubbish, or empty.
    /// Guarantee: "broken", never content.
    #[test]
    fn broken_bodies_are_refused() {
        let body = pack(b"some text that is long enough to be compressed, compressed, compressed");
        for cut in 0..body.len() {
            assert_eq!(
                unpack(&body[..cut], 1 << 20),
                Err(GunzipError::Broken),
                "{cut}"
            );
        }
        let mut damaged = body.clone();
        damaged[20] ^= 0x55;
        assert_eq!(unpack(&damaged, 1 << 20), Err(GunzipError::Broken));
        assert_eq!(
            unpack(&[body, b"rubbish".to_vec()].concat(), 1 << 20),
            Err(GunzipError::Broken)
        );
    }
}
