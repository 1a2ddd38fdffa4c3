//! Spans as they are stored, for every API that shows traces: which traces fit a search, a trace's spans
//! with their resources, services, operations and who calls whom. It knows no API's shapes.

mod catalog;
mod condition;
mod dependencies;
mod otlp;
mod promoted;
mod rare;
mod read;
mod resources;
mod row;
mod search;
mod span;
mod summary;

pub(crate) use catalog::{kind_name, kind_number, operations, services};
pub(crate) use dependencies::dependencies;
pub(crate) use otlp::resource_spans;
pub(crate) use read::{Found, read};
pub(crate) use search::{Search, search};
pub(crate) use span::{Attribute, Event, Link, Resource, Scope, Span, SpanId, Trace};
pub(crate) use summary::{Summary, summaries};

use std::fmt;
use std::str::FromStr;

use crate::clickhouse::ClickHouse;
use promoted::Promoted;
use resources::Resources;

/// What reading traces needs. Cloning gives the same one.
#[derive(Clone)]
pub(crate) struct Traces {
    pub clickhouse: ClickHouse,
    promoted: Promoted,
    resources: Resources,
}

impl Traces {
    pub(crate) fn new(clickhouse: ClickHouse) -> Self {
        Self {
            clickhouse,
            promoted: Promoted::default(),
            resources: Resources::default(),
        }
    }
}

/// Shown as 32 lower-case hex digits; fewer are understood as if zeros stood before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TraceId(pub [u8; 16]);

impl FromStr for TraceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(id) if is_hex && id != 0 => Ok(Self(id.to_be_bytes())),
            _ => Err(format!("{text:?} is no trace id of 1 to 32 hex digits")),
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::TraceId;

    /// Scenario: full, short and upper-case ids, and texts that are none.
    /// Guarantees: the former read as what they stand for, the latter are refused.
    #[test]
    fn ids_are_hex() {
        for (text, shown) in [
            (
                "4BF92f3577b34da6a3ce929d0e0e4736",
                "4bf92f3577b34da6a3ce929d0e0e4736",
            ),
            ("1f", "0000000000000000000000000000001f"),
        ] {
            assert_eq!(text.parse::<TraceId>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "0",
            "+1",
            "xyz",
            "4bf92f3577b34da6a3ce929d0e0e47361",
            "1' OR 1",
        ] {
            assert!(text.parse::<TraceId>().is_err(), "{text}");
        }
    }
}
