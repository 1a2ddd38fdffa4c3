//! Takes the text of one value and hands out what it means, or a reason why it means nothing.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use spanmill_schema::{Promoted, PromotedError};

/// A text that is never shown: neither by `Debug` nor in any message.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

pub(super) fn number(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    within(text.parse().map_err(not("a whole number"))?, &range)
}

pub(super) fn time(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    within(
        humantime::parse_duration(text).map_err(not("a time"))?,
        &range,
    )
}

pub(super) fn size(text: &str, range: RangeInclusive<ByteSize>) -> Result<usize, String> {
    let size = within(text.parse::<ByteSize>().map_err(not("a size"))?, &range)?;
    usize::try_from(size.as_u64()).map_err(not("a size this machine can hold"))
}

fn not<E: Display>(kind: &'static str) -> impl Fn(E) -> String {
    move |error| format!("not {kind} ({error})")
}

fn within<T: PartialOrd>(value: T, range: &RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err("out of range".to_owned())
    }
}

/// `host:port`, the host as a name or an address (IPv6 in brackets), the port not 0.
pub(super) fn host_port(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
    if host.is_empty() || (host.contains(':') && !(host.starts_with('[') && host.ends_with(']'))) {
        return Err("the host is missing, or is an IPv6 address without brackets".to_owned());
    }
    if host.contains(['/', '@', ' ']) {
        return Err("only host and port belong here".to_owned());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(text.to_owned()),
        _ => Err("the port is not a number from 1 to 65535".to_owned()),
    }
}

/// One or more of those, comma-separated, each once.
pub(super) fn host_ports(text: &str) -> Result<Vec<String>, String> {
    let mut list: Vec<String> = Vec::new();
    for one in text.split(',') {
        let one = host_port(one.trim())?;
        if list.contains(&one) {
            return Err(format!("{one} stands there twice"));
        }
        list.push(one);
    }
    Ok(list)
}

/// `http://host[:port]` without a trailing slash.
pub(super) fn http_url(text: &str) -> Result<String, String> {
    let url: http::Uri = text.parse().map_err(not("a URL"))?;
    if url.scheme_str() != Some("http") {
        return Err("the URL does not begin with http://".to_owned());
    }
    let authority = url.authority().ok_or("the host is missing")?;
    if authority.as_str().contains('@') {
        return Err("user and password have settings of their own".to_owned());
    }
    if url.path() != "/" || url.query().is_some() {
        return Err("the URL has a path or a query".to_owned());
    }
    Ok(format!("http://{authority}"))
}

/// Attributes as `key=kind`, comma-separated; none if the text is empty.
pub(super) fn promoted(text: &str) -> Result<Vec<Promoted>, String> {
    match text.trim() {
        "" => Ok(Vec::new()),
        list => list
            .split(',')
            .map(|one| {
                one.trim()
                    .parse()
                    .map_err(|error: PromotedError| error.to_string())
            })
            .collect(),
    }
}

/// A cluster's name, which becomes part of SQL; none if the text is empty.
pub(super) fn cluster(text: &str) -> Result<Option<String>, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match text {
        "" => Ok(None),
        name if name.chars().all(is_plain) => Ok(Some(name.to_owned())),
        _ => Err("not the name of a cluster".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: sizes and times as people write them. Guarantees: units are told apart, a bare
    /// time without unit is refused, and ranges include their ends only.
    #[test]
    fn units_and_ranges() {
        let sizes = ByteSize::kib(1)..=ByteSize::gib(1);
        assert_eq!(size("64MiB", sizes.clone()), Ok(64 << 20));
        assert_eq!(size("64MB", sizes.clone()), Ok(64_000_000));
        assert_eq!(size("1024", sizes.clone()), Ok(1024));
        for bad in ["1023", "2GiB", "-1", "64 foo", ""] {
            assert!(size(bad, sizes.clone()).is_err(), "{bad}");
        }
        let times = Duration::from_millis(1)..=Duration::from_mins(1);
        assert_eq!(time("200ms", times.clone()), Ok(Duration::from_millis(200)));
        assert_eq!(time("1m", times.clone()), Ok(Duration::from_mins(1)));
        for bad in ["200", "61s", "0s", "-1s", "soon"] {
            assert!(time(bad, times.clone()).is_err(), "{bad}");
        }
        assert_eq!(number("256", 1..=256), Ok(256));
        for bad in ["0", "257", "1.5", "two", " 1"] {
            assert!(number(bad, 1..=256).is_err(), "{bad}");
        }
    }

    /// Scenario: addresses of a ClickHouse, right and wrong. Guarantees: what is accepted can be
    /// dialled as it stands; users, paths and TLS are refused with their reason.
    #[test]
    fn addresses_of_clickhouse() {
        for good in ["db:9000", "10.0.0.1:9000", "[::1]:9000"] {
            assert_eq!(host_port(good), Ok(good.to_owned()));
        }
        for bad in [
            "db",
            ":9000",
            "::1:9000",
            "db:0",
            "db:x",
            "db:70000",
            "tcp://db:9000",
        ] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
        assert_eq!(http_url("http://db:8123/"), Ok("http://db:8123".to_owned()));
        assert_eq!(
            http_url("http://[::1]:8123"),
            Ok("http://[::1]:8123".to_owned())
        );
        for bad in [
            "db:8123",
            "https://db:8443",
            "http://u:p@db:8123",
            "http://db/x",
            "http://",
        ] {
            assert!(http_url(bad).is_err(), "{bad}");
        }
        assert!(http_url("http://db:8123/?user=x").is_err());
    }

    /// Scenario: lists of addresses, with spaces, empty entries and repetitions. Guarantees: the order is
    /// kept, spaces do not matter, and what cannot be dialled or is there twice is refused.
    #[test]
    fn several_addresses_of_clickhouse() {
        assert_eq!(host_ports("b:1"), Ok(vec!["b:1".to_owned()]));
        let two = Ok(vec!["b:1".to_owned(), "a:2".to_owned()]);
        assert_eq!(host_ports("b:1, a:2"), two);
        for bad in ["", "a:1,", ",a:1", "a:1,b", "a:1,a:1", "a:1;b:2"] {
            assert!(host_ports(bad).is_err(), "{bad}");
        }
    }

    /// Scenario: lists of attributes and names of clusters, right, empty and wrong. Guarantees: order
    /// and kinds are kept, empty is none, and nothing that could leave its place in SQL gets through.
    #[test]
    fn attributes_and_clusters() {
        let listed = |text| {
            let list = promoted(text)?;
            Ok::<_, String>(list.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(listed(" "), Ok(vec![]));
        assert_eq!(
            listed("b.c = u16,a"),
            Ok(vec!["b.c=u16".to_owned(), "a=keyword".to_owned()])
        );
        for bad in ["a,", ",", "a b", "a=float", "a'b", "a=b=c"] {
            assert!(listed(bad).is_err(), "{bad}");
        }
        assert_eq!(cluster(""), Ok(None));
        assert_eq!(cluster("prod_1.eu-x"), Ok(Some("prod_1.eu-x".to_owned())));
        for bad in ["a b", "a'", "{x}", " "] {
            assert!(cluster(bad).is_err(), "{bad}");
        }
    }

    /// Scenario: a password is formatted for debugging. Guarantees: it does not show.
    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "***");
    }
}
