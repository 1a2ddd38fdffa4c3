//! Span attributes of each kind of span, named by OpenTelemetry's semantic conventions (1.40).

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::names::{CLIENT_AGENTS, USER_AGENTS};
use super::random::{Zipf, chance, log_normal, pick};
use super::topology::{Entry, Operation, Query, Service, Topology};
use super::values::{int, text};

/// Facts of one request that its two ends share.
#[derive(Debug)]
pub(super) struct Request {
    /// The path with its ids.
    pub(super) path: String,
    pub(super) status: u16,
    /// Index of the answering instance.
    pub(super) server: usize,
    /// Rank of the user on whose behalf all this happens.
    pub(super) user: usize,
}

/// What came in over HTTP or gRPC.
pub(super) fn server(
    random: &mut Rng,
    topology: &Topology,
    operation: &Operation,
    request: &Request,
    caller: Option<usize>,
) -> Vec<KeyValue> {
    let service = &topology.services[operation.service];
    let client = caller.map_or_else(
        || user_address(request.user),
        |index| topology.instances[index].address.clone(),
    );
    let mut attributes = match &operation.entry {
        Entry::Http { method, route } => vec![
            text("http.request.method", *method),
            text("http.route", route.as_str()),
            int("http.response.status_code", i64::from(request.status)),
            text("url.path", request.path.as_str()),
            text("url.scheme", "https"),
            text("user_agent.original", agent(topology, request.user, caller)),
            text("client.address", client),
            text(
                "network.protocol.version",
                if caller.is_some() { "1.1" } else { "2" },
            ),
        ],
        Entry::Rpc { method } | Entry::Consume { topic: method } => vec![
            text("rpc.system.name", "grpc"),
            text("rpc.method", method.as_str()),
            text("rpc.response.status_code", rpc_status(request.status)),
            text("client.address", client),
            text("network.type", "ipv4"),
            text("network.transport", "tcp"),
        ],
    };
    attributes.push(text("server.address", host(service)));
    attributes.push(int("server.port", service.port));
    if caller.is_none() {
        attributes.push(text(
            "user.id",
            format!("u-{:07}", request.user * 37 + 1009),
        ));
        if chance(random, 0.3) {
            attributes.push(text(
                "url.query",
                format!(
                    "page={}&sort={}",
                    random.u8(1..9),
                    pick(random, &["price", "name", "newest"])
                ),
            ));
        }
    }
    thread(random, service, &mut attributes, "http-nio-8080-exec-");
    attributes
}

/// What was asked of another service.
pub(super) fn client(
    random: &mut Rng,
    topology: &Topology,
    caller: &Service,
    operation: &Operation,
    request: &Request,
) -> Vec<KeyValue> {
    let service = &topology.services[operation.service];
    let peer = &topology.instances[request.server].address;
    let mut attributes = match &operation.entry {
        Entry::Http { method, .. } => vec![
            text("http.request.method", *method),
            int("http.response.status_code", i64::from(request.status)),
            text(
                "url.full",
                format!("http://{}:{}{}", host(service), service.port, request.path),
            ),
            text("network.protocol.version", "1.1"),
        ],
        Entry::Rpc { method } | Entry::Consume { topic: method } => vec![
            text("rpc.system.name", "grpc"),
            text("rpc.method", method.as_str()),
            text("rpc.response.status_code", rpc_status(request.status)),
            text("network.type", "ipv4"),
        ],
    };
    attributes.push(text("server.address", host(service)));
    attributes.push(int("server.port", service.port));
    attributes.push(text("network.peer.address", peer.as_str()));
    attributes.push(int("network.peer.port", service.port));
    thread(random, caller, &mut attributes, "http-nio-8080-exec-");
    attributes
}

/// A statement sent to a database.
pub(super) fn query(
    random: &mut Rng,
    service: &Service,
    query: &Query,
    item: usize,
) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("db.system.name", service.database),
        text(
            "db.namespace",
            format!("{}_production", service.name.replace('-', "_")),
        ),
        text("db.operation.name", query.verb),
        text("db.collection.name", query.table.as_str()),
        text(
            "db.query.text",
            query.statement.replace("{}", &item_id(item).to_string()),
        ),
        text(
            "db.query.summary",
            format!("{} {}", query.verb, query.table),
        ),
        text(
            "server.address",
            format!("{}-db.{}.rds.internal", service.name, service.database),
        ),
        int("server.port", 5432),
    ];
    if query.verb == "SELECT" {
        attributes.push(int(
            "db.response.returned_rows",
            log_normal(random, 2.0, 1.3) as i64,
        ));
    }
    thread(random, service, &mut attributes, "http-nio-8080-exec-");
    attributes
}

/// A command sent to Redis.
pub(super) fn cache(
    random: &mut Rng,
    service: &Service,
    command: &str,
    key: &str,
    item: usize,
) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("db.system.name", "redis"),
        text("db.namespace", "0"),
        text("db.operation.name", command),
        text(
            "db.query.text",
            format!("{command} {key}:{}", item_id(item)),
        ),
        text("server.address", format!("{}-cache.internal", service.name)),
        int("server.port", 6379),
        text(
            "network.peer.address",
            format!("10.2.0.{}", random.u8(10..16)),
        ),
        int("network.peer.port", 6379),
    ];
    thread(random, service, &mut attributes, "lettuce-nioEventLoop-4-");
    attributes
}

/// A message put into Kafka (`send`) or taken from it (`process`).
pub(super) fn message(
    random: &mut Rng,
    service: &Service,
    topic: &str,
    kind: &str,
    offset: i64,
) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("messaging.system", "kafka"),
        text("messaging.destination.name", topic),
        text("messaging.operation.name", kind),
        text("messaging.operation.type", kind),
        text(
            "messaging.destination.partition.id",
            random.u8(0..12).to_string(),
        ),
        int("messaging.kafka.offset", offset),
        int(
            "messaging.message.body.size",
            log_normal(random, 700.0, 0.8) as i64,
        ),
        text("messaging.client.id", format!("{}-{kind}-1", service.name)),
        text("server.address", "kafka-bootstrap.kafka.svc"),
    ];
    if kind == "process" {
        attributes.push(text("messaging.consumer.group.name", service.name));
    }
    attributes
}

/// A function of the service's own.
pub(super) fn work(
    random: &mut Rng,
    service: &Service,
    function: &str,
    items: &Zipf,
) -> Vec<KeyValue> {
    let mut attributes = vec![
        text(
            "code.function.name",
            format!("com.shop.{}.{function}", service.noun),
        ),
        text("code.file.path", format!("{function}.java")),
        int("code.line.number", 30 + (function.len() as i64) * 11),
        int(
            &format!("app.{}.id", service.noun),
            item_id(items.draw(random)) as i64,
        ),
        int("app.items.count", log_normal(random, 4.0, 0.9) as i64),
        text(
            "app.tenant",
            format!("tenant-{:03}", random.u16(0..400).min(random.u16(0..400))),
        ),
        text(
            "app.feature.variant",
            pick(random, &["control", "treatment"]),
        ),
    ];
    thread(random, service, &mut attributes, "worker-");
    attributes
}

/// Only Java's instrumentation names threads.
fn thread(random: &mut Rng, service: &Service, attributes: &mut Vec<KeyValue>, prefix: &str) {
    if service.language == 0 {
        let number = random.u8(1..=40);
        attributes.push(int("thread.id", i64::from(number) + 30));
        attributes.push(text("thread.name", format!("{prefix}{number}")));
    }
}

pub(super) fn host(service: &Service) -> String {
    format!("{}.svc.cluster.local", service.name)
}

/// The id that users see of an item of this rank.
pub(super) fn item_id(rank: usize) -> u64 {
    100_000 + (rank as u64).wrapping_mul(7_919) % 9_000_000
}

fn user_address(user: usize) -> String {
    let scattered = (user as u32).wrapping_mul(2_654_435_761);
    let [a, b, c, d] = scattered.to_be_bytes();
    format!("{}.{b}.{c}.{d}", 11 + a % 200)
}

fn agent(topology: &Topology, user: usize, caller: Option<usize>) -> &'static str {
    match caller {
        Some(index) => CLIENT_AGENTS[topology.services[topology.instances[index].service].language],
        // A user keeps to one device; the list is sorted by how common they are.
        None => USER_AGENTS[(user % 97) * (user % 89) * USER_AGENTS.len() / (97 * 89)],
    }
}

fn rpc_status(status: u16) -> &'static str {
    match status {
        ..400 => "OK",
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        400..500 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}
