"""Metrics: measured and sent through the SDK, and read back.

What is expected are the points that the SDK hands to its exporter, noted on their way. The SDK for Python
has, but does not send, a gauge's start and an exponential histogram's zero threshold; it never makes
summaries, metadata, flags, numbers that are not finite, and counts of dropped attributes.
"""

import math
import struct

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import (
    AlwaysOnExemplarFilter,
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Gauge,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.trace import NonRecordingSpan, set_span_in_context
from origin import (
    SCOPE,
    SCOPE_NAME,
    decode_origin,
    expected_origin,
    origin_columns,
    remote_context,
    resource,
    resource_attributes,
)
from server import query
from values import EVERY_TYPE, attributes, decoded, typed

# No float holds it or its double.
LARGE = 2**60 + 1
# By OTLP's codes; for these instruments a preference for deltas is one.
TEMPORALITIES = {
    "cumulative": {},
    "delta": {kind: AggregationTemporality.DELTA for kind in (Counter, Histogram, ObservableCounter)},
}
VIEWS = [
    View(
        instrument_name="exponential.coarse",
        aggregation=ExponentialBucketHistogramAggregation(max_size=160, max_scale=0),
    ),
    View(
        instrument_name="exponential.fine",
        aggregation=ExponentialBucketHistogramAggregation(max_size=160, max_scale=20),
    ),
    View(
        instrument_name="histogram.bare",
        aggregation=ExplicitBucketHistogramAggregation(boundaries=[], record_min_max=False),
    ),
    # What is measured with other attributes has them in exemplars alone.
    View(instrument_name="*.filtered", attribute_keys={"kept"}),
]


class Watched(MetricExporter):
    """Hands everything on to the exporter, and notes it."""

    def __init__(self, exporter):
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self.exporter = exporter
        self.collections = []

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.collections.append(metrics_data)
        result = self.exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
        assert result is MetricExportResult.SUCCESS, result
        return result

    def force_flush(self, timeout_millis=10_000):
        return self.exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis=30_000, **kwargs):
        self.exporter.shutdown(timeout_millis, **kwargs)


def measure(meter, context):
    """Once with every synchronous instrument."""
    requests = meter.create_counter("counter.int", "{request}", "Answered \N{SNOWMAN} requests")
    requests.add(1)
    requests.add(LARGE, EVERY_TYPE, context)
    # Three series: types differ, texts do not.
    for code in (200, "200", 200.0):
        requests.add(2, {"code": code})
    meter.create_counter("counter.double", "s").add(0.1, EVERY_TYPE)
    meter.create_up_down_counter("up_down.int").add(-LARGE)
    meter.create_up_down_counter("up_down.double").add(-0.1, context=context)
    gauge = meter.create_gauge("gauge", "By", "of both types")
    for value in (0, -(2**63), 2**63 - 1, 2**53 + 1, 0.5, -0.0, 5e-324, 1.7976931348623157e308):
        gauge.set(value, {"value": str(value), **EVERY_TYPE}, context)

    histogram = meter.create_histogram(
        "histogram.double", "ms", "with bounds", explicit_bucket_boundaries_advisory=[0.0, 5.0, 10.5]
    )
    for value in (0.25, 5.0, 7.5, 1000.0):
        histogram.record(value, EVERY_TYPE, context)
    histogram.record(10.5)
    histogram = meter.create_histogram("histogram.int")
    for value in (1, 10, 20_000):
        histogram.record(value)
    meter.create_histogram("histogram.bare").record(0.5)
    histogram = meter.create_histogram("exponential.coarse", "s", "powers of two")
    for value in (0.0, 1.5, 1.5, 3.0, 0.375):
        histogram.record(value, EVERY_TYPE, context)
    meter.create_histogram("exponential.fine").record(1.5)

    dropped = {"kept": "k", **EVERY_TYPE}
    meter.create_counter("counter.filtered").add(LARGE, dropped, context)
    meter.create_histogram("histogram.filtered").record(0.5, dropped)


def observe(meter, rounds):
    """Once with every instrument that is asked."""

    def growing(value, values=None):
        return [lambda _: [Observation(value * len(rounds), values)]]

    meter.create_observable_counter("observed.counter.int", growing(LARGE, EVERY_TYPE), "1")
    meter.create_observable_counter("observed.counter.double", growing(0.1))
    meter.create_observable_up_down_counter("observed.up_down.int", growing(-LARGE))
    meter.create_observable_up_down_counter("observed.up_down.double", growing(-0.1, {"a": True}))
    meter.create_observable_gauge("observed.gauge.int", growing(-7))
    meter.create_observable_gauge("observed.gauge.double", growing(0.1, EVERY_TYPE))


def send_everything(exporter, service):
    """Measures with every instrument and exports, twice."""
    watched = Watched(exporter)
    provider = MeterProvider(
        # Nothing is collected but when it is asked for.
        metric_readers=[PeriodicExportingMetricReader(watched, export_interval_millis=math.inf)],
        resource=resource(service),
        exemplar_filter=AlwaysOnExemplarFilter(),
        shutdown_on_exit=False,
        views=VIEWS,
    )
    meter = provider.get_meter(*SCOPE)
    rounds = []
    observe(meter, rounds)
    context = set_span_in_context(NonRecordingSpan(remote_context()))
    for number in (1, 2):
        rounds.append(number)
        measure(meter, context)
        # The same metric under a scope of which nothing is known but its name.
        provider.get_meter("elsewhere").create_counter("counter.int", "{request}").add(5)
        provider.force_flush()
    provider.shutdown()
    assert len(watched.collections) == len(rounds), watched.collections
    return [row for data in watched.collections for row in expected(data, service)]


# ---- what is expected ----


def expected(data, service):
    (of_resource,) = data.resource_metrics
    for of_scope in of_resource.scope_metrics:
        for metric in of_scope.metrics:
            for point in metric.data.data_points:
                yield expected_point(metric, point, of_scope.scope.name, service)


def expected_point(metric, point, scope, service):
    row = {
        "metric": metric.name,
        "unit": metric.unit,
        "description": metric.description,
        "metadata": {},
        "temporality": getattr(metric.data, "aggregation_temporality", 0) + 0,
        "monotonic": getattr(metric.data, "is_monotonic", False),
        "within_days": 1,
        "start": point.start_time_unix_nano,
        "time": point.time_unix_nano,
        "flags": 0,
        "attributes": attributes(point.attributes),
        "exemplars": [expected_exemplar(exemplar) for exemplar in point.exemplars],
        "number": None,
        "count": 0,
        "sum": None,
        "min": None,
        "max": None,
        "bounds": [],
        "counts": [],
        "scale": 0,
        "zero_count": 0,
        "zero_threshold": 0.0,
        "positive": [0, []],
        "negative": [0, []],
        "quantiles": [],
        **expected_origin(service),
    }
    if scope != SCOPE_NAME:
        row |= {"scope_name": scope, "scope_version": "", "scope_schema": "", "scope_attributes": {}}
    match metric.data:
        case Gauge():
            row |= {"type": 1, "number": point.value, "start": 0}
        case Sum():
            row |= {"type": 2, "number": point.value}
        case HistogramData():
            bounds = [float(bound) for bound in point.explicit_bounds]
            row |= {"type": 3, "bounds": bounds, "counts": list(point.bucket_counts)}
        case ExponentialHistogram():
            row |= {
                "type": 4,
                "scale": point.scale,
                "zero_count": point.zero_count,
                "positive": expected_buckets(point.positive),
                "negative": expected_buckets(point.negative),
            }
    if row["type"] >= 3:
        row |= {"count": point.count, "sum": float(point.sum)}
        row |= {"min": float(point.min), "max": float(point.max)}
    return row


def expected_buckets(buckets):
    """Without a count they are not sent."""
    return [buckets.offset, list(buckets.bucket_counts)] if buckets.bucket_counts else [0, []]


def expected_exemplar(exemplar):
    return [
        exemplar.time_unix_nano,
        exemplar.value,
        format(exemplar.trace_id or 0, "032x"),
        format(exemplar.span_id or 0, "016x"),
        attributes(exemplar.filtered_attributes or {}),
    ]


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
    def shown_id(text):
        return text if text.strip("0") else ""

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


def check_points(checks, clickhouse, what, service, sent):
    stored = [decoded_row(row) for row in query(clickhouse, ROWS % service)]
    place = lambda row: (*series(row), row["time"])  # noqa: E731
    for metric in sorted({row["metric"] for row in sent} | {row["metric"] for row in stored}):
        of_metric = [[row for row in rows if row["metric"] == metric] for rows in (stored, sent)]
        equal_points(checks, f"{what}: {metric}", *of_metric, place)

    (counts,) = query(clickhouse, SERIES.format(service))
    wanted = len({series(row) for row in sent})
    checks.equal(f"{what}: series", counts, {"series": wanted, "ids": wanted})

    for kind, (view, value) in VIEWS_STORED.items():
        shown = query(clickhouse, VIEW.format(view=view, value=value, service=service))
        shown = [decoded_view(row) for row in shown]
        of_kind = [view_of(row) for row in sent if row["type"] == kind]
        equal_points(checks, f"{what}: in otel_metrics_{view}", shown, of_kind, repr)


def check(checks, clickhouse, way, exporter):
    for preference, temporality in TEMPORALITIES.items():
        what = f"{way}, {preference}"
        service = f"python-shop {what}"
        over = exporter(GrpcExporter, HttpExporter, "/v1/metrics", preferred_temporality=temporality)
        sent = send_everything(over, service)
        check_variety(checks, what, sent)
        check_points(checks, clickhouse, what, service, sent)
