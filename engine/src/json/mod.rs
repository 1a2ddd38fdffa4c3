//! OTLP/JSON: an Export request in JSON comes in, the same request in protobuf goes out, for the one walk
//! that there is. It is read as it is parsed, so no tree of it is ever built, and no faster than it must.
//!
//! Sources: "OTLP/JSON" of the OTLP specification, and ProtoJSON where that points to it. Taken beyond them,
//! because the Collector takes it: names of enum values.

mod read;
mod scalar;
mod schema;
mod write;

#[cfg(test)]
pub(crate) mod tests;

use serde::de::DeserializeSeed;

use crate::decode::Signal;
use read::Request;
use write::Writer;

/// Why JSON was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    /// It is no JSON, or not the message it should be; says where.
    #[error("the body is not the OTLP/JSON it should be: {0}")]
    Invalid(#[from] serde_json::Error),
    /// As protobuf it is larger than the limit.
    #[error("the request is too large as protobuf")]
    TooLarge,
}

/// Appends the Export request of `signal` that `json` holds to `protobuf`, which must be empty and ends
/// not much longer than `limit`, and not longer on success.
pub(crate) fn to_protobuf(
    signal: Signal,
    json: &[u8],
    protobuf: &mut Vec<u8>,
    limit: usize,
) -> Result<(), JsonError> {
    let mut writer = Writer::new(protobuf, limit);
    let message = match signal {
        Signal::Traces => &schema::TRACES,
        Signal::Logs => &schema::LOGS,
        Signal::Metrics => &schema::METRICS,
    };
    let mut parser = serde_json::Deserializer::from_slice(json);
    // `Request` counts depth itself: what is too deep spoils one row, and not the request.
    parser.disable_recursion_limit();
    let request = Request {
        message,
        writer: &mut writer,
    };
    let read = request.deserialize(&mut parser).and_then(|()| parser.end());
    if writer.is_full() {
        return Err(JsonError::TooLarge);
    }
    Ok(read?)
}
