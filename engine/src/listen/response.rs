//! What a request is answered with when it was taken: nothing to say, or which rows were left out. The
//! three signals' response messages have the same fields under the same numbers; only JSON tells them apart.

use prost::Message;

use crate::decode::{Rejected, Signal};
use crate::refusal::shortened;

/// `ExportTraceServiceResponse`, `ExportLogsServiceResponse` and `ExportMetricsServiceResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportResponse {
    /// Unset when every row was stored.
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess` and its two sisters.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

impl ExportResponse {
    pub(super) fn new(rejected: &Rejected) -> Self {
        let partial_success = (rejected.rows > 0).then(|| PartialSuccess {
            rejected: i64::try_from(rejected.rows).unwrap_or(i64::MAX),
            error_message: shortened(rejected.to_string()),
        });
        ExportResponse { partial_success }
    }

    /// proto3's JSON, in which 64-bit integers are strings.
    pub(super) fn json(&self, signal: Signal) -> Vec<u8> {
        let Some(partial) = &self.partial_success else {
            return b"{}".to_vec();
        };
        let rejected = match signal {
            Signal::Traces => "rejectedSpans",
            Signal::Logs => "rejectedLogRecords",
            Signal::Metrics => "rejectedDataPoints",
        };
        let json = serde_json::json!({ "partialSuccess": {
            rejected: partial.rejected.to_string(),
            "errorMessage": partial.error_message,
        }});
        json.to_string().into_bytes()
    }
}
