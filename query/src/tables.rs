//! Which table answers: the coarsest one whose rows make up the answer exactly, else a finer one; past the
//! retention of the finer ones, what is left.

use std::fmt;

use http::HeaderName;
use spanmill_schema::Retention;

/// Says which tables an answer was read from.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-spanmill-tables");

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// How much time a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Resolution {
    /// A row is what was sent.
    Raw,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "of points, which no API here reads yet")
    )]
    FiveMinutes,
    Hour,
    /// In UTC.
    Day,
    /// From Monday on, in UTC.
    Week,
}

impl Resolution {
    /// In nanoseconds; 1 where rows have times of their own.
    pub(crate) const fn width(self) -> i64 {
        match self {
            Self::Raw => 1,
            Self::FiveMinutes => 300 * SECOND,
            Self::Hour => 3_600 * SECOND,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
        }
    }

    /// The last begin of a row's time that is not after `time`, in nanoseconds since 1970.
    pub(crate) const fn down(self, time: i64) -> i64 {
        let width = self.width();
        // 1970 began on a Thursday.
        let first = match self {
            Self::Week => 4 * DAY,
            _ => 0,
        };
        (time - first).div_euclid(width) * width + first
    }

    /// The first begin of a row's time that is not before `time`, in nanoseconds since 1970.
    pub(crate) const fn up(self, time: i64) -> i64 {
        self.down(time.saturating_add(self.width() - 1))
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::Day => "1d",
            Self::Week => "1w",
        })
    }
}

/// For how long its rows are kept, in nanoseconds.
fn kept(resolution: Resolution, retention: Retention) -> i64 {
    let days = match resolution {
        Resolution::Raw => retention.raw_days,
        Resolution::FiveMinutes => retention.five_minute_days,
        Resolution::Hour | Resolution::Day | Resolution::Week => retention.hour_days,
    };
    i64::from(days) * DAY
}

/// What an answer is made of, in nanoseconds: a value every `step`, each over `window`, the oldest from `start` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub start: i64,
    pub step: i64,
    pub window: i64,
}

/// One of `available`, which stand from fine to coarse.
pub(crate) fn choose(
    available: &[Resolution],
    asked: Asked,
    now: i64,
    retention: Retention,
) -> Resolution {
    let is_exact = |resolution: &&Resolution| {
        let width = resolution.width();
        asked.step % width == 0 && asked.window % width == 0 && asked.start % width == 0
    };
    let is_kept = |resolution: &&Resolution| asked.start >= now - kept(**resolution, retention);
    let exact = available.iter().rev().filter(is_exact).find(is_kept);
    let kept = exact.or_else(|| available.iter().find(is_kept));
    // Older than everything: what there is of it is in the coarsest.
    *kept.or(available.last()).unwrap_or(&Resolution::Raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * SECOND;
    const RETENTION: Retention = Retention {
        raw_days: 30,
        five_minute_days: 90,
        hour_days: 365,
    };
    const ALL: [Resolution; 3] = [Resolution::Raw, Resolution::FiveMinutes, Resolution::Hour];

    fn chosen(age_days: i64, step: i64, window: i64) -> Resolution {
        let now = 20_000 * DAY;
        let start = now - age_days * DAY;
        let asked = Asked {
            start,
            step,
            window,
        };
        choose(&ALL, asked, now, RETENTION)
    }

    /// Scenario: steps and windows that are multiples of rollups and that are not, of all ages.
    /// Guarantees: the coarsest table that answers exactly; the finest that is kept where none is exact.
    #[test]
    fn the_coarsest_exact_table_answers() {
        let hour = 60 * MINUTE;
        assert_eq!(chosen(1, hour, 2 * hour), Resolution::Hour);
        assert_eq!(chosen(1, 5 * MINUTE, hour), Resolution::FiveMinutes);
        assert_eq!(chosen(1, hour, 10 * MINUTE), Resolution::FiveMinutes);
        assert_eq!(chosen(1, MINUTE, hour), Resolution::Raw);
        assert_eq!(chosen(40, MINUTE, hour), Resolution::FiveMinutes);
        assert_eq!(chosen(100, MINUTE, hour), Resolution::Hour);
        assert_eq!(chosen(1_000, hour, hour), Resolution::Hour);
    }
}
