//! Decompresses a whole zstd body: all its frames, as RFC 8878 wants, by streaming, because many senders do
//! not say how large a frame will become, and a wrong guess would cost a second pass.

use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::{InflateError, ROOM_MIN};

/// A decompressor that keeps to the bound on windows.
pub(super) type Context = DCtx<'static>;

/// What telemetry shrinks to; a guess too low costs a copy.
const RATIO_USUAL: usize = 16;

pub(super) fn context(window_log: u32) -> Result<Context, InflateError> {
    let mut context = DCtx::try_create().ok_or(InflateError::NoMemory)?;
    match context.set_parameter(DParameter::WindowLogMax(window_log)) {
        Ok(_) => Ok(context),
        Err(_) => Err(InflateError::NoMemory),
    }
}

/// Appends what `packed` holds to `plain`, which must be empty and ends no longer than `limit`.
pub(super) fn decompress(
    context: &mut Context,
    packed: &[u8],
    plain: &mut Vec<u8>,
    limit: usize,
) -> Result<(), InflateError> {
    // The last body may have ended in the middle of a frame.
    context
        .reset(ResetDirective::SessionOnly)
        .map_err(failure)?;
    let expected = packed.len().saturating_mul(RATIO_USUAL);
    plain.reserve(expected.clamp(ROOM_MIN, limit.max(ROOM_MIN)));
    let mut input = InBuffer::around(packed);
    loop {
        if plain.len() == plain.capacity() {
            // One byte past the limit tells a body of just the limit from a larger one.
            let room = plain.len().min((limit + 1).saturating_sub(plain.len()));
            plain.reserve_exact(room.max(1));
        }
        let length = plain.len();
        let mut output = OutBuffer::around_pos(plain, length);
        let wanted = context
            .decompress_stream(&mut output, &mut input)
            .map_err(failure)?;
        if plain.len() > limit {
            return Err(InflateError::TooLarge);
        }
        let at_end = input.pos() == packed.len();
        match wanted {
            // A frame is complete; another may follow.
            0 if at_end => return Ok(()),
            // All that was given is used up, and what it became has been written in full.
            _ if at_end && plain.len() < plain.capacity() => return Err(InflateError::Broken),
            _ => {}
        }
    }
}

fn failure(code: zstd_safe::ErrorCode) -> InflateError {
    // zstd gives an error as its number below zero.
    let is = |kind: ZSTD_ErrorCode| code == (kind as usize).wrapping_neg();
    if is(ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
        InflateError::Window
    } else if is(ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
        InflateError::NoMemory
    } else {
        InflateError::Broken
    }
}
