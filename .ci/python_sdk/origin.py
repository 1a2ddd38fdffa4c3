"""The resource and the scope that everything is sent under, and what is stored of them."""

import os

from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext, TraceFlags
from values import EVERY_TYPE, attributes, decoded, typed

SCOPE_NAME, SCOPE_VERSION = "python.scope", "1.2.3"
RESOURCE_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
SCOPE_SCHEMA = "https://opentelemetry.io/schemas/1.36.0"
SCOPE_ATTRIBUTES = {"scope.text": "s", "scope.int": 3, "scope.list": [1, 2]}
# What a provider's `get_tracer`, `get_logger` or `get_meter` takes.
SCOPE = (SCOPE_NAME, SCOPE_VERSION, SCOPE_SCHEMA, SCOPE_ATTRIBUTES)


def resource_attributes(service):
    return {**EVERY_TYPE, "service.name": service, "host.name": "h-1"}


def resource(service):
    return Resource(resource_attributes(service), RESOURCE_SCHEMA)


def expected_origin(service):
    return {
        "service": service,
        "scope_name": SCOPE_NAME,
        "scope_version": SCOPE_VERSION,
        "scope_schema": SCOPE_SCHEMA,
        "scope_attributes": attributes(SCOPE_ATTRIBUTES),
        "scope_dropped": 0,
        "resource_service": service,
        "resource_attributes": attributes(resource_attributes(service)),
        "resource_schema": RESOURCE_SCHEMA,
        "resource_dropped": 0,
    }


def origin_columns(row):
    """SQL for them, from a table that has its scope in `row`, and a join of its resource as `r`."""
    return f"""{row}.ScopeName AS scope_name, {row}.ScopeVersion AS scope_version,
    {row}.ScopeSchemaUrl AS scope_schema,
    {typed(f"{row}.ScopeAttributes", f"{row}.ScopeAttributeTypes")} AS scope_attributes,
    {row}.ScopeDroppedAttributesCount AS scope_dropped, r.ServiceName AS resource_service,
    {typed("r.Attributes", "r.AttributeTypes")} AS resource_attributes,
    r.SchemaUrl AS resource_schema, r.DroppedAttributesCount AS resource_dropped"""


def decode_origin(row):
    for key in ("scope_attributes", "resource_attributes"):
        row[key] = decoded(row[key])


def remote_context(trace_state=None):
    return SpanContext(
        trace_id=int.from_bytes(os.urandom(16), "big") | 1,
        span_id=int.from_bytes(os.urandom(8), "big") | 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=trace_state,
    )


def hexadecimal(context):
    return format(context.trace_id, "032x"), format(context.span_id, "016x")
