//! The resource and the scope that everything is sent under, and what is stored of them.

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use serde_json::{Value, json};
use spanmill_schema::ValueType;

use crate::attributes::{Attribute, entries, every_type, key_values, sorted};
use crate::rows::typed;

const RESOURCE_SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
const SCOPE_SCHEMA: &str = "https://opentelemetry.io/schemas/1.36.0";

pub(crate) fn resource(service: &str) -> Resource {
    let resource = Resource::builder_empty();
    let resource = resource.with_schema_url(key_values(resource_attributes()), RESOURCE_SCHEMA);
    let service = KeyValue::new("service.name", service.to_owned());
    resource.with_attribute(service).build()
}

fn resource_attributes() -> Vec<Attribute> {
    let mut attributes = every_type();
    attributes.push((KeyValue::new("host.name", "h-1"), "h-1", ValueType::String));
    attributes
}

pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("rust.scope")
        .with_version("1.2.3")
        .with_schema_url(SCOPE_SCHEMA)
        .with_attributes(key_values(every_type()))
        .build()
}

/// What is stored of both. SDKs do not send how many of their attributes were dropped.
pub(crate) fn stored_origin(service: &str) -> Value {
    let mut resource = entries(&resource_attributes());
    if let Value::Array(entries) = &mut resource {
        entries.push(json!(["service.name", service, ValueType::String as u8]));
    }
    json!({
        "service": service,
        "scope": ["rust.scope", "1.2.3", SCOPE_SCHEMA, 0],
        "scope_attributes": entries(&every_type()),
        "resource": [service, RESOURCE_SCHEMA, 0],
        // Stored in the order of the keys, so that the order in which an SDK sends them makes no difference.
        "resource_attributes": sorted(resource),
    })
}

/// The columns of [`stored_origin`] from a table that has its scope in `row`, and a join of its resource.
pub(crate) fn origin_columns(row: &str) -> String {
    format!(
        "tuple({row}.ScopeName, {row}.ScopeVersion, {row}.ScopeSchemaUrl,
            {row}.ScopeDroppedAttributesCount) AS scope,
        {scope} AS scope_attributes,
        tuple(r.ServiceName, r.SchemaUrl, r.DroppedAttributesCount) AS resource,
        {resource} AS resource_attributes",
        scope = typed(
            &format!("{row}.ScopeAttributes"),
            &format!("{row}.ScopeAttributeTypes")
        ),
        resource = typed("r.Attributes", "r.AttributeTypes"),
    )
}
