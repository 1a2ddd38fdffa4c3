//! Times as requests write them, as nanoseconds since 1970, which is what statements take.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Times after the year 2100 are refused or taken for that, because ClickHouse's `DateTime` ends soon after.
pub(crate) const SECONDS_MAX: i64 = 4_102_444_800;
pub(crate) const MILLIS_MAX: i64 = SECONDS_MAX * 1_000;
pub(crate) const NANOS_MAX: i64 = SECONDS_MAX * 1_000_000_000;

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// A time of RFC 3339, with any offset; before 1970 and after 2100 are taken for those.
pub(crate) fn rfc3339(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    let nanos = time.as_nanosecond().clamp(0, NANOS_MAX.into());
    i64::try_from(nanos).ok()
}

/// Of RFC 3339, in UTC.
pub(crate) fn to_rfc3339(nanos: i64) -> String {
    // Every 64-bit number of nanoseconds is a time that can be shown.
    Timestamp::from_nanosecond(nanos.into()).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: times with fractions and offsets, far ones, and texts that are none.
    /// Guarantees: nanoseconds since 1970 within bounds, and back; refused otherwise.
    #[test]
    fn times_of_rfc_3339() {
        assert_eq!(
            rfc3339("1970-01-01T00:00:01.000000002Z"),
            Some(1_000_000_002)
        );
        assert_eq!(
            rfc3339("2026-01-31T11:00:00+01:00"),
            rfc3339("2026-01-31T10:00:00Z")
        );
        assert_eq!(rfc3339("1960-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339("9999-01-01T00:00:00Z"), Some(NANOS_MAX));
        for text in [
            "",
            "now",
            "2026-01-31",
            "2026-13-31T10:00:00Z",
            "1700000000",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        assert_eq!(to_rfc3339(1_000_000_002), "1970-01-01T00:00:01.000000002Z");
    }
}
