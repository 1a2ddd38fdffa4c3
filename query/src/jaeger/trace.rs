//! First generation: traces by id and by search.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

use super::{list, shape};
use crate::error::Error;
use crate::limits;
use crate::parameters::Parameters;
use crate::search_parameters;
use crate::traces::{self, Search, TraceId, Traces};

/// `GET /api/traces/{id}`
pub(crate) async fn by_id(
    State(traces): State<Traces>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let id = search_parameters::trace_id("traceID", &id)?;
    let found = traces::read(&traces, &[id]).await?;
    match found.is_empty() {
        true => Err(Error::NotFound("trace not found")),
        false => Ok(list(shape::traces(&found))),
    }
}

/// `GET /api/traces`: of a service, or of the ids that are given.
pub(super) async fn search(
    State(traces): State<Traces>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let ids = given_ids(&parameters)?;
    if !ids.is_empty() {
        return found(&traces, &ids).await;
    }
    parameters.required("service")?;
    by_search(&traces, &search_parameters::legacy(&parameters)?).await
}

/// `GET /api/v1/traces`: the same, but of all services if none is given.
pub(crate) async fn search_anywhere(
    State(traces): State<Traces>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let ids = given_ids(&parameters)?;
    if !ids.is_empty() {
        return found(&traces, &ids).await;
    }
    by_search(&traces, &search_parameters::legacy(&parameters)?).await
}

async fn by_search(traces: &Traces, search: &Search) -> Result<Response, Error> {
    let ids = traces::search(traces, search).await?;
    found(traces, &ids).await
}

async fn found(traces: &Traces, ids: &[TraceId]) -> Result<Response, Error> {
    if ids.is_empty() {
        return Ok(list(Vec::<()>::new()));
    }
    let mut found = traces::read(traces, ids).await?;
    found.sort_by_key(|trace| std::cmp::Reverse(trace.spans.first().map(|span| span.start)));
    Ok(list(shape::traces(&found)))
}

fn given_ids(parameters: &Parameters) -> Result<Vec<TraceId>, Error> {
    let texts: Vec<_> = parameters.all("traceID").collect();
    if texts.len() > limits::TRACES_MAX {
        let reason = format!("more than {} are given", limits::TRACES_MAX);
        return Err(Error::parameter("traceID", reason));
    }
    let ids = texts
        .into_iter()
        .map(|text| search_parameters::trace_id("traceID", text));
    let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
