//! Rows that were left out of a request because they alone are bad, and what to tell their sender.

use super::DecodeError;

/// Different reasons that are told apart; the rest are only counted.
const REASONS_MAX: usize = 4;

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// Rows left out.
    pub(crate) rows: usize,
    reasons: [Option<(DecodeError, usize)>; REASONS_MAX],
}

impl Rejected {
    /// A resource, scope or metric that is bad but has no rows is no loss, and nothing to tell.
    pub(super) fn add(&mut self, reason: DecodeError, rows: usize) {
        if rows == 0 {
            return;
        }
        self.rows += rows;
        for place in &mut self.reasons {
            let (known, count) = place.get_or_insert((reason, 0));
            if *known == reason {
                *count += rows;
                return;
            }
        }
    }
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.rows;
        for (at, (reason, rows)) in self.reasons.iter().flatten().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{rows} refused: {reason}")?;
            rest -= rows;
        }
        if rest > 0 {
            write!(f, "; {rest} refused for other reasons")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: rows left out for one reason, for several, and for more than are told apart.
    /// Guarantee: every row is counted, under its reason or among the rest.
    #[test]
    fn every_row_is_accounted_for() {
        let mut rejected = Rejected::default();
        rejected.add(DecodeError::NotUtf8, 2);
        rejected.add(DecodeError::NotUtf8, 1);
        assert_eq!(
            rejected.to_string(),
            format!("3 refused: {}", DecodeError::NotUtf8)
        );
        for field in ["a", "b", "c", "d"] {
            rejected.add(DecodeError::IdZero { field }, 1);
        }
        assert_eq!(rejected.rows, 7);
        assert!(
            rejected
                .to_string()
                .ends_with("; 1 refused for other reasons")
        );
    }
}
