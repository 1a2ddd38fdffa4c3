//! Statistics of services and their operations, for Spanmill's own path and for Jaeger's.

mod red;
mod source;
mod totals;

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use spanmill_schema::Retention;

pub(crate) use red::{
    Known, POINTS_MAX, Point, Red, WINDOW_BUCKETS_MAX, known, points, window_buckets,
};
pub(crate) use source::Selection;
use totals::{Parts, Total};

use crate::clickhouse::ClickHouse;
use crate::clock;
use crate::error::Error;
use crate::parameters::Parameters;
use crate::tables::{HEADER, Resolution};
use crate::traces::{kind_name, kind_number};

/// Services that one request may name.
const SERVICES_MAX: usize = 100;
/// Rows of an answer.
const ROWS_DEFAULT: u64 = 1_000;
const ROWS_MAX: u64 = 10_000;

#[derive(Serialize)]
struct Stats {
    data: Vec<Row>,
    total: usize,
    /// What was really counted, in microseconds since 1970; the end is not in it.
    start: i64,
    end: i64,
    errors: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_kind: Option<&'static str>,
    calls: u64,
    errors: u64,
    calls_per_second: f64,
    error_ratio: f64,
    duration_ms: Durations,
}

#[derive(Serialize)]
struct Durations {
    min: f64,
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// What answering needs.
#[derive(Clone)]
pub(crate) struct Services {
    pub clickhouse: ClickHouse,
    pub retention: Retention,
}

/// `GET /api/v1/services/stats?start=…&end=…&service=…&operation=…&spanKind=…&groupBy=…&limit=…`
pub(crate) async fn stats(
    State(services): State<Services>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let now = clock::now();
    let end = parameters.micros_or_time("end")?.unwrap_or(now);
    let start = parameters.micros_or_time("start")?;
    let start = start.unwrap_or((end - Resolution::Hour.width()).max(0));
    if start >= end {
        return Err(Error::parameter("start", "is not before `end`"));
    }
    let by_operation = match parameters.text("groupBy") {
        None | Some("operation") => true,
        Some("service") => false,
        Some(other) => {
            let reason = format!("{other:?} is none of operation, service");
            return Err(Error::parameter("groupBy", reason));
        }
    };
    let limit = parameters.number("limit", 1, ROWS_MAX)?;
    let selection = selection(&parameters)?;
    let parts = totals::cut(start, end, now, services.retention);
    let limit = limit.unwrap_or(ROWS_DEFAULT);
    let totals = totals::totals(
        &services.clickhouse,
        &selection,
        &parts,
        by_operation,
        limit,
    )
    .await?;
    // What is still to come takes no time off the rate.
    let seconds = (parts.end.min(now.max(end)) - parts.start) as f64 / 1e9;
    let rows = totals.iter().map(|total| row(total, by_operation, seconds));
    let stats = Stats {
        data: rows.collect(),
        total: totals.len(),
        start: parts.start / 1000,
        end: parts.end / 1000,
        errors: None,
    };
    Ok(([(HEADER, names(&parts))], Json(stats)).into_response())
}

/// `service`, `operation` and `spanKind` of the parameters.
pub(crate) fn selection(parameters: &Parameters) -> Result<Selection, Error> {
    let services: Vec<_> = parameters
        .all("service")
        .filter(|service| !service.is_empty())
        .map(str::to_owned)
        .collect();
    if services.len() > SERVICES_MAX {
        let reason = format!("more than {SERVICES_MAX} are given");
        return Err(Error::parameter("service", reason));
    }
    let kinds: Result<BTreeSet<u8>, Error> = parameters
        .all("spanKind")
        .filter(|kind| !kind.is_empty())
        .map(|kind| kind_number("spanKind", kind))
        .collect();
    Ok(Selection {
        services,
        operation: parameters.text("operation").map(str::to_owned),
        kinds: kinds?.into_iter().collect(),
    })
}

/// As the header says it, coarse ones first.
fn names(parts: &Parts) -> String {
    let resolutions: BTreeSet<_> = parts.parts.iter().map(|part| part.resolution).collect();
    let names: Vec<_> = resolutions.iter().rev().map(ToString::to_string).collect();
    names.join(", ")
}

fn row(total: &Total, by_operation: bool, seconds: f64) -> Row {
    let calls = total.calls.max(1) as f64;
    let millis = |nanos: f64| nanos / 1e6;
    let quantile = |index: usize| {
        total
            .quantiles
            .get(index)
            .map_or(0.0, |nanos| millis(f64::from(*nanos)))
    };
    Row {
        service: total.service.clone(),
        operation: by_operation.then(|| total.operation.clone()),
        span_kind: by_operation.then(|| kind_name(total.kind)),
        calls: total.calls,
        errors: total.errors,
        calls_per_second: total.calls as f64 / seconds,
        error_ratio: total.errors as f64 / calls,
        duration_ms: Durations {
            min: millis(total.least as f64),
            mean: millis(total.total as f64 / calls),
            p50: quantile(0),
            p95: quantile(1),
            p99: quantile(2),
            max: millis(total.most as f64),
        },
    }
}
