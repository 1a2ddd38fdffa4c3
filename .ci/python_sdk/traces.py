"""Traces: sent through the SDK, and read back."""

import time

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceState,
    set_span_in_context,
)
from origin import (
    SCOPE,
    decode_origin,
    expected_origin,
    hexadecimal,
    origin_columns,
    remote_context,
    resource,
    resource_attributes,
)
from server import query
from values import EVERY_TYPE, as_text, attributes, decoded, typed

SERVICE = "python-shop"
# What OTLP says of a span's or link's context: known to be local, or known to be remote.
LOCAL, REMOTE = 0x100, 0x300

PROMOTED = {
    "http.request.method": "GET",
    "http.response.status_code": 503,
    "http.route": "/users/{id}",
    "url.path": "/users/1",
    "server.address": "shop.example",
    "db.system.name": "clickhouse",
    "rpc.method": "Get",
    "messaging.destination.name": "orders",
}
# Keys that have columns, values that do not fit them.
UNPROMOTED = {
    "http.request.method": 7,
    "http.response.status_code": "503",
    "http.route": "",
    "url.path": ["/", "/x"],
    "server.address": True,
    "db.system.name": None,
    "rpc.method": 0.5,
    "messaging.destination.name": b"orders",
}
COLUMNS = {
    "http.request.method": "HttpRequestMethod",
    "http.response.status_code": "HttpResponseStatusCode",
    "http.route": "HttpRoute",
    "url.path": "UrlPath",
    "server.address": "ServerAddress",
    "db.system.name": "DbSystemName",
    "rpc.method": "RpcMethod",
    "messaging.destination.name": "MessagingDestinationName",
}
KINDS = {
    SpanKind.INTERNAL: (1, "Internal"),
    SpanKind.SERVER: (2, "Server"),
    SpanKind.CLIENT: (3, "Client"),
    SpanKind.PRODUCER: (4, "Producer"),
    SpanKind.CONSUMER: (5, "Consumer"),
}
STATUSES = {
    StatusCode.UNSET: (0, "Unset"),
    StatusCode.OK: (1, "Ok"),
    StatusCode.ERROR: (2, "Error"),
}


# ---- what is sent, and what is expected of it ----


def expected(span, name, kind, start, end, **fields):
    """What is stored of a span; `fields` replaces what is not as by default."""
    trace_id, span_id = hexadecimal(span.get_span_context())
    row = {
        "trace_id": trace_id,
        "span_id": span_id,
        "parent": "0" * 16,
        "trace_state": "",
        "flags": LOCAL,
        "name": name,
        "kind": KINDS[kind][0],
        "start": start,
        "duration": end - start,
        "status": 0,
        "status_message": "",
        "attributes": {},
        "dropped_attributes": 0,
        "events": [],
        "dropped_events": 0,
        "links": [],
        "dropped_links": 0,
        **expected_origin(SERVICE),
    }
    assert fields.keys() <= row.keys(), fields
    return {**row, **fields}


def tracing(exporter, **limits):
    provider = TracerProvider(
        resource=resource(SERVICE),
        span_limits=SpanLimits(**limits),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer(*SCOPE)
    return provider, tracer


def send_everything(exporter, now):
    """One trace: a span with everything under a remote parent, and children of every kind and status."""
    provider, tracer = tracing(exporter)
    caller = remote_context(TraceState([("vendor", "a"), ("other", "b-1")]))
    linked, local = remote_context(), remote_context()
    local = SpanContext(local.trace_id, local.span_id, is_remote=False)
    start, end = now + 1, now + 1_234_567_890
    root = tracer.start_span(
        "GET /users/{id}",
        context=set_span_in_context(NonRecordingSpan(caller)),
        kind=SpanKind.SERVER,
        attributes={**EVERY_TYPE, **PROMOTED},
        links=[Link(linked, EVERY_TYPE), Link(local)],
        start_time=start,
    )
    root.add_event("first", EVERY_TYPE, timestamp=start + 7)
    root.add_event("second \N{SNOWMAN}", timestamp=start + 8)
    root.set_status(Status(StatusCode.ERROR, "böom: no such user"))
    root.end(end)
    sent = [
        expected(
            root,
            "GET /users/{id}",
            SpanKind.SERVER,
            start,
            end,
            parent=hexadecimal(caller)[1],
            trace_state="vendor=a,other=b-1",
            flags=REMOTE,
            status=2,
            status_message="böom: no such user",
            attributes=attributes({**EVERY_TYPE, **PROMOTED}),
            events=[
                event(start + 7, "first", EVERY_TYPE),
                event(start + 8, "second \N{SNOWMAN}", {}),
            ],
            links=[link(linked, REMOTE, EVERY_TYPE), link(local, LOCAL, {})],
        )
    ]
    inside = set_span_in_context(root)
    ways = [(kind, StatusCode.UNSET) for kind in KINDS] + [(SpanKind.CLIENT, StatusCode.OK)]
    for nanos, (kind, status) in enumerate(ways):
        name = f"{kind.name} {status.name}"
        start = now + 1_000_000 + nanos
        child = tracer.start_span(name, inside, kind, attributes=UNPROMOTED, start_time=start)
        child.set_status(status)
        child.end(start + nanos)
        sent.append(
            expected(
                child,
                name,
                kind,
                start,
                start + nanos,
                parent=sent[0]["span_id"],
                trace_state="vendor=a,other=b-1",
                status=STATUSES[status][0],
                attributes=attributes(UNPROMOTED),
            )
        )
    provider.shutdown()
    return sent


def send_dropped(exporter, now):
    """A span past every limit: the SDK keeps the newest and counts the others."""
    provider, tracer = tracing(
        exporter,
        max_span_attributes=2,
        max_event_attributes=1,
        max_link_attributes=1,
        max_events=1,
        max_links=2,
    )
    three = {"a": 1, "b": 2, "c": 3}
    contexts = [remote_context() for _ in range(5)]
    links = [Link(context, three) for context in contexts]
    span = tracer.start_span("dropped", attributes=three, links=links, start_time=now)
    for nanos in range(4):
        span.add_event(f"event {nanos}", three, timestamp=now + nanos)
    span.end(now)
    provider.shutdown()
    kept = {"c": 3}
    return [
        expected(
            span,
            "dropped",
            SpanKind.INTERNAL,
            now,
            now,
            attributes=attributes({"b": 2, "c": 3}),
            dropped_attributes=1,
            events=[event(now + 3, "event 3", kept, dropped=2)],
            dropped_events=3,
            links=[link(context, REMOTE, kept, dropped=2) for context in contexts[3:]],
            dropped_links=3,
        )
    ]


def event(time_ns, name, values, dropped=0):
    return [time_ns, name, attributes(values), dropped]


def link(context, flags, values, dropped=0):
    # This SDK does not send a link's trace state.
    return [*hexadecimal(context), "", flags, attributes(values), dropped]


# ---- what is stored ----


def nested(prefix):
    return f"""arrayMap((entries, types) -> {typed("entries", "types")},
        t.`{prefix}.Attributes`, t.`{prefix}.AttributeTypes`)"""


ROWS = f"""
SELECT
    lower(hex(t.TraceId)) AS trace_id, lower(hex(t.SpanId)) AS span_id,
    lower(hex(t.ParentSpanId)) AS parent, t.TraceState AS trace_state, t.Flags AS flags,
    t.SpanName AS name, t.SpanKind AS kind, t.ServiceName AS service,
    toUnixTimestamp64Nano(t.Timestamp) AS start, t.Duration AS duration,
    t.StatusCode AS status, t.StatusMessage AS status_message,
    {typed("t.SpanAttributes", "t.SpanAttributeTypes")} AS attributes,
    [{", ".join(f"toString(t.{column})" for column in COLUMNS.values())}] AS promoted,
    t.DroppedAttributesCount AS dropped_attributes,
    arrayZip(arrayMap(at -> toUnixTimestamp64Nano(at), t.`Events.Timestamp`), t.`Events.Name`,
        {nested("Events")}, t.`Events.DroppedAttributesCount`) AS events,
    t.DroppedEventsCount AS dropped_events,
    arrayZip(arrayMap(id -> lower(hex(id)), t.`Links.TraceId`),
        arrayMap(id -> lower(hex(id)), t.`Links.SpanId`), t.`Links.TraceState`, t.`Links.Flags`,
        {nested("Links")}, t.`Links.DroppedAttributesCount`) AS links,
    t.DroppedLinksCount AS dropped_links,
    {origin_columns("t")}
FROM spanmill.otel_traces AS t
LEFT ANY JOIN spanmill.otel_resources AS r ON r.ResourceId = t.ResourceId
WHERE t.TraceId = unhex('%s')
FORMAT JSONEachRow
SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_denormals = 0,
    output_format_json_named_tuples_as_objects = 0"""

# The form in which the Collector's exporter would have stored it.
VIEW = """
SELECT SpanId, SpanKind, StatusCode, SpanAttributes, ResourceAttributes
FROM otel.otel_traces WHERE TraceId = '%s' FORMAT JSONEachRow"""

TIMES = """
SELECT toUnixTimestamp64Nano(min(Start)) AS first, toUnixTimestamp64Nano(max(End)) AS last
FROM spanmill.otel_trace_index WHERE TraceHash = cityHash64(toFixedString(unhex('%s'), 16))
FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0"""

def decoded_row(row):
    """A stored row in the form of `expected`."""
    promoted = {}
    for key, text in zip(COLUMNS, row.pop("promoted"), strict=True):
        if key == "http.response.status_code":
            text = int(text)
        if text:
            promoted[key] = text
    inside = decoded(row["attributes"])
    assert not inside.keys() & promoted.keys(), f"both in its column and the map: {row}"
    inside |= promoted
    row["attributes"] = {key: inside[key] for key in sorted(inside)}
    decode_origin(row)
    row["events"] = [[*start, decoded(entries), dropped] for *start, entries, dropped in row["events"]]
    row["links"] = [[*start, decoded(entries), dropped] for *start, entries, dropped in row["links"]]
    return row


def check_trace(checks, greeting, way, sent):
    trace_id = sent[0]["trace_id"]
    stored = [decoded_row(row) for row in query(greeting, ROWS % trace_id)]
    counts = {"spans": len(stored), "ids": sorted(row["span_id"] for row in stored)}
    ids = sorted(row["span_id"] for row in sent)
    checks.equal(f"{way}: {sent[0]['name']}: spans of the trace", counts, {"spans": len(sent), "ids": ids})
    by_id = {row["span_id"]: row for row in stored}
    for row in sent:
        checks.equal(f"{way}: {row['name']}", by_id.get(row["span_id"], {}), row)

    view = {row["SpanId"]: row for row in query(greeting, VIEW % trace_id)}
    for row in sent:
        shown = view.get(row["span_id"], {})
        attributes_shown = shown.pop("SpanAttributes", {})
        resource_shown = shown.pop("ResourceAttributes", {})
        shown |= {
            "attribute keys": sorted(attributes_shown),
            "promoted": {key: attributes_shown.get(key) for key in PROMOTED if key in row["attributes"]},
            "resource keys": sorted(resource_shown),
            "resource text": resource_shown.get("text"),
        }
        checks.equal(f"{way}: {row['name']}: in the view", shown, view_of(row))

    starts = [row["start"] for row in sent]
    (times,) = query(greeting, TIMES % trace_id)
    checks.equal(f"{way}: {sent[0]['name']}: trace index", times, {"first": min(starts), "last": max(starts)})


def view_of(row):
    """What the view shows of a span: names instead of codes, promoted attributes as text again."""
    promoted = {key: row["attributes"][key] for key in PROMOTED if key in row["attributes"]}
    return {
        "SpanId": row["span_id"],
        "SpanKind": dict(KINDS.values())[row["kind"]],
        "StatusCode": dict(STATUSES.values())[row["status"]],
        "attribute keys": sorted(row["attributes"]),
        "promoted": {key: as_text(value) for key, value in promoted.items()},
        "resource keys": sorted(resource_attributes(SERVICE)),
        "resource text": EVERY_TYPE["text"],
    }


# ---- spanmill ----


def check(checks, greeting, way, exporter):
    # All within one hour, and every nanosecond digit in use.
    now = time.time_ns() // 1_000 * 1_000 - 60_000_000_000 + 123
    for send in (send_everything, send_dropped):
        sent = send(exporter(GrpcExporter, HttpExporter, "/v1/traces"), now)
        check_trace(checks, greeting, way, sent)
