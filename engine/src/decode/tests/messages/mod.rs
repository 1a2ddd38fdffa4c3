//! Strategies for requests: small trees with everything in them that OTLP allows and senders get wrong,
//! short of what makes a row bad.

pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod spans;
pub(super) mod values;

use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::tree::{Group, ScopeGroup, Telemetry};
use values::{attributes, count, text};

/// An arbitrary request.
pub(super) fn groups<S: Telemetry>() -> BoxedStrategy<Vec<Group<S::Item>>> {
    let scopes = (option::of(scope()), vec(S::item(), 0..4), text());
    let scopes = scopes.prop_map(|(scope, items, schema_url)| ScopeGroup {
        scope,
        schema_url,
        items,
    });
    let groups = (option::of(resource()), vec(scopes, 0..3), text());
    let groups = groups.prop_map(|(resource, scopes, schema_url)| Group {
        resource,
        schema_url,
        scopes,
    });
    vec(groups, 0..4).boxed()
}

fn resource() -> impl Strategy<Value = Resource> {
    let parts = (attributes(), count(), vec(entity_ref(), 0..2));
    parts.prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    )
}

fn entity_ref() -> impl Strategy<Value = EntityRef> {
    (text(), vec(text(), 0..2)).prop_map(|(schema_url, id_keys)| EntityRef {
        schema_url,
        id_keys,
        ..EntityRef::default()
    })
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    let parts = (text(), text(), attributes(), count());
    parts.prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}
