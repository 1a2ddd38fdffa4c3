//! One trace after the other: a tree that follows the plan of each operation, from the outside in.

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::attributes::{self, Request, item_id};
use super::exceptions::exception;
use super::names::{CLIENT_ERRORS, LANGUAGES, SERVER_ERRORS};
use super::random::{chance, log_normal, pick, span_id, stream, trace_id};
use super::scopes::{client_scope, named_scope, scope};
use super::topology::{Entry, Operation, Step, Topology};
use super::values::{int, text};
use super::{NANOS_A_SECOND, Pace};

/// Calls within calls; the plans have no circles, but long chains.
const DEPTH_MAX: usize = 4;
/// A trace of this many spans calls no further service.
const SPANS_MAX: usize = 60;

/// A span and who sends it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) instance: usize,
    pub(super) scope: InstrumentationScope,
    pub(super) span: Span,
}

/// Makes one trace after the other; the logs' generator has one of its own that gives the same.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    pub(super) topology: &'a Topology,
    random: Rng,
    /// When the next trace begins, in nanoseconds since 1970.
    now: u64,
    nanos_a_span: f64,
    spans: Vec<Made>,
    trace: Vec<u8>,
    trace_state: &'static str,
    user: usize,
    offset: i64,
}

/// What became of a call.
struct Outcome {
    end: u64,
    failed: bool,
}

impl<'a> Maker<'a> {
    pub(super) fn new(topology: &'a Topology, seed: u64, pace: Pace) -> Self {
        Maker {
            topology,
            random: stream(seed, "traces"),
            now: pace.start,
            nanos_a_span: NANOS_A_SECOND as f64 / pace.spans_per_second as f64,
            spans: Vec::new(),
            trace: Vec::new(),
            trace_state: "",
            user: 0,
            offset: 40_000_000,
        }
    }

    pub(super) fn next_trace(&mut self) -> Vec<Made> {
        let random = &mut self.random;
        self.trace = trace_id(random);
        self.trace_state = if chance(random, 0.05) { "ot=th:8" } else { "" };
        self.user = self.topology.users.draw(random);
        let root = self.topology.roots[self.topology.root_ranks.draw(random)];
        let request = self.request(root, None);
        self.server(root, &request, None, self.now, 0);
        let spans = std::mem::take(&mut self.spans);
        let mean = self.nanos_a_span * spans.len() as f64;
        // Traces begin at random, so the times between them are spread exponentially.
        self.now += (-(1.0 - self.random.f64()).ln() * mean) as u64;
        spans
    }

    /// Draws who answers a call, and with what status; `None` leaves the status to the operation.
    fn request(&mut self, operation: usize, status: Option<u16>) -> Request {
        let topology = self.topology;
        let operation = &topology.operations[operation];
        let random = &mut self.random;
        let status = status.unwrap_or_else(|| {
            if chance(random, operation.error_rate) {
                SERVER_ERRORS[random.usize(..SERVER_ERRORS.len())].0
            } else if chance(random, 0.012) {
                CLIENT_ERRORS[random.usize(..CLIENT_ERRORS.len())].0
            } else {
                200
            }
        });
        let id = item_id(topology.items.draw(random)).to_string();
        let path = match &operation.entry {
            Entry::Http { route, .. } => match (route.find('{'), route.find('}')) {
                (Some(from), Some(to)) => format!("{}{id}{}", &route[..from], &route[to + 1..]),
                _ => route.clone(),
            },
            Entry::Rpc { .. } | Entry::Consume { .. } => String::new(),
        };
        Request {
            path,
            status,
            server: random.usize(topology.services[operation.service].instances.clone()),
            user: self.user,
        }
    }

    /// The span of an operation's own side, with everything that it does.
    fn server(
        &mut self,
        index: usize,
        request: &Request,
        caller: Option<(usize, Vec<u8>)>,
        start: u64,
        depth: usize,
    ) -> Outcome {
        let topology = self.topology;
        let operation = &topology.operations[index];
        let own = log_normal(&mut self.random, operation.median, operation.sigma);
        let id = span_id(&mut self.random);
        // Its place comes before its children's; what it is stands only when they have ended.
        let place = self.spans.len();
        let (instance, parent) = caller.unzip();
        self.push(
            request.server,
            SpanKind::Server,
            &id,
            parent.clone().unwrap_or_default(),
            start,
        );
        let part = (own / (operation.steps.len() + 1) as f64) as u64;
        let mut now = start + part;
        let mut failed = request.status >= 500;
        for step in &operation.steps {
            if failed {
                break;
            }
            let outcome = self.step(operation, request.server, step, &id, now, depth);
            now = outcome.end + part;
            // Half of what fails within is caught.
            failed = outcome.failed && chance(&mut self.random, 0.4);
        }
        let consumes = matches!(operation.entry, Entry::Consume { .. });
        let mut attributes = match &operation.entry {
            Entry::Consume { topic } => {
                let service = &topology.services[operation.service];
                attributes::message(&mut self.random, service, topic, "process", self.offset)
            }
            Entry::Http { .. } | Entry::Rpc { .. } => {
                let status = if failed {
                    request.status.max(500)
                } else {
                    request.status
                };
                let seen = Request {
                    path: request.path.clone(),
                    status,
                    ..*request
                };
                attributes::server(&mut self.random, topology, operation, &seen, instance)
            }
        };
        if failed {
            self.fail(
                place,
                operation.service,
                &mut attributes,
                request.status.max(500),
            );
        }
        self.note(place, operation, start, now);
        let made = &mut self.spans[place];
        made.span.name.clone_from(&operation.name);
        made.span.end_time_unix_nano = now;
        made.span.attributes = attributes;
        made.scope = scope(
            topology.services[operation.service].language,
            &operation.entry,
        );
        if consumes {
            made.span.kind = SpanKind::Consumer as i32;
            made.span.links = vec![Link {
                trace_id: self.trace.clone(),
                span_id: parent.unwrap_or_default(),
                flags: 0x301,
                ..Link::default()
            }];
        }
        Outcome { end: now, failed }
    }

    /// One thing that an operation does.
    fn step(
        &mut self,
        operation: &Operation,
        instance: usize,
        step: &Step,
        parent: &[u8],
        start: u64,
        depth: usize,
    ) -> Outcome {
        let topology = self.topology;
        let service = &topology.services[operation.service];
        match step {
            Step::Call {
                operation: callee,
                share,
            } => {
                let skipped = depth >= DEPTH_MAX
                    || self.spans.len() >= SPANS_MAX
                    || !chance(&mut self.random, *share);
                if skipped {
                    return Outcome {
                        end: start,
                        failed: false,
                    };
                }
                self.call(operation, instance, *callee, parent, start, depth)
            }
            Step::Publish { operation: callee } => {
                self.publish(operation, instance, *callee, parent, start, depth)
            }
            Step::Query(query) => {
                let item = topology.items.draw(&mut self.random);
                let attributes = attributes::query(&mut self.random, service, query, item);
                let name = format!("{} {}", query.verb, query.table);
                self.leaf(
                    instance,
                    SpanKind::Client,
                    name,
                    attributes,
                    1_400_000.0,
                    "jdbc",
                    parent,
                    start,
                )
            }
            Step::Cache { command, key } => {
                let item = topology.items.draw(&mut self.random);
                let attributes = attributes::cache(&mut self.random, service, command, key, item);
                self.leaf(
                    instance,
                    SpanKind::Client,
                    (*command).into(),
                    attributes,
                    350_000.0,
                    "redis",
                    parent,
                    start,
                )
            }
            Step::Work { function } => {
                let attributes =
                    attributes::work(&mut self.random, service, function, &topology.items);
                self.leaf(
                    instance,
                    SpanKind::Internal,
                    function.clone(),
                    attributes,
                    700_000.0,
                    "app",
                    parent,
                    start,
                )
            }
        }
    }

    /// A client's span around another service's.
    fn call(
        &mut self,
        operation: &Operation,
        instance: usize,
        callee: usize,
        parent: &[u8],
        start: u64,
        depth: usize,
    ) -> Outcome {
        let topology = self.topology;
        let other = &topology.operations[callee];
        let mut request = self.request(callee, None);
        let id = span_id(&mut self.random);
        let place = self.spans.len();
        self.push(instance, SpanKind::Client, &id, parent.to_vec(), start);
        let network = log_normal(&mut self.random, 250_000.0, 0.5) as u64;
        let outcome = self.server(
            callee,
            &request,
            Some((instance, id)),
            start + network,
            depth + 1,
        );
        if outcome.failed {
            request.status = request.status.max(500);
        }
        let caller = &topology.services[operation.service];
        let mut attributes =
            attributes::client(&mut self.random, topology, caller, other, &request);
        // To a client any status from 400 on is an error.
        let failed = request.status >= 400;
        if failed {
            self.fail(place, operation.service, &mut attributes, request.status);
        }
        let made = &mut self.spans[place];
        made.span.name = match &other.entry {
            Entry::Http { method, .. } => (*method).into(),
            Entry::Rpc { method } | Entry::Consume { topic: method } => method.clone(),
        };
        made.span.end_time_unix_nano = outcome.end + network;
        made.span.attributes = attributes;
        made.scope = client_scope(caller.language, &other.entry);
        Outcome {
            end: outcome.end + network,
            failed: outcome.failed,
        }
    }

    /// A producer's span; the consumer works later, and its time is not waited for.
    fn publish(
        &mut self,
        operation: &Operation,
        instance: usize,
        callee: usize,
        parent: &[u8],
        start: u64,
        depth: usize,
    ) -> Outcome {
        let topology = self.topology;
        let Entry::Consume { topic } = &topology.operations[callee].entry else {
            return Outcome {
                end: start,
                failed: false,
            };
        };
        let service = &topology.services[operation.service];
        self.offset += 1;
        let attributes = attributes::message(&mut self.random, service, topic, "send", self.offset);
        let sent = self.leaf(
            instance,
            SpanKind::Producer,
            format!("send {topic}"),
            attributes,
            900_000.0,
            "kafka",
            parent,
            start,
        );
        let producer = self
            .spans
            .last()
            .map(|made| made.span.span_id.clone())
            .unwrap_or_default();
        if depth < DEPTH_MAX && !sent.failed {
            let lag = log_normal(&mut self.random, 20_000_000.0, 1.0) as u64;
            let request = self.request(callee, None);
            self.server(
                callee,
                &request,
                Some((instance, producer)),
                sent.end + lag,
                depth + 1,
            );
        }
        sent
    }

    #[allow(clippy::too_many_arguments)]
    fn leaf(
        &mut self,
        instance: usize,
        kind: SpanKind,
        name: String,
        mut attributes: Vec<KeyValue>,
        median: f64,
        library: &str,
        parent: &[u8],
        start: u64,
    ) -> Outcome {
        let id = span_id(&mut self.random);
        let place = self.spans.len();
        let end = start + log_normal(&mut self.random, median, 0.9) as u64;
        let failed = chance(&mut self.random, 0.006);
        self.push(instance, kind, &id, parent.to_vec(), start);
        let service = self.topology.instances[instance].service;
        if failed {
            self.fail(place, service, &mut attributes, 500);
        }
        let language = LANGUAGES[self.topology.services[service].language].0;
        let made = &mut self.spans[place];
        made.span.name = name;
        made.span.end_time_unix_nano = end;
        made.span.attributes = attributes;
        made.scope = named_scope(language, library);
        Outcome { end, failed }
    }

    fn push(&mut self, instance: usize, kind: SpanKind, id: &[u8], parent: Vec<u8>, start: u64) {
        let is_remote = kind == SpanKind::Server && !parent.is_empty();
        self.spans.push(Made {
            instance,
            scope: InstrumentationScope::default(),
            span: Span {
                trace_id: self.trace.clone(),
                span_id: id.to_vec(),
                parent_span_id: parent,
                trace_state: self.trace_state.into(),
                kind: kind as i32,
                start_time_unix_nano: start,
                flags: if is_remote { 0x301 } else { 0x101 },
                ..Span::default()
            },
        });
    }

    /// Marks a span as failed; most also record the exception.
    fn fail(&mut self, place: usize, service: usize, attributes: &mut Vec<KeyValue>, status: u16) {
        let service = &self.topology.services[service];
        let thrown = exception(&mut self.random, service.language, service.noun);
        let is_answer = status < 500;
        let class = if is_answer {
            status.to_string()
        } else {
            thrown.class.into()
        };
        attributes.push(text("error.type", class));
        let span = &mut self.spans[place].span;
        let known = SERVER_ERRORS.iter().find(|known| known.0 == status);
        let message = match known {
            Some((_, reason)) if status > 500 => (*reason).into(),
            _ if is_answer => String::new(),
            _ => thrown.message.clone(),
        };
        span.status = Some(Status {
            code: StatusCode::Error as i32,
            message,
        });
        if !is_answer && chance(&mut self.random, 0.7) {
            span.events.push(Event {
                time_unix_nano: span.start_time_unix_nano + self.random.u64(50_000..900_000),
                name: "exception".into(),
                attributes: vec![
                    text("exception.type", thrown.class),
                    text("exception.message", thrown.message),
                    text("exception.stacktrace", thrown.stack),
                ],
                ..Event::default()
            });
        }
    }

    /// Some servers' spans say what happened on the way.
    fn note(&mut self, place: usize, operation: &Operation, start: u64, end: u64) {
        if !chance(&mut self.random, 0.03) {
            return;
        }
        let noun = self.topology.services[operation.service].noun;
        let name = pick(
            &mut self.random,
            &["cache.miss", "retry", "queue.wait", "lock.acquired"],
        );
        self.spans[place].span.events.push(Event {
            time_unix_nano: self.random.u64(start..=end),
            name: name.into(),
            attributes: vec![
                text(
                    "app.key",
                    format!(
                        "{noun}:{}",
                        item_id(self.topology.items.draw(&mut self.random))
                    ),
                ),
                int("app.attempt", self.random.i64(1..4)),
            ],
            ..Event::default()
        });
    }
}
