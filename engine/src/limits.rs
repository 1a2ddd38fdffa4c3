//! The bounds that no setting changes, with the arithmetic that justifies them. What a user may change
//! is in `Config`.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Rows from which on open columns are sealed into a chunk. ClickHouse takes blocks of this size at the
/// price of large ones (within noise), and 4,096 rows of 500 bytes stay in a 2 MiB cache.
pub(crate) const CHUNK_ROWS: usize = 4096;
/// Column bytes from which on a chunk is sealed whatever its rows, so that large rows do not pile up.
pub(crate) const CHUNK_BYTES: usize = 8 << 20;

/// How long a commit waits for more rows after the last one, so that chunks grow under load: at 100,000 rows/s
/// they get 1,000 rows, from 400,000 on they are full. A lone request does not wait.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(10);
/// Bytes from which on the next segment of a log is begun: what is inserted is removed by segments.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;
/// Segments that a full log has at least: a segment is removed as a whole, so a small log has small ones.
pub(crate) const SEGMENTS_MIN: u64 = 8;
/// Batches after which it is asked again how many inserts the tables have seen: a lower bound for what they
/// had seen when a batch was first sent, which needs to be near only compared with what is remembered.
pub(crate) const SEEN_EVERY: u64 = if cfg!(test) { 2 } else { 256 };
/// Tries of a batch that ClickHouse says is bad, before it is set aside.
pub(crate) const DATA_TRIES: u32 = 3;
/// Tries of reading a segment, before it is set aside.
pub(crate) const READ_TRIES: u32 = 8;

/// HTTP/2 stream window: a request of this size needs no round trip for credit. 64 KiB, the protocol's
/// default, cost 545 ns a span where 1 MiB and more cost 311.
pub const STREAM_WINDOW: u32 = 4 << 20;
/// HTTP/2 connection window: what one connection may have in flight unread.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest HTTP/2 frame that a sender may use; most keep to 16 KiB. A frame that is not complete lies in
/// its connection's own buffer, which no budget counts: 4,096 connections hold 256 MiB so, where frames of
/// 1 MiB could hold 4 GiB. Nor does its body show progress before it is complete.
pub(crate) const FRAME_BYTES: u32 = 64 << 10;
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
/// How long a start waits for an address that is taken, and how long between two looks.
pub(crate) const BIND_PATIENCE: Duration = Duration::from_secs(2);
pub(crate) const BIND_PAUSE: Duration = Duration::from_millis(20);
/// Listen queue, as the kernel may grant.
pub const BACKLOG: i32 = 4096;

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

/// Bytes that one request may take in columns: eight times the 64 MiB that a request has at most by default.
/// Real ones take about as much as they have on the wire; made-up ones could take eighty times that.
pub(crate) const COLUMN_BYTES_MAX: usize = 512 << 20;

const _: () = assert!(STREAM_WINDOW <= CONNECTION_WINDOW);
const _: () = assert!(FRAME_BYTES <= STREAM_WINDOW);

// Memory. `memory_max` is divided by `MemoryPlan`: an eighth stays with the allocator (size classes and pages
// that are free and not given back; 3 to 10 % is usual), `PROCESS_BYTES` with the process, and the rest
// is shared evenly by the shards. Of its share S a shard sets aside what it takes whatever comes:
//
//   its codecs             `CODEC_BYTES`
//   the window of zstd     2^n up to S / 8, from 8 to 32 MiB
//   the batch in flight    S / 16, from 1 to 32 MiB
//   chunks logged last     S / 16, from 1 to 32 MiB
//   series remembered      S / 16, rounded down to a table's size, from 0.8 to 50 MiB
//   resources remembered   S / 32, from 1 to 16 MiB
//   column buffers kept    S / 20, from 2 to 16 MiB
//   read, not taken over   S / 50, from 1 to 8 MiB
//   body buffers kept      S / 64, from 1 to 16 MiB
//   connections            S / 5 at 96 KiB each, from 8 to 4,096 of them
//
// which is at most 60 % of a share of 64 MiB and more. What is left is for what strangers send.

/// Memory of a process when no setting says: this part of what the machine or the cgroup has.
pub(crate) const MEMORY_PART: u64 = 4;
/// And never less or more than this. The default 64 MiB of a request need 640 MiB with one shard, so with less
/// memory requests are bounded more tightly.
pub(crate) const MEMORY_BYTES: RangeInclusive<u64> = 256 << 20..=2 << 30;
/// With many shards the most is this for each, half as much again as one of use needs.
pub(crate) const MEMORY_BYTES_PER_SHARD: u64 = 64 << 20;
/// The part of it that the allocator may waste.
pub(crate) const ALLOCATOR_PART: usize = 8;
/// What a process takes before it has a shard: program, runtimes, admin port, metrics; 22 to 27 MiB were seen at rest, with one shard.
pub(crate) const PROCESS_BYTES: usize = 24 << 20;
/// LZ4's table and its largest frame (1.2 MiB), the open frame (2 MiB), and libdeflate's tables.
pub(crate) const CODEC_BYTES: usize = 4 << 20;
/// Compressed bytes from which on a batch takes no further chunk: it is held in memory while it is sent.
pub(crate) const BATCH_BYTES: RangeInclusive<usize> = 1 << 20..=32 << 20;
/// Bytes of chunks that stay in memory behind the log until their batch is due; beyond it they are read back.
pub(crate) const RECENT_BYTES: RangeInclusive<usize> = 1 << 20..=32 << 20;
/// Body buffers that a shard keeps for reuse, in bytes of all of them.
pub(crate) const KEPT_BYTES: RangeInclusive<usize> = 1 << 20..=16 << 20;
/// When this part of a body has come, it gets the room that it says it needs: growing by doubling copies as much
/// again as it holds, and memory that was never touched costs a fault a page.
pub(crate) const BODY_BELIEVED_PART: usize = 8;
/// Column buffers that a shard keeps for the next chunk: up to twice a full chunk.
pub(crate) const COLUMNS_KEPT_BYTES: RangeInclusive<usize> = 2 << 20..=2 * CHUNK_BYTES;
/// Bytes that resources are remembered in; see `Resources`.
pub(crate) const RESOURCES_BYTES: RangeInclusive<usize> = 1 << 20..=16 << 20;
/// Places of the table that series are remembered in: powers of two, of which 7/8 are used.
pub(crate) const SERIES_BUCKETS: RangeInclusive<usize> = 1 << 14..=1 << 20;
/// Bytes of a place: key, id, days and a length (24), where they lie (4) and a tag (1), and half as much again while
/// both double.
pub(crate) const SERIES_BUCKET_BYTES: usize = 44;
/// Series that are remembered at most: 7/8 of the largest table.
pub(crate) const SERIES_MAX: usize = (1 << 20) / 8 * 7;
/// Bytes that sockets are read for before what was read is taken over and counted: a connection's window is
/// 16 MiB, and of a thousand of them each may have as many on the way.
pub(crate) const READ_AHEAD_BYTES: RangeInclusive<usize> = 1 << 20..=8 << 20;
/// What a connection takes at most that nothing counts: an incomplete frame or the read buffer of HTTP/1
/// (64 KiB each), streams and their heads, its tasks.
pub(crate) const CONNECTION_BYTES: usize = 96 << 10;
/// Logarithm of the window that a zstd frame may ask for: 8 MiB, which every decoder must take, up to 32 MiB,
/// which is what the Go library that Collectors use asks for at its highest level. A shard has one decompressor.
pub(crate) const ZSTD_WINDOW_LOGS: RangeInclusive<u32> = 23..=25;
/// A request up to this size is a small one: it may use the last eighth of a shard's memory.
pub(crate) const SMALL_REQUEST_BYTES: usize = 1 << 20;
/// The largest request is this part of what a shard has for what strangers send: its body, and three times
/// as much for columns (`COLUMN_GROWTH`).
pub(crate) const REQUEST_PART: usize = 4;
/// What columns take while they grow, by their bytes: buffers double, and the one that does is there twice.
pub(crate) const COLUMN_GROWTH: usize = 3;
/// What a body takes while it is decompressed or converted, by what it becomes: its buffer doubles.
pub(crate) const BODY_GROWTH: usize = 2;

/// What one peer may take of time and places. No setting: tests of hostile peers shorten the times and
/// lower the counts, everything else takes the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerLimits {
    /// Connections that one shard serves at a time. When all are taken, the one that has been idle for the
    /// longest makes room for the next; when none is idle, the next ones wait.
    pub connections: usize,
    /// The same for the admin port.
    pub admin_connections: usize,
    /// Calls that all HTTP/2 connections of a shard have in flight together. Beyond it a connection that has
    /// its share of them may begin no more.
    pub calls: usize,
    /// How often connections are looked at; every other time here is kept to this grain.
    pub tick: Duration,
    /// How long a sender may take for the first bytes of a connection, for the head of a request, and for
    /// a frame outside of any request.
    pub head: Duration,
    /// How long a sender may take for a request's body.
    pub body: Duration,
    /// In each such time of a body, some of it must arrive: see `body_rate_min`.
    pub body_window: Duration,
    /// Bytes per second that the bodies of one connection must bring together, each its share.
    pub body_rate_min: usize,
    /// How long a reader may take for an answer, and for what the connection itself has to say.
    pub answer: Duration,
    /// How long a connection without a request is kept.
    pub idle: Duration,
    /// How long a peer that was told that its connection ends may take to end it; only then are requests
    /// that it still begins refused.
    pub goaway: Duration,
}

impl Default for PeerLimits {
    fn default() -> Self {
        PeerLimits {
            connections: CONNECTIONS_MAX,
            // Probes and scrapers: a handful, each a connection or two.
            admin_connections: 64,
            // Four a connection when all places are taken, and about 100 MB when none has a body yet: a
            // stream takes 4 to 6 KiB before its body's first byte, which no budget counts.
            calls: 4 * CONNECTIONS_MAX,
            tick: Duration::from_secs(1),
            head: Duration::from_secs(15),
            // 960 KiB at `body_rate_min`, and as many more as the link is faster. Exporters give up
            // after 10 s by default, so a body that needs more has no reader for its answer.
            body: Duration::from_secs(120),
            body_window: Duration::from_secs(15),
            body_rate_min: BODY_RATE_MIN,
            // TCP repeats a lost segment about six times in this time.
            answer: Duration::from_secs(30),
            // SDKs export metrics each minute, Collectors keep connections for as long as they run, and
            // a client must notice that its connection is gone before it can open the next. So it is
            // longer than any usual interval, and only there to find peers that are no more.
            idle: Duration::from_secs(10 * 60),
            // One round trip is what the protocol asks for.
            goaway: Duration::from_secs(2),
        }
    }
}

/// Descriptors that the process keeps for itself: 64 connections of the admin port, the standard three,
/// its runtimes, and look-ups. Each shard keeps more: its rings and timers (about ten), sockets that listen
/// and one accepted that waits for room, ClickHouse's connections, files.
pub(crate) const DESCRIPTORS_OF_PROCESS: usize = 160;
pub(crate) const DESCRIPTORS_OF_SHARD: usize = 32;
/// Connections of a shard however few descriptors there are.
pub const CONNECTIONS_MIN: usize = 8;

/// Bytes per second that a sender must bring while it sends bodies: 64 kbit/s, the slowest link that is
/// still served. At one byte a second a body is given up after one window, with what it holds.
const BODY_RATE_MIN: usize = 8 << 10;
// A sender at that rate completes at least a frame in each window of the default 15 s.
const _: () = assert!(FRAME_BYTES as usize <= BODY_RATE_MIN * 15);

/// Bytes that HTTP/1 reads at once: hyper's default of 400 KiB would be 1.6 GiB on 4,096 connections.
pub(crate) const HTTP1_BUFFER_BYTES: usize = 64 << 10;

/// Calls in flight on one HTTP/2 connection, those included whose streams their peer has reset: their
/// rows are stored all the same. A sender that gives up on all its streams at once and begins anew stays
/// within; one that resets to get around `STREAMS_MAX` is told to retry later.
pub(crate) const CALLS_MAX: usize = 2 * STREAMS_MAX as usize;
/// Requests in one reading that their peer has reset before they were looked at; h2 ends the connection
/// beyond this (rapid reset).
pub(crate) const UNSEEN_RESETS_MAX: usize = 20;
/// Streams that h2 resets over the life of a connection because their peer broke a rule or exceeded
/// `STREAMS_MAX`, before it ends the connection (made-you-reset). Frames that cross an early answer count
/// too once `RESET_MEMORY` is over, so this is not lower.
pub(crate) const ERROR_RESETS_MAX: usize = 1024;

/// HTTP/2 frames that carry no part of a request, on one connection: this many at once. h2 answers each
/// PING and SETTINGS and skips the rest, without end; at about 200 ns a frame this is 2 ms.
pub(crate) const FRAMES_BURST: u32 = 10_000;
/// And this many a second for ever after: 0.1 ms of CPU time. Senders that measure their link send a PING a
/// round trip while they transfer, and otherwise one in ten seconds.
pub(crate) const FRAMES_PER_SECOND: u32 = 500;
/// And this many for each answer: what its reader gives back as credit, and a PING.
pub(crate) const FRAMES_PER_ANSWER: u32 = 16;
/// What a frame that costs more than itself counts as: RST_STREAM for the request that it takes back,
/// SETTINGS for what it changes on each stream, GOAWAY.
pub(crate) const FRAME_HEAVY: u32 = 10;
/// What an answer to a PING that was never sent counts as: h2 writes a warning for each.
pub(crate) const FRAME_UNASKED: u32 = 100;
/// A DATA frame of fewer bytes that does not end its request counts as one that carries nothing.
pub(crate) const FRAME_DATA_MIN: usize = 64;

const _: () = assert!(FRAMES_BURST > 2 * FRAME_HEAVY * STREAMS_MAX);
