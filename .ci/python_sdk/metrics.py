"""Metrics: sent through the SDK with either temporality, and read back."""

import struct

from metrics_sent import LARGE, TEMPORALITIES, send_everything
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from origin import decode_origin, origin_columns, resource_attributes
from server import query
from values import EVERY_TYPE, decoded, shown_id, typed


def check_variety(checks, what, sent):
    """That the SDK made what is to be read back."""
    exemplars = [exemplar for row in sent for exemplar in row["exemplars"]]
    counters = [row["number"] for row in sent if row["metric"] == "counter.int"]
    seen = {
        "types": sorted({row["type"] for row in sent}),
        "temporalities": len({row["temporality"] for row in sent}) >= 2,
        "integers past 2^53": LARGE in counters,
        "series": len({series(row) for row in sent}) == len(sent) / 2,
        "exemplars' types": sorted({type(exemplar[1]).__name__ for exemplar in exemplars}),
        "exemplars in and outside of traces": len({int(exemplar[2], 16) == 0 for exemplar in exemplars}),
        "exemplars' attributes": EVERY_TYPE.keys() in [exemplar[4].keys() for exemplar in exemplars],
    }
    wanted = {
        "types": [1, 2, 3, 4],
        "temporalities": True,
        "integers past 2^53": True,
        "series": True,
        "exemplars' types": ["float", "int"],
        "exemplars in and outside of traces": 2,
        "exemplars' attributes": True,
    }
    checks.equal(f"{what}: what the SDK made", seen, wanted)


def series(row):
    return row["metric"], row["scope_name"], repr(row["attributes"])


# ---- what is stored ----

# Floats travel as text: JSON has neither infinity nor a negative zero.
ROWS = f"""
SELECT
    m.MetricName AS metric, s.MetricUnit AS unit, s.MetricDescription AS description,
    {typed("s.MetricMetadata", "s.MetricMetadataTypes")} AS metadata, m.MetricType AS type,
    m.AggregationTemporality AS temporality, m.IsMonotonic AS monotonic,
    toDate(m.Timestamp, 'UTC') BETWEEN s.FirstDay AND s.LastDay AS within_days,
    toUnixTimestamp64Nano(m.StartTimestamp) AS start, toUnixTimestamp64Nano(m.Timestamp) AS time,
    m.Flags AS flags, {typed("s.Attributes", "s.AttributeTypes")} AS attributes,
    arrayZip(arrayMap(at -> toUnixTimestamp64Nano(at), m.`Exemplars.Timestamp`),
        arrayMap((kind, value, rest) -> tuple(kind, toString(value), rest),
            m.`Exemplars.ValueType`, m.`Exemplars.Value`, m.`Exemplars.IntRemainder`),
        arrayMap(id -> lower(hex(id)), m.`Exemplars.TraceId`),
        arrayMap(id -> lower(hex(id)), m.`Exemplars.SpanId`),
        arrayMap((entries, types) -> {typed("entries", "types")},
            m.`Exemplars.FilteredAttributes`, m.`Exemplars.FilteredAttributeTypes`)) AS exemplars,
    tuple(m.ValueType, toString(m.Value), m.IntRemainder) AS number,
    m.Count AS count, toString(m.Sum) AS sum, toString(m.Min) AS min, toString(m.Max) AS max,
    m.Given AS given, arrayMap(x -> toString(x), m.ExplicitBounds) AS bounds,
    m.BucketCounts AS counts, m.Scale AS scale, m.ZeroCount AS zero_count,
    toString(m.ZeroThreshold) AS zero_threshold,
    tuple(m.PositiveOffset, m.PositiveBucketCounts) AS positive,
    tuple(m.NegativeOffset, m.NegativeBucketCounts) AS negative,
    arrayZip(m.`ValueAtQuantiles.Quantile`, m.`ValueAtQuantiles.Value`) AS quantiles,
    m.ServiceName AS service,
    {origin_columns("s")}
FROM spanmill.otel_metrics AS m
LEFT JOIN (SELECT * FROM spanmill.otel_metric_series FINAL) AS s
    ON s.MetricName = m.MetricName AND s.ServiceName = m.ServiceName AND s.SeriesId = m.SeriesId
LEFT ANY JOIN spanmill.otel_resources AS r ON r.ResourceId = s.ResourceId
WHERE m.ServiceName = '%s'
FORMAT JSONEachRow
SETTINGS output_format_json_quote_64bit_integers = 0,
    output_format_json_named_tuples_as_objects = 0"""

SERIES = """
SELECT (SELECT count() FROM spanmill.otel_metric_series FINAL WHERE ServiceName = '{0}') AS series,
    uniqExact(SeriesId) AS ids FROM spanmill.otel_metrics WHERE ServiceName = '{0}'
FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0"""

# The form in which the Collector's exporter would have stored it, by type.
VIEWS_STORED = {
    1: ("gauge", "Value"),
    2: ("sum", "Value"),
    3: ("histogram", "Sum"),
    4: ("exponential_histogram", "Sum"),
}
VIEW = """
SELECT MetricName AS metric, ScopeName AS scope, MetricUnit AS unit, MetricDescription AS description,
    toUnixTimestamp64Nano(TimeUnix) AS time, toUnixTimestamp64Nano(StartTimeUnix) AS start,
    toString({value}) AS value, arraySort(mapKeys(Attributes)) AS attributes,
    arraySort(mapKeys(ResourceAttributes)) AS resource,
    arrayZip(`Exemplars.TraceId`, `Exemplars.SpanId`, arrayMap(x -> toString(x), `Exemplars.Value`),
        arrayMap(map -> arraySort(mapKeys(map)), `Exemplars.FilteredAttributes`)) AS exemplars
FROM otel.otel_metrics_{view} WHERE ServiceName = '{service}'
FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0,
    output_format_json_named_tuples_as_objects = 0"""


def number(stored):
    """By the number type (schema/src/tables.rs); an integer is its float and what that leaves out."""
    kind, text, rest = stored
    return [lambda: None, lambda: float(text), lambda: int(float(text)) + rest][kind]()


def decoded_row(row):
    """A stored row in the form of what is expected."""
    row["number"] = number(row["number"])
    given = row.pop("given")
    for bit, key in enumerate(("sum", "min", "max")):
        row[key] = float(row[key]) if given & 1 << bit else None
    row["zero_threshold"] = float(row["zero_threshold"])
    row["bounds"] = [float(bound) for bound in row["bounds"]]
    row["attributes"] = decoded(row["attributes"])
    row["metadata"] = decoded(row["metadata"])
    row["exemplars"] = [
        [time, number(value), trace_id, span_id, decoded(entries)]
        for time, value, trace_id, span_id, entries in row["exemplars"]
    ]
    decode_origin(row)
    return row


def bits(value):
    """What tells floats apart, in an order."""
    return struct.pack(">d", value).hex()


def view_of(row):
    return {
        "metric": row["metric"],
        "scope": row["scope_name"],
        "unit": row["unit"],
        "description": row["description"],
        "time": row["time"],
        "start": row["start"],
        "value": bits(row["number"] if row["type"] <= 2 else row["sum"]),
        "attributes": sorted(row["attributes"]),
        "resource": sorted(resource_attributes(row["service"])),
        "exemplars": [
            [shown_id(trace_id), shown_id(span_id), bits(value), sorted(values)]
            for _, value, trace_id, span_id, values in row["exemplars"]
        ],
    }


def decoded_view(row):
    row["value"] = bits(float(row["value"]))
    row["exemplars"] = [[*ids, bits(float(value)), keys] for *ids, value, keys in row["exemplars"]]
    return row


def equal_points(checks, what, stored, sent, place):
    """One check for all points, which `place` puts in an order."""

    def by_place(rows):
        rows = sorted(rows, key=place)
        return {
            f"{row['metric']} {index}: {key}": value
            for index, row in enumerate(rows)
            for key, value in row.items()
        }

    checks.equal(f"{what}: {len(sent)} points", by_place(stored), by_place(sent))


def check_points(checks, greeting, what, service, sent):
    stored = [decoded_row(row) for row in query(greeting, ROWS % service)]
    place = lambda row: (*series(row), row["time"])  # noqa: E731
    for metric in sorted({row["metric"] for row in sent} | {row["metric"] for row in stored}):
        of_metric = [[row for row in rows if row["metric"] == metric] for rows in (stored, sent)]
        equal_points(checks, f"{what}: {metric}", *of_metric, place)

    (counts,) = query(greeting, SERIES.format(service))
    wanted = len({series(row) for row in sent})
    checks.equal(f"{what}: series", counts, {"series": wanted, "ids": wanted})

    for kind, (view, value) in VIEWS_STORED.items():
        shown = query(greeting, VIEW.format(view=view, value=value, service=service))
        shown = [decoded_view(row) for row in shown]
        of_kind = [view_of(row) for row in sent if row["type"] == kind]
        equal_points(checks, f"{what}: in otel_metrics_{view}", shown, of_kind, repr)


def check(checks, greeting, way, exporter):
    for preference, temporality in TEMPORALITIES.items():
        what = f"{way}, {preference}"
        service = f"python-shop {what}"
        over = exporter(GrpcExporter, HttpExporter, "/v1/metrics", preferred_temporality=temporality)
        sent = send_everything(over, service)
        check_variety(checks, what, sent)
        check_points(checks, greeting, what, service, sent)
