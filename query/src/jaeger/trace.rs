//! First generation: traces by id and by search.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

use super::{list, shape};
use crate::error::Error;
use crate::limits;
use crate::parameters::Parameters;
use crate::search_parameters;
use crate::traces::{self, Found, TraceId, Traces};

/// `GET /api/traces/{id}`
pub(crate) async fn by_id(
    State(traces): State<Traces>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let id = search_parameters::trace_id("traceID", &id)?;
    let found = traces::read(&traces, &[id.into()]).await?;
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
    if parameters.text("traceID").is_none() {
        parameters.required("service")?;
    }
    by_search(&traces, &parameters).await
}

/// `GET /api/v1/traces`: the same, but of all services if none is given.
pub(crate) async fn search_anywhere(
    State(traces): State<Traces>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    by_search(&traces, &Parameters::parse(query.as_deref())).await
}

async fn by_search(traces: &Traces, parameters: &Parameters) -> Result<Response, Error> {
    let mut wanted = given_ids(parameters)?;
    if wanted.is_empty() {
        wanted = traces::search(traces, &search_parameters::legacy(parameters)?).await?;
    }
    shown(traces, &wanted).await
}

async fn shown(traces: &Traces, wanted: &[Found]) -> Result<Response, Error> {
    if wanted.is_empty() {
        return Ok(list(Vec::<()>::new()));
    }
    let mut found = traces::read(traces, wanted).await?;
    found.sort_by_key(|trace| std::cmp::Reverse(trace.spans.first().map(|span| span.start)));
    Ok(list(shape::traces(&found)))
}

fn given_ids(parameters: &Parameters) -> Result<Vec<Found>, Error> {
    let texts: Vec<_> = parameters
        .all("traceID")
        .filter(|text| !text.is_empty())
        .collect();
    if texts.len() > limits::TRACES_MAX {
        let reason = format!("more than {} are given", limits::TRACES_MAX);
        return Err(Error::parameter("traceID", reason));
    }
    let ids = texts
        .into_iter()
        .map(|text| search_parameters::trace_id("traceID", text));
    let mut ids = ids.collect::<Result<Vec<TraceId>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids.into_iter().map(Found::from).collect())
}
