//! Whole runs against a receiver that decodes what comes and answers as each test says. What is asserted is
//! counts and due times as sent, never how long anything took.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use spanmill_loadgen::{
    Compression, Counts, Encoding, Error, Options, Protocol, Rate, Report, Schedule, Stop, run,
};
use support::{Reaction, Received, Receiver};

/// One request of 10 spans every 10 ms for a second, to `receiver`.
fn hundred(receiver: &Receiver, protocol: Protocol) -> Options {
    Options {
        endpoint: Some(receiver.address.to_string()),
        protocol,
        rate: Rate::Items(1000.0),
        duration: Duration::from_secs(1),
        items_per_request: 10,
        // Room for all of them, so that a machine that stalls holds none up.
        connections: match protocol {
            Protocol::Grpc => 1,
            Protocol::Http => 100,
        },
        in_flight: Some(1000),
        distinct: 7,
        // Far more than a loaded machine needs; only a failing test waits so long.
        timeout: Duration::from_secs(100),
        drain: Duration::from_secs(100),
        ..Options::default()
    }
}

fn ran(options: &Options) -> Report {
    let report = run(options, &Stop::default(), |_| {}).unwrap();
    let Counts {
        due,
        sent,
        acknowledged,
        rejected,
        failed,
        unknown,
        not_sent,
        ..
    } = report.total;
    assert_eq!(due, sent + not_sent, "{}", report.summary());
    assert_eq!(
        sent,
        acknowledged + rejected + failed + unknown,
        "{}",
        report.summary()
    );
    let acknowledged_in_series: u64 = report.series.iter().map(|second| second.acknowledged).sum();
    assert_eq!(acknowledged_in_series, acknowledged);
    assert_eq!(report.histogram.len(), report.total.requests_acknowledged);
    report
}

/// When each request was due after the start, in nanoseconds, as its own times say.
fn due_times(report: &Report, received: &[Received]) -> BTreeSet<u64> {
    received
        .iter()
        .map(|request| request.latest - report.started_unix_nanos)
        .collect()
}

fn hundred_due_times() -> BTreeSet<u64> {
    let schedule = Schedule {
        rate: 1000.0,
        ramp: Duration::ZERO,
        duration: Duration::from_secs(1),
    };
    (0..100)
        .map(|number| schedule.due(f64::from(number) * 10.0).as_nanos() as u64)
        .collect()
}

/// Scenario: the receiver answers nothing until the hundredth request has come. Guarantees: all hundred come
/// (a closed loop would stop after the first few), each with the due time that the schedule gives it, and when
/// they are answered all count as acknowledged.
#[test]
fn the_schedule_is_kept_while_answers_stall() {
    let receiver = Receiver::start(true, |_| Reaction::Hold);
    let released = receiver.released();
    let options = hundred(&receiver, Protocol::Grpc);
    let waiter = std::thread::scope(|scope| {
        let receiver = &receiver;
        scope.spawn(move || {
            while receiver.received().len() < 100 {
                std::thread::yield_now();
            }
            released.send_replace(true);
        });
        ran(&options)
    });
    let report = waiter;
    assert_eq!(
        due_times(&report, &receiver.received()),
        hundred_due_times()
    );
    assert_eq!(report.total.acknowledged, 1000);
    assert!(!report.schedule.behind && report.is_success());
    assert_eq!(report.mode, "open loop");
}

/// Scenario: five requests may be in flight, and none is ever answered. Guarantees: what was due and could not
/// be sent is counted as such, what was sent as of unknown outcome, and the report says "behind".
#[test]
fn a_reached_bound_is_reported() {
    let receiver = Receiver::start(true, |_| Reaction::Hold);
    let mut options = hundred(&receiver, Protocol::Grpc);
    options.in_flight = Some(5);
    options.drain = Duration::ZERO;
    let report = ran(&options);
    assert_eq!((report.total.requests_due, report.total.due), (100, 1000));
    assert_eq!((report.total.sent, report.total.unknown), (50, 50));
    assert_eq!(report.total.not_sent, 950);
    assert_eq!(report.schedule.requests_held_up, 95);
    assert!(report.schedule.behind && !report.is_success());
    assert_eq!(report.failures["timeout"].items, 50);
}

/// Scenario: a hundred requests within a second, spread over an hour. Guarantees: what is sent says times that begin an
/// hour before the run, are evenly apart, and end with it, each once.
#[test]
fn a_spread_run_tells_of_an_hour() {
    let receiver = Receiver::start(true, |_| Reaction::Store);
    let report = ran(&Options {
        spread: Duration::from_secs(3600),
        ..hundred(&receiver, Protocol::Grpc)
    });
    let times: BTreeSet<u64> = receiver
        .received()
        .iter()
        .map(|request| request.latest)
        .collect();
    assert_eq!(times.len(), 100);
    let began = report.started_unix_nanos - 3_600_000_000_000;
    let due = (0..100).map(|request| began + request * 36_010_000_000);
    for (time, due) in times.into_iter().zip(due) {
        // The arithmetic is that of floating point.
        assert!(time.abs_diff(due) < 1000, "{time} in place of {due}");
    }
}

/// Scenario: one request may be in flight, and the first is answered only when half of the run is over.
/// Guarantees: those that were held up are sent with the due times that they had, none is left out, and the
/// report says that they waited.
#[test]
fn late_requests_keep_their_due_times() {
    let receiver = Receiver::start(true, |number| match number {
        0 => Reaction::Hold,
        _ => Reaction::Store,
    });
    let mut options = hundred(&receiver, Protocol::Grpc);
    options.in_flight = Some(1);
    options.duration = Duration::from_secs(2);
    let report = run(&options, &Stop::default(), |_| receiver.release()).unwrap();
    let due = due_times(&report, &receiver.received());
    let schedule = Schedule {
        rate: 1000.0,
        ramp: Duration::ZERO,
        duration: options.duration,
    };
    let expected =
        (0..due.len()).map(|number| schedule.due(number as f64 * 10.0).as_nanos() as u64);
    assert_eq!(due, expected.collect());
    assert!(report.schedule.behind && report.schedule.requests_held_up >= 50);
    assert_eq!(report.total.due, 2000);
}

/// Scenario: all signals over each transport, encoding and compression, with two threads. Guarantees: the
/// report acknowledges exactly what the receiver has decoded, by signal; without compression no span's id comes
/// twice.
#[test]
fn counts_are_what_the_receiver_decoded() {
    use Compression::{Gzip, Identity, Zstd};
    for (protocol, encoding, compression) in [
        (Protocol::Grpc, Encoding::Protobuf, Identity),
        (Protocol::Grpc, Encoding::Protobuf, Gzip),
        (Protocol::Grpc, Encoding::Protobuf, Zstd),
        (Protocol::Http, Encoding::Protobuf, Identity),
        (Protocol::Http, Encoding::Protobuf, Gzip),
        (Protocol::Http, Encoding::Json, Identity),
        (Protocol::Http, Encoding::Json, Zstd),
    ] {
        let receiver = Receiver::start(protocol == Protocol::Grpc, |_| Reaction::Store);
        let options = Options {
            encoding,
            compression,
            signals: "traces=6,logs=3,metrics=1".parse().unwrap(),
            rate: Rate::Max,
            duration: Duration::from_millis(300),
            items_per_request: 50,
            connections: 3,
            threads: 2,
            in_flight: None,
            ..hundred(&receiver, protocol)
        };
        let report = ran(&options);
        assert_eq!(report.mode, "closed loop");
        assert!(report.is_success(), "{}", report.summary());
        for (signal, counts) in &report.signals {
            assert!(counts.acknowledged > 0, "{signal}");
            assert_eq!(counts.acknowledged, receiver.stored(signal), "{signal}");
        }
        let received = receiver.received();
        let ids = received.iter().flat_map(|request| &request.ids);
        let (all, different) = (ids.clone().count(), ids.collect::<HashSet<_>>().len());
        if compression == Identity {
            assert_eq!(all, different);
            assert_eq!(report.ids_and_times, "new for each send");
        } else {
            assert!(different <= all);
            assert_eq!(report.ids_and_times, "repeated");
        }
    }
}

/// Scenario: a receiver that fails in every way in turn, over gRPC, to a sender that does not retry.
/// Guarantees: each failure is counted under its name with its items, only broken connections leave the
/// outcome unknown, and the connection is made anew.
#[test]
fn grpc_failures_have_names() {
    let receiver = Receiver::start(true, |number| match number % 10 {
        0 => Reaction::Refuse(14, Some(5)),
        1 => Reaction::Refuse(3, None),
        2 => Reaction::Refuse(8, None),
        3 => Reaction::Partial(4),
        4 if number == 4 => Reaction::Close,
        _ => Reaction::Store,
    });
    let mut options = hundred(&receiver, Protocol::Grpc);
    // One after the other, so that no other request is on the connection that breaks.
    options.in_flight = Some(1);
    options.rate = Rate::Max;
    let stop = Stop::default();
    let report = run(&options, &stop, |_| {}).unwrap();
    let received = receiver.received();
    let tries = |reaction: &Reaction| {
        received
            .iter()
            .filter(|received| received.reaction == *reaction)
            .count() as u64
    };
    for (name, reaction, items) in [
        ("grpc UNAVAILABLE", Reaction::Refuse(14, Some(5)), 10),
        ("grpc INVALID_ARGUMENT", Reaction::Refuse(3, None), 10),
        ("grpc RESOURCE_EXHAUSTED", Reaction::Refuse(8, None), 10),
        ("partial success", Reaction::Partial(4), 4),
        ("connection broken", Reaction::Close, 10),
    ] {
        let failures = &report.failures[name];
        let expected = tries(&reaction);
        assert!(expected > 0);
        assert_eq!(
            (failures.tries, failures.requests),
            (expected, expected),
            "{name}"
        );
        assert_eq!(failures.items, expected * items, "{name}");
    }
    assert_eq!(report.failures["grpc UNAVAILABLE"].example, "not now");
    assert_eq!(report.failures["partial success"].example, "too old");
    assert_eq!(report.failures.len(), 5, "{:?}", report.failures);
    assert_eq!(report.total.acknowledged, receiver.stored("traces"));
    assert_eq!(report.total.unknown, 10);
    assert!(!report.is_success());
}

/// Scenario: the same over HTTP. Guarantees: the same, by HTTP's statuses.
#[test]
fn http_failures_have_names() {
    let receiver = Receiver::start(false, |number| match number % 10 {
        0 => Reaction::Refuse(503, Some(1)),
        1 => Reaction::Refuse(400, None),
        2 => Reaction::Refuse(429, None),
        3 => Reaction::Partial(4),
        4 => Reaction::Close,
        _ => Reaction::Store,
    });
    let options = hundred(&receiver, Protocol::Http);
    let report = ran(&options);
    for (name, items) in [
        ("http 503", 100),
        ("http 400", 100),
        ("http 429", 100),
        ("partial success", 40),
        ("connection broken", 100),
    ] {
        let failures = &report.failures[name];
        assert_eq!((failures.tries, failures.requests), (10, 10), "{name}");
        assert_eq!(failures.items, items, "{name}");
    }
    assert_eq!(report.failures.len(), 5, "{:?}", report.failures);
    assert_eq!(report.total.acknowledged, receiver.stored("traces"));
    assert_eq!(report.total.acknowledged, 560);
    assert_eq!(report.total.unknown, 100);
}

/// Scenario: each request is refused at first in a way that may be tried again, over both transports, and the
/// sender retries. Guarantees: all is acknowledged, each item once; the retry has the same bytes; the first
/// tries keep to the schedule.
#[test]
fn retries_are_acknowledged_once() {
    for (protocol, reaction, name) in [
        (
            Protocol::Grpc,
            Reaction::Refuse(14, Some(1)),
            "grpc UNAVAILABLE",
        ),
        (
            Protocol::Grpc,
            Reaction::Refuse(8, Some(1)),
            "grpc RESOURCE_EXHAUSTED",
        ),
        (Protocol::Http, Reaction::Refuse(503, Some(0)), "http 503"),
    ] {
        // The first hundred that come are refused: some of them may be retries of earlier ones.
        let refused = reaction.clone();
        let receiver = Receiver::start(protocol == Protocol::Grpc, move |number| match number {
            ..100 => refused.clone(),
            _ => Reaction::Store,
        });
        let mut options = hundred(&receiver, protocol);
        options.retry = true;
        let report = ran(&options);
        assert!(report.is_success(), "{}", report.summary());
        assert_eq!(
            (
                report.total.requests_sent,
                report.total.requests_acknowledged
            ),
            (100, 100)
        );
        assert_eq!(
            (report.total.acknowledged, receiver.stored("traces")),
            (1000, 1000)
        );
        assert_eq!(report.total.acknowledged_again, 0);
        let failures = &report.failures[name];
        assert_eq!(
            (failures.tries, failures.requests, failures.items),
            (100, 0, 0)
        );
        let received = receiver.received();
        assert_eq!(received.len(), 200);
        assert_eq!(due_times(&report, &received), hundred_due_times());
        let stored = received
            .iter()
            .filter(|received| received.reaction == Reaction::Store);
        let ids: HashSet<_> = stored.flat_map(|received| &received.ids).collect();
        assert_eq!(ids.len(), 1000);
    }
}

/// Scenario: the sender retries, and the receiver refuses for good, or ends connections. Guarantees: what OTLP
/// says must not be tried again is tried once; what broke on the way is tried again and counted as possibly
/// stored twice.
#[test]
fn only_what_may_is_retried() {
    let receiver = Receiver::start(true, |number| match number % 2 {
        0 => Reaction::Refuse(3, None),
        _ => Reaction::Refuse(8, None),
    });
    let mut options = hundred(&receiver, Protocol::Grpc);
    options.retry = true;
    let report = ran(&options);
    assert_eq!(receiver.received().len(), 100);
    assert_eq!((report.total.failed, report.total.acknowledged), (1000, 0));
    assert!(!report.is_success());

    let receiver = Receiver::start(false, |number| match number {
        0 => Reaction::Close,
        _ => Reaction::Store,
    });
    let mut options = hundred(&receiver, Protocol::Http);
    options.retry = true;
    let report = ran(&options);
    assert_eq!(
        (report.total.acknowledged, report.total.acknowledged_again),
        (1000, 10)
    );
    assert_eq!(receiver.received().len(), 101);
    assert!(report.is_success());
}

/// Scenario: an hour of load that is stopped after the first second. Guarantees: the run ends, nothing that
/// was not due counts as such, and what was sent is acknowledged.
#[test]
fn a_stop_ends_the_run() {
    let receiver = Receiver::start(true, |_| Reaction::Store);
    let mut options = hundred(&receiver, Protocol::Grpc);
    options.duration = Duration::from_secs(3600);
    let stop = Stop::default();
    let report = run(&options, &stop, |_| stop.stop()).unwrap();
    assert!(report.is_success(), "{}", report.summary());
    assert!(report.total.due < 1_000_000 && report.sending_seconds < 3600.0);
    assert_eq!(report.total.acknowledged, receiver.stored("traces"));
}

/// Scenario: nobody listens at the endpoint. Guarantees: an error that names it, before anything is sent.
#[test]
fn an_endpoint_that_refuses_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let options = Options {
        endpoint: Some(address.to_string()),
        ..Options::default()
    };
    let error = run(&options, &Stop::default(), |_| {}).unwrap_err();
    assert!(matches!(&error, Error::Connect { endpoint, .. } if *endpoint == address.to_string()));
    assert!(error.to_string().contains("refused"), "{error}");
}
