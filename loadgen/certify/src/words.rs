//! Numbers for people: figures go in, words with units come out.

/// `1,234,567`
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value <= -0.5 {
        format!("-{grouped}")
    } else {
        grouped
    }
}

/// `12.3 MB`
pub(crate) fn bytes(value: f64) -> String {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.iter().find(|(_, size)| value >= *size) {
        Some((unit, size)) => format!("{} {unit}", short(value / size)),
        None => format!("{value:.0} bytes"),
    }
}

/// `0.42 ms`, `12.3 ms`, `1.5 s`
pub(crate) fn ms(value: f64) -> String {
    match value {
        value if value >= 1000.0 => format!("{} s", short(value / 1000.0)),
        value => format!("{} ms", short(value)),
    }
}

/// Three digits.
pub(crate) fn short(value: f64) -> String {
    let decimals = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        0.0 => 0,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `2 min 5 s`
pub(crate) fn seconds(value: f64) -> String {
    let whole = std::time::Duration::from_secs(value.max(0.0).round() as u64);
    humantime::format_duration(whole).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: figures of every size. Guarantees: each is short, grouped, and keeps its unit and sign.
    #[test]
    fn figures_are_short() {
        assert_eq!(count(1_234_567.4), "1,234,567");
        assert_eq!((count(0.0), count(-1234.0)), ("0".into(), "-1,234".into()));
        assert_eq!(
            (bytes(12.0), bytes(4e9), bytes(123_456_789.0)),
            ("12 bytes".into(), "4 GB".into(), "123 MB".into())
        );
        assert_eq!(
            (ms(0.421), ms(12.34), ms(1500.0)),
            ("0.42 ms".into(), "12.3 ms".into(), "1.5 s".into())
        );
        assert_eq!(
            (short(0.0), short(10.0), short(100.0)),
            ("0".into(), "10".into(), "100".into())
        );
        assert_eq!(seconds(125.2), "2m 5s");
    }
}
