//! Why an insert did not succeed.

use std::io;
use std::time::Duration;

/// See the module. Whether the rows are stored is unknown, unless `outcome_unknown` says otherwise: the
/// same batch under the same token is sent again to find out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InsertError {
    /// The connection failed.
    #[error("the connection to ClickHouse failed: {0}")]
    Io(#[from] io::Error),
    /// ClickHouse answered with an exception.
    #[error("ClickHouse refused: {0}")]
    Server(#[from] ServerException),
    /// What came back is not the native protocol as it is spoken here.
    #[error("ClickHouse's answer is not understood: {0}")]
    Protocol(String),
    /// The server cannot do what is needed.
    #[error("ClickHouse speaks native protocol revision {revision}; upgrade it to 26.7 or newer")]
    TooOld {
        /// What it speaks.
        revision: u64,
    },
    /// No answer in time.
    #[error("ClickHouse did not answer within {0:?}")]
    Timeout(Duration),
    /// The configured name resolves to nothing.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The caller had no time left; says nothing about any server.
    #[error("there was no time left to try ClickHouse once more")]
    OutOfTime,
    /// It failed before a byte of the INSERT was sent.
    #[error("{0}")]
    Unsent(Box<InsertError>),
}

/// ClickHouse's own error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code}, {name})")]
pub(crate) struct ServerException {
    pub(crate) code: i32,
    pub(crate) name: String,
    pub(crate) message: String,
}

impl InsertError {
    /// Whether the rows may be stored, or may still come to be. False when no byte of the INSERT reached
    /// a server in this try; earlier tries of the same batch may have been otherwise.
    pub(crate) fn outcome_unknown(&self) -> bool {
        !matches!(self, InsertError::Unsent(_) | InsertError::OutOfTime)
    }
}
