//! Spans as a Collector sends them: traces in the order in which they begin, grouped by resource.

use std::collections::{HashMap, VecDeque};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::Pace;
use super::maker::{Made, Maker};
use super::topology::Topology;

pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.40.0";

/// Spans in the order in which their traces begin.
#[derive(Debug)]
pub struct Traces<'a> {
    maker: Maker<'a>,
    pending: VecDeque<Made>,
}

impl<'a> Traces<'a> {
    pub(super) fn new(topology: &'a Topology, seed: u64, pace: Pace) -> Self {
        Traces {
            maker: Maker::new(topology, seed, pace),
            pending: VecDeque::new(),
        }
    }

    /// The next `spans` spans, grouped by resource and scope as a Collector sends them.
    pub fn request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        while self.pending.len() < spans {
            self.pending.extend(self.maker.next_trace());
        }
        let mut groups: Vec<(usize, Vec<ScopeSpans>)> = Vec::new();
        let mut places = HashMap::new();
        for made in self.pending.drain(..spans) {
            let place = *places.entry(made.instance).or_insert(groups.len());
            if place == groups.len() {
                groups.push((made.instance, Vec::new()));
            }
            let scopes = &mut groups[place].1;
            let same = scopes
                .iter_mut()
                .find(|scope| scope.scope.as_ref() == Some(&made.scope));
            match same {
                Some(scope) => scope.spans.push(made.span),
                None => scopes.push(ScopeSpans {
                    scope: Some(made.scope),
                    spans: vec![made.span],
                    schema_url: SCHEMA_URL.into(),
                }),
            }
        }
        let topology = self.maker.topology;
        let resource_spans = groups
            .into_iter()
            .map(|(instance, scope_spans)| ResourceSpans {
                resource: Some(topology.instances[instance].resource.clone()),
                scope_spans,
                schema_url: SCHEMA_URL.into(),
            });
        ExportTraceServiceRequest {
            resource_spans: resource_spans.collect(),
        }
    }
}
