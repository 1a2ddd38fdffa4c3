//! Text as it stands in SQL. It knows nothing of statements.

/// `text` as an SQL string, for the few places where ClickHouse takes no query parameter.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
