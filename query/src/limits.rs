//! Bounds that no setting changes. With the defaults of the settings they add up to: 2,000 connections
//! of at most 64 KiB read ahead, 16 queries of at most 64 MiB of rows each, and what is kept of earlier answers.

use std::time::Duration;

/// Request line and headers together, in bytes, and up to twice that where it comes in one piece; the
/// search for a few hundred trace ids fits.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;
/// Largest body of a request, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a client may take to send a request's head, and how long a connection may be idle.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take none of an answer.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stop waits for requests that run.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait after a failed accept, which is a lack of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Rows of one query's answer, in bytes as ClickHouse counts them.
pub(crate) const RESULT_BYTES_MAX: u64 = 64 << 20;
/// How long a query waits for its turn before the request is told to come again.
pub(crate) const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection to ClickHouse may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an unused connection to ClickHouse stays open; ClickHouse itself closes them after 3 s.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Traces that a search gives when it does not say, and the most it may ask for. Each is read whole.
pub(crate) const TRACES_DEFAULT: usize = 100;
pub(crate) const TRACES_MAX: usize = 1_500;
/// Resources that are kept after they were read, in bytes: some 10,000 of them.
pub(crate) const RESOURCES_BYTES_MAX: u64 = 16 << 20;
/// Tags that one search may name.
pub(crate) const TAGS_MAX: usize = 32;

const _: () = assert!(TRACES_DEFAULT <= TRACES_MAX);
