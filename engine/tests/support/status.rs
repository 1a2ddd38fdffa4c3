//! The status that either transport sends with a refusal, as a client reads it. Written apart from the
//! engine's own types, so that a mistake there is not read back as right.

use std::time::Duration;

use prost::Message;

/// `google.rpc.Status` as a client reads it.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RetryDelay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct RetryDelay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Status {
    /// How long the client is asked to wait, when it is asked to come again.
    pub fn retry_delay(&self) -> Option<Duration> {
        let detail = self
            .details
            .iter()
            .find(|any| any.type_url == "type.googleapis.com/google.rpc.RetryInfo")?;
        let info = RetryInfo::decode(&detail.value[..]).expect("a RetryInfo");
        let delay = info.retry_delay.expect("a delay");
        let (seconds, nanos) = (delay.seconds as u64, delay.nanos as u32);
        Some(Duration::new(seconds, nanos))
    }
}
