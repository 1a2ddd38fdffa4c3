//! Writes ids and times anew into an encoded request, in place: fields of fixed width go in and come out.

use super::offsets::Offsets;

/// What a send's ids and times are: ids differ from the generated ones by a mask, so that ids which belong
/// together still do; the latest time is `latest`, and all others keep their distance from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    /// Nanoseconds since 1970.
    pub(crate) latest: u64,
}

impl Stamp {
    /// The masks of a round: the same for all requests of a run's round, so that traces which lie in several
    /// requests keep together, and logs keep to their traces.
    pub(crate) fn of_round(run: u64, round: u64, latest: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(run ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Stamp {
            trace: random.u128(..),
            span: random.u64(..),
            latest,
        }
    }
}

/// How fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Binary,
    Text,
}

/// Changes what was stamped with `old` to what `new` says.
pub(super) fn restamp(form: Form, bytes: &mut [u8], offsets: &Offsets, old: Stamp, new: Stamp) {
    let trace = old.trace ^ new.trace;
    let span = old.span ^ new.span;
    let later = new.latest.wrapping_sub(old.latest);
    match form {
        Form::Binary => {
            let traces = offsets.traces.iter();
            traces.for_each(|at| {
                field::<16>(bytes, *at, |id| {
                    (u128::from_be_bytes(id) ^ trace).to_be_bytes()
                })
            });
            let spans = offsets.spans.iter();
            spans.for_each(|at| {
                field::<8>(bytes, *at, |id| {
                    (u64::from_be_bytes(id) ^ span).to_be_bytes()
                })
            });
            let times = offsets.times.iter();
            times.for_each(|at| {
                field::<8>(bytes, *at, |time| {
                    u64::from_le_bytes(time).wrapping_add(later).to_le_bytes()
                });
            });
        }
        Form::Text => {
            let traces = offsets.traces.iter();
            traces.for_each(|at| field::<32>(bytes, *at, |id| hex_xor(id, trace)));
            let spans = offsets.spans.iter();
            spans.for_each(|at| field::<16>(bytes, *at, |id| hex_xor(id, u128::from(span))));
            let times = offsets.times.iter();
            times.for_each(|at| field::<19>(bytes, *at, |time| decimal_add(time, later)));
        }
    }
}

/// The latest of the times.
pub(super) fn latest(form: Form, bytes: &mut [u8], offsets: &Offsets) -> u64 {
    let mut latest = 0;
    for at in &offsets.times {
        match form {
            Form::Binary => field::<8>(bytes, *at, |time| {
                latest = latest.max(u64::from_le_bytes(time));
                time
            }),
            Form::Text => field::<19>(bytes, *at, |time| {
                latest = latest.max(number(&time));
                time
            }),
        }
    }
    latest
}

fn field<const N: usize>(bytes: &mut [u8], at: u32, change: impl FnOnce([u8; N]) -> [u8; N]) {
    if let Some(chunk) = bytes
        .get_mut(at as usize..)
        .and_then(<[u8]>::first_chunk_mut)
    {
        *chunk = change(*chunk);
    }
}

/// Hex digits, the last of which is the mask's lowest four bits.
fn hex_xor<const N: usize>(mut digits: [u8; N], mut mask: u128) -> [u8; N] {
    for digit in digits.iter_mut().rev() {
        let value = match *digit {
            letter @ b'a'..=b'f' => letter - b'a' + 10,
            letter @ b'A'..=b'F' => letter - b'A' + 10,
            number => number.wrapping_sub(b'0'),
        };
        *digit = b"0123456789abcdef"[usize::from((value ^ mask as u8) & 15)];
        mask >>= 4;
    }
    digits
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number: u64, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

fn decimal_add(mut digits: [u8; 19], later: u64) -> [u8; 19] {
    let mut time = number(&digits).wrapping_add(later);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (time % 10) as u8;
        time /= 10;
    }
    digits
}
