//! Why a request was not answered as asked. An [`Error`] travels in the response's extensions until
//! `routes` gives it the shape of the API that was asked.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// What went wrong, in words for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A parameter is missing or makes no sense.
    #[error("parameter `{name}`: {reason}")]
    Parameter { name: &'static str, reason: String },
    /// What was asked for by name is not stored.
    #[error("{0}")]
    NotFound(&'static str),
    /// ClickHouse cannot be asked now.
    #[error("ClickHouse is not available: {0}; try again later")]
    Unavailable(String),
    /// Too many queries run.
    #[error("too many queries at once; try again later")]
    Busy,
    /// A query went over a bound of its own.
    #[error("the query exceeds its limit: {0}; ask for a shorter time or for less")]
    OverLimit(String),
    /// The request took too long.
    #[error("no answer within {seconds} s; ask for a shorter time or for less")]
    TimedOut { seconds: u64 },
    /// ClickHouse understood and failed.
    #[error("ClickHouse failed with code {code}: {message}")]
    Failed { code: u32, message: String },
    /// What came back is no rows of these columns.
    #[error("ClickHouse's answer could not be read: {0}")]
    Unreadable(String),
    /// Refused before anybody looked at what was asked: no such path, method, or body.
    #[error("{0}")]
    Refused(StatusCode),
}

impl Error {
    /// A parameter that makes no sense.
    pub(crate) fn parameter(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Parameter {
            name,
            reason: reason.into(),
        }
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Parameter { .. } => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Unavailable(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::OverLimit(_) | Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed { .. } | Self::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Refused(status) => *status,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
