//! What became of one try of a request, and what OTLP says a sender does with it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use percent_encoding::percent_decode_str;
use prost::Message;

/// How a try is counted during which its connection broke.
pub(crate) const BROKEN: &str = "connection broken";
/// Bytes of a message that are kept as an example.
const MESSAGE_MAX: usize = 400;

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged, but for so many items.
    Stored {
        rejected: u64,
        message: String,
    },
    Failed(Failure),
}

/// A try that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The name under which it is counted.
    pub(crate) status: String,
    pub(crate) message: String,
    pub(crate) retryable: bool,
    /// How long the receiver asks to wait.
    pub(crate) after: Option<Duration>,
    /// Whether the items may be stored all the same.
    pub(crate) unknown: bool,
}

impl Failure {
    /// Nothing was sent.
    pub(crate) fn connect(error: &std::io::Error) -> Self {
        let status = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused",
            _ => "connection failed",
        };
        Failure {
            status: status.into(),
            message: error.to_string(),
            retryable: true,
            after: None,
            unknown: false,
        }
    }

    /// The connection broke while a request was on its way.
    pub(crate) fn broken(error: &dyn std::error::Error, unknown: bool) -> Self {
        let mut message = error.to_string();
        if let Some(source) = error.source() {
            message = format!("{message}: {source}");
        }
        Failure {
            status: BROKEN.into(),
            message,
            retryable: true,
            after: None,
            unknown,
        }
    }

    pub(crate) fn timeout() -> Self {
        Failure {
            status: "timeout".into(),
            message: "no answer in time".into(),
            retryable: true,
            after: None,
            unknown: true,
        }
    }

    fn answered(status: String, message: String, retryable: bool, after: Option<Duration>) -> Self {
        Failure {
            status,
            message: shortened(message),
            retryable,
            after,
            unknown: false,
        }
    }

    fn senseless(message: impl Into<String>) -> Self {
        Failure {
            unknown: true,
            ..Failure::answered("senseless answer".into(), message.into(), false, None)
        }
    }
}

const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const RESOURCE_EXHAUSTED: usize = 8;
/// Those that OTLP says may be tried again.
const GRPC_RETRYABLE: [usize; 6] = [1, 4, 10, 11, 14, 15];

/// `google.rpc.Status`, as far as a sender reads it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) delay: Option<Delay>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// Reads gRPC's answer: its HTTP status, the headers or trailers that hold `grpc-status`, and its data.
pub(super) fn grpc(http: StatusCode, trailers: &HeaderMap, data: &[u8]) -> Outcome {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    let Some(code) = text("grpc-status").and_then(|code| code.parse::<usize>().ok()) else {
        if http != StatusCode::OK {
            return Outcome::Failed(of_http(http, String::new(), &HeaderMap::new()));
        }
        return Outcome::Failed(Failure::senseless("an answer without grpc-status"));
    };
    if code == 0 {
        // A flag and a length stand before the message.
        return match data.get(5..) {
            Some(message) => stored(ExportTraceServiceResponse::decode(message).ok()),
            None => Outcome::Failed(Failure::senseless("an acknowledgement without a message")),
        };
    }
    let message = text("grpc-message").unwrap_or_default();
    let message = percent_decode_str(message).decode_utf8_lossy().into_owned();
    let after = text("grpc-status-details-bin").and_then(retry_info);
    let retryable =
        GRPC_RETRYABLE.contains(&code) || (code == RESOURCE_EXHAUSTED && after.is_some());
    let name = GRPC
        .get(code)
        .map_or_else(|| code.to_string(), |name| (*name).to_owned());
    Outcome::Failed(Failure::answered(
        format!("grpc {name}"),
        message,
        retryable,
        after,
    ))
}

fn retry_info(details: &str) -> Option<Duration> {
    let details = details.trim_end_matches('=');
    let status = Status::decode(&*STANDARD_NO_PAD.decode(details).ok()?).ok()?;
    let info = status
        .details
        .iter()
        .find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value)
        .ok()?
        .delay
        .unwrap_or_default();
    let seconds = u64::try_from(delay.seconds).ok()?;
    Some(Duration::new(
        seconds,
        u32::try_from(delay.nanos).ok()?.min(999_999_999),
    ))
}

/// The answers of the three signals have the same fields under the same numbers.
fn stored(response: Option<ExportTraceServiceResponse>) -> Outcome {
    let Some(response) = response else {
        return Outcome::Failed(Failure::senseless("an acknowledgement that cannot be read"));
    };
    let partial = response.partial_success.unwrap_or_default();
    Outcome::Stored {
        rejected: partial.rejected_spans.max(0) as u64,
        message: shortened(partial.error_message),
    }
}

/// Reads the answer of OTLP over HTTP.
pub(super) fn http(status: StatusCode, headers: &HeaderMap, body: &Bytes, json: bool) -> Outcome {
    if status.is_success() {
        // Some receivers leave the body out where it would be `{}`.
        return if json && !body.is_empty() {
            match serde_json::from_slice(body) {
                Ok(answer) => stored_json(&answer),
                Err(_) => stored(None),
            }
        } else {
            stored(ExportTraceServiceResponse::decode(&**body).ok())
        };
    }
    let message = if json {
        let status = serde_json::from_slice::<serde_json::Value>(body).ok();
        status.and_then(|status| Some(status.get("message")?.as_str()?.to_owned()))
    } else {
        Status::decode(&**body).ok().map(|status| status.message)
    };
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    Outcome::Failed(of_http(status, message, headers))
}

fn stored_json(answer: &serde_json::Value) -> Outcome {
    let partial = &answer["partialSuccess"];
    let names = ["rejectedSpans", "rejectedLogRecords", "rejectedDataPoints"];
    let rejected = names.iter().find_map(|name| {
        // 64-bit integers come as numbers or as text.
        let value = partial.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    });
    Outcome::Stored {
        rejected: rejected.unwrap_or(0),
        message: shortened(
            partial["errorMessage"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        ),
    }
}

fn of_http(status: StatusCode, message: String, headers: &HeaderMap) -> Failure {
    let after = headers.get(http::header::RETRY_AFTER);
    let after = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
    let retryable = matches!(status.as_u16(), 429 | 502 | 503 | 504);
    let name = format!("http {}", status.as_u16());
    Failure::answered(name, message, retryable, after.map(Duration::from_secs))
}

fn shortened(mut message: String) -> String {
    while message.len() > MESSAGE_MAX {
        message.pop();
    }
    message
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn trailers(code: u32, delay: Option<Delay>) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.into());
        if let Some(delay) = delay {
            let info = RetryInfo { delay: Some(delay) };
            let status = Status {
                message: "later".into(),
                details: vec![Any {
                    type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
                    value: info.encode_to_vec(),
                }],
            };
            let details = BASE64_STANDARD.encode(status.encode_to_vec());
            trailers.insert("grpc-status-details-bin", details.parse().unwrap());
        }
        trailers
    }

    fn failure(outcome: Outcome) -> Failure {
        match outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Stored { .. } => panic!("{outcome:?}"),
        }
    }

    /// Scenario: every gRPC status, with RetryInfo and without. Guarantees: exactly those that OTLP names may
    /// be tried again, RESOURCE_EXHAUSTED only with RetryInfo, and its delay is read.
    #[test]
    fn grpc_statuses_are_told_apart() {
        let delay = Delay {
            seconds: 2,
            nanos: 500_000_000,
        };
        for code in 1..20 {
            for delay in [None, Some(delay)] {
                let failure = failure(grpc(StatusCode::OK, &trailers(code, delay), &[]));
                let expected = match code {
                    1 | 4 | 10 | 11 | 14 | 15 => true,
                    8 => delay.is_some(),
                    _ => false,
                };
                assert_eq!(failure.retryable, expected, "{failure:?}");
                assert_eq!(failure.after, delay.map(|_| Duration::from_millis(2500)));
                assert!(!failure.unknown);
            }
        }
        let unavailable = failure(grpc(StatusCode::OK, &trailers(14, None), &[]));
        assert_eq!(unavailable.status, "grpc UNAVAILABLE");
    }

    /// Scenario: HTTP answers of all kinds, as JSON and as protobuf. Guarantees: only 429, 502, 503 and 504
    /// may be tried again, Retry-After is read, and rejected items are found in numbers and in text.
    #[test]
    fn http_answers_are_read() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", 7.into());
        for code in [400, 401, 404, 413, 429, 500, 501, 502, 503, 504] {
            let status = StatusCode::from_u16(code).unwrap();
            let failure = failure(http(status, &headers, &Bytes::from_static(b"no"), true));
            assert_eq!(failure.status, format!("http {code}"));
            assert_eq!(failure.retryable, [429, 502, 503, 504].contains(&code));
            assert_eq!(failure.after, Some(Duration::from_secs(7)));
            assert_eq!(failure.message, "no");
        }
        for rejected in ["3", "\"3\""] {
            let body = format!(
                r#"{{"partialSuccess":{{"rejectedDataPoints":{rejected},"errorMessage":"old"}}}}"#
            );
            let outcome = http(StatusCode::OK, &HeaderMap::new(), &body.into(), true);
            let message = "old".to_owned();
            assert_eq!(
                outcome,
                Outcome::Stored {
                    rejected: 3,
                    message
                }
            );
        }
        let empty = http(StatusCode::OK, &HeaderMap::new(), &Bytes::new(), false);
        let message = String::new();
        assert_eq!(
            empty,
            Outcome::Stored {
                rejected: 0,
                message
            }
        );
    }

    /// Scenario: answers that are none: no status, no message, rubbish. Guarantees: none counts as an
    /// acknowledgement, and all count as of unknown outcome.
    #[test]
    fn senseless_answers_acknowledge_nothing() {
        let ok = trailers(0, None);
        for outcome in [
            grpc(StatusCode::OK, &HeaderMap::new(), &[]),
            grpc(StatusCode::OK, &ok, &[]),
            grpc(StatusCode::OK, &ok, &[0, 0, 0, 0, 1, 0xff]),
            http(StatusCode::OK, &ok, &Bytes::from_static(b"{"), true),
        ] {
            let failure = failure(outcome);
            assert!(
                failure.unknown && failure.status == "senseless answer",
                "{failure:?}"
            );
        }
    }
}
