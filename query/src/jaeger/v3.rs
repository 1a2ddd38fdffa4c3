//! Version 3, which the newest UI asks: services, operations, dependencies, lists of traces, and traces as OTLP.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde::Serialize;

use super::OperationJson;
use crate::clickhouse::ClickHouse;
use crate::error::Error;
use crate::parameters::Parameters;
use crate::search_parameters::{self, time, time_range};
use crate::traces::{self, Summary, Trace, Traces, kind_name, kind_number};

#[derive(Serialize)]
struct Services {
    services: Vec<String>,
}

#[derive(Serialize)]
struct Operations {
    operations: Vec<OperationJson>,
}

#[derive(Serialize)]
struct Dependencies {
    dependencies: Vec<DependencyJson>,
}

/// 64-bit numbers are texts in protobuf's JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DependencyJson {
    parent: String,
    child: String,
    call_count: String,
}

#[derive(Serialize)]
struct Summaries {
    summaries: Vec<SummaryJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SummaryJson {
    trace_id: String,
    root_service_name: String,
    root_operation_name: String,
    min_start_time_unix_nano: String,
    max_end_time_unix_nano: String,
    span_count: usize,
    error_span_count: usize,
    orphan_span_count: usize,
    services: Vec<ServiceJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceJson {
    name: String,
    span_count: usize,
    error_span_count: usize,
}

#[derive(Serialize)]
struct Wrapped {
    result: TracesData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TracesData {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Serialize)]
struct Failed {
    error: Details,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    http_code: u16,
    message: String,
}

/// An error as this version says it.
pub(super) fn error(error: &Error) -> Response {
    let status = error.status();
    let error = Details {
        http_code: status.as_u16(),
        message: error.to_string(),
    };
    (status, Json(Failed { error })).into_response()
}

/// `GET /api/v3/services`
pub(super) async fn services(State(clickhouse): State<ClickHouse>) -> Result<Response, Error> {
    let services = traces::services(&clickhouse).await?;
    Ok(Json(Services { services }).into_response())
}

/// `GET /api/v3/operations?service=…&spanKind=…`
pub(super) async fn operations(
    State(clickhouse): State<ClickHouse>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let service = parameters.required("service")?;
    let name = parameters.either(["spanKind", "span_kind"]);
    let kind = parameters.text(name);
    let kind = kind.map(|text| kind_number(name, text)).transpose()?;
    let operations = traces::operations(&clickhouse, service, kind).await?;
    let shown = operations.iter().map(|operation| OperationJson {
        name: operation.name.clone(),
        // Jaeger itself takes spans that do not say for internal ones here.
        span_kind: kind_name(operation.kind.max(1)),
    });
    let operations = shown.collect();
    Ok(Json(Operations { operations }).into_response())
}

/// `GET /api/v3/dependencies?startTime=…&endTime=…`
pub(super) async fn dependencies(
    State(clickhouse): State<ClickHouse>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let starts = ["startTime", "start_time"];
    let range = time_range(&parameters, starts, ["endTime", "end_time"])?;
    let edges = traces::dependencies(&clickhouse, range, None).await?;
    let shown = edges.into_iter().map(|edge| DependencyJson {
        parent: edge.parent,
        child: edge.child,
        call_count: edge.calls.to_string(),
    });
    let dependencies = shown.collect();
    Ok(Json(Dependencies { dependencies }).into_response())
}

/// `GET /api/v3/trace-summaries`, with the parameters of a search; none found is an empty list.
pub(super) async fn summaries(
    State(traces): State<Traces>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let search = search_parameters::v3(&Parameters::parse(query.as_deref()))?;
    let wanted = traces::search(&traces, &search).await?;
    let mut found = match wanted.is_empty() {
        true => Vec::new(),
        false => traces::summaries(&traces, &wanted).await?,
    };
    found.sort_by_key(|summary| std::cmp::Reverse(summary.start));
    let summaries = found.into_iter().map(summary).collect();
    Ok(Json(Summaries { summaries }).into_response())
}

fn summary(summary: Summary) -> SummaryJson {
    let service = |(name, (span_count, error_span_count))| ServiceJson {
        name,
        span_count,
        error_span_count,
    };
    SummaryJson {
        trace_id: summary.id.to_string(),
        root_service_name: summary.root_service,
        root_operation_name: summary.root_operation,
        min_start_time_unix_nano: summary.start.to_string(),
        max_end_time_unix_nano: summary.end.to_string(),
        span_count: summary.spans,
        error_span_count: summary.errors,
        orphan_span_count: summary.orphans,
        services: summary.services.into_iter().map(service).collect(),
    }
}

/// `GET /api/v3/traces`, with the parameters of a search; none found is an error.
pub(super) async fn search(
    State(traces): State<Traces>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let search = search_parameters::v3(&Parameters::parse(query.as_deref()))?;
    let wanted = traces::search(&traces, &search).await?;
    let mut found = match wanted.is_empty() {
        true => Vec::new(),
        false => traces::read(&traces, &wanted).await?,
    };
    found.sort_by_key(|trace| std::cmp::Reverse(trace.spans.first().map(|span| span.start)));
    wrapped(&found)
}

/// `GET /api/v3/traces/{id}?startTime=…&endTime=…`; the index knows the time, so these are only checked.
pub(super) async fn by_id(
    State(traces): State<Traces>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    for names in [["startTime", "start_time"], ["endTime", "end_time"]] {
        let name = parameters.either(names);
        parameters
            .text(name)
            .map(|text| time(name, text))
            .transpose()?;
    }
    parameters.truth(parameters.either(["rawTraces", "raw_traces"]))?;
    let id = search_parameters::trace_id("trace_id", &id)?;
    wrapped(&traces::read(&traces, &[id.into()]).await?)
}

fn wrapped(found: &[Trace]) -> Result<Response, Error> {
    if found.is_empty() {
        return Err(Error::NotFound("No traces found"));
    }
    let resource_spans = traces::resource_spans(found);
    let result = TracesData { resource_spans };
    Ok(Json(Wrapped { result }).into_response())
}
