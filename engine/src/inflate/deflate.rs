#![allow(unsafe_code)]
//! Decompresses a whole gzip or deflate body at once with libdeflate, into a buffer that never grows past
//! a limit. The size a body claims is a hint, never trusted.
//!
//! libdeflate is called directly because its safe wrapper cannot tell where a member ends, and would drop
//! every gzip member after the first.

use std::ptr::{self, NonNull};

use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_deflate_decompress_ex,
    libdeflate_free_decompressor, libdeflate_gzip_decompress_ex,
    libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE as NO_ROOM,
    libdeflate_result_LIBDEFLATE_SUCCESS as SUCCESS, libdeflate_zlib_decompress_ex,
};

use super::{InflateError, ROOM_MIN};

/// Most that deflate can blow one byte up to, rounded up.
const RATIO_MAX: usize = 1040;
/// What telemetry shrinks to, for a body that does not claim a size. A guess too low costs a second try.
const RATIO_USUAL: usize = 16;

/// What is around the deflate stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// RFC 1952. All members of a body are taken.
    Gzip,
    /// RFC 1950, which is what HTTP and gRPC mean by "deflate".
    Zlib,
    /// Nothing, which is what some senders took "deflate" for.
    None,
}

impl Wrapping {
    /// What a body called "deflate" has around it. Its first two bytes tell: they are a multiple of 31 in
    /// zlib, and as the beginning of a bare stream they would be a stored block with bits set that
    /// every compressor leaves clear.
    pub(super) fn of_deflate(packed: &[u8]) -> Self {
        match packed {
            [method, flags, ..]
                if method & 0x8f == 8
                    && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) =>
            {
                Wrapping::Zlib
            }
            _ => Wrapping::None,
        }
    }
}

/// A decompressor.
pub(super) struct Handle(NonNull<libdeflate_decompressor>);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the pointer came from libdeflate_alloc_decompressor and is freed only here.
        unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

enum Failure {
    NoRoom,
    Broken,
}

impl Handle {
    pub(super) fn new() -> Result<Self, InflateError> {
        // SAFETY: takes nothing; a null pointer is the only failure.
        let handle = NonNull::new(unsafe { libdeflate_alloc_decompressor() });
        handle.map(Handle).ok_or(InflateError::NoMemory)
    }

    /// Appends what `packed` holds to `plain`, which must be empty and ends no longer than `limit`.
    pub(super) fn decompress(
        &self,
        wrapping: Wrapping,
        packed: &[u8],
        plain: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), InflateError> {
        let mut rest = packed;
        let expected = match wrapping {
            Wrapping::Gzip => claimed_size(packed),
            Wrapping::Zlib | Wrapping::None => packed.len().saturating_mul(RATIO_USUAL),
        };
        // Room is bounded by the claim, the limit, and what deflate could possibly make of the input.
        let mut room = expected
            .min(packed.len().saturating_mul(RATIO_MAX))
            .clamp(ROOM_MIN, limit.max(ROOM_MIN));
        while !rest.is_empty() {
            // One byte past the limit tells a body of just the limit from a larger one. As `plain` grows it
            // doubles, but not past that either.
            let room_max = limit + 1 - plain.len();
            room = room.min(room_max);
            plain.reserve_exact(plain.len().clamp(room, room_max));
            match self.member(wrapping, rest, plain, room) {
                Ok(consumed) => {
                    rest = &rest[consumed..];
                    room = ROOM_MIN;
                    if wrapping != Wrapping::Gzip && !rest.is_empty() {
                        return Err(InflateError::Broken);
                    }
                }
                Err(Failure::NoRoom) if room == room_max => return Err(InflateError::TooLarge),
                Err(Failure::NoRoom) => room = room.saturating_mul(2),
                Err(Failure::Broken) => return Err(InflateError::Broken),
            }
            if plain.len() > limit {
                return Err(InflateError::TooLarge);
            }
        }
        Ok(())
    }

    /// Appends one stream's content, using at most `room` bytes of the spare capacity that `plain` has,
    /// and gives the bytes that the stream took.
    fn member(
        &self,
        wrapping: Wrapping,
        packed: &[u8],
        plain: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, Failure> {
        let decompress = match wrapping {
            Wrapping::Gzip => libdeflate_gzip_decompress_ex,
            Wrapping::Zlib => libdeflate_zlib_decompress_ex,
            Wrapping::None => libdeflate_deflate_decompress_ex,
        };
        let spare = plain.spare_capacity_mut();
        let room = room.min(spare.len());
        let (mut consumed, mut written) = (0, 0);
        // SAFETY: the handle is live and used by one thread (`&self` of a type that is not Sync); `packed`
        // is readable for its length; the first `room` bytes of `spare` are writable; all three functions
        // have the same contract: libdeflate writes no more than that and stores both counts.
        let result = unsafe {
            decompress(
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
