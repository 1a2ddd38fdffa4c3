//! Which series an instance has: about 45, by its language and by what its service does.

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::points::{Family, Kind, Series};
use super::random::log_normal;
use super::runtime::{process, runtime};
use super::topology::{Entry, Service, Step, Topology};
use super::values::{int, text};

/// Everything that one instance of a service measures.
pub(super) fn families(random: &mut Rng, topology: &Topology, service_index: usize) -> Vec<Family> {
    let service = &topology.services[service_index];
    let mut families = process(random);
    families.extend(runtime(random, service));
    families.extend(requests(random, topology, service_index));
    families.extend(database(random, service));
    families.extend(business(random, service));
    families
}

/// One series an operation and outcome.
fn requests(random: &mut Rng, topology: &Topology, service: usize) -> Vec<Family> {
    let own = || {
        topology
            .operations
            .iter()
            .filter(move |operation| operation.service == service)
    };
    let mut http = Vec::new();
    let mut rpc = Vec::new();
    let mut consumed = Vec::new();
    let mut sent = Vec::new();
    for operation in own() {
        match &operation.entry {
            Entry::Http { method, route } => http.extend([200, 404, 500].map(|status| {
                vec![
                    text("http.request.method", *method),
                    text("http.route", route.as_str()),
                    int("http.response.status_code", status),
                    text("url.scheme", "https"),
                    text("network.protocol.version", "1.1"),
                ]
            })),
            Entry::Rpc { method } => rpc.extend(["OK", "UNAVAILABLE"].map(|status| {
                vec![
                    text("rpc.system.name", "grpc"),
                    text("rpc.method", method.as_str()),
                    text("rpc.response.status_code", status),
                ]
            })),
            Entry::Consume { topic } => consumed.extend((0..12).map(|partition| {
                vec![
                    text("messaging.system", "kafka"),
                    text("messaging.destination.name", topic.as_str()),
                    text("messaging.destination.partition.id", partition.to_string()),
                ]
            })),
        }
        let publishes = operation
            .steps
            .iter()
            .any(|step| matches!(step, Step::Publish { .. }));
        if publishes {
            sent.push(vec![
                text("messaging.system", "kafka"),
                text("app.operation", operation.name.as_str()),
            ]);
        }
    }
    let active = ["GET", "POST"].map(|method| vec![text("http.request.method", method)]);
    let mut families = vec![family(
        "http.server.active_requests",
        "{request}",
        Kind::UpDown,
        random,
        6.0,
        active,
    )];
    families.push(family(
        "http.server.request.duration",
        "s",
        Kind::Histogram,
        random,
        4.0,
        http,
    ));
    families.push(family(
        "rpc.server.call.duration",
        "s",
        Kind::Exponential,
        random,
        12.0,
        rpc,
    ));
    families.push(family(
        "messaging.client.consumed.messages",
        "{message}",
        Kind::Counter,
        random,
        3.0,
        consumed,
    ));
    families.push(family(
        "messaging.client.sent.messages",
        "{message}",
        Kind::Counter,
        random,
        3.0,
        sent,
    ));
    families.retain(|family| !family.series.is_empty());
    families
}

fn database(random: &mut Rng, service: &Service) -> Vec<Family> {
    let operations = ["SELECT", "INSERT", "UPDATE"].map(|verb| {
        vec![
            text("db.system.name", service.database),
            text("db.operation.name", verb),
            text("db.collection.name", format!("{}s", service.noun)),
        ]
    });
    let states = ["idle", "used"].map(|state| {
        vec![
            text(
                "db.client.connection.pool.name",
                format!("{}-pool", service.noun),
            ),
            text("db.client.connection.state", state),
        ]
    });
    vec![
        family(
            "db.client.operation.duration",
            "s",
            Kind::Histogram,
            random,
            20.0,
            operations,
        ),
        family(
            "db.client.connection.count",
            "{connection}",
            Kind::UpDown,
            random,
            8.0,
            states,
        ),
    ]
}

fn business(random: &mut Rng, service: &Service) -> Vec<Family> {
    let mut outcomes = Vec::new();
    for channel in ["web", "app", "partner"] {
        for outcome in ["ok", "rejected"] {
            outcomes.push(vec![
                text("app.channel", channel),
                text("app.outcome", outcome),
            ]);
        }
    }
    let processed = format!("shop.{}.processed", service.noun);
    let value = format!("shop.{}.value", service.noun);
    vec![
        family(&processed, "{item}", Kind::Counter, random, 2.0, outcomes),
        family(&value, "EUR", Kind::FloatCounter, random, 40.0, [vec![]]),
        family(
            "shop.queue.depth",
            "{item}",
            Kind::IntGauge,
            random,
            12.0,
            [vec![text("queue", service.noun)]],
        ),
        family(
            "shop.cache.hit_ratio",
            "1",
            Kind::Gauge,
            random,
            0.8,
            [vec![text("cache", service.noun)]],
        ),
    ]
}

/// `level` is what a gauge hovers about, or how much a second a counter counts; each series differs.
pub(super) fn family(
    name: &str,
    unit: &'static str,
    kind: Kind,
    random: &mut Rng,
    level: f64,
    series: impl IntoIterator<Item = Vec<KeyValue>>,
) -> Family {
    let series = series.into_iter().map(|attributes| {
        let level = log_normal(random, level, 0.8);
        Series::new(attributes, level, log_normal(random, 0.03, 0.9))
    });
    Family {
        name: name.to_owned(),
        unit,
        kind,
        series: series.collect(),
    }
}
