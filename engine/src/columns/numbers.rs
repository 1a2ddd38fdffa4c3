//! Numbers of points and exemplars: a float for every one, and beside it what tells an integer exactly.

use spanmill_schema::NumberType;

use super::Fixed;
use super::column::column_group;

column_group! {
    /// See the module. Remainders are filled in at the end.
    Numbers {
        kind: Fixed<1>,
        value: Fixed<8>,
        int_remainder: Fixed<8, true>,
    }
}

/// The value of a number point or an exemplar.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum Number {
    /// Not given: a point without a recorded value, or one that is no number.
    #[default]
    None,
    Double(f64),
    Int(i64),
}

impl Numbers {
    #[inline]
    pub(crate) fn push(&mut self, number: Number) {
        let (kind, value, remainder) = match number {
            Number::None => (NumberType::None, 0.0, 0),
            Number::Double(value) => (NumberType::Double, value, 0),
            Number::Int(int) => {
                let value = int as f64;
                (NumberType::Int, value, remainder(int, value))
            }
        };
        if remainder != 0 {
            self.fill();
            self.int_remainder.push(remainder.to_le_bytes());
        }
        self.kind.push([kind as u8]);
        self.value.push(value.to_le_bytes());
    }

    /// Fills in the remainders of those that have none.
    pub(super) fn fill(&mut self) {
        self.int_remainder.fill([0; 8], self.kind.rows());
    }
}

/// What an integer is more than the float nearest to it.
#[inline]
fn remainder(int: i64, value: f64) -> i64 {
    if int.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS {
        return 0;
    }
    // Within 512 of 0 everywhere; i128, because the float nearest to i64::MAX lies past it.
    (i128::from(int) - value as i128) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: integers around every power of two, and the ends of their range.
    /// Guarantee: float and remainder add up to the integer, and up to 2^53 the float alone is it.
    #[test]
    fn integers_are_kept_exactly() {
        let around = (0..63).flat_map(|bit| [-2, -1, 0, 1, 2].map(|off| (1i64 << bit) + off));
        let cases: Vec<i64> = around
            .flat_map(|int| [int, -int])
            .chain([i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1])
            .collect();
        let mut numbers = Numbers::default();
        for int in &cases {
            numbers.push(Number::Int(*int));
        }
        numbers.fill();
        let pairs = numbers.value.values().zip(numbers.int_remainder.values());
        for (int, (value, remainder)) in cases.into_iter().zip(pairs) {
            let (value, remainder) = (f64::from_le_bytes(value), i64::from_le_bytes(remainder));
            assert_eq!(value as i128 + i128::from(remainder), i128::from(int));
            assert!(remainder == 0 || int.unsigned_abs() > 1 << 53, "{int}");
        }
    }
}
