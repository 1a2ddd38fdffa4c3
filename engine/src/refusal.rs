//! Why a request was not stored, and how each transport says so. Only `Unavailable` tells a client to
//! come again; everything else would fail again in the same way.

use std::time::Duration;

use prost::Message;

use crate::decode::DecodeError;
use crate::limits::{MESSAGE_BYTES_MAX, RETRY_AFTER};

/// What the type of a status's only detail is called.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// gRPC status codes that the engine answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// See the module. `message` is for the client's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) message: String,
}

/// What went wrong, in kinds that are answered and counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The body is not what it should be.
    Invalid,
    /// The body is too large, on the wire or decompressed.
    TooLarge,
    /// No such method or path.
    NotFound,
    /// The path is right, the HTTP method is not.
    Method,
    /// Not the type of content that the path takes.
    ContentType,
    /// Not an encoding that is understood.
    Encoding,
    /// Nothing is wrong with the request; it should come again.
    Unavailable,
    /// The same, because there is no memory for it at present.
    NoMemory,
}

impl Kind {
    /// Every kind, for counters.
    pub(crate) const ALL: [Kind; 8] = [
        Kind::Invalid,
        Kind::TooLarge,
        Kind::NotFound,
        Kind::Method,
        Kind::ContentType,
        Kind::Encoding,
        Kind::Unavailable,
        Kind::NoMemory,
    ];

    /// Name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::TooLarge => "too_large",
            Kind::NotFound => "not_found",
            Kind::Method => "method",
            Kind::ContentType => "content_type",
            Kind::Encoding => "encoding",
            Kind::Unavailable => "unavailable",
            Kind::NoMemory => "no_memory",
        }
    }

    /// gRPC status. A body that is too large is refused without `RetryInfo`, so that it is not sent again.
    pub(crate) fn grpc(self) -> Code {
        match self {
            Kind::Invalid => Code::InvalidArgument,
            Kind::TooLarge => Code::ResourceExhausted,
            Kind::NotFound | Kind::Method | Kind::ContentType | Kind::Encoding => {
                Code::Unimplemented
            }
            Kind::Unavailable | Kind::NoMemory => Code::Unavailable,
        }
    }

    /// HTTP status.
    pub(crate) fn http(self) -> u16 {
        match self {
            Kind::Invalid => 400,
            Kind::TooLarge => 413,
            Kind::NotFound => 404,
            Kind::Method => 405,
            Kind::ContentType | Kind::Encoding => 415,
            Kind::Unavailable | Kind::NoMemory => 503,
        }
    }
}

impl Refusal {
    /// A longer message is shortened: parts of it may come from a client or from ClickHouse.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Refusal {
            kind,
            message: shortened(message.into()),
        }
    }

    /// The body did not arrive in time: the network's fault, or the sender's load, and no reason to lose it.
    pub(crate) fn too_slow() -> Self {
        Refusal::unavailable("the body took too long to arrive")
    }

    /// "Retry later", with the reason.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Refusal::new(Kind::Unavailable, message)
    }

    /// There is no memory for the request at present.
    pub(crate) fn no_memory() -> Self {
        Refusal::new(
            Kind::NoMemory,
            "too many bytes wait to be stored; retry later",
        )
    }

    /// The body is larger than `limit` bytes.
    pub(crate) fn too_large(limit: usize, state: &str) -> Self {
        Refusal::new(
            Kind::TooLarge,
            format!("the request is larger than {limit} bytes {state}; send smaller batches"),
        )
    }

    /// How long the client should wait before it tries again; `None` if it must not.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        matches!(self.kind, Kind::Unavailable | Kind::NoMemory).then_some(RETRY_AFTER)
    }

    /// `google.rpc.Status`, with `RetryInfo` when the request should come again.
    pub(crate) fn status(&self) -> Status {
        let details = self.retry_after().map(|delay| Any {
            type_url: RETRY_INFO.into(),
            value: RetryInfo {
                retry_delay: Some(RetryDelay {
                    seconds: delay.as_secs() as i64,
                    nanos: delay.subsec_nanos() as i32,
                }),
            }
            .encode_to_vec(),
        });
        Status {
            code: self.kind.grpc() as i32,
            message: self.message.clone(),
            details: details.into_iter().collect(),
        }
    }

    /// The same in proto3's JSON, where a duration is text.
    pub(crate) fn status_json(&self) -> Vec<u8> {
        let mut status =
            serde_json::json!({ "code": self.kind.grpc() as i32, "message": self.message });
        if let Some(delay) = self.retry_after() {
            let delay = format!("{}s", delay.as_secs_f64());
            status["details"] = serde_json::json!([{ "@type": RETRY_INFO, "retryDelay": delay }]);
        }
        status.to_string().into_bytes()
    }
}

/// A text for a client, cut to what an answer may carry.
pub(crate) fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    message
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Refusal::new(Kind::Invalid, error.to_string())
    }
}

/// `google.rpc.Status` (google/rpc/status.proto).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// `google.rpc.RetryInfo` (google/rpc/error_details.proto).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(crate) retry_delay: Option<RetryDelay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RetryDelay {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}
