//! What the query server may take, and who may ask it from a page.

use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderValue;

use super::Queries;
use super::reader::Reader;
use super::table;
use super::values;

/// `None` only if at least one problem was noted.
pub(super) fn queries(reader: &mut Reader<'_>) -> Option<Queries> {
    let connections_max = reader.read(&table::QUERY_CONNECTIONS_MAX, |text| {
        values::number(text, 1..=100_000)
    });
    let concurrency = reader.read(&table::QUERY_CONCURRENCY, |text| {
        values::number(text, 5..=50)
    });
    let timeout = reader.time(
        &table::QUERY_TIMEOUT,
        Duration::from_secs(1),
        Duration::from_mins(10),
    );
    let memory_max = reader.read(&table::QUERY_MEMORY_MAX, |text| {
        values::size(text, ByteSize::mib(16)..=ByteSize::tib(1))
    });
    let rows_max = reader.read(&table::QUERY_ROWS_MAX, |text| {
        values::number(text, 1_000..=1_000_000_000_000)
    });
    let cache_bytes_max = reader.read(&table::QUERY_CACHE_BYTES_MAX, |text| {
        values::size(text, ByteSize::b(0)..=ByteSize::tib(1))
    });
    let cors_origins = match reader.raw.is_given(&table::QUERY_CORS_ORIGINS) {
        true => reader.read(&table::QUERY_CORS_ORIGINS, origins),
        false => Some(Vec::new()),
    };
    Some(Queries {
        connections_max: connections_max?,
        concurrency: concurrency?,
        timeout: timeout?,
        memory_max: memory_max? as u64,
        rows_max: rows_max? as u64,
        cache_bytes_max: cache_bytes_max? as u64,
        cors_origins: cors_origins?,
    })
}

fn origins(text: &str) -> Result<Vec<HeaderValue>, String> {
    let given = text.split(',').map(str::trim);
    given.filter(|one| !one.is_empty()).map(origin).collect()
}

/// As browsers send it: scheme, host and port, nothing behind.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
        ["http", "https"].contains(&scheme) && !host.is_empty() && !host.contains('/')
    });
    match HeaderValue::from_str(text) {
        Ok(value) if is_origin => Ok(value),
        _ => Err(format!("{text:?} is no origin")),
    }
}

#[cfg(test)]
mod tests {
    use super::origins;

    /// Scenario: lists of origins, one of them with a path, one without a scheme.
    /// Guarantees: taken as browsers send them, refused otherwise; an empty list is none.
    #[test]
    fn origins_are_as_browsers_send_them() {
        assert_eq!(origins("").map(|all| all.len()), Ok(0));
        assert_eq!(origins("http://a:1, https://b").map(|all| all.len()), Ok(2));
        assert!(origins("http://a/").is_err() && origins("a").is_err());
    }
}
