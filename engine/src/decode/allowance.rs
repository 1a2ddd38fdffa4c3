//! What a request may take in columns, enforced: everything is foreseen (`growth`) before it is read, so
//! the columns never hold more than is allowed, not even those of a request that is then refused.
//!
//! What is foreseen is too much, often by far, so it is only counted down from what was left when the
//! columns were last measured. When that runs out, the present part is looked at more closely and the
//! columns are measured again; only if it then does not fit is the request refused.

use super::DecodeError;
use super::growth::{GROWTH_MAX, OWNED_GROWTH_MAX, Shape, owned_growth};
use super::request::{Rows, Walk};
use crate::columns::Buffer as _;

/// Up to this many bytes a message is not looked through while there is room for whatever it holds.
const GLANCE_BYTES_MAX: usize = 1024;

/// The same for what is owned, of which too much is counted as long as it is held. Most scopes have no more.
const OWNED_GLANCE_BYTES_MAX: usize = 96;

/// See the module.
#[derive(Default)]
pub(super) struct Allowance {
    /// Bytes at which the columns are full.
    end: usize,
    /// Bytes that may be foreseen until the columns are measured.
    left: usize,
    /// Bytes of scope and metric that lie outside of the columns while their rows are walked.
    owned: usize,
    /// What each row takes at most, whatever it holds.
    row_bytes: usize,
}

impl Walk<'_> {
    /// Begins to count.
    pub(super) fn allow<R: Rows>(&mut self, rows: &R) {
        let bytes_max = self.arrival.column_bytes_max;
        self.allowance = Allowance {
            end: self.held(rows).saturating_add(bytes_max),
            left: bytes_max.saturating_sub(rows.unfilled_bytes()),
            owned: 0,
            row_bytes: rows.row_bytes(),
        };
    }

    /// Foresees what a row that is about to be read takes.
    #[inline]
    pub(super) fn foresee<R: Rows>(
        &mut self,
        message: &[u8],
        shape: &Shape,
        rows: &R,
    ) -> Result<(), DecodeError> {
        let most = self.allowance.row_bytes + message.len() * GROWTH_MAX;
        match self.allowance.left.checked_sub(most) {
            Some(left) => {
                self.allowance.left = left;
                Ok(())
            }
            None => self.foresee_closely(message, shape, rows),
        }
    }

    #[cold]
    fn foresee_closely<R: Rows>(
        &mut self,
        message: &[u8],
        shape: &Shape,
        rows: &R,
    ) -> Result<(), DecodeError> {
        self.measure(self.allowance.row_bytes + shape.growth(message), rows)
    }

    /// Foresees `bytes` bytes.
    #[inline]
    pub(super) fn grow<R: Rows>(&mut self, bytes: usize, rows: &R) -> Result<(), DecodeError> {
        match self.allowance.left.checked_sub(bytes) {
            Some(left) => {
                self.allowance.left = left;
                Ok(())
            }
            None => self.measure(bytes, rows),
        }
    }

    /// Foresees what a message takes whose attributes, in field `attributes`, are read into parts of their
    /// own for a while, and `more` bytes.
    pub(super) fn foresee_owned<R: Rows>(
        &mut self,
        parts: &[&[u8]],
        attributes: u32,
        more: usize,
        rows: &R,
    ) -> Result<(), DecodeError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let most = more + length * OWNED_GROWTH_MAX;
        if length <= GLANCE_BYTES_MAX
            && let Some(left) = self.allowance.left.checked_sub(most)
        {
            self.allowance.left = left;
            return Ok(());
        }
        let parts = parts.iter().map(|part| owned_growth(part, attributes));
        self.grow(more + parts.sum::<usize>(), rows)
    }

    /// Foresees what such a message takes, which is held until `disown`.
    pub(super) fn own<R: Rows>(
        &mut self,
        parts: &[&[u8]],
        attributes: u32,
        rows: &R,
    ) -> Result<(), DecodeError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = match length {
            0..=OWNED_GLANCE_BYTES_MAX => length * OWNED_GROWTH_MAX,
            _ => parts
                .iter()
                .map(|part| owned_growth(part, attributes))
                .sum(),
        };
        self.own_bytes(bytes, rows)
    }

    /// Foresees bytes that do not lie in the columns, and are held until `disown`.
    pub(super) fn own_bytes<R: Rows>(&mut self, bytes: usize, rows: &R) -> Result<(), DecodeError> {
        self.grow(bytes, rows)?;
        self.allowance.owned += bytes;
        Ok(())
    }

    /// Tells that of what is owned only `owned` bytes are left.
    pub(super) fn disown(&mut self, owned: usize) {
        self.allowance.owned = owned;
    }

    /// What is owned at present.
    pub(super) fn owned(&self) -> usize {
        self.allowance.owned
    }

    #[cold]
    fn measure<R: Rows>(&mut self, bytes: usize, rows: &R) -> Result<(), DecodeError> {
        let held = self.held(rows);
        debug_assert!(held <= self.allowance.end, "more was read than foreseen");
        let held = held + rows.unfilled_bytes() + self.allowance.owned;
        let left = self.allowance.end.saturating_sub(held);
        let left = left.checked_sub(bytes);
        self.allowance.left = left.ok_or(DecodeError::ColumnsTooLarge {
            bytes_max: self.arrival.column_bytes_max,
        })?;
        Ok(())
    }

    fn held<R: Rows>(&self, rows: &R) -> usize {
        rows.bytes() + self.resources.bytes() + self.series.bytes()
    }
}
