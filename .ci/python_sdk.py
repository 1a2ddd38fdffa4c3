"""Starts `spanmill up`, sends it what the unmodified OpenTelemetry SDK for Python can say, over gRPC
and HTTP, each with and without gzip, and compares every field with what SQL reads back.

Usage: python3 .ci/python_sdk.py PATH_OF_SPANMILL  (after pip install -r .ci/requirements.txt)
Exits with 0 when everything that was sent is stored as it was sent.
"""

import base64
import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

for name in list(os.environ):
    # Settings from outside would change what is tested.
    if name.startswith("OTEL_") or (name.startswith("SPANMILL_") and name != "SPANMILL_LIBCHDB"):
        del os.environ[name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

# The SDK reads the environment when it is imported.
import grpc  # noqa: E402
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: E402
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: E402
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: E402
from opentelemetry.trace import (  # noqa: E402
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

# Far above what a loaded machine needs; only a failing run waits this long.
PATIENCE_SECONDS = 300

# What OTLP says of a span's or link's context: known to be local, or known to be remote.
LOCAL, REMOTE = 0x100, 0x300

EVERY_TYPE = {
    "text": "ünïcode \N{SNOWMAN} 'quoted' \\ \t \n",
    "text.empty": "",
    "text.long": "x" * 70_000,
    "text.digits": "1",
    "bool.true": True,
    "bool.false": False,
    "int": 1,
    "int.min": -(2**63),
    "int.max": 2**63 - 1,
    "double": 0.1,
    "double.whole": 1.0,
    "double.small": 5e-324,
    "double.large": 1.7976931348623157e308,
    "double.minus.zero": -0.0,
    "double.nan": math.nan,
    "double.inf": math.inf,
    "double.minus.inf": -math.inf,
    "bytes": bytes(range(256)),
    "bytes.empty": b"",
    "none": None,
    "texts": ["a", "", "ö\"\\"],
    "bools": [True, False],
    "ints": [1, -(2**63), 2**63 - 1],
    "doubles": [0.5, 1.0, 1e300, math.inf],
    "sequence.empty": [],
    "sequence.mixed": ["1", 1, 1.0, True, None, b"\x00\xff"],
    "sequence.nested": [[1, [2, [3, []]]], ["x"]],
    "map": {"z": 1, "a": {"deep": [1, {"er": "x"}]}, "empty": {}},
}
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
RESOURCE = {**EVERY_TYPE, "service.name": "python-shop", "host.name": "h-1"}
RESOURCE_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
SCOPE_NAME, SCOPE_VERSION = "python.scope", "1.2.3"
SCOPE_SCHEMA = "https://opentelemetry.io/schemas/1.36.0"
SCOPE_ATTRIBUTES = {"scope.text": "s", "scope.int": 3, "scope.list": [1, 2]}
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


class Checks:
    """Counts and prints checks, one line each, and for a failed one what differs."""

    def __init__(self):
        self.passed = self.failed = 0

    def equal(self, what, stored, sent):
        """Compares two dicts key by key; types count, so 1, 1.0 and True differ."""
        keys = list(sent) + [key for key in stored if key not in sent]
        missing = "(missing)"
        pairs = [(key, stored.get(key, missing), sent.get(key, missing)) for key in keys]
        differing = [pair for pair in pairs if repr(pair[1]) != repr(pair[2])]
        if not differing:
            self.passed += 1
            print(f"ok      {what}")
            return
        self.failed += 1
        print(f"FAILED  {what}")
        for key, is_stored, was_sent in differing:
            print(f"          {key}\n            sent   {was_sent!r}\n            stored {is_stored!r}")


# ---- what is sent, and what is expected of it ----


def any_value(value):
    """A value as it reads back from its text."""
    if isinstance(value, (list, tuple, dict)):
        return in_json(value)
    return value


def in_json(value):
    """A value inside an array or a map, which are stored as JSON."""
    if isinstance(value, (list, tuple)):
        return [in_json(part) for part in value]
    if isinstance(value, dict):
        return {key: in_json(part) for key, part in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return value


def attributes(values):
    """By key, since a promoted attribute has no place among the others."""
    return {key: any_value(values[key]) for key in sorted(values)}


def hexadecimal(context):
    return format(context.trace_id, "032x"), format(context.span_id, "016x")


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
        "service": RESOURCE["service.name"],
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
        "scope_name": SCOPE_NAME,
        "scope_version": SCOPE_VERSION,
        "scope_schema": SCOPE_SCHEMA,
        "scope_attributes": attributes(SCOPE_ATTRIBUTES),
        "scope_dropped": 0,
        "resource_service": RESOURCE["service.name"],
        "resource_attributes": attributes(RESOURCE),
        "resource_schema": RESOURCE_SCHEMA,
        "resource_dropped": 0,
    }
    assert fields.keys() <= row.keys(), fields
    return {**row, **fields}


def tracing(exporter, **limits):
    provider = TracerProvider(
        resource=Resource(RESOURCE, RESOURCE_SCHEMA),
        span_limits=SpanLimits(**limits),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer(
        SCOPE_NAME, SCOPE_VERSION, schema_url=SCOPE_SCHEMA, attributes=SCOPE_ATTRIBUTES
    )
    return provider, tracer


def remote_context(trace_state=None):
    return SpanContext(
        trace_id=int.from_bytes(os.urandom(16), "big") | 1,
        span_id=int.from_bytes(os.urandom(8), "big") | 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=trace_state,
    )


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


def typed(attribute_map, types):
    """Key, text and type byte of every entry."""
    return f"arrayZip(mapKeys({attribute_map}), mapValues({attribute_map}), {types})"


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
    t.ScopeName AS scope_name, t.ScopeVersion AS scope_version, t.ScopeSchemaUrl AS scope_schema,
    {typed("t.ScopeAttributes", "t.ScopeAttributeTypes")} AS scope_attributes,
    t.ScopeDroppedAttributesCount AS scope_dropped,
    r.ServiceName AS resource_service,
    {typed("r.Attributes", "r.AttributeTypes")} AS resource_attributes,
    r.SchemaUrl AS resource_schema, r.DroppedAttributesCount AS resource_dropped
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

# By the type byte (schema/README.md).
DECODERS = [
    str,
    {"true": True, "false": False}.__getitem__,
    int,
    float,
    base64.b64decode,
    json.loads,
    json.loads,
    {"": None}.__getitem__,
]


def decoded(entries):
    values = {key: DECODERS[kind](text) for key, text, kind in entries}
    assert len(values) == len(entries), f"a key twice: {entries}"
    return {key: values[key] for key in sorted(values)}


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
    row["scope_attributes"] = decoded(row["scope_attributes"])
    row["resource_attributes"] = decoded(row["resource_attributes"])
    row["events"] = [[*start, decoded(entries), dropped] for *start, entries, dropped in row["events"]]
    row["links"] = [[*start, decoded(entries), dropped] for *start, entries, dropped in row["links"]]
    return row


def query(clickhouse, sql):
    request = urllib.request.Request(clickhouse, data=sql.encode())
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return [json.loads(line) for line in answer]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"ClickHouse refused: {error.read().decode()}") from error


def check_trace(checks, clickhouse, way, sent):
    trace_id = sent[0]["trace_id"]
    stored = [decoded_row(row) for row in query(clickhouse, ROWS % trace_id)]
    counts = {"spans": len(stored), "ids": sorted(row["span_id"] for row in stored)}
    ids = sorted(row["span_id"] for row in sent)
    checks.equal(f"{way}: {sent[0]['name']}: spans of the trace", counts, {"spans": len(sent), "ids": ids})
    by_id = {row["span_id"]: row for row in stored}
    for row in sent:
        checks.equal(f"{way}: {row['name']}", by_id.get(row["span_id"], {}), row)

    view = {row["SpanId"]: row for row in query(clickhouse, VIEW % trace_id)}
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
    (times,) = query(clickhouse, TIMES % trace_id)
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
        "resource keys": sorted(RESOURCE),
        "resource text": RESOURCE["text"],
    }


def as_text(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str) or value is None:
        return value or ""
    return json.dumps(value, separators=(",", ":"))


# ---- spanmill ----


@contextmanager
def spanmill(binary, checks):
    """A running `spanmill up` over an empty folder: the values of its greeting, by name."""
    with tempfile.TemporaryDirectory(prefix="spanmill-python-") as folder:
        free = "127.0.0.1:0"
        arguments = ["up", "--data-dir", folder, "--otlp-grpc", free, "--otlp-http", free]
        arguments += ["--admin", free, "--native-port", "0", "--http-port", "0"]
        log_path = os.path.join(folder, "log")
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                [binary, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            greeting = read_greeting(process)
            wait_until_ready(greeting["Admin"].split()[0] + "/readyz")
            yield greeting
            process.send_signal(signal.SIGTERM)
            checks.equal("SIGTERM ends it", {"exit code": process.wait()}, {"exit code": 0})
        except BaseException:
            with open(log_path, encoding="utf-8", errors="replace") as log:
                print(f"spanmill's log:\n{log.read()}", file=sys.stderr)
            raise
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def read_greeting(process):
    values = {}
    for line in process.stdout:
        if line.startswith("Ctrl-C stops."):
            return values
        name, _, value = line.strip().partition(" ")
        values[name] = value.strip()
    raise RuntimeError(f"spanmill ended with {process.wait()} before it greeted; it said {values}")


def wait_until_ready(url):
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
        # Nothing announces readiness but the answer itself.
        time.sleep(0.05)


def give_up(_signal, _frame):
    raise TimeoutError(f"not done after {PATIENCE_SECONDS} s")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    # That attributes are dropped is the point of a check, not news.
    logging.getLogger("opentelemetry.attributes").setLevel(logging.ERROR)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_SECONDS)
    checks = Checks()
    with spanmill(sys.argv[1], checks) as greeting:
        grpc_at = f"http://{greeting['OTLP/gRPC']}"
        ways = {
            "gRPC": lambda: GrpcExporter(grpc_at),
            "gRPC gzip": lambda: GrpcExporter(grpc_at, compression=grpc.Compression.Gzip),
            "HTTP": lambda: HttpExporter(greeting["OTLP/HTTP"]),
            "HTTP gzip": lambda: HttpExporter(greeting["OTLP/HTTP"], compression=Compression.Gzip),
        }
        for way, exporter in ways.items():
            # All within one hour, and every nanosecond digit in use.
            now = time.time_ns() // 1_000 * 1_000 - 60_000_000_000 + 123
            for send in (send_everything, send_dropped):
                check_trace(checks, greeting["ClickHouse"], way, send(exporter(), now))
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
