//! Traces by id and by search.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

use super::{list, shape};
use crate::error::Error;
use crate::limits;
use crate::parameters::Parameters;
use crate::traces::{self, Search, TraceId, Traces};

/// How far back a search goes that does not say: two days, in nanoseconds.
const LOOKBACK: i64 = 2 * 86_400_000_000_000;
/// Microseconds that still fit when they are nanoseconds.
const MICROS_MAX: i64 = i64::MAX / 1000;

/// Nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// `GET /api/traces/{id}`
pub(super) async fn by_id(
    State(traces): State<Traces>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let id = id
        .parse::<TraceId>()
        .map_err(|reason: String| Error::parameter("traceID", reason))?;
    let (found, resources) = traces::read(&traces, &[id]).await?;
    match found.is_empty() {
        true => Err(Error::NotFound("trace not found")),
        false => Ok(list(shape::traces(&found, &resources))),
    }
}

/// `GET /api/traces`
pub(super) async fn search(
    State(traces): State<Traces>,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let parameters = Parameters::parse(query.as_deref());
    let ids = given_ids(&parameters)?;
    let ids = match ids.is_empty() {
        true => traces::search(&traces, &wanted(&parameters)?).await?,
        false => ids,
    };
    if ids.is_empty() {
        return Ok(list(Vec::<()>::new()));
    }
    let (mut found, resources) = traces::read(&traces, &ids).await?;
    found.sort_by_key(|trace| std::cmp::Reverse(trace.spans.first().map(|span| span.start)));
    Ok(list(shape::traces(&found, &resources)))
}

fn given_ids(parameters: &Parameters) -> Result<Vec<TraceId>, Error> {
    let texts: Vec<_> = parameters.all("traceID").collect();
    if texts.len() > limits::TRACES_MAX {
        let reason = format!("more than {} are given", limits::TRACES_MAX);
        return Err(Error::parameter("traceID", reason));
    }
    let id = |text: &str| {
        text.parse::<TraceId>()
            .map_err(|reason: String| Error::parameter("traceID", reason))
    };
    let mut ids = texts.into_iter().map(id).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn wanted(parameters: &Parameters) -> Result<Search, Error> {
    let service = parameters.required("service")?;
    let end = parameters.number("end", 0, MICROS_MAX)?;
    // A microsecond has all its nanoseconds.
    let end = end.map_or_else(now, |end| end.saturating_mul(1000).saturating_add(999));
    let start = parameters.number("start", 0, MICROS_MAX)?;
    let start = start.map_or(end - LOOKBACK, |start| start * 1000);
    if start > end {
        return Err(Error::parameter("start", "is behind `end`"));
    }
    let traces_max = parameters.number("limit", 1, limits::TRACES_MAX)?;
    let nanos = |name| {
        let duration = parameters.duration(name)?;
        // Durations that are read fit.
        Ok::<_, Error>(duration.map(|duration| duration.as_nanos() as u64))
    };
    let (duration_min, duration_max) = (nanos("minDuration")?, nanos("maxDuration")?);
    if duration_max.is_some() && duration_min > duration_max {
        return Err(Error::parameter("maxDuration", "is below `minDuration`"));
    }
    let storable = |nanos: i64| nanos.clamp(0, limits::TIME_MAX * 1_000_000_000);
    let (start, end) = (storable(start), storable(end));
    Ok(Search {
        service: Some(service.to_owned()),
        operation: parameters.text("operation").map(str::to_owned),
        start,
        end,
        duration_min,
        duration_max,
        tags: tags(parameters)?,
        traces_max: traces_max.unwrap_or(limits::TRACES_DEFAULT),
    })
}

/// `tag=key:value` and `tags={"key":"value"}`, each any number of times.
fn tags(parameters: &Parameters) -> Result<Vec<(String, String)>, Error> {
    let mut tags = Vec::new();
    for text in parameters.all("tag") {
        let Some((key, value)) = text.split_once(':') else {
            let reason = format!("{text:?} is not of the form key:value");
            return Err(Error::parameter("tag", reason));
        };
        tags.push((key.to_owned(), value.to_owned()));
    }
    for text in parameters.all("tags") {
        let map: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
            let reason = format!("is no JSON object of strings: {error}");
            Error::parameter("tags", reason)
        })?;
        tags.extend(map);
    }
    match tags.len() > limits::TAGS_MAX {
        true => {
            let reason = format!("more than {} are given", limits::TAGS_MAX);
            Err(Error::parameter("tag", reason))
        }
        false => Ok(tags),
    }
}
