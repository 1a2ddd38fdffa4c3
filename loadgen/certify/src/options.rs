//! What to certify, against which targets and for how long: given by a command line or by a caller, checked
//! before anything runs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, FromArgMatches, ValueEnum};
use serde::{Serialize, Serializer};
use spanmill_loadgen::{Attribute, Compression, Protocol, Rate};

use crate::error::Error;

/// What to certify and how. The defaults are those of the command line.
#[derive(Debug, Clone, Serialize, Args)]
pub struct Options {
    /// How long everything takes
    #[arg(long, value_enum, default_value = "standard")]
    pub profile: Profile,
    /// How long to hold the target rate, in place of the profile's time (15s, 2m, 4h)
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "seconds")]
    pub duration: Option<Duration>,
    /// Where the engine takes OTLP over gRPC
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4317")]
    pub otlp_grpc: String,
    /// Send over HTTP instead, to this address
    #[arg(long, value_name = "HOST:PORT")]
    pub otlp_http: Option<String>,
    /// The engine's admin port
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8888")]
    pub admin: String,
    /// HTTP interface of the ClickHouse that the engine inserts into; of a cluster, a replica of its shard
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8123")]
    pub clickhouse: String,
    /// The query server, which is asked beside the load; where none answers, ClickHouse is asked instead
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    pub query: String,
    /// User at that ClickHouse, who may read the databases spanmill and system
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        env = "SPANMILL_CLICKHOUSE_USER"
    )]
    pub clickhouse_user: String,
    /// Password of that user; prefer the variable, since other users of the host can read flags
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        env = "SPANMILL_CLICKHOUSE_PASSWORD",
        hide_env_values = true,
        hide_default_value = true
    )]
    #[serde(skip)]
    pub clickhouse_password: Secret,
    /// Compression of requests; gzip and zstd repeat their ids, so that duplicates are only seen in the sum
    #[arg(long, value_enum, default_value = "identity")]
    pub compression: Compression,
    /// Spans in one request
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub spans_per_request: usize,
    /// Connections to the engine
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub connections: usize,
    /// Threads that send
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub threads: usize,
    /// Queries a second beside the load
    #[arg(long, value_name = "COUNT", default_value_t = 2.0)]
    pub query_rate: f64,
    /// Leave out the search for the highest sustainable rate
    #[arg(long)]
    pub no_search: bool,
    /// What has to be met.
    #[command(flatten)]
    pub targets: Targets,
}

/// Bounds; each is a target.
#[derive(Debug, Clone, Serialize, Args)]
#[command(next_help_heading = "Targets")]
pub struct Targets {
    /// Spans a second that have to be sustained without any loss
    #[arg(long, value_name = "RATE", default_value = "100000")]
    pub rate: f64,
    /// Spans a second at which the engine's CPU is judged
    #[arg(long, value_name = "RATE", default_value = "50000")]
    pub cpu_rate: f64,
    /// Percent of its CPUs that the engine has to stay below at that rate
    #[arg(long, value_name = "PERCENT", default_value = "50")]
    pub cpu_share: f64,
    /// Resident memory that the engine has to stay below, at any time
    #[arg(long, value_name = "SIZE", default_value = "4GB")]
    #[serde(serialize_with = "bytes")]
    pub rss: ByteSize,
    /// Time that 95 % of queries have to stay below beside the target rate
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "whole_seconds")]
    pub query_p95: Duration,
    /// Bytes on disk that a span has to stay below
    #[arg(long, value_name = "BYTES", default_value = "1000")]
    pub bytes_per_span: f64,
    /// Time that 99 % of acknowledgements have to stay below at the target rate; without it they are reported
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "seconds")]
    pub ack_p99: Option<Duration>,
    /// The same for a rate to count as sustained
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    #[serde(serialize_with = "whole_seconds")]
    pub sustained_ack_p99: Duration,
}

/// How long everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// About a minute.
    Smoke,
    /// About five minutes.
    Standard,
    /// Four hours, or as long as --duration says; nothing may drift.
    Soak,
}

/// A text that is not shown.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Default for Options {
    fn default() -> Self {
        let command = Options::augment_args(clap::Command::new("certify"));
        let matches = command.get_matches_from(["certify"]);
        Options::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// How long each part takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) hold: Duration,
    pub(crate) cpu: Duration,
    pub(crate) probe: Duration,
    pub(crate) step: Duration,
    pub(crate) steps: u32,
    /// How long ClickHouse may take to catch up.
    pub(crate) catch_up: Duration,
}

impl Options {
    pub(crate) fn times(&self) -> Times {
        // Seconds of each: warm-up, hold, CPU, probe, one step; steps; catching up.
        let (warm_up, hold, cpu, probe, step, steps, catch_up) = match self.profile {
            Profile::Smoke => (3, 12, 8, 3, 6, 4, 60),
            Profile::Standard => (10, 120, 45, 6, 12, 6, 120),
            Profile::Soak => (60, 4 * 3600, 300, 10, 30, 7, 600),
        };
        let times = [warm_up, hold, cpu, probe, step, catch_up].map(Duration::from_secs);
        let [warm_up, hold, cpu, probe, step, catch_up] = times;
        let hold = self.duration.unwrap_or(hold);
        Times {
            // What is asked to be short is short as a whole.
            warm_up: warm_up.min(hold),
            hold,
            cpu: cpu.min(hold),
            probe,
            step,
            steps,
            catch_up,
        }
    }

    /// Says what cannot be run.
    ///
    /// # Errors
    /// When a figure is none or not above 0, or the generator refuses its part.
    pub fn check(&self) -> Result<(), Error> {
        let Targets {
            rate,
            cpu_rate,
            cpu_share,
            bytes_per_span,
            ..
        } = self.targets;
        let figures = [
            ("rate", rate),
            ("cpu-rate", cpu_rate),
            ("cpu-share", cpu_share),
            ("bytes-per-span", bytes_per_span),
            ("query-rate", self.query_rate),
        ];
        for (name, figure) in figures {
            if !(figure.is_finite() && figure > 0.0) {
                return Err(Error::Figure { name, figure });
            }
        }
        let urls = [
            ("admin", &self.admin),
            ("clickhouse", &self.clickhouse),
            ("query", &self.query),
        ];
        for (name, url) in urls {
            let is_url = reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http");
            if !is_url {
                return Err(Error::Url {
                    name,
                    url: url.clone(),
                });
            }
        }
        self.load(Rate::Items(rate), self.times().hold, String::new())
            .check()
            .map_err(|error| Error::Load(error.into()))
    }

    /// What the generator is told. `mark` is in every resource.
    pub(crate) fn load(
        &self,
        rate: Rate,
        duration: Duration,
        mark: String,
    ) -> spanmill_loadgen::Options {
        let (protocol, endpoint) = match &self.otlp_http {
            Some(http) => (Protocol::Http, http),
            None => (Protocol::Grpc, &self.otlp_grpc),
        };
        spanmill_loadgen::Options {
            endpoint: Some(endpoint.clone()),
            protocol,
            compression: self.compression,
            rate,
            duration,
            items_per_request: self.spans_per_request,
            connections: self.connections,
            threads: self.threads,
            resource: vec![Attribute {
                key: crate::MARK.to_owned(),
                value: mark,
            }],
            ..spanmill_loadgen::Options::default()
        }
    }
}

fn seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

fn whole_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn bytes<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(size.as_u64())
}
