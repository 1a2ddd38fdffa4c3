//! Why a run did not take place. What fails within a run is no error: it is counted in its report.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::options::OptionsError;

/// What happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("bad options: {0}")]
    Options(#[from] OptionsError),
    #[error("cannot find {endpoint}: {source}; check --endpoint")]
    Resolve { endpoint: String, source: io::Error },
    #[error(
        "cannot connect to {endpoint}: {reason}; check --endpoint and --protocol, and that an engine runs there"
    )]
    Connect { endpoint: String, reason: String },
    #[error("a request of {0} could not be encoded: this is a bug")]
    Encode(&'static str),
    #[error("no thread or timer for a sender: {0}; check the limits of this user")]
    Thread(io::Error),
    #[error("a sender ended with a panic: this is a bug")]
    Panicked,
    #[error("the live page cannot listen on {address}: {reason}; give --live another port")]
    Live { address: SocketAddr, reason: String },
    #[error("--live {0} is not on loopback; the page has no password, give 127.0.0.1:PORT")]
    LiveAddress(SocketAddr),
    #[error("cannot write {path}: {source}")]
    Out { path: PathBuf, source: io::Error },
}
