//! One ClickHouse over HTTP, through the official client: SQL in, rows or a typed error out.

use crate::{Connection, ServerError};
use clickhouse::error::Error as ClientError;
use clickhouse::{Client, RowOwned, RowRead};
use std::future::Future;
use std::time::Duration;

/// The longest one statement may take. Creating a table takes milliseconds; what is waited for here
/// is a server under load or an address that swallows packets.
const STATEMENT_SECONDS_MAX: u64 = 120;
/// The longest a question about versions or the ledger may take.
const QUESTION_SECONDS_MAX: u64 = 10;
/// How long one may take to reach every host of a cluster.
const DDL_SECONDS_MAX: &str = "100";

/// ClickHouse's codes for an unknown user, a wrong or a missing password.
const CODES_REFUSED: [u32; 4] = [192, 193, 194, 516];

pub(crate) struct Server<'a> {
    connection: &'a Connection,
    client: Client,
}

impl<'a> Server<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        let client = Client::default()
            .with_url(&connection.url)
            .with_user(&connection.user)
            .with_password(&connection.password)
            // Less than a statement may take, so that ClickHouse itself says which host is missing.
            .with_setting("distributed_ddl_task_timeout", DDL_SECONDS_MAX);
        Self { connection, client }
    }

    /// Runs a statement that returns no rows.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), ServerError> {
        let mut query = self.client.query_raw(sql);
        if sql.contains("MODIFY TTL") {
            // A changed one is a mutation of every part, which may take hours: not waited for.
            query = query.with_setting("alter_sync", "0");
        }
        self.bounded(STATEMENT_SECONDS_MAX, query.execute()).await
    }

    /// Runs a statement with `{name:String}` parameters that returns no rows.
    pub(crate) async fn execute_with(
        &self,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(), ServerError> {
        let query = parameters
            .iter()
            .fold(self.client.query_raw(sql), |query, (name, value)| {
                query.param(name, value)
            });
        self.bounded(STATEMENT_SECONDS_MAX, query.execute()).await
    }

    /// All rows of a short query.
    pub(crate) async fn fetch<T: RowOwned + RowRead>(
        &self,
        sql: &str,
    ) -> Result<Vec<T>, ServerError> {
        self.bounded(QUESTION_SECONDS_MAX, self.client.query_raw(sql).fetch_all())
            .await
    }

    async fn bounded<T>(
        &self,
        seconds: u64,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ServerError> {
        match tokio::time::timeout(Duration::from_secs(seconds), work).await {
            Ok(done) => done.map_err(|error| self.explain(&error)),
            Err(_) => Err(ServerError::TimedOut {
                url: self.connection.url.clone(),
                seconds,
            }),
        }
    }

    fn explain(&self, error: &ClientError) -> ServerError {
        let url = self.connection.url.clone();
        match error {
            ClientError::Network(_) | ClientError::TimedOut | ClientError::Unsupported(_) => {
                ServerError::Unreachable {
                    url,
                    reason: self.scrub(&innermost(error)),
                }
            }
            ClientError::BadResponse(text) => match code(text) {
                Some(code) if CODES_REFUSED.contains(&code) => ServerError::Refused {
                    url,
                    user: self.connection.user.clone(),
                },
                Some(code) => ServerError::Failed {
                    url,
                    code,
                    message: self.scrub(text),
                },
                None => ServerError::NotClickHouse {
                    url,
                    reason: self.scrub(text),
                },
            },
            other => ServerError::NotClickHouse {
                url,
                reason: self.scrub(&innermost(other)),
            },
        }
    }

    /// A syntax error quotes the statement, which may hold the password.
    fn scrub(&self, text: &str) -> String {
        let password = &self.connection.password;
        let shown = if password.is_empty() {
            text.to_owned()
        } else {
            let literal = crate::literal::literal(password);
            text.replace(&literal, "'***'")
                .replace(password.as_str(), "***")
        };
        // A page of HTML or a long exception: the beginning tells.
        shown.chars().take(600).collect()
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// The number of `Code: 60. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("Code: ")?;
    digits
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::{Server, code};
    use crate::{Connection, ServerError};
    use clickhouse::error::Error as ClientError;

    /// Scenario: texts as ClickHouse, a proxy and a web server answer them.
    /// Guarantees: a code is read only where ClickHouse wrote one.
    #[test]
    fn codes_are_read_from_exceptions_only() {
        assert_eq!(code("Code: 516. DB::Exception: no"), Some(516));
        assert_eq!(code("Code: 60"), Some(60));
        assert_eq!(code("404 Not Found"), None);
        assert_eq!(code("Code: x"), None);
    }

    /// Scenario: ClickHouse quotes a statement that holds the password, plain or escaped.
    /// Guarantees: neither form is in the error's text.
    #[test]
    fn passwords_are_scrubbed_from_messages() {
        let connection = Connection {
            url: "http://h:1".into(),
            user: "u".into(),
            password: "se'cret".into(),
        };
        let server = Server::new(&connection);
        let text = "Code: 62. DB::Exception: near PASSWORD 'se\\'cret' or se'cret";
        let error = server.explain(&ClientError::BadResponse(text.into()));
        assert!(
            matches!(error, ServerError::Failed { code: 62, .. }),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("cret"), "{error}");
    }
}
