//! Attributes that have a column of their own: how configuration names them, and which ones do when it
//! is silent.

use std::str::FromStr;

/// Most attributes that may be promoted in one table. Each costs the walk a look at every row.
pub const PROMOTED_MAX: usize = 64;

/// An attribute that has a column of its own instead of an entry in the map.
///
/// Written `key=kind`, for example `http.response.status_code=u16`; the kind `keyword` may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    /// The attribute's key, usually one of OpenTelemetry's semantic conventions.
    pub key: String,
    /// The column's name: the key's words in upper camel case.
    pub column: String,
    /// Which values move into the column.
    pub kind: PromotedKind,
}

/// Which values of a promoted attribute move into its column; all others stay in the map, with
/// their type, so that nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotedKind {
    /// `keyword`: strings that are not empty and repeat often. The column's empty string means "not
    /// here".
    Keyword,
    /// `text`: strings that are not empty and seldom repeat.
    Text,
    /// `u16`: integers from 1 to 65,535. The column's 0 means "not here".
    U16,
    /// `i64`: integers other than 0, which means "not here".
    I64,
}

/// Why a promoted attribute cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromotedError {
    /// The part after `=` names no kind.
    #[error("{0:?} is no kind of promoted attribute; use keyword, text, u16 or i64")]
    Kind(String),
    /// The key cannot be made into a column's name.
    #[error(
        "the attribute key {0:?} cannot be promoted: it needs a letter first, then letters, digits, \
         '.', '_', '-' or '/', at most 128 in all"
    )]
    Key(String),
    /// Two keys, or a key and a column that the table has anyway.
    #[error("the attribute {key:?} would have the column {column}, which {table} has already")]
    Taken {
        /// The later key.
        key: String,
        /// The name that both want.
        column: String,
        /// The table's name.
        table: &'static str,
    },
    /// [`PROMOTED_LOG_ALWAYS`] as another kind.
    #[error("the log attribute {PROMOTED_LOG_ALWAYS} is always promoted, and always as keyword")]
    Fixed,
    /// More than [`PROMOTED_MAX`].
    #[error("{0} promoted attributes are more than {PROMOTED_MAX}, the most that a table may have")]
    TooMany(usize),
}

impl PromotedKind {
    /// ClickHouse's type for the column.
    #[must_use]
    pub fn column_type(self) -> &'static str {
        match self {
            Self::Keyword => "LowCardinality(String)",
            Self::Text => "String",
            Self::U16 => "UInt16",
            Self::I64 => "Int64",
        }
    }

    /// The word for it in configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Text => "text",
            Self::U16 => "u16",
            Self::I64 => "i64",
        }
    }
}

impl FromStr for Promoted {
    type Err = PromotedError;

    fn from_str(text: &str) -> Result<Self, PromotedError> {
        let (key, kind) = text.split_once('=').unwrap_or((text, "keyword"));
        let kind = match kind.trim() {
            "keyword" => PromotedKind::Keyword,
            "text" => PromotedKind::Text,
            "u16" => PromotedKind::U16,
            "i64" => PromotedKind::I64,
            other => return Err(PromotedError::Kind(other.to_owned())),
        };
        let key = key.trim();
        let is_good = key.len() <= 128
            && key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
        if !is_good {
            return Err(PromotedError::Key(key.to_owned()));
        }
        Ok(Promoted {
            key: key.to_owned(),
            column: column_name(key),
            kind,
        })
    }
}

impl std::fmt::Display for Promoted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.key, self.kind.word())
    }
}

/// `http.response.status_code` becomes `HttpResponseStatusCode`.
fn column_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for word in key.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// Span attributes that are promoted unless configuration says otherwise.
pub const PROMOTED_SPANS: &[&str] = &[
    "http.request.method",
    "http.response.status_code=u16",
    "http.route",
    "url.path=text",
    "server.address",
    "db.system.name",
    "rpc.method",
    "messaging.destination.name",
];

/// Log attributes that are promoted unless configuration says otherwise.
pub const PROMOTED_LOGS: &[&str] = &[PROMOTED_LOG_ALWAYS];

/// The log attribute that is promoted whatever configuration says, as a keyword: the hourly rollup of
/// errors tells them apart by its column.
pub const PROMOTED_LOG_ALWAYS: &str = "exception.type";

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the default lists and each kind by name.
    /// Guarantees: they parse, print as what parses to the same again, and have the columns expected.
    #[test]
    fn defaults_parse_and_print() {
        for text in [PROMOTED_SPANS, PROMOTED_LOGS].concat() {
            let promoted: Promoted = text.parse().unwrap();
            assert_eq!(promoted.to_string().parse(), Ok(promoted));
        }
        let code: Promoted = "http.response.status_code = u16".parse().unwrap();
        assert_eq!(code.column, "HttpResponseStatusCode");
        assert_eq!(code.kind, PromotedKind::U16);
    }

    /// Scenario: keys with quotes, spaces, nothing, too much, and an unknown kind.
    /// Guarantees: each is refused, so that no key can break out of the SQL it is put into.
    #[test]
    fn what_is_no_plain_key_is_refused() {
        for bad in ["", "a'b", "a b", "1a", ".a", "a`", "ä", &"x".repeat(129)] {
            let refused = bad.parse::<Promoted>();
            assert!(matches!(refused, Err(PromotedError::Key(_))), "{bad}");
        }
        assert_eq!(
            "a=float".parse::<Promoted>(),
            Err(PromotedError::Kind("float".into()))
        );
    }
}
