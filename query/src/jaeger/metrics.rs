//! What Jaeger's monitor page asks: rates, errors and durations of services by time, as protobuf's JSON writes
//! OpenMetrics' families of gauges.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use spanmill_schema::Retention;

use super::enveloped;
use crate::clickhouse::ClickHouse;
use crate::clock;
use crate::error::Error;
use crate::parameters::Parameters;
use crate::services::{self, Known, POINTS_MAX, Point, Red, WINDOW_BUCKETS_MAX};
use crate::tables::HEADER;

/// The shortest step, in milliseconds; Jaeger's own defaults for the rest.
const STEP_MIN: i64 = 1_000;
const STEP_DEFAULT: i64 = 5_000;
const LOOKBACK_DEFAULT: i64 = 3_600_000;
const WINDOW_DEFAULT: i64 = 600_000;
/// OTLP's number of servers' spans, which count unless kinds are given.
const SERVER: u8 = 2;
const MEDIAN: u32 = 500_000;

/// What answering needs.
#[derive(Clone)]
pub(super) struct Monitor {
    pub clickhouse: ClickHouse,
    pub known: Arc<Known>,
    pub retention: Retention,
}

#[derive(Serialize)]
struct Family {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    help: String,
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    labels: Vec<Label>,
    metric_points: Vec<MetricPoint>,
}

#[derive(Serialize)]
struct Label {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricPoint {
    gauge_value: Gauge,
    timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Gauge {
    double_value: f64,
}

/// One of the three families.
struct Kind {
    name: &'static str,
    name_by_operation: &'static str,
    help: String,
    value: fn(&Point, f64) -> f64,
}

/// `GET /api/metrics/minstep`, in milliseconds.
pub(super) async fn min_step() -> Response {
    enveloped(STEP_MIN, 0)
}

/// `GET /api/metrics/latencies`: a quantile, in milliseconds.
pub(super) async fn latencies(
    State(monitor): State<Monitor>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let text = parameters.required("quantile")?;
    let quantile = text.parse::<f64>().ok();
    let Some(quantile) = quantile.filter(|quantile| (0.0..=1.0).contains(quantile)) else {
        let reason = format!("{text:?} is no number from 0 to 1");
        return Err(Error::parameter("quantile", reason));
    };
    let kind = Kind {
        name: "service_latencies",
        name_by_operation: "service_operation_latencies",
        help: format!("{quantile}th quantile latency"),
        value: |point, _| point.duration / 1e6,
    };
    family(&monitor, &parameters, (quantile * 1e6).round() as u32, kind).await
}

/// `GET /api/metrics/calls`: calls a second.
pub(super) async fn calls(
    State(monitor): State<Monitor>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let kind = Kind {
        name: "service_call_rate",
        name_by_operation: "service_operation_call_rate",
        help: "calls/sec".to_owned(),
        value: |point, seconds| point.calls as f64 / seconds,
    };
    family(&monitor, &Parameters::parse(query.as_deref()), MEDIAN, kind).await
}

/// `GET /api/metrics/errors`: which share of the calls failed.
pub(super) async fn errors(
    State(monitor): State<Monitor>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let kind = Kind {
        name: "service_error_rate",
        name_by_operation: "service_operation_error_rate",
        help: "error rate, as a fraction of calls".to_owned(),
        value: |point, _| point.errors as f64 / point.calls as f64,
    };
    family(&monitor, &Parameters::parse(query.as_deref()), MEDIAN, kind).await
}

async fn family(
    monitor: &Monitor,
    parameters: &Parameters,
    quantile: u32,
    kind: Kind,
) -> Result<Response, Error> {
    parameters.required("service")?;
    let now = clock::now();
    let (red, range) = asked(parameters, quantile, now)?;
    let Monitor {
        clickhouse,
        known,
        retention,
    } = monitor;
    let found = services::points(clickhouse, known, &red, range, now, *retention).await?;
    let (points, resolution) = found;
    let seconds = red.window as f64 / 1e9;
    let mut metrics: BTreeMap<(&str, &str), Vec<MetricPoint>> = BTreeMap::new();
    for point in &points {
        let series = metrics.entry((&point.service, &point.operation));
        series.or_default().push(MetricPoint {
            gauge_value: Gauge {
                double_value: (kind.value)(point, seconds),
            },
            timestamp: clock::to_rfc3339(point.time),
        });
    }
    let metric = |((service, operation), metric_points): ((&str, &str), _)| Metric {
        labels: labels(&red, service, operation),
        metric_points,
    };
    let by = if red.by_operation { " & operation" } else { "" };
    let family = Family {
        name: match red.by_operation {
            true => kind.name_by_operation,
            false => kind.name,
        },
        kind: "GAUGE",
        help: format!("{}, grouped by service{by}", kind.help),
        metrics: metrics.into_iter().map(metric).collect(),
    };
    Ok(([(HEADER, resolution.to_string())], Json(family)).into_response())
}

fn labels(red: &Red, service: &str, operation: &str) -> Vec<Label> {
    let label = |name, value: &str| Label {
        name,
        value: value.to_owned(),
    };
    let operation = red.by_operation.then(|| label("operation", operation));
    let service = label("service_name", service);
    operation.into_iter().chain([service]).collect()
}

/// The question, and its range in nanoseconds since 1970.
fn asked(parameters: &Parameters, quantile: u32, now: i64) -> Result<(Red, (i64, i64)), Error> {
    let millis = |name, least, default| {
        let number = parameters.number(name, least, clock::MILLIS_MAX)?;
        Ok::<_, Error>(number.unwrap_or(default) * 1_000_000)
    };
    let end = millis("endTs", 0, now / 1_000_000)?;
    let start = (end - millis("lookback", 1, LOOKBACK_DEFAULT)?).max(0);
    let step = millis("step", STEP_MIN, STEP_DEFAULT)?;
    let window = millis("ratePer", STEP_MIN, WINDOW_DEFAULT)?;
    if (end - start) / step > POINTS_MAX {
        let reason = format!("makes more than {POINTS_MAX} points of this lookback");
        return Err(Error::parameter("step", reason));
    }
    if services::window_buckets(step, window) > WINDOW_BUCKETS_MAX {
        let reason = format!(
            "and `step` have nothing in common that fits less than {WINDOW_BUCKETS_MAX} times"
        );
        return Err(Error::parameter("ratePer", reason));
    }
    let mut selection = services::selection(parameters)?;
    if selection.kinds.is_empty() {
        selection.kinds = vec![SERVER];
    }
    let red = Red {
        selection,
        by_operation: parameters.truth("groupByOperation")?.unwrap_or(false),
        step,
        window,
        quantile,
    };
    Ok((red, (start, end)))
}
