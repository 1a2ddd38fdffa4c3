//! Points by time that were read before: of each question, one stretch of points that can no longer change. Only
//! what is missing around it is read again. Bounded in bytes and in time.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache as Store;
use prometheus_client::metrics::counter::Counter;

use crate::error::Error;

/// How long points are kept: late data shows after that.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// Points whose window ended this long ago are taken for settled. Nanoseconds.
const SETTLED_AFTER: i64 = 300_000_000_000;
/// What a stretch takes beside its points.
const STRETCH_BYTES: usize = 256;

/// Times after one and up to another, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub after: i64,
    pub until: i64,
}

impl Span {
    fn is_empty(self) -> bool {
        self.after >= self.until
    }
}

struct Stretch<T> {
    span: Span,
    points: Vec<T>,
    /// When the oldest of it was read.
    read: Instant,
}

/// Stretches of points by question.
pub(crate) struct Cache<K, T> {
    stretches: Store<K, Arc<Stretch<T>>>,
    time: fn(&T) -> i64,
    /// Points that were there, and that were not.
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
}

impl<K, T> Cache<K, T>
where
    K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// `time` and `bytes` are those of a point.
    pub(crate) fn new(bytes_max: u64, time: fn(&T) -> i64, bytes: fn(&T) -> usize) -> Self {
        let weigh = move |_: &K, stretch: &Arc<Stretch<T>>| {
            let points: usize = stretch.points.iter().map(bytes).sum();
            u32::try_from(STRETCH_BYTES + points).unwrap_or(u32::MAX)
        };
        let stretches = Store::builder()
            .max_capacity(bytes_max)
            .weigher(weigh)
            .time_to_live(KEPT)
            .build();
        Self {
            stretches,
            time,
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }

    /// The points of `span`, by time. `fetch` reads those of the spans that are not there.
    pub(crate) async fn points<F>(
        &self,
        key: K,
        span: Span,
        now: i64,
        fetch: impl Fn(Span) -> F,
    ) -> Result<Vec<T>, Error>
    where
        F: Future<Output = Result<Vec<T>, Error>>,
    {
        let known = self.stretches.get(&key);
        let known = known.filter(|stretch| {
            let touches = stretch.span.after <= span.until && span.after <= stretch.span.until;
            touches && stretch.read.elapsed() < KEPT
        });
        let Some(known) = known else {
            let read = Instant::now();
            let points = fetch(span).await?;
            self.misses.inc_by(points.len() as u64);
            self.keep(key, span, &points, read, now);
            return Ok(points);
        };
        let before = Span {
            after: span.after,
            until: known.span.after,
        };
        let behind = Span {
            after: known.span.until.max(span.after),
            until: span.until,
        };
        let missing = |missing: Span| {
            let read = fetch(missing);
            async move {
                match missing.is_empty() {
                    true => Ok(Vec::new()),
                    false => read.await,
                }
            }
        };
        let (before, behind) = futures_util::try_join!(missing(before), missing(behind))?;
        self.misses.inc_by((before.len() + behind.len()) as u64);
        let mut points = before;
        points.extend_from_slice(&known.points);
        points.extend(behind);
        let whole = Span {
            after: known.span.after.min(span.after),
            until: known.span.until.max(span.until),
        };
        self.keep(key, whole, &points, known.read, now);
        let time = self.time;
        points.retain(|point| span.after < time(point) && time(point) <= span.until);
        let shown = known.points.iter().map(time);
        let hits = shown.filter(|time| span.after < *time && *time <= span.until);
        self.hits.inc_by(hits.count() as u64);
        Ok(points)
    }

    /// Keeps what of it is settled.
    fn keep(&self, key: K, span: Span, points: &[T], read: Instant, now: i64) {
        let until = span.until.min(now.saturating_sub(SETTLED_AFTER));
        let span = Span { until, ..span };
        if span.is_empty() {
            return;
        }
        let settled = points.partition_point(|point| (self.time)(point) <= until);
        let stretch = Stretch {
            span,
            points: points[..settled].to_vec(),
            read,
        };
        self.stretches.insert(key, Arc::new(stretch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 10_000 * SECOND;

    fn cache() -> Cache<&'static str, i64> {
        Cache::new(1 << 20, |time| *time, |_| 8)
    }

    /// Asks for seconds, and tells which were fetched.
    async fn ask(cache: &Cache<&'static str, i64>, after: i64, until: i64) -> Vec<(i64, i64)> {
        let fetched = Mutex::new(Vec::new());
        let fetch = |span: Span| {
            let seconds = span.after / SECOND..span.until / SECOND;
            if !span.is_empty() {
                fetched.lock().unwrap().push((seconds.start, seconds.end));
            }
            async move { Ok(seconds.map(|second| (second + 1) * SECOND).collect()) }
        };
        let span = Span {
            after: after * SECOND,
            until: until * SECOND,
        };
        let points = cache.points("key", span, NOW, fetch).await.unwrap();
        let all: Vec<_> = (after..until).map(|second| (second + 1) * SECOND).collect();
        assert_eq!(points, all, "each point once, in order");
        fetched.into_inner().unwrap()
    }

    /// Scenario: the same question over ranges that move, grow to both sides, lie inside, and lie apart.
    /// Guarantees: answers are those without a cache; only what is missing is read, and never a point twice
    /// that is settled; what may change is read each time.
    #[tokio::test]
    async fn only_what_is_missing_is_read() {
        let cache = cache();
        assert_eq!(ask(&cache, 9_000, 9_100).await, [(9_000, 9_100)]);
        assert_eq!(ask(&cache, 9_000, 9_100).await, []);
        assert_eq!(ask(&cache, 9_010, 9_050).await, []);
        assert_eq!(
            ask(&cache, 8_990, 9_120).await,
            [(8_990, 9_000), (9_100, 9_120)]
        );
        assert_eq!(ask(&cache, 9_100, 10_000).await, [(9_120, 10_000)]);
        assert_eq!(ask(&cache, 9_000, 10_000).await, [(9_700, 10_000)]);
        assert_eq!(ask(&cache, 9_650, 9_720).await, [(9_700, 9_720)]);
        assert_eq!(ask(&cache, 9_990, 10_000).await, [(9_990, 10_000)]);
        assert_eq!(ask(&cache, 100, 200).await, [(100, 200)]);
        assert_eq!(ask(&cache, 150, 180).await, []);
        assert!(cache.hits.get() > 0 && cache.misses.get() > 0);
    }

    /// Scenario: more points than the cache has room for.
    /// Guarantees: it stays within its bound.
    #[tokio::test]
    async fn bytes_are_bounded() {
        let cache: Cache<i64, i64> = Cache::new(64 << 10, |time| *time, |_| 8);
        for key in 0..1_000 {
            let span = Span {
                after: 0,
                until: 100,
            };
            let fetch = |_| async { Ok((1..=100).collect()) };
            cache.points(key, span, NOW, fetch).await.unwrap();
        }
        cache.stretches.run_pending_tasks();
        assert!(cache.stretches.weighted_size() <= 64 << 10);
        assert!(cache.stretches.entry_count() > 0);
    }
}
