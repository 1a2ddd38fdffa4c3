//! The bounds that no setting changes, with the arithmetic that justifies them. What a user may change
//! is in `Config`.

use std::time::Duration;

/// Rows from which on open columns are sealed into a chunk. ClickHouse takes blocks of this size at the
/// price of large ones (within noise), and 4,096 rows of 500 bytes stay in a 2 MiB cache.
pub(crate) const CHUNK_ROWS: usize = 4096;
/// Column bytes from which on a chunk is sealed whatever its rows, so that large rows do not pile up.
pub(crate) const CHUNK_BYTES: usize = 8 << 20;

/// How long a commit waits for more rows after the last one, so that chunks grow under load: at 100,000 rows/s
/// they get 1,000 rows, from 400,000 on they are full. A lone request does not wait.
pub(crate) const COMMIT_INTERVAL: Duration = Duration::from_millis(10);
/// Bytes from which on the next segment of a log is begun: what is inserted is removed by segments.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;
/// Segments that a full log has at least: a segment is removed as a whole, so a small log has small ones.
pub(crate) const SEGMENTS_MIN: u64 = 8;
/// Compressed bytes from which on a batch takes no further chunk: it is held in memory while it is sent.
pub(crate) const BATCH_BYTES: usize = 32 << 20;
/// Batches after which it is asked again how many inserts the tables have seen: a lower bound for what they
/// had seen when a batch was first sent, which needs to be near only compared with what is remembered.
pub(crate) const SEEN_EVERY: u64 = 256;
/// Tries of a batch that ClickHouse says is bad, before it is set aside.
pub(crate) const DATA_TRIES: u32 = 3;
/// Tries of reading a segment, before it is set aside.
pub(crate) const READ_TRIES: u32 = 8;

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
/// Bodies handed to a shard that it has not walked yet: one that it walks and one to go on with. More would
/// only wait there, when they could be walked where they are.
pub(crate) const BODIES_WAITING_MAX: usize = 2;
/// How long a look at how busy a shard is takes. A second of a busy connection shows in many of these, and
/// a look costs under a microsecond.
pub(crate) const BUSY_WINDOW: Duration = Duration::from_millis(50);
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

/// How soon what failed is tried again: the wait is at random between `first` and a bound that starts at
/// twice that and doubles with each failure in a row, up to `most`. Full jitter, so that shards do not
/// come back in step; never below `first`, so that a ClickHouse in trouble is left alone for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

/// For what passes by itself and costs ClickHouse little to be asked again.
pub(crate) const PACE_SOON: Pace = Pace {
    first: BACKOFF_MIN,
    most: BACKOFF_MAX,
};
/// For too many parts: merges of small parts take seconds, and what waits meanwhile makes larger ones.
pub(crate) const PACE_THROTTLED: Pace = Pace {
    first: Duration::from_secs(1),
    most: Duration::from_secs(10),
};
/// For what a person has to mend, and then expects to see mended.
pub(crate) const PACE_SLOW: Pace = Pace {
    first: Duration::from_millis(500),
    most: Duration::from_secs(10),
};
/// For the return to an endpoint while another works. One that says hello and then hangs costs a shard
/// `insert_timeout` (5 s) each time, so in the end less than a tenth of the time.
pub(crate) const PACE_RETURN: Pace = Pace {
    first: Duration::from_secs(1),
    most: Duration::from_secs(120),
};
/// Failures in a row that open an endpoint's breaker: more than a restart behind a load balancer shows
/// (a broken connection, then a refused one), and with `PACE_SOON` reached within a second.
pub(crate) const BREAKER_FAILURES: u32 = 3;

/// How long connecting and saying hello may take: one lost SYN and its repetition (1 s), one lost again
/// (2 s more), and an answer.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was not used for this long is asked whether it is still there (Ping) before an
/// insert: middleboxes drop idle ones after minutes, restarts end them at any time, and a round trip a
/// second costs nothing.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(1);
/// How long the answer to that may take.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(2);

impl Pace {
    /// How long to wait after so many failures in a row; `jitter` from 0 to 1.
    pub(crate) fn wait(self, failures: u32, jitter: f64) -> Duration {
        let bound = self.first.saturating_mul(1 << failures.clamp(1, 16));
        let bound = bound.min(self.most);
        self.first + bound.saturating_sub(self.first).mul_f64(jitter)
    }
}

/// Bytes of any one string or block that ClickHouse answers with.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Body buffers that a shard keeps for reuse, and how large a kept one may be.
pub(crate) const BUFFERS_KEPT: usize = 16;
pub(crate) const BUFFER_KEPT_BYTES: usize = 8 << 20;

const _: () = assert!(STREAM_WINDOW <= CONNECTION_WINDOW);
const _: () = assert!(FRAME_BYTES <= STREAM_WINDOW);
const _: () = assert!(BUFFER_KEPT_BYTES >= STREAM_WINDOW as usize);
