//! What the client's failures mean for whoever asked.

use clickhouse::error::Error as ClientError;

use crate::error::Error;

/// Of ClickHouse's own text, this much is shown.
const MESSAGE_CHARS_MAX: usize = 400;

/// `TOO_MANY_ROWS`, `TIMEOUT_EXCEEDED`, `TOO_SLOW`, `MEMORY_LIMIT_EXCEEDED`, `TOO_MANY_BYTES`,
/// `TOO_MANY_ROWS_OR_BYTES`.
const CODES_OVER_LIMIT: [u32; 6] = [158, 159, 160, 241, 307, 396];
/// `UNKNOWN_TABLE`, `UNKNOWN_DATABASE`: migrations have yet to run.
const CODES_NO_TABLES: [u32; 2] = [60, 81];
/// Unknown user, wrong or missing password.
const CODES_REFUSED: [u32; 4] = [192, 193, 194, 516];
/// `TOO_MANY_SIMULTANEOUS_QUERIES`.
const CODE_BUSY: u32 = 202;
/// `QUERY_WAS_CANCELLED`, `ABORTED`: it is shutting down, or somebody killed the query.
const CODES_ENDED: [u32; 2] = [394, 236];

/// The error as the client of this server sees it.
pub(super) fn explain(error: &ClientError) -> Error {
    match error {
        ClientError::Network(_) | ClientError::TimedOut => Error::Unavailable(innermost(error)),
        ClientError::BadResponse(text) => by_code(text),
        other => Error::Unreadable(innermost(other)),
    }
}

fn by_code(text: &str) -> Error {
    let message = || text.chars().take(MESSAGE_CHARS_MAX).collect::<String>();
    match code(text) {
        Some(code) if CODES_OVER_LIMIT.contains(&code) => Error::OverLimit(message()),
        Some(code) if CODES_NO_TABLES.contains(&code) => {
            Error::Unavailable("its tables are missing; run `spanmill migrate`".to_owned())
        }
        Some(code) if CODES_REFUSED.contains(&code) => {
            Error::Unavailable("it refused the user or the password".to_owned())
        }
        Some(code) if CODES_ENDED.contains(&code) => {
            Error::Unavailable("it ended the query".to_owned())
        }
        Some(CODE_BUSY) => Error::Busy,
        Some(code) => Error::Failed {
            code,
            message: message(),
        },
        None => Error::Unavailable(message()),
    }
}

/// The number of `Code: 60. DB::Exception: …`, which may stand behind rows that were sent already.
fn code(text: &str) -> Option<u32> {
    let (_, behind) = text.split_once("Code: ")?;
    let digits = behind.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    /// Scenario: ClickHouse's exceptions by code, and a page that is not ClickHouse's.
    /// Guarantees: limits are 504, what passes is 503, the rest is 500.
    #[test]
    fn codes_decide_the_status() {
        for (text, status) in [
            (
                "Code: 159. DB::Exception: Timeout",
                StatusCode::GATEWAY_TIMEOUT,
            ),
            (
                "Code: 241. DB::Exception: Memory",
                StatusCode::GATEWAY_TIMEOUT,
            ),
            (
                "Code: 60. DB::Exception: no",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            (
                "Code: 202. DB::Exception: many",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            ("<html>502</html>", StatusCode::SERVICE_UNAVAILABLE),
            (
                "Code: 62. DB::Exception: syntax",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
        ] {
            assert_eq!(by_code(text).status(), status, "{text}");
        }
    }
}
