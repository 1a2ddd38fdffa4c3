"""Logs: sent through the SDK, and read back.

The SDK for Python sends every field of OTLP's log record but flags past the first eight.
"""

import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.trace import NonRecordingSpan, set_span_in_context
from origin import (
    SCOPE,
    SCOPE_NAME,
    decode_origin,
    expected_origin,
    hexadecimal,
    origin_columns,
    remote_context,
    resource,
    resource_attributes,
)
from server import query
from values import DECODERS, EVERY_TYPE, any_value, as_text, attributes, decoded, shown_id, typed

# It has a column of its own.
PROMOTED = "exception.type"
# A value that does not fit the column.
UNPROMOTED = {PROMOTED: 7}


class Emitter:
    """Emits records, each a nanosecond after the one before, and notes what is expected of each."""

    def __init__(self, exporter, service, now, **limits):
        self.provider = LoggerProvider(
            resource=resource(service),
            log_record_limits=LogRecordLimits(**limits),
            shutdown_on_exit=False,
        )
        self.provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        self.logger = self.provider.get_logger(*SCOPE)
        self.service = service
        self.now = now
        self.sent = []

    def emit(self, record, **fields):
        """Emits it; `fields` are what is expected that its own do not say."""
        self.logger.emit(record)
        severity = record.severity_number.value if record.severity_number else 0
        expected = {
            "time": record.timestamp or record.observed_timestamp,
            "observed": record.observed_timestamp,
            "trace_id": "0" * 32,
            "span_id": "0" * 16,
            "flags": 0,
            "severity": severity,
            "severity_text": record.severity_text or "",
            "event": record.event_name or "",
            "body": any_value(record.body),
            "attributes": {},
            "dropped_attributes": 0,
            **expected_origin(self.service),
        }
        assert fields.keys() <= expected.keys(), fields
        self.sent.append({**expected, **fields})

    def times(self):
        """Of the next record: a second lies between them, so that none is taken for the other."""
        self.now += 1
        return {"timestamp": self.now, "observed_timestamp": self.now + 1_000_000_000}

    def end(self):
        self.provider.force_flush()
        self.provider.shutdown()
        return self.sent


def send_everything(exporter, service, now):
    """Records with everything, with next to nothing, and with each severity and type of body."""
    emitter = Emitter(exporter, service, now)
    span = remote_context()
    trace_id, span_id = hexadecimal(span)
    context = set_span_in_context(NonRecordingSpan(span))
    every_attribute = {**EVERY_TYPE, PROMOTED: "NoSuchUser"}
    emitter.emit(
        LogRecord(
            **emitter.times(),
            context=context,
            severity_number=SeverityNumber.ERROR2,
            severity_text="ERR \N{SNOWMAN}",
            event_name="shop.order.failed",
            body="böom: no such user",
            attributes=every_attribute,
        ),
        trace_id=trace_id,
        span_id=span_id,
        flags=1,
        attributes=attributes(every_attribute),
    )
    emitter.emit(LogRecord(**emitter.times()))
    # Without a time it happened when it was observed, which here the SDK says.
    emitter.emit(LogRecord())
    emitter.emit(LogRecord(**emitter.times(), attributes=UNPROMOTED), attributes=UNPROMOTED)
    # The SDK makes attributes of it.
    of_exception = {
        PROMOTED: "ValueError",
        "exception.message": "böom",
        "exception.stacktrace": "ValueError: böom\n",
    }
    emitter.emit(
        LogRecord(**emitter.times(), exception=ValueError("böom")), attributes=attributes(of_exception)
    )
    severities = list(SeverityNumber)
    bodies = list(EVERY_TYPE.values())
    for index in range(max(len(severities), len(bodies))):
        severity = severities[index % len(severities)]
        body = bodies[index % len(bodies)]
        emitter.emit(
            LogRecord(
                **emitter.times(), severity_number=severity, severity_text=severity.name, body=body
            )
        )
    return emitter.end()


def send_dropped(exporter, service, now):
    """A record past its limit: the SDK keeps the newest attributes and counts the others."""
    emitter = Emitter(exporter, service, now, max_log_record_attributes=2)
    emitter.emit(
        LogRecord(**emitter.times(), attributes={"a": 1, "b": 2, "c": 3}),
        attributes={"b": 2, "c": 3},
        dropped_attributes=1,
    )
    return emitter.end()


# ---- what is stored ----

ROWS = f"""
SELECT
    toUnixTimestamp64Nano(l.Timestamp) AS time,
    toUnixTimestamp64Nano(l.ObservedTimestamp) AS observed,
    lower(hex(l.TraceId)) AS trace_id, lower(hex(l.SpanId)) AS span_id, l.Flags AS flags,
    l.SeverityNumber AS severity, l.SeverityText AS severity_text, l.EventName AS event,
    l.ServiceName AS service, l.Body AS body, l.BodyType AS body_type,
    l.ExceptionType AS promoted,
    {typed("l.LogAttributes", "l.LogAttributeTypes")} AS attributes,
    l.DroppedAttributesCount AS dropped_attributes,
    {origin_columns("l")}
FROM spanmill.otel_logs AS l
LEFT ANY JOIN spanmill.otel_resources AS r ON r.ResourceId = l.ResourceId
WHERE l.ServiceName = '%s' ORDER BY l.Timestamp
FORMAT JSONEachRow
SETTINGS output_format_json_quote_64bit_integers = 0,
    output_format_json_named_tuples_as_objects = 0"""

# The form in which the Collector's exporter would have stored it.
VIEW = """
SELECT toUnixTimestamp64Nano(Timestamp) AS time, TraceId, SpanId, TraceFlags, SeverityText,
    SeverityNumber, Body, LogAttributes, ResourceAttributes, ScopeName, EventName
FROM otel.otel_logs AS v WHERE ServiceName = '%s' ORDER BY v.Timestamp
FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0"""


def decoded_row(row):
    """A stored row in the form of what is expected."""
    row["body"] = DECODERS[row.pop("body_type")](row["body"])
    inside = decoded(row["attributes"])
    promoted = row.pop("promoted")
    if promoted:
        assert PROMOTED not in inside, f"both in its column and the map: {row}"
        inside[PROMOTED] = promoted
    row["attributes"] = {key: inside[key] for key in sorted(inside)}
    decode_origin(row)
    return row


def view_of(row):
    return {
        "time": row["time"],
        "TraceId": shown_id(row["trace_id"]),
        "SpanId": shown_id(row["span_id"]),
        "TraceFlags": row["flags"],
        "SeverityText": row["severity_text"],
        "SeverityNumber": row["severity"],
        "ScopeName": SCOPE_NAME,
        "EventName": row["event"],
        "attribute keys": sorted(row["attributes"]),
        "exception": as_text(row["attributes"].get(PROMOTED)),
        "resource keys": sorted(resource_attributes(row["service"])),
    }


def check_records(checks, greeting, way, service, sent):
    stored = [decoded_row(row) for row in query(greeting, ROWS % service)]
    shown = query(greeting, VIEW % service)
    counts = {"records": len(stored), "in the view": len(shown)}
    checks.equal(f"{way}: {service}: records", counts, {key: len(sent) for key in counts})
    for row, stored_row, shown_row in zip(sorted(sent, key=lambda row: row["time"]), stored, shown):
        name = f"log with {row['severity_text'] or 'no severity'}, {type(row['body']).__name__}"
        checks.equal(f"{way}: {name}", stored_row, row)
        body = shown_row.pop("Body")
        if isinstance(row["body"], str):
            checks.equal(f"{way}: {name}: body in the view", {"Body": body}, {"Body": row["body"]})
        in_view = shown_row.pop("LogAttributes")
        shown_row["attribute keys"] = sorted(in_view)
        shown_row["exception"] = in_view.get(PROMOTED, "")
        shown_row["resource keys"] = sorted(shown_row.pop("ResourceAttributes"))
        checks.equal(f"{way}: {name}: in the view", shown_row, view_of(row))


def check(checks, greeting, way, exporter):
    # All within one hour, and every nanosecond digit in use.
    now = time.time_ns() // 1_000 * 1_000 - 60_000_000_000 + 123
    for send in (send_everything, send_dropped):
        service = f"python-shop {way} {send.__name__}"
        sent = send(exporter(GrpcExporter, HttpExporter, "/v1/logs"), service, now)
        check_records(checks, greeting, way, service, sent)
