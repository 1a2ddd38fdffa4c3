//! Takes the query of a URL, and hands out values one at a time, each checked. Every complaint names
//! the parameter.

use std::str::FromStr;
use std::time::Duration;

use crate::clock;
use crate::error::Error;

/// The parameters of one request, in its order; a name may come several times.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The first value of this name; an empty one counts as not given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).find(|text| !text.is_empty())
    }

    /// As [`Self::text`], which must be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Error> {
        self.text(name)
            .ok_or_else(|| Error::parameter(name, "is required"))
    }

    /// The first of these names that has a value; the first one if none has.
    pub(crate) fn either<const N: usize>(&self, names: [&'static str; N]) -> &'static str {
        let given = names.into_iter().find(|name| self.text(name).is_some());
        given.unwrap_or(names[0])
    }

    /// `true` or `false`, as Go reads them.
    pub(crate) fn truth(&self, name: &'static str) -> Result<Option<bool>, Error> {
        match self.text(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(Some(false)),
            Some(text) => {
                let reason = format!("{text:?} is neither true nor false");
                Err(Error::parameter(name, reason))
            }
        }
    }

    /// A time in microseconds since 1970 or of RFC 3339, in nanoseconds since 1970.
    pub(crate) fn micros_or_time(&self, name: &'static str) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let micros = text.parse::<i64>().ok();
        let micros = micros.filter(|micros| (0..=clock::MILLIS_MAX * 1000).contains(micros));
        let time = micros.map(|micros| micros * 1000);
        match time.or_else(|| clock::rfc3339(text)) {
            Some(time) => Ok(Some(time)),
            None => {
                let reason = format!("{text:?} is neither microseconds since 1970 nor RFC 3339");
                Err(Error::parameter(name, reason))
            }
        }
    }

    /// Every value of this name.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn number<T>(
        &self,
        name: &'static str,
        least: T,
        most: T,
    ) -> Result<Option<T>, Error>
    where
        T: FromStr + PartialOrd + Copy + std::fmt::Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse::<T>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => {
                let reason = format!("{text:?} is not a whole number from {least} to {most}");
                Err(Error::parameter(name, reason))
            }
        }
    }

    /// A duration as Go writes it.
    pub(crate) fn duration(&self, name: &'static str) -> Result<Option<Duration>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let reason = || format!("{text:?} is not a duration such as 1.2s, 100ms or 1h30m");
        go_duration(text)
            .map(Some)
            .ok_or_else(|| Error::parameter(name, reason()))
    }
}

/// `1h30m`, `1.5s`, `100ms`, `20us`, `20µs`, `5ns`, or `0`; none below 0.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number_ends);
        let unit_ends = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_ends);
        let factor = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return None,
        };
        nanos += number.parse::<f64>().ok()? * factor;
        rest = behind;
    }
    let fits = !text.is_empty() && nanos <= i64::MAX as f64;
    fits.then(|| Duration::from_nanos(nanos.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: durations as Go prints and reads them, and texts that are none.
    /// Guarantees: the former are understood to the nanosecond, the latter refused.
    #[test]
    fn durations_are_go_s() {
        for (text, nanos) in [
            ("0", 0),
            ("5ns", 5),
            ("20µs", 20_000),
            ("1.5s", 1_500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("100ms", 100_000_000),
        ] {
            assert_eq!(
                go_duration(text),
                Some(Duration::from_nanos(nanos)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "1.2.3s",
            "-1s",
            "1d",
            "1s2",
            "999999999h",
            "' OR 1",
        ] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    /// Scenario: parameters that are missing, empty, given twice, out of range and no numbers.
    /// Guarantees: complaints name the parameter; empty counts as missing; the first value counts.
    #[test]
    fn complaints_name_the_parameter() {
        let parameters = Parameters::parse(Some("a=&b=7&b=8&c=x&d=%27%3B"));
        let Err(Error::Parameter { name, .. }) = parameters.required("a") else {
            panic!("an empty one counts");
        };
        assert_eq!(name, "a");
        assert_eq!(parameters.number::<u64>("b", 1, 9), Ok(Some(7)));
        assert!(parameters.number::<u64>("b", 8, 9).is_err());
        assert!(parameters.number::<u64>("c", 0, 9).is_err());
        assert_eq!(parameters.number::<u64>("z", 0, 9), Ok(None));
        assert_eq!(parameters.all("b").collect::<Vec<_>>(), ["7", "8"]);
        assert_eq!(parameters.text("d"), Some("';"));
    }
}
