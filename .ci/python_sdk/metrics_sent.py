"""Metrics measured and sent through the SDK in two rounds, and what is expected to be stored of them: the
points that the SDK hands to its exporter, noted on their way.

The SDK for Python never sends: a gauge's start, a zero threshold, summaries, metadata, flags, numbers
that are not finite, and counts of dropped attributes.
"""

import math

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
from origin import SCOPE, SCOPE_NAME, expected_origin, remote_context, resource
from values import EVERY_TYPE, attributes

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
