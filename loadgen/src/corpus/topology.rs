//! The company's services, the operations that they offer, and what each operation does when it is called.

use fastrand::Rng;

use super::names::{LANGUAGES, METHODS, NOUNS, ROUTES, SERVICES};
use super::random::{Zipf, chance, log_normal, pick, stream};
use super::resources::{Instance, instance};
use super::templates::{Template, templates};

/// The first services are called from outside.
const EDGE_SERVICES: usize = 5;
/// Instances of the busiest service.
const INSTANCES_MAX: usize = 8;
const USERS: usize = 50_000;
const ITEMS: usize = 200_000;

#[derive(Debug)]
pub(super) struct Topology {
    pub(super) services: Vec<Service>,
    pub(super) operations: Vec<Operation>,
    pub(super) instances: Vec<Instance>,
    /// Operations that begin traces, the busiest first.
    pub(super) roots: Vec<usize>,
    pub(super) root_ranks: Zipf,
    pub(super) users: Zipf,
    pub(super) items: Zipf,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) noun: &'static str,
    /// Index into [`LANGUAGES`].
    pub(super) language: usize,
    pub(super) version: String,
    pub(super) port: i64,
    pub(super) database: &'static str,
    /// Indexes of its instances in [`Topology::instances`].
    pub(super) instances: std::ops::Range<usize>,
    pub(super) templates: Vec<Template>,
}

/// What a service does when it is asked to.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) service: usize,
    pub(super) entry: Entry,
    /// The name of its server or consumer span.
    pub(super) name: String,
    /// Own work in nanoseconds, without what it waits for.
    pub(super) median: f64,
    pub(super) sigma: f64,
    pub(super) error_rate: f64,
    pub(super) steps: Vec<Step>,
}

/// How an operation is reached.
#[derive(Debug)]
pub(super) enum Entry {
    Http { method: &'static str, route: String },
    Rpc { method: String },
    Consume { topic: String },
}

/// One thing that an operation does; each is a client span or an inner one.
#[derive(Debug)]
pub(super) enum Step {
    Query(Query),
    Cache {
        command: &'static str,
        key: String,
    },
    /// An operation of another service, with the share of calls that need it.
    Call {
        operation: usize,
        share: f64,
    },
    Publish {
        operation: usize,
    },
    Work {
        function: String,
    },
}

#[derive(Debug)]
pub(super) struct Query {
    pub(super) verb: &'static str,
    pub(super) table: String,
    /// With `{}` where a literal stands that the instrumentation did not remove, else with `?`.
    pub(super) statement: String,
}

impl Topology {
    pub(super) fn new(random: &mut Rng) -> Self {
        let mut services: Vec<Service> = (0..SERVICES.len())
            .map(|index| service(random, index))
            .collect();
        let mut order: Vec<usize> = (0..SERVICES.len()).collect();
        random.shuffle(&mut order[EDGE_SERVICES..]);
        let mut instances = Vec::new();
        for (rank, index) in order.iter().enumerate() {
            let from = instances.len();
            let count = INSTANCES_MAX.div_ceil(rank / 4 + 1);
            instances.extend((0..count).map(|_| instance(random, *index, &services[*index])));
            services[*index].instances = from..instances.len();
        }
        let mut operations = Vec::new();
        for index in 0..SERVICES.len() {
            add_operations(random, &mut operations, index);
        }
        let plans: Vec<Vec<Step>> = (0..operations.len())
            .map(|index| steps(random, &operations, index, &order))
            .collect();
        for (operation, plan) in operations.iter_mut().zip(plans) {
            operation.steps = plan;
        }
        // Some callers are not instrumented, so most services begin traces now and then; those of the
        // edge begin most.
        let is_root = |index: &usize| !matches!(operations[*index].entry, Entry::Consume { .. });
        let mut roots: Vec<usize> = (0..operations.len()).filter(is_root).collect();
        let edge = roots.partition_point(|root| operations[*root].service < EDGE_SERVICES);
        let (edge, inner) = roots.split_at_mut(edge);
        random.shuffle(edge);
        random.shuffle(inner);
        Topology {
            root_ranks: Zipf::new(roots.len(), 1.1),
            users: Zipf::new(USERS, 0.8),
            items: Zipf::new(ITEMS, 0.9),
            services,
            operations,
            instances,
            roots,
        }
    }
}

fn service(random: &mut Rng, index: usize) -> Service {
    // Java and Go are the most common.
    let language = [0, 1, 0, 2, 1, 3, 0, 4][random.usize(..8)];
    let name = SERVICES[index];
    Service {
        name,
        noun: NOUNS[index],
        language: language.min(LANGUAGES.len() - 1),
        version: format!(
            "{}.{}.{}",
            random.u8(1..9),
            random.u8(0..60),
            random.u8(0..12)
        ),
        port: [8080, 8443, 3000, 9090][index % 4],
        database: pick(random, &["postgresql", "postgresql", "mysql", "mongodb"]),
        instances: 0..0,
        templates: templates(&mut stream(random.u64(..), name), NOUNS[index]),
    }
}

fn add_operations(random: &mut Rng, operations: &mut Vec<Operation>, service: usize) {
    let noun = NOUNS[service];
    let mut add = |random: &mut Rng, entry: Entry, name: String| {
        let is_fragile = chance(random, 0.1);
        operations.push(Operation {
            service,
            entry,
            name,
            median: log_normal(random, 900_000.0, 1.2),
            sigma: 0.4 + 0.5 * random.f64(),
            error_rate: if is_fragile { 0.05 } else { 0.004 },
            steps: Vec::new(),
        });
    };
    let speaks_http = service < EDGE_SERVICES || chance(random, 0.6);
    if speaks_http {
        for (method, rest) in ROUTES.iter().take(random.usize(4..=ROUTES.len())) {
            let route = format!(
                "/api/v2/{noun}s{}",
                rest.replace("id", &format!("{noun}_id"))
            );
            let name = format!("{method} {route}");
            add(random, Entry::Http { method, route }, name);
        }
    } else {
        let package = SERVICES[service].replace('-', "");
        let title = title(noun);
        for verb in METHODS.iter().take(random.usize(3..=METHODS.len())) {
            let method = format!("shop.{package}.v1.{title}Service/{verb}{title}");
            add(
                random,
                Entry::Rpc {
                    method: method.clone(),
                },
                method,
            );
        }
    }
    if service >= EDGE_SERVICES && chance(random, 0.4) {
        let topic = format!(
            "{noun}s.{}",
            pick(random, &["created", "changed", "requested"])
        );
        let name = format!("process {topic}");
        add(random, Entry::Consume { topic }, name);
    }
}

fn title(noun: &str) -> String {
    let mut letters = noun.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// What `operations[index]` does. `order` ranks services by how often they are called.
fn steps(random: &mut Rng, operations: &[Operation], index: usize, order: &[usize]) -> Vec<Step> {
    let service = operations[index].service;
    let noun = NOUNS[service];
    let mut steps = Vec::new();
    let mut calls = 0;
    for _ in 0..random.usize(1..=4) {
        let callee = callee(random, operations, service, order);
        let step = match (random.u8(0..100), callee) {
            // What the edge does is ask others.
            (0..60, Some(operation)) if calls < 2 || service < EDGE_SERVICES => {
                calls += 1;
                let share = 0.4 + 0.55 * random.f64();
                match operations[operation].entry {
                    Entry::Consume { .. } => Step::Publish { operation },
                    Entry::Http { .. } | Entry::Rpc { .. } => Step::Call { operation, share },
                }
            }
            (0..78, _) => Step::Query(query(random, noun)),
            (78..93, _) => {
                let command = pick(random, &["GET", "HGETALL", "SET", "MGET"]);
                Step::Cache {
                    command,
                    key: noun.into(),
                }
            }
            _ => Step::Work {
                function: format!(
                    "{}Service.{}",
                    title(noun),
                    pick(random, &["validate", "render", "enrich", "score"])
                ),
            },
        };
        steps.push(step);
    }
    steps
}

fn callee(
    random: &mut Rng,
    operations: &[Operation],
    service: usize,
    order: &[usize],
) -> Option<usize> {
    let behind: Vec<usize> = order
        .iter()
        .copied()
        .filter(|other| *other > service)
        .collect();
    if behind.is_empty() {
        return None;
    }
    let chosen = behind[Zipf::new(behind.len(), 0.9).draw(random)];
    let own = operations
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.service == chosen);
    let own: Vec<usize> = own.map(|(index, _)| index).collect();
    Some(own[Zipf::new(own.len(), 0.7).draw(random)])
}

fn query(random: &mut Rng, noun: &str) -> Query {
    let columns: Vec<&str> = super::names::COLUMNS
        .iter()
        .take(random.usize(3..=10))
        .copied()
        .collect();
    let list = columns.join(", ");
    // One in four instrumentations leaves literals where they are.
    let place = if chance(random, 0.25) { "{}" } else { "?" };
    let table = format!("{noun}s");
    let (verb, statement) = match random.u8(0..10) {
        0..6 => (
            "SELECT",
            format!("SELECT {list} FROM {table} WHERE tenant_id = ? AND id = {place}"),
        ),
        6 => (
            "SELECT",
            format!(
                "SELECT {list} FROM {table} WHERE user_id = {place} ORDER BY created_at DESC LIMIT 50"
            ),
        ),
        7 => (
            "INSERT",
            format!(
                "INSERT INTO {table} ({list}) VALUES ({}) RETURNING id",
                vec!["?"; columns.len()].join(", ")
            ),
        ),
        8 => (
            "UPDATE",
            format!("UPDATE {table} SET status = ?, updated_at = now() WHERE id = {place}"),
        ),
        _ => (
            "DELETE",
            format!("DELETE FROM {table} WHERE id = {place} AND status = ?"),
        ),
    };
    Query {
        verb,
        table,
        statement,
    }
}
