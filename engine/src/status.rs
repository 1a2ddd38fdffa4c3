//! How each shard is doing, for `/readyz`: what fails at which endpoint and since when, and whether
//! requests are taken. A shard writes its own when something changes; the admin port reads all. Nothing
//! here is touched on the way of the data while all is well.

use std::cell::Cell;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::insert::{FailureKind, InsertError};
use crate::limits::MESSAGE_BYTES_MAX;

/// What an endpoint does wrong.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    endpoint: Arc<str>,
    kind: FailureKind,
    /// ClickHouse's words, or the operating system's.
    message: String,
    /// When this kind was first met there.
    since: Instant,
    /// Whether it shows already when connecting, so that a hello ends it.
    ends_with_hello: bool,
}

/// What is known of one shard.
#[derive(Debug)]
struct State {
    /// Why requests are refused at present.
    refuses: Option<String>,
    /// At most one for each endpoint.
    troubles: Vec<Trouble>,
}

/// A shard's own end.
pub(crate) struct ShardStatus {
    shared: Arc<Mutex<State>>,
    /// Whether there is any trouble, so that good inserts need no lock.
    troubled: Cell<bool>,
}

/// The admin port's end: every shard's.
pub(crate) struct Statuses {
    shards: Vec<Arc<Mutex<State>>>,
    /// Requests can only be taken while ClickHouse can store them at once.
    need_clickhouse: bool,
}

/// What a look at ClickHouse's HTTP interface brought.
#[derive(Debug, Clone)]
pub(crate) enum Look {
    /// It has what this engine writes to.
    Fit,
    /// It could not be asked: inserts, which go another way, may work.
    NotAsked(String),
    /// It has not: inserts cannot work.
    Unfit(String),
}

/// The answer of `/readyz`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Whether every request that is good is taken.
    pub(crate) ready: bool,
    /// What to say.
    pub(crate) text: String,
}

impl Trouble {
    pub(crate) fn new(endpoint: &Arc<str>, error: &InsertError, now: Instant) -> Trouble {
        let kind = error.kind();
        let mut message = error.to_string();
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        Trouble {
            endpoint: Arc::clone(endpoint),
            kind,
            message,
            since: now,
            ends_with_hello: !error.outcome_unknown() || kind == FailureKind::Network,
        }
    }
}

impl Statuses {
    /// Of `shards` shards, and the end that each of them takes. They begin as not reached. Without a log they
    /// `need_clickhouse` to take requests.
    pub(crate) fn new(shards: usize, need_clickhouse: bool) -> (Self, Vec<ShardStatus>) {
        let state = || State {
            refuses: Some("ClickHouse has not been reached yet".into()),
            troubles: Vec::new(),
        };
        let shared: Vec<_> = (0..shards).map(|_| Arc::new(Mutex::new(state()))).collect();
        let own = |shared: &Arc<_>| ShardStatus {
            shared: Arc::clone(shared),
            troubled: Cell::new(false),
        };
        let shards = shared.iter().map(own).collect();
        let all = Statuses {
            shards: shared,
            need_clickhouse,
        };
        (all, shards)
    }

    /// Ready means that requests are taken: what else is wrong is listed with it. One shard that refuses
    /// makes the engine not ready, since connections are spread over all.
    pub(crate) fn readiness(&self, look: &Look, now: Instant) -> Readiness {
        let mut ready = !(self.need_clickhouse && matches!(look, Look::Unfit(_)));
        let mut lines = Vec::new();
        for (shard, state) in self.shards.iter().enumerate() {
            let state = lock(state);
            ready &= state.refuses.is_none();
            let troubles = state.troubles.iter();
            lines.extend(troubles.map(|trouble| format!("shard {shard}: {}", line(trouble, now))));
            // What ClickHouse does wrong is said already.
            let said = |why: &&String| !state.troubles.is_empty() && why.starts_with("ClickHouse");
            if let Some(why) = state.refuses.as_ref().filter(|why| !said(why)) {
                lines.push(format!("shard {shard}: {why}"));
            }
        }
        match look {
            Look::Fit => {}
            Look::NotAsked(why) | Look::Unfit(why) => lines.push(why.clone()),
        }
        let mut text = String::from(match (ready, lines.is_empty()) {
            (true, true) => "ready",
            (true, false) => "ready: requests are taken, but: ",
            (false, _) => "not ready: ",
        });
        text.push_str(&lines.join("\n"));
        text.push('\n');
        Readiness { ready, text }
    }
}

/// "ClickHouse at 127.0.0.1:9000 is read-only since 12 s (its words): what to do"
fn line(trouble: &Trouble, now: Instant) -> String {
    let Trouble {
        endpoint,
        kind,
        message,
        since,
        ..
    } = trouble;
    let (state, advice) = (kind.state(), kind.advice());
    let seconds = now.saturating_duration_since(*since).as_secs();
    let mut line = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "ClickHouse at {endpoint} {state} since {seconds} s ({message}): {advice}"
    );
    line
}

impl ShardStatus {
    /// Says whether requests are taken at present; `Some` is the reason why not.
    pub(crate) fn set_refuses(&self, why: Option<&str>) {
        lock(&self.shared).refuses = why.map(str::to_owned);
    }

    /// A try failed.
    pub(crate) fn failed(&self, trouble: Trouble) {
        let mut state = lock(&self.shared);
        let same_place = |other: &&mut Trouble| other.endpoint == trouble.endpoint;
        match state.troubles.iter_mut().find(same_place) {
            Some(known) if known.kind == trouble.kind => {
                let since = known.since;
                *known = Trouble { since, ..trouble };
            }
            Some(known) => *known = trouble,
            None => state.troubles.push(trouble),
        }
        self.troubled.set(true);
    }

    /// The endpoint said hello.
    pub(crate) fn reached(&self, endpoint: &Arc<str>) {
        self.end(|trouble| trouble.endpoint == *endpoint && trouble.ends_with_hello);
    }

    /// The endpoint confirmed an insert.
    pub(crate) fn inserted(&self, endpoint: &Arc<str>) {
        self.end(|trouble| trouble.endpoint == *endpoint || !trouble.kind.is_of_endpoint());
    }

    fn end(&self, ended: impl Fn(&Trouble) -> bool) {
        if self.troubled.get() {
            let mut state = lock(&self.shared);
            state.troubles.retain(|trouble| !ended(trouble));
            self.troubled.set(!state.troubles.is_empty());
        }
    }
}

/// What is held under it is whole at any time, so a panic elsewhere does not matter.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn error(code: i32, message: &str) -> InsertError {
        let (name, message) = ("DB::Exception".into(), message.into());
        let exception = crate::insert::ServerException {
            code,
            name,
            message,
        };
        InsertError::Server(exception)
    }

    /// Scenario: two shards; one meets a read-only ClickHouse, again later, then another kind, then all
    /// is well. Guarantee: each time the answer says shard, endpoint, kind, since when and what to do; the
    /// time goes on while the kind stays the same; not ready only while requests are refused.
    #[test]
    fn readiness_says_what_is_wrong_and_what_to_do() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let (all, shards) = Statuses::new(2, true);
        let at: Arc<str> = "db:9000".into();
        assert!(!all.readiness(&Look::Fit, now).ready);
        shards.iter().for_each(|shard| shard.set_refuses(None));
        assert_eq!(all.readiness(&Look::Fit, now).text, "ready\n");

        let trouble = |code, at_second| Trouble::new(&at, &error(code, "no"), later(at_second));
        shards[1].failed(trouble(774, 0));
        shards[1].failed(trouble(774, 5));
        let answer = all.readiness(&Look::Fit, later(12));
        assert!(answer.ready);
        let said = "shard 1: ClickHouse at db:9000 is read-only since 12 s \
                    (ClickHouse refused: no (code 774, DB::Exception)): ";
        assert!(answer.text.contains(said), "{}", answer.text);

        shards[1].set_refuses(Some("ClickHouse is read-only"));
        shards[1].failed(trouble(60, 20));
        let answer = all.readiness(&Look::Fit, later(21));
        assert!(!answer.ready);
        let text = answer.text;
        assert!(text.starts_with("not ready: shard 1: ClickHouse"), "{text}");
        assert!(
            text.contains("since 1 s") && text.contains("spanmill migrate"),
            "{text}"
        );

        shards[1].set_refuses(None);
        shards[1].inserted(&at);
        assert_eq!(all.readiness(&Look::Fit, later(22)).text, "ready\n");
    }

    /// Scenario: HTTP does not answer while inserts work; and tables are missing.
    /// Guarantee: the first is said and does no harm; with the second the engine is not ready.
    #[test]
    fn a_look_that_fails_is_told_from_one_that_finds_fault() {
        let now = Instant::now();
        let (all, shards) = Statuses::new(1, true);
        shards[0].set_refuses(None);
        let answer = all.readiness(&Look::NotAsked("no HTTP".into()), now);
        assert!(
            answer.ready && answer.text.contains("no HTTP"),
            "{answer:?}"
        );
        let answer = all.readiness(&Look::Unfit("no table".into()), now);
        assert!(
            !answer.ready && answer.text == "not ready: no table\n",
            "{answer:?}"
        );
    }

    /// Scenario: a connection is refused, then made; a grant is missing, and a connection is made.
    /// Guarantee: a hello ends the first trouble and not the second, which only an insert can end.
    #[test]
    fn a_hello_ends_what_showed_when_connecting() {
        let now = Instant::now();
        let (all, shards) = Statuses::new(1, true);
        shards[0].set_refuses(None);
        let at: Arc<str> = "db:9000".into();
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let refused = InsertError::Unsent(Box::new(refused.into()));
        let is_well = || all.readiness(&Look::Fit, now).text == "ready\n";
        shards[0].failed(Trouble::new(&at, &refused, now));
        assert!(!is_well());
        shards[0].reached(&at);
        assert!(is_well());
        shards[0].failed(Trouble::new(&at, &error(497, "no grant"), now));
        shards[0].reached(&at);
        assert!(!is_well());
        shards[0].inserted(&at);
        assert!(is_well());
    }
}
