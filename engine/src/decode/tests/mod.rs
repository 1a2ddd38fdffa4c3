//! The walk against prost: any request in any encoding gives the rows that prost's messages stand for,
//! a row that is bad is left out alone, and a request that is refused leaves nothing behind.

mod allowance;
pub(crate) mod block;
mod bounds;
mod equal;
mod expected;
mod faults;
mod full;
mod guesses;
mod hostile;
mod known;
mod messages;
mod numbers;
mod partitions;
mod refused;
mod rejected;
mod series;
mod shapes;
mod store;
mod texts;
mod tree;
mod wire;

use std::fmt::Debug;
use std::sync::Arc;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use spanmill_schema::{Promoted, Tables};

use super::{Arrival, Signal};

/// A moment, in Unix seconds, and how far the same time of the next day is.
const NOW: u32 = 1_750_000_000;
const DAY: u32 = 86_400;

/// Stands for a text that is no UTF-8: prost cannot hold one, so it is put in once it is encoded.
const INVALID: &str = "~invalid~";

/// A request that comes at `now` (Unix seconds) and may hold any time and take any room.
fn arrival(now: u32) -> Arrival {
    Arrival {
        now: u64::from(now) * 1_000_000_000,
        earliest: 0,
        latest: u64::MAX,
        column_bytes_max: usize::MAX,
    }
}

/// The tables by default, without promoted attributes, and with one of each kind of them.
fn tables(choice: u8) -> Arc<Tables> {
    let parse =
        |keys: &[&str]| -> Vec<Promoted> { keys.iter().map(|key| key.parse().unwrap()).collect() };
    Arc::new(match choice % 3 {
        0 => Tables::default(),
        1 => Tables::new(Vec::new(), Vec::new()).unwrap(),
        _ => Tables::new(
            parse(&[
                "k=i64",
                "host.name=text",
                "url.path",
                "n=u16",
                "http.route=i64",
            ]),
            parse(&["n=i64", "exception.type", "k=u16", "host.name=text"]),
        )
        .unwrap(),
    })
}

/// A request of each signal that uses every field, in several encodings, for the fuzz targets to begin with.
pub(crate) fn seeds() -> Vec<(Signal, Vec<u8>)> {
    fn of<S: tree::Telemetry>() -> impl Iterator<Item = (Signal, Vec<u8>)> {
        let body = tree::encode::<S>(&full::full::<S>());
        (0..3).map(move |seed| (S::SIGNAL, wire::reencode(S::SIGNAL, &body, seed)))
    }
    let traces = of::<tree::Traces>();
    let all = traces
        .chain(of::<tree::Logs>())
        .chain(of::<tree::Metrics>());
    all.collect()
}

/// Checks `count` values of `strategy`, or as many as `PROPTEST_CASES` asks for.
fn for_all<T: Debug>(count: u32, strategy: impl Strategy<Value = T>, check: impl Fn(T)) {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let config = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => Config {
            cases: count,
            ..config
        },
    };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        check(value);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Makes a test for each signal of each of these generic functions, in a module of its name.
macro_rules! for_every_signal {
    ($($check:ident)*) => {
        $(mod $check {
            use crate::decode::tests::tree::{Logs, Metrics, Traces};

            #[test]
            fn traces() {
                super::$check::<Traces>();
            }

            #[test]
            fn logs() {
                super::$check::<Logs>();
            }

            #[test]
            fn metrics() {
                super::$check::<Metrics>();
            }
        })*
    };
}
use for_every_signal;
