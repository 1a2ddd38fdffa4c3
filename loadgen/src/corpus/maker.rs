//! One trace after the other: a tree that follows the plan of each operation, from the outside in.

use fastrand::Rng;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};

use super::attributes::{self, Request, item_id};
use super::names::{CLIENT_ERRORS, SERVER_ERRORS};
use super::random::{chance, log_normal, span_id, stream, trace_id};
use super::scopes::{client_scope, scope};
use super::topology::{Entry, Service, Step, Topology};
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
    pub(super) random: Rng,
    /// When the next trace begins, in nanoseconds since 1970.
    now: u64,
    nanos_a_span: f64,
    pub(super) spans: Vec<Made>,
    pub(super) trace: Vec<u8>,
    pub(super) trace_state: &'static str,
    user: usize,
    offset: i64,
}

/// Who does something: an instance, within a span, from a moment on, that many calls from the outside.
#[derive(Clone, Copy)]
pub(super) struct Caller<'p> {
    pub(super) instance: usize,
    pub(super) parent: &'p [u8],
    pub(super) start: u64,
    pub(super) depth: usize,
}

/// What became of a call.
pub(super) struct Outcome {
    pub(super) end: u64,
    pub(super) failed: bool,
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
            let caller = Caller {
                instance: request.server,
                parent: &id,
                start: now,
                depth,
            };
            let outcome = self.step(step, caller);
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
    fn step(&mut self, step: &Step, caller: Caller<'_>) -> Outcome {
        match step {
            Step::Call { operation, share } => {
                let is_far = caller.depth >= DEPTH_MAX || self.spans.len() >= SPANS_MAX;
                if is_far || !chance(&mut self.random, *share) {
                    return Outcome {
                        end: caller.start,
                        failed: false,
                    };
                }
                self.call(*operation, caller)
            }
            Step::Publish { operation } => self.publish(*operation, caller),
            Step::Query(query) => self.query(query, caller),
            Step::Cache { command, key } => self.cache(command, key, caller),
            Step::Work { function } => self.work(function, caller),
        }
    }

    pub(super) fn service(&self, caller: Caller<'_>) -> &'a Service {
        &self.topology.services[self.topology.instances[caller.instance].service]
    }

    /// A client's span around another service's.
    fn call(&mut self, callee: usize, caller: Caller<'_>) -> Outcome {
        let topology = self.topology;
        let other = &topology.operations[callee];
        let mut request = self.request(callee, None);
        let id = span_id(&mut self.random);
        let place = self.spans.len();
        let parent = caller.parent.to_vec();
        self.push(caller.instance, SpanKind::Client, &id, parent, caller.start);
        let network = log_normal(&mut self.random, 250_000.0, 0.5) as u64;
        let outcome = self.server(
            callee,
            &request,
            Some((caller.instance, id)),
            caller.start + network,
            caller.depth + 1,
        );
        if outcome.failed {
            request.status = request.status.max(500);
        }
        let service = self.service(caller);
        let mut attributes =
            attributes::client(&mut self.random, topology, service, other, &request);
        // To a client any status from 400 on is an error.
        let failed = request.status >= 400;
        if failed {
            let own = topology.instances[caller.instance].service;
            self.fail(place, own, &mut attributes, request.status);
        }
        let made = &mut self.spans[place];
        made.span.name = match &other.entry {
            Entry::Http { method, .. } => (*method).into(),
            Entry::Rpc { method } | Entry::Consume { topic: method } => method.clone(),
        };
        made.span.end_time_unix_nano = outcome.end + network;
        made.span.attributes = attributes;
        made.scope = client_scope(service.language, &other.entry);
        Outcome {
            end: outcome.end + network,
            failed: outcome.failed,
        }
    }

    /// A producer's span; the consumer works later, and its time is not waited for.
    fn publish(&mut self, callee: usize, caller: Caller<'_>) -> Outcome {
        let topology = self.topology;
        let Entry::Consume { topic } = &topology.operations[callee].entry else {
            return Outcome {
                end: caller.start,
                failed: false,
            };
        };
        self.offset += 1;
        let sent = self.send(topic, self.offset, caller);
        let last = self.spans.last().map(|made| made.span.span_id.clone());
        let producer = last.unwrap_or_default();
        if caller.depth < DEPTH_MAX && !sent.failed {
            let lag = log_normal(&mut self.random, 20_000_000.0, 1.0) as u64;
            let request = self.request(callee, None);
            self.server(
                callee,
                &request,
                Some((caller.instance, producer)),
                sent.end + lag,
                caller.depth + 1,
            );
        }
        sent
    }
}
