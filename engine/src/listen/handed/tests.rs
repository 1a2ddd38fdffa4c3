//! The other shard fails in every way that there is, or is not there at all.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::balance::{self, HandOver, HandedBody};
use crate::config::{AckMode, Config};
use crate::decode::{Rejected, Signal};
use crate::form::{Form, Syntax};
use crate::inflate::Encoding;
use crate::listen::request::{Body, store_handed};
use crate::metrics::Metrics;
use crate::reactor::{Epoll, Reactor};
use crate::refusal::{Kind, Refusal};
use crate::shard::Shard;
use crate::status::Statuses;

/// A request of one field that nobody knows: good, and with nothing in it to wait for.
const BODY: &[u8] = &[0x78, 0x01];
const FORM: Form = Form {
    signal: Signal::Traces,
    encoding: Encoding::Identity,
    syntax: Syntax::Protobuf,
};

/// Two shards of which each hands over whatever it can, with what is handed to each. No request is waited
/// for longer than `patience`.
fn two_shards(patience: Duration) -> [(Rc<Shard>, UnboundedReceiver<HandedBody>); 2] {
    let config = Arc::new(config(patience));
    let (_, metrics) = Metrics::new(2, &config.clickhouse.native);
    let (_, statuses) = Statuses::new(2, true);
    let joined = balance::join(config.hand_over, &metrics);
    let shards = joined
        .into_iter()
        .zip(metrics.into_iter().zip(statuses))
        .enumerate();
    let shards = shards.map(|(index, ((balance, handed), (metrics, status)))| {
        let shard = Shard::new::<Epoll>(index, Arc::clone(&config), metrics, status, Some(balance));
        shard.set_unavailable(None);
        (Rc::new(shard), handed)
    });
    let shards: Vec<_> = shards.collect();
    shards.try_into().unwrap_or_else(|_| panic!("two shards"))
}

fn config(patience: Duration) -> Config {
    let mut config = Config::of_test(2, AckMode::ClickHouse);
    config.ack_timeout = patience;
    config.insert_timeout = Duration::ZERO;
    config.hand_over = HandOver {
        body_bytes_min: 0,
        busy_percent_min: 0,
        idle_percent_max: 100,
    };
    config
}

fn body(shard: &Rc<Shard>) -> Body {
    let mut body = Body::begin(shard, 0).unwrap();
    body.push(BODY).unwrap();
    body
}

async fn store(shard: &Rc<Shard>) -> Result<Rejected, Refusal> {
    body(shard).store::<Epoll>(FORM).await
}

fn decoded_bytes(shard: &Shard) -> u64 {
    shard.metrics.signal(Signal::Traces).decoded_bytes.get()
}

/// What may become of a body in the other shard.
type Fate = fn(HandedBody);

/// Scenario: the shard that a body was handed to drops it, panics over it, or ends and leaves it lying.
/// Guarantee: the request is told to come again, for its rows may be stored or not; nothing stays reserved;
/// and the other shard's place is free again, but for what still lies there.
#[test]
fn a_body_without_an_answer_is_refused() {
    let lost: [(Fate, Duration); 3] = [
        (drop, Duration::from_secs(3600)),
        (
            |_body| panic!("a bug, as this test wants"),
            Duration::from_secs(3600),
        ),
        (|body| std::mem::forget(body), Duration::ZERO),
    ];
    for (fate, patience) in lost {
        let ended = Epoll::run(None, || async move {
            let [(shard, _mine), (_other, mut handed)] = two_shards(patience);
            Epoll::spawn(async move { fate(handed.recv().await.unwrap()) });
            let refusal = store(&shard).await.unwrap_err();
            assert_eq!(refusal.kind, Kind::Unavailable);
            assert_eq!(shard.metrics.pending_bytes.get(), 0);
            assert_eq!(shard.metrics.bodies_handed_over.get(), 1);
            assert_eq!(decoded_bytes(&shard), 0);
        });
        ended.unwrap();
    }
}

/// Scenario: the other shard takes nothing any more, or this one hands nothing over any more.
/// Guarantee: the body is walked where it is, and the other shard's place is given back.
#[test]
fn a_body_that_nobody_takes_is_walked_here() {
    let ended = Epoll::run(None, || async {
        let [(shard, _mine), (_other, handed)] = two_shards(Duration::ZERO);
        drop(handed);
        for _ in 0..10 {
            assert_eq!(store(&shard).await, Ok(Rejected::default()));
        }
        assert_eq!(decoded_bytes(&shard), 10 * BODY.len() as u64);
        let [(shard, _mine), (_other, mut handed)] = two_shards(Duration::ZERO);
        shard.balance.as_ref().unwrap().leave();
        assert_eq!(store(&shard).await, Ok(Rejected::default()));
        assert_eq!(decoded_bytes(&shard), BODY.len() as u64);
        assert_eq!(shard.metrics.bodies_handed_over.get(), 0);
        assert!(handed.try_recv().is_err());
    });
    ended.unwrap();
}

/// Scenario: a body is handed over and walked by the other shard; then one whose connection is gone before
/// it is walked.
/// Guarantee: the first is answered, the second is not stored at all.
#[test]
fn a_body_that_nobody_waits_for_is_dropped() {
    let ended = Epoll::run(None, || async {
        let [(shard, _mine), (other, mut handed)] = two_shards(Duration::from_secs(3600));
        let taker = Rc::clone(&other);
        Epoll::spawn(async move {
            while let Some(body) = handed.recv().await {
                store_handed::<Epoll>(body, Rc::clone(&taker)).await;
            }
        });
        assert_eq!(store(&shard).await, Ok(Rejected::default()));
        assert_eq!(decoded_bytes(&other), BODY.len() as u64);
        // The connection ends right after the body was handed over.
        let mut storing = Box::pin(store(&shard));
        let handed_over = futures_lite::future::poll_once(&mut storing).await;
        assert!(handed_over.is_none());
        drop(storing);
        assert_eq!(shard.metrics.bodies_handed_over.get(), 2);
        assert_eq!(store(&shard).await, Ok(Rejected::default()));
        assert_eq!(decoded_bytes(&other), 2 * BODY.len() as u64);
        assert_eq!(
            (decoded_bytes(&shard), shard.metrics.pending_bytes.get()),
            (0, 0)
        );
    });
    ended.unwrap();
}
