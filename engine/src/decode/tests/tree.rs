//! What is the same in the requests of all signals: resources, below them scopes, below those the
//! signal's items. Tests that hold for every signal are written over these.

use std::fmt::Debug;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::strategy::BoxedStrategy;
use prost::Message;
use spanmill_schema::{TableId, Tables};

use super::expected::{Place, RowResult};
use super::{expected, faults, full, messages, texts};
use crate::decode::{Arrival, Signal};

/// One resource of a request and what is below it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group<I> {
    pub(super) resource: Option<Resource>,
    pub(super) schema_url: String,
    pub(super) scopes: Vec<ScopeGroup<I>>,
}

/// One scope and its items.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScopeGroup<I> {
    pub(super) scope: Option<InstrumentationScope>,
    pub(super) schema_url: String,
    pub(super) items: Vec<I>,
}

/// A change that makes the rows of an item bad.
pub(super) type Fault<I> = fn(&mut I);

/// One signal, as its tests see it.
pub(super) trait Telemetry: Debug + Clone + 'static {
    type Request: Message + Default;
    type Item: Debug + Clone + PartialEq + 'static;
    const SIGNAL: Signal;
    const TABLE: TableId;
    /// Everything that makes an item bad and is not a text that is no UTF-8.
    const FAULTS: &'static [Fault<Self::Item>];

    fn request(groups: Vec<Group<Self::Item>>) -> Self::Request;
    fn groups(request: Self::Request) -> Vec<Group<Self::Item>>;
    /// Arbitrary good items.
    fn item() -> BoxedStrategy<Self::Item>;
    /// Items that together have another value in every field.
    fn full() -> Vec<Self::Item>;
    /// The rows that an item stands for.
    fn rows(item: &Self::Item, place: &Place, tables: &Tables, arrival: Arrival) -> Vec<RowResult>;
    /// Visits every text of an item that is stored.
    fn texts(item: &mut Self::Item, visit: &mut dyn FnMut(&mut String));
    /// Moves an item in time: every row of it is then stored under `time`.
    fn set_time(item: &mut Self::Item, time: u64);
}

/// A request's bytes.
pub(super) fn encode<S: Telemetry>(groups: &[Group<S::Item>]) -> Vec<u8> {
    S::request(groups.to_vec()).encode_to_vec()
}

/// What prost makes of a body.
pub(super) fn decode<S: Telemetry>(body: &[u8]) -> Result<Vec<Group<S::Item>>, prost::DecodeError> {
    S::Request::decode(body).map(S::groups)
}

/// The items of a request, in order.
pub(super) fn items<I>(groups: &mut [Group<I>]) -> impl Iterator<Item = &mut I> {
    let scopes = groups.iter_mut().flat_map(|group| &mut group.scopes);
    scopes.flat_map(|scope| &mut scope.items)
}

/// One group with one scope that has these items.
pub(super) fn one_group<I>(
    resource: Resource,
    scope: InstrumentationScope,
    items: Vec<I>,
) -> Vec<Group<I>> {
    vec![Group {
        resource: Some(resource),
        schema_url: "resource-url".to_owned(),
        scopes: vec![ScopeGroup {
            scope: Some(scope),
            schema_url: "scope-url".to_owned(),
            items,
        }],
    }]
}

macro_rules! telemetry {
    (
        $(#[$doc:meta])* $name:ident: $signal:ident, $module:ident, $item:ident,
        $request:ident { $resources:ident: $in_resource:ident {
            $scopes:ident: $in_scope:ident { $items:ident }
        } }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(super) enum $name {}

        impl Telemetry for $name {
            type Request = $request;
            type Item = $item;
            const SIGNAL: Signal = Signal::$signal;
            const TABLE: TableId = TableId::$signal;
            const FAULTS: &'static [Fault<$item>] = faults::$module::FAULTS;

            fn request(groups: Vec<Group<$item>>) -> $request {
                let in_scope = |scope: ScopeGroup<$item>| $in_scope {
                    scope: scope.scope,
                    $items: scope.items,
                    schema_url: scope.schema_url,
                };
                let in_resource = |group: Group<$item>| $in_resource {
                    resource: group.resource,
                    $scopes: group.scopes.into_iter().map(in_scope).collect(),
                    schema_url: group.schema_url,
                };
                $request {
                    $resources: groups.into_iter().map(in_resource).collect(),
                }
            }

            fn groups(request: $request) -> Vec<Group<$item>> {
                let scope = |below: $in_scope| ScopeGroup {
                    scope: below.scope,
                    schema_url: below.schema_url,
                    items: below.$items,
                };
                let group = |below: $in_resource| Group {
                    resource: below.resource,
                    schema_url: below.schema_url,
                    scopes: below.$scopes.into_iter().map(scope).collect(),
                };
                request.$resources.into_iter().map(group).collect()
            }

            fn item() -> BoxedStrategy<$item> {
                messages::$module::item()
            }

            fn full() -> Vec<$item> {
                full::$module::items()
            }

            fn rows(
                item: &$item,
                place: &Place,
                tables: &Tables,
                arrival: Arrival,
            ) -> Vec<RowResult> {
                expected::$module::rows(item, place, tables, arrival)
            }

            fn texts(item: &mut $item, visit: &mut dyn FnMut(&mut String)) {
                texts::$module(item, visit);
            }

            fn set_time(item: &mut $item, time: u64) {
                messages::$module::set_time(item, time);
            }
        }
    };
}

telemetry! {
    /// Items are spans.
    Traces: Traces, spans, Span, ExportTraceServiceRequest {
        resource_spans: ResourceSpans { scope_spans: ScopeSpans { spans } }
    }
}

telemetry! {
    /// Items are log records.
    Logs: Logs, logs, LogRecord, ExportLogsServiceRequest {
        resource_logs: ResourceLogs { scope_logs: ScopeLogs { log_records } }
    }
}

telemetry! {
    /// Items are metrics, rows their points.
    Metrics: Metrics, metrics, Metric, ExportMetricsServiceRequest {
        resource_metrics: ResourceMetrics { scope_metrics: ScopeMetrics { metrics } }
    }
}
