//! Spans that call no other service, and what happens on any span: failures and notes.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::attributes::{self, item_id};
use super::exceptions::exception;
use super::maker::{Caller, Made, Maker, Outcome};
use super::names::{LANGUAGES, SERVER_ERRORS};
use super::random::{chance, log_normal, pick, span_id};
use super::scopes::named_scope;
use super::topology::{Operation, Query};
use super::values::{int, text};

/// How long leaves take, in nanoseconds: the median.
const QUERY: f64 = 1_400_000.0;
const CACHE: f64 = 350_000.0;
const WORK: f64 = 700_000.0;
const SEND: f64 = 900_000.0;

/// What tells one kind of leaf from another.
struct Leaf {
    kind: SpanKind,
    median: f64,
    library: &'static str,
    name: String,
    attributes: Vec<KeyValue>,
}

impl Maker<'_> {
    /// A statement sent to a database.
    pub(super) fn query(&mut self, query: &Query, caller: Caller<'_>) -> Outcome {
        let service = self.service(caller);
        let item = self.topology.items.draw(&mut self.random);
        let leaf = Leaf {
            kind: SpanKind::Client,
            median: QUERY,
            library: "jdbc",
            name: format!("{} {}", query.verb, query.table),
            attributes: attributes::query(&mut self.random, service, query, item),
        };
        self.leaf(leaf, caller)
    }

    /// A command sent to Redis.
    pub(super) fn cache(&mut self, command: &str, key: &str, caller: Caller<'_>) -> Outcome {
        let service = self.service(caller);
        let item = self.topology.items.draw(&mut self.random);
        let leaf = Leaf {
            kind: SpanKind::Client,
            median: CACHE,
            library: "redis",
            name: command.into(),
            attributes: attributes::cache(&mut self.random, service, command, key, item),
        };
        self.leaf(leaf, caller)
    }

    /// A function of the service's own.
    pub(super) fn work(&mut self, function: &str, caller: Caller<'_>) -> Outcome {
        let service = self.service(caller);
        let items = &self.topology.items;
        let leaf = Leaf {
            kind: SpanKind::Internal,
            median: WORK,
            library: "app",
            name: function.into(),
            attributes: attributes::work(&mut self.random, service, function, items),
        };
        self.leaf(leaf, caller)
    }

    /// A message handed to Kafka.
    pub(super) fn send(&mut self, topic: &str, offset: i64, caller: Caller<'_>) -> Outcome {
        let service = self.service(caller);
        let leaf = Leaf {
            kind: SpanKind::Producer,
            median: SEND,
            library: "kafka",
            name: format!("send {topic}"),
            attributes: attributes::message(&mut self.random, service, topic, "send", offset),
        };
        self.leaf(leaf, caller)
    }

    fn leaf(&mut self, mut leaf: Leaf, caller: Caller<'_>) -> Outcome {
        let id = span_id(&mut self.random);
        let place = self.spans.len();
        let end = caller.start + log_normal(&mut self.random, leaf.median, 0.9) as u64;
        let failed = chance(&mut self.random, 0.006);
        let parent = caller.parent.to_vec();
        self.push(caller.instance, leaf.kind, &id, parent, caller.start);
        let service = self.topology.instances[caller.instance].service;
        if failed {
            self.fail(place, service, &mut leaf.attributes, 500);
        }
        let language = LANGUAGES[self.topology.services[service].language].0;
        let made = &mut self.spans[place];
        made.span.name = leaf.name;
        made.span.end_time_unix_nano = end;
        made.span.attributes = leaf.attributes;
        made.scope = named_scope(language, leaf.library);
        Outcome { end, failed }
    }

    pub(super) fn push(
        &mut self,
        instance: usize,
        kind: SpanKind,
        id: &[u8],
        parent: Vec<u8>,
        start: u64,
    ) {
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
    pub(super) fn fail(
        &mut self,
        place: usize,
        service: usize,
        attributes: &mut Vec<KeyValue>,
        status: u16,
    ) {
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
    pub(super) fn note(&mut self, place: usize, operation: &Operation, start: u64, end: u64) {
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
