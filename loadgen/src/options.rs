//! What to send, how fast and where to: given by a command line or by a caller, checked before anything runs.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, FromArgMatches, ValueEnum};
use serde::{Serialize, Serializer};

use crate::schedule::{Schedule, Times};
use crate::signal::Mix;

/// Bytes of requests that may be in flight when `in_flight` is not given.
const IN_FLIGHT_BYTES: usize = 256 << 20;
/// Requests in flight for each connection when the rate is the maximum: enough to keep an engine busy, few
/// enough that waiting in its sockets does not make up the latency.
const CLOSED_IN_FLIGHT: usize = 4;
const YEAR: Duration = Duration::from_secs(366 * 86_400);
const OPEN_IN_FLIGHT_MAX: usize = 1024;

/// What to send, how fast and where to. The defaults are those of the command line.
#[derive(Debug, Clone, Serialize, Args)]
pub struct Options {
    /// Where to send to [default: 127.0.0.1:4317 for gRPC, 127.0.0.1:4318 for HTTP]
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<String>,
    /// Transport
    #[arg(long, value_enum, default_value = "grpc")]
    pub protocol: Protocol,
    /// Encoding; json goes over HTTP only
    #[arg(long, value_enum, default_value = "protobuf")]
    pub encoding: Encoding,
    /// Compression of requests; compressed ones repeat their ids and times
    #[arg(long, value_enum, default_value = "identity")]
    pub compression: Compression,
    /// Items (spans, log records, points) a second, or max: as fast as answers come (a closed loop)
    #[arg(long, default_value = "10000")]
    pub rate: Rate,
    /// How long to send
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// How long the rate rises from 0, part of the duration
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "seconds")]
    pub ramp: Duration,
    /// Give items the times of so long a past, evenly and in order, instead of those of their sending: a run
    /// then ends in the present and has begun so much earlier
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "seconds")]
    pub spread: Duration,
    /// Signals and their shares of the items, such as traces=6,logs=3,metrics=1
    #[arg(long, value_name = "SIGNAL[=WEIGHT],...", default_value = "traces")]
    pub signals: Mix,
    /// Items in one request; requests of metrics hold whole exports, so somewhat more
    #[arg(long, value_name = "COUNT", default_value_t = 512)]
    pub items_per_request: usize,
    /// Connections, over all threads
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub connections: usize,
    /// Threads that send
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub threads: usize,
    /// Most requests in flight over all threads [default: what fits 256 MiB, at most 1024; 4 for each
    /// connection when the rate is max]; HTTP has at most one on each connection
    #[arg(long, value_name = "COUNT")]
    pub in_flight: Option<usize>,
    /// Different requests of each signal that are encoded before the start and sent in turn
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub distinct: usize,
    /// Try again what OTLP says may be tried again, and what broke on the way; without it failures are
    /// only counted
    #[arg(long)]
    pub retry: bool,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// How long to wait for answers and retries after the last request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "seconds")]
    pub drain: Duration,
    /// Decides what is sent, but for times and ids
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A further attribute of every resource, by which this run's data can be told from other data; may be
    /// given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub resource: Vec<Attribute>,
}

/// An attribute that is text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: String,
}

impl FromStr for Attribute {
    type Err = OptionsError;

    /// Reads `key=value`; the value may hold further signs of equality.
    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| OptionsError::Resource(text.to_owned()))?;
        Ok(Attribute {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/2 with gRPC's framing.
    Grpc,
    /// HTTP/1.1.
    Http,
}

/// Encoding of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Binary.
    Protobuf,
    /// OTLP's JSON.
    Json,
}

/// Compression of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    Identity,
    /// gzip at its usual level, 6.
    Gzip,
    /// zstd at its usual level, 3.
    Zstd,
}

impl Compression {
    pub(crate) fn name(self) -> &'static str {
        ["identity", "gzip", "zstd"][self as usize]
    }
}

/// How fast to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Items a second, on a schedule that answers do not move.
    Items(f64),
    /// The next request as soon as an earlier one is answered: latencies say nothing of waiting.
    Max,
}

impl FromStr for Rate {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        if text == "max" {
            return Ok(Rate::Max);
        }
        let rate = text.replace('_', "").parse().ok();
        let rate = rate.filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
        rate.map(Rate::Items)
            .ok_or_else(|| OptionsError::Rate(text.to_owned()))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Rate::Items(rate) => serializer.serialize_f64(*rate),
            Rate::Max => serializer.serialize_str("max"),
        }
    }
}

/// What is wrong with options, and what to give instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum OptionsError {
    #[error("{0:?} is no rate; give items a second above 0, such as 50000, or max")]
    Rate(String),
    #[error(
        "{0:?} is no share of a signal; give traces, logs or metrics, each once, with a weight above 0, such as traces=6,logs=3"
    )]
    Signals(String),
    #[error("{0:?} is no attribute; give key=value, such as test.run=7")]
    Resource(String),
    #[error("{0:?} is no endpoint; give host:port without a scheme, such as 127.0.0.1:4317")]
    Endpoint(String),
    #[error("--{0} is 0; give at least 1")]
    Zero(&'static str),
    #[error("--encoding json goes over HTTP only; add --protocol http")]
    JsonOverGrpc,
    #[error("a maximum rate has no ramp; give --rate a number or leave out --ramp")]
    RampToMax,
    #[error("the ramp is longer than --duration; shorten it")]
    Ramp,
    #[error("{threads} threads share {given} of --{what}; each needs one at least")]
    TooFew {
        what: &'static str,
        given: usize,
        threads: usize,
    },
    #[error("compressed requests repeat their times; leave out --spread or --compression")]
    SpreadCompressed,
    #[error("--{0} is longer than a year; shorten it")]
    TooLong(&'static str),
    #[error(
        "a request of {0} items would not fit gRPC's length; give --items-per-request at most 1000000"
    )]
    TooManyItems(usize),
}

impl Default for Options {
    fn default() -> Self {
        let command = Options::augment_args(clap::Command::new("loadgen"));
        let matches = command.get_matches_from(["loadgen"]);
        Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

impl Options {
    /// Says what does not go together.
    ///
    /// # Errors
    /// When nothing sensible can be run with these options.
    pub fn check(&self) -> Result<(), OptionsError> {
        let least = [
            ("items-per-request", self.items_per_request),
            ("connections", self.connections),
            ("threads", self.threads),
            ("in-flight", self.in_flight.unwrap_or(1)),
            ("distinct", self.distinct),
            ("duration", self.duration.as_nanos().min(1) as usize),
            ("timeout", self.timeout.as_nanos().min(1) as usize),
        ];
        if let Some((name, _)) = least.iter().find(|(_, given)| *given == 0) {
            return Err(OptionsError::Zero(name));
        }
        let times = [
            ("duration", self.duration),
            ("timeout", self.timeout),
            ("drain", self.drain),
            ("spread", self.spread),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| *time > YEAR) {
            return Err(OptionsError::TooLong(name));
        }
        let threads = self.threads;
        let shared = [
            ("connections", self.connections),
            ("distinct", self.distinct),
            ("in-flight", self.in_flight.unwrap_or(threads)),
        ];
        if let Some((what, given)) = shared.into_iter().find(|(_, given)| *given < threads) {
            return Err(OptionsError::TooFew {
                what,
                given,
                threads,
            });
        }
        if self.items_per_request > 1_000_000 {
            return Err(OptionsError::TooManyItems(self.items_per_request));
        }
        if self.encoding == Encoding::Json && self.protocol == Protocol::Grpc {
            return Err(OptionsError::JsonOverGrpc);
        }
        if self.rate == Rate::Max && !self.ramp.is_zero() {
            return Err(OptionsError::RampToMax);
        }
        if self.ramp > self.duration {
            return Err(OptionsError::Ramp);
        }
        if !self.spread.is_zero() && self.compression != Compression::Identity {
            return Err(OptionsError::SpreadCompressed);
        }
        let endpoint = self.endpoint();
        let port = endpoint
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if endpoint.contains("//") || !matches!(port, Some(Ok(1..))) {
            return Err(OptionsError::Endpoint(endpoint));
        }
        Ok(())
    }

    /// Where to send to, as host:port.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let usual = match self.protocol {
            Protocol::Grpc => "127.0.0.1:4317",
            Protocol::Http => "127.0.0.1:4318",
        };
        self.endpoint.clone().unwrap_or_else(|| usual.to_owned())
    }

    /// The schedule of one of so many threads; `None` when the rate is the maximum.
    pub(crate) fn schedule(&self, threads: usize) -> Option<Schedule> {
        let Rate::Items(rate) = self.rate else {
            return None;
        };
        Some(Schedule {
            rate: rate / threads as f64,
            ramp: self.ramp,
            duration: self.duration,
        })
    }

    /// What the times of a run say, of which the first request is due at `start` (nanoseconds since 1970).
    pub(crate) fn times(&self, start: u64) -> Times {
        Times::new(start, self.duration, self.spread)
    }

    /// Requests that may be in flight over all threads, when one has so many bytes.
    pub(crate) fn in_flight(&self, request_bytes: usize) -> usize {
        let bound = match self.rate {
            Rate::Max => self
                .in_flight
                .unwrap_or(CLOSED_IN_FLIGHT * self.connections),
            Rate::Items(_) => self.waiting(request_bytes),
        };
        match self.protocol {
            Protocol::Grpc => bound,
            Protocol::Http => bound.min(self.connections),
        }
    }

    /// Requests that may wait for another try over all threads: what takes memory, but no connection.
    pub(crate) fn waiting(&self, request_bytes: usize) -> usize {
        let least = 2 * self.connections;
        let most = OPEN_IN_FLIGHT_MAX.max(least);
        let fitting = (IN_FLIGHT_BYTES / request_bytes.max(1)).clamp(least, most);
        self.in_flight.unwrap_or(fitting)
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: one option after the other is set to what cannot be run. Guarantees: each is refused with its
    /// own reason, and the defaults are taken.
    #[test]
    fn what_cannot_be_run_is_refused() {
        assert_eq!(Options::default().check(), Ok(()));
        let check = |change: &dyn Fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.check().unwrap_err()
        };
        assert_eq!(
            check(&|o| o.connections = 0),
            OptionsError::Zero("connections")
        );
        assert_eq!(
            check(&|o| o.in_flight = Some(0)),
            OptionsError::Zero("in-flight")
        );
        assert_eq!(
            check(&|o| o.duration = Duration::ZERO),
            OptionsError::Zero("duration")
        );
        assert_eq!(
            check(&|o| o.encoding = Encoding::Json),
            OptionsError::JsonOverGrpc
        );
        assert_eq!(
            check(&|o| o.ramp = Duration::from_secs(31)),
            OptionsError::Ramp
        );
        assert_eq!(
            check(&|o| o.drain = Duration::MAX),
            OptionsError::TooLong("drain")
        );
        assert_eq!(
            check(&|o| o.spread = Duration::MAX),
            OptionsError::TooLong("spread")
        );
        assert_eq!(
            check(&|o| {
                o.spread = Duration::from_secs(1);
                o.compression = Compression::Zstd;
            }),
            OptionsError::SpreadCompressed
        );
        assert!(matches!(
            check(&|o| o.threads = 5),
            OptionsError::TooFew {
                what: "connections",
                ..
            }
        ));
        assert_eq!(
            check(&|o| {
                o.rate = Rate::Max;
                o.ramp = Duration::from_secs(1);
            }),
            OptionsError::RampToMax
        );
        for wrong in [
            "http://localhost:4317",
            "localhost",
            "localhost:0",
            "localhost:x",
        ] {
            let error = check(&|o| o.endpoint = Some(wrong.into()));
            assert_eq!(error, OptionsError::Endpoint(wrong.into()));
        }
        for wrong in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert_eq!(wrong.parse::<Rate>(), Err(OptionsError::Rate(wrong.into())));
        }
        for wrong in ["", "key", "=value"] {
            let error = OptionsError::Resource(wrong.into());
            assert_eq!(wrong.parse::<Attribute>(), Err(error));
        }
        assert_eq!("1_000".parse(), Ok(Rate::Items(1000.0)));
        assert_eq!("max".parse(), Ok(Rate::Max));
    }

    /// Scenario: the bound of requests in flight that is not given. Guarantees: large requests get few, small
    /// ones many, and HTTP never more than it has connections.
    #[test]
    fn in_flight_fits_memory_and_transport() {
        let mut options = Options::default();
        assert_eq!(options.in_flight(2 << 20), 128);
        assert_eq!(options.in_flight(1000), 1024);
        assert_eq!(options.in_flight(1 << 30), 8);
        options.rate = Rate::Max;
        assert_eq!(options.in_flight(1000), 16);
        options.protocol = Protocol::Http;
        assert_eq!(options.in_flight(1000), 4);
    }
}
