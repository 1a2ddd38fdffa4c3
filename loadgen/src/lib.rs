//! Load for an OTLP endpoint: options go in, requests made from a seed go out on a schedule that answers do not
//! move, and a report of what was acknowledged, how late and what failed comes back.
//!
//! [`run`] is the whole of it, for `spanmill loadgen` ([`main`]) and for other tools alike. Each sending thread
//! goes its own way:
//!
//! ```text
//! corpus ─▶ requests ─▶ worker ─▶ delivery ─▶ client ─▶ endpoint
//! seed      encoded      due by    tries,      gRPC,        │
//!           before,      the       counted     HTTP/1.1     │
//!           stamped      schedule  in a tally               │
//!           at each send           ▲                        │
//!                                  └──────── outcome ◀──────┘
//! ```
//!
//! It knows nothing of ClickHouse, and never judges what it measured.

mod alarm;
mod client;
mod command;
pub mod corpus;
mod delivery;
mod error;
mod live;
mod options;
mod report;
mod requests;
mod run;
mod schedule;
mod signal;
mod tally;
mod thinned;
mod watch;
mod worker;

pub use command::main;
pub use error::Error;
pub use live::Live;
pub use options::{Attribute, Compression, Encoding, Options, OptionsError, Protocol, Rate};
pub use report::{Kept, Quantiles, Report, Second};
pub use run::{Stop, run};
pub use schedule::Schedule;
pub use signal::{Mix, Signal};
pub use tally::{Counts, Failures, Latencies};
pub use thinned::{Point, Thinned};
pub use watch::Snapshot;
