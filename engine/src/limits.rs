//! The bounds that no setting changes, with the arithmetic that justifies them. What a user may change
//! is in `Config`.

use std::time::Duration;

/// Rows from which on open columns are sealed into a chunk. ClickHouse takes blocks of this size at the
/// price of large ones (within noise), and 4,096 rows of 500 bytes stay in a 2 MiB cache.
pub(crate) const CHUNK_ROWS: usize = 4096;
/// Column bytes from which on a chunk is sealed whatever its rows, so that large rows do not pile up.
pub(crate) const CHUNK_BYTES: usize = 8 << 20;

/// HTTP/2 stream window: a request of this size needs no round trip for credit. 64 KiB, the protocol's
/// default, cost 545 ns a span where 1 MiB and more cost 311.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
/// HTTP/2 connection window: what one connection may have in flight unread.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest HTTP/2 frame that a sender may use; most keep to 16 KiB.
pub(crate) const FRAME_BYTES: u32 = 1 << 20;
/// Requests in flight on one HTTP/2 connection. Collectors use about 10.
pub(crate) const STREAMS_MAX: u32 = 256;
/// Bytes of a request's headers, HPACK's own counting. The largest real ones carry tokens of a few KiB.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 << 10;
/// The same for HTTP/1, where it is the size of the buffer that a request's head must fit.
pub(crate) const HTTP1_HEAD_BYTES_MAX: usize = 16 << 10;
/// Connections that one shard serves at a time; more wait in the listen queue.
pub(crate) const CONNECTIONS_MAX: usize = 4096;
/// Listen queue, as the kernel may grant.
pub(crate) const BACKLOG: i32 = 4096;

/// How long a sender may take for the first bytes, and for the head of a request.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a sender may take for a request's body.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a refused request that are still read, and dropped, after its answer: as many as its sender
/// may have had on the way without knowing.
pub(crate) const DISCARD_BYTES_MAX: usize = STREAM_WINDOW as usize;
/// How long a sender may take for those, and for closing its side of a connection that is ended.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reset HTTP/2 stream is remembered, so that what is still on the way for it is passed over.
/// Frames of a forgotten stream count towards the limit at which h2 ends the connection as flooded.
pub(crate) const RESET_MEMORY: Duration = Duration::from_secs(30);

/// Bytes of a refusal's text, so that the headers that carry it stay within what clients accept (8 KiB)
/// also when each byte is escaped as three, and the status details repeat it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1024;

/// Logarithm of the window that a zstd frame may ask for: 32 MiB, which is what the Go library that
/// Collectors use asks for at its highest level. A shard has one decompressor, so this is once per shard.
pub(crate) const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// What "retry later" asks for when ClickHouse is away: SDKs start backing off at a second themselves.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Delay before the second try of something that failed, doubled each time.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Delay that doubling stops at: ClickHouse is noticed this soon after it is back.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Bytes of any one string or block that ClickHouse answers with.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Body buffers that a shard keeps for reuse, and how large a kept one may be.
pub(crate) const BUFFERS_KEPT: usize = 16;
pub(crate) const BUFFER_KEPT_BYTES: usize = 8 << 20;

/// Bytes that one request may take in columns: eight times the 64 MiB that a request has at most by default.
/// Real ones take about as much as they have on the wire; made-up ones could take eighty times that.
pub(crate) const COLUMN_BYTES_MAX: usize = 512 << 20;

const _: () = assert!(STREAM_WINDOW <= CONNECTION_WINDOW);
const _: () = assert!(FRAME_BYTES <= STREAM_WINDOW);
const _: () = assert!(BUFFER_KEPT_BYTES >= STREAM_WINDOW as usize);
