//! Log records: what the operations of the traces write on their way, and what processes write besides.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use fastrand::Rng;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::Pace;
use super::attributes::item_id;
use super::exceptions::exception;
use super::maker::{Made, Maker};
use super::names::USER_AGENTS;
use super::random::{Zipf, chance, log_normal, pick, stream, uuid};
use super::templates::Template;
use super::topology::{Service, Topology};
use super::traces::SCHEMA_URL;
use super::values::{int, text};

/// Shares of the severities among records of spans that did not fail; the rest is INFO.
const DEBUG_SHARE: f64 = 0.15;
const WARN_SHARE: f64 = 0.07;
const ERROR_SHARE: f64 = 0.01;
/// Records outside any trace, for each span.
const UNTRACED_A_SPAN: f64 = 0.17;

/// Log records in about the order in which they are written.
#[derive(Debug)]
pub struct Logs<'a> {
    maker: Maker<'a>,
    writer: Writer<'a>,
    pending: VecDeque<Written>,
}

#[derive(Debug)]
struct Written {
    instance: usize,
    /// Service and template, or no template: the logger's place.
    logger: (usize, usize),
    record: LogRecord,
}

impl<'a> Logs<'a> {
    pub(super) fn new(topology: &'a Topology, seed: u64, pace: Pace) -> Self {
        Logs {
            maker: Maker::new(topology, seed, pace),
            writer: Writer {
                topology,
                random: stream(seed, "logs"),
                ranks: Zipf::new(6, 1.0),
            },
            pending: VecDeque::new(),
        }
    }

    /// The next `records` records, grouped by resource and logger as a Collector sends them.
    pub fn request(&mut self, records: usize) -> ExportLogsServiceRequest {
        while self.pending.len() < records {
            for made in self.maker.next_trace() {
                self.writer.write(&made, &mut self.pending);
            }
        }
        let topology = self.writer.topology;
        let mut resource_logs: Vec<ResourceLogs> = Vec::new();
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut scopes: HashMap<(usize, usize, usize), usize> = HashMap::new();
        for written in self.pending.drain(..records) {
            let place = *places.entry(written.instance).or_insert_with(|| {
                resource_logs.push(ResourceLogs {
                    resource: Some(topology.instances[written.instance].resource.clone()),
                    schema_url: SCHEMA_URL.into(),
                    ..ResourceLogs::default()
                });
                resource_logs.len() - 1
            });
            let (service, template) = written.logger;
            let scope_logs = &mut resource_logs[place].scope_logs;
            let scope = *scopes
                .entry((written.instance, service, template))
                .or_insert_with(|| {
                    scope_logs.push(ScopeLogs {
                        scope: Some(InstrumentationScope {
                            name: topology.services[service].templates[template]
                                .logger
                                .clone(),
                            ..InstrumentationScope::default()
                        }),
                        ..ScopeLogs::default()
                    });
                    scope_logs.len() - 1
                });
            scope_logs[scope].log_records.push(written.record);
        }
        ExportLogsServiceRequest { resource_logs }
    }
}

/// Writes the records.
#[derive(Debug)]
struct Writer<'a> {
    topology: &'a Topology,
    random: Rng,
    /// Among templates of one severity.
    ranks: Zipf,
}

impl Writer<'_> {
    /// What a span's operation writes: about 0.8 records, more if it failed; and 0.2 outside of any trace.
    fn write(&mut self, made: &Made, into: &mut VecDeque<Written>) {
        let span = &made.span;
        let failed = span.status.is_some();
        let is_server = span.kind == 2 || span.kind == 5;
        let mean: f64 = if is_server || failed { 1.6 } else { 0.45 };
        let count = mean as usize + usize::from(chance(&mut self.random, mean.fract()));
        for index in 0..count {
            let severity = if failed && index == 0 {
                SeverityNumber::Error
            } else {
                self.severity()
            };
            let until = span.end_time_unix_nano.max(span.start_time_unix_nano + 1);
            let time = self.random.u64(span.start_time_unix_nano..until);
            into.push_back(self.record(made.instance, severity, time, Some(span)));
        }
        if chance(&mut self.random, UNTRACED_A_SPAN) {
            let instance = self.random.usize(..self.topology.instances.len());
            let severity = self.severity();
            into.push_back(self.record(instance, severity, span.start_time_unix_nano, None));
        }
    }

    fn severity(&mut self) -> SeverityNumber {
        let drawn = self.random.f64();
        if drawn < ERROR_SHARE {
            SeverityNumber::Error
        } else if drawn < ERROR_SHARE + WARN_SHARE {
            SeverityNumber::Warn
        } else if drawn < ERROR_SHARE + WARN_SHARE + DEBUG_SHARE {
            SeverityNumber::Debug
        } else {
            SeverityNumber::Info
        }
    }

    fn record(
        &mut self,
        instance: usize,
        severity: SeverityNumber,
        time: u64,
        span: Option<&Span>,
    ) -> Written {
        let topology = self.topology;
        let service_index = topology.instances[instance].service;
        let service = &topology.services[service_index];
        let same = |template: &Template| template.severity == severity;
        let first = service.templates.iter().position(same).unwrap_or_default();
        let count = service
            .templates
            .iter()
            .filter(|template| same(template))
            .count();
        let template_index = first + self.ranks.draw(&mut self.random) % count;
        let template = &service.templates[template_index];
        let mut attributes = self.attributes(service, severity);
        let body = if chance(&mut self.random, 0.02) {
            self.structured(service, template)
        } else {
            Value::StringValue(self.fill(&template.body))
        };
        if severity == SeverityNumber::Error && chance(&mut self.random, 0.6) {
            let thrown = exception(&mut self.random, service.language, service.noun);
            attributes.push(text("exception.type", thrown.class));
            attributes.push(text("exception.message", thrown.message));
            attributes.push(text("exception.stacktrace", thrown.stack));
        }
        let (trace_id, span_id) = span.map_or_else(Default::default, |span| {
            (span.trace_id.clone(), span.span_id.clone())
        });
        Written {
            instance,
            logger: (service_index, template_index),
            record: LogRecord {
                time_unix_nano: time,
                observed_time_unix_nano: time + self.random.u64(20_000..2_000_000),
                severity_number: severity as i32,
                severity_text: severity_text(severity).into(),
                body: Some(AnyValue { value: Some(body) }),
                attributes,
                flags: u32::from(span.is_some()),
                trace_id,
                span_id,
                ..LogRecord::default()
            },
        }
    }

    /// 3 to 6, by language.
    fn attributes(&mut self, service: &Service, severity: SeverityNumber) -> Vec<KeyValue> {
        let random = &mut self.random;
        let stream = if severity == SeverityNumber::Error {
            "stderr"
        } else {
            "stdout"
        };
        let mut attributes = vec![
            text("log.iostream", stream),
            text(
                "log.file.path",
                format!("/var/log/pods/{}/0.log", service.name),
            ),
            text(
                "code.function.name",
                format!(
                    "{}::{}",
                    service.noun,
                    pick(random, &["handle", "load", "store", "publish"])
                ),
            ),
        ];
        if service.language == 0 {
            let number = random.u8(1..=40);
            attributes.push(int("thread.id", i64::from(number) + 30));
            attributes.push(text("thread.name", format!("http-nio-8080-exec-{number}")));
        }
        if chance(random, 0.35) {
            attributes.push(text(
                "user.id",
                format!("u-{:07}", self.topology.users.draw(random) * 37 + 1009),
            ));
        }
        attributes
    }

    /// A body that is a map.
    fn structured(&mut self, service: &Service, template: &Template) -> Value {
        let message = self.fill(&template.body);
        let item = item_id(self.topology.items.draw(&mut self.random)) as i64;
        let values = vec![
            text("message", message),
            int(&format!("{}_id", service.noun), item),
            text("request_id", uuid(&mut self.random)),
        ];
        Value::KvlistValue(KeyValueList { values })
    }

    /// Puts values where the template has names in braces. Braces of JSON are none: a quote follows them.
    fn fill(&mut self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len() * 2);
        let mut rest = template;
        while let Some(from) = rest.find('{') {
            filled.push_str(&rest[..from]);
            rest = &rest[from + 1..];
            match rest.find('}') {
                Some(to) if !rest.starts_with('"') => {
                    self.place(&rest[..to], &mut filled);
                    rest = &rest[to + 1..];
                }
                _ => filled.push('{'),
            }
        }
        filled.push_str(rest);
        filled
    }

    fn place(&mut self, name: &str, into: &mut String) {
        let topology = self.topology;
        let random = &mut self.random;
        let written = match name {
            "id" => write!(into, "{}", item_id(topology.items.draw(random))),
            "user" => write!(into, "u-{:07}", topology.users.draw(random) * 37 + 1009),
            "path" => {
                let noun = topology.services[random.usize(..12)].noun;
                write!(
                    into,
                    "/api/v2/{noun}s/{}",
                    item_id(topology.items.draw(random))
                )
            }
            "ip" => write!(
                into,
                "{}.{}.{}.{}",
                random.u8(11..210),
                random.u8(..),
                random.u8(..),
                random.u8(1..)
            ),
            "uuid" => write!(into, "{}", uuid(random)),
            "hex" => write!(into, "{:016x}", random.u64(..)),
            "ms" => write!(into, "{:.1}", log_normal(random, 12.0, 1.1)),
            "n" => write!(into, "{}", random.u16(10..9000)),
            "small" => write!(into, "{}", random.u8(0..24)),
            "pct" => write!(into, "{}", random.u8(80..100)),
            "mem" => write!(into, "{}", random.u16(200..1900)),
            "bytes" => write!(into, "{}", log_normal(random, 2400.0, 1.0) as u64),
            "offset" => write!(into, "{}", 40_000_000 + random.u32(..9_000_000)),
            "amount" => write!(into, "{:.2}", log_normal(random, 35.0, 0.9)),
            "status" => write!(
                into,
                "{}",
                pick(
                    random,
                    &["200", "200", "200", "200", "201", "204", "304", "404"]
                )
            ),
            "method" => write!(
                into,
                "{}",
                pick(random, &["GET", "GET", "GET", "POST", "PUT", "DELETE"])
            ),
            "state" => write!(
                into,
                "{}",
                pick(
                    random,
                    &["created", "confirmed", "shipped", "cancelled", "refunded"]
                )
            ),
            "hit" => write!(into, "{}", pick(random, &["hit", "hit", "miss"])),
            "agent" => write!(into, "{}", pick(random, &USER_AGENTS)),
            _ => write!(into, "{{{name}}}"),
        };
        // Writing into a String cannot fail.
        written.unwrap_or_default();
    }
}

fn severity_text(severity: SeverityNumber) -> &'static str {
    match severity {
        SeverityNumber::Debug => "DEBUG",
        SeverityNumber::Warn => "WARN",
        SeverityNumber::Error => "ERROR",
        _ => "INFO",
    }
}
