//! What a search for traces is told, by the names of Jaeger's two generations.

use std::collections::BTreeMap;

use crate::clock;
use crate::error::Error;
use crate::limits;
use crate::parameters::Parameters;
use crate::traces::{Search, TraceId};

/// How far back a search goes that does not say: two days, in nanoseconds.
const LOOKBACK: i64 = 2 * 86_400_000_000_000;
/// Microseconds that still fit when they are nanoseconds.
const MICROS_MAX: i64 = i64::MAX / 1000;

/// An id that a parameter or a path holds.
pub(crate) fn trace_id(name: &'static str, text: &str) -> Result<TraceId, Error> {
    text.parse()
        .map_err(|reason: String| Error::parameter(name, reason))
}

/// `service`, `operation`, `start` and `end` in microseconds, `minDuration`, `maxDuration`, `limit`, `tag` and
/// `tags`.
pub(crate) fn legacy(parameters: &Parameters) -> Result<Search, Error> {
    let end = parameters.number("end", 0, MICROS_MAX)?;
    // A microsecond has all its nanoseconds.
    let end = end.map_or_else(clock::now, |end| {
        end.saturating_mul(1000).saturating_add(999)
    });
    let start = parameters.number("start", 0, MICROS_MAX)?;
    let start = start.map_or(end - LOOKBACK, |start| start * 1000);
    if start > end {
        return Err(Error::parameter("start", "is behind `end`"));
    }
    let durations = durations(parameters, "minDuration", "maxDuration")?;
    let traces_max = parameters.number("limit", 1, limits::TRACES_MAX)?;
    Ok(Search {
        service: parameters.text("service").map(str::to_owned),
        operation: parameters.text("operation").map(str::to_owned),
        start: start.clamp(0, clock::NANOS_MAX),
        end: end.clamp(0, clock::NANOS_MAX),
        duration_min: durations.0,
        duration_max: durations.1,
        tags: tags(parameters)?,
        traces_max: traces_max.unwrap_or(limits::TRACES_DEFAULT),
    })
}

/// The names that version 3 gives, each in camel case and in the older snake case.
pub(crate) fn v3(parameters: &Parameters) -> Result<Search, Error> {
    for name in [
        "query.filter",
        "query.pagination.pageToken",
        "query.orderBy",
    ] {
        if parameters.text(name).is_some() {
            return Err(Error::parameter(name, "is not supported"));
        }
    }
    let (start, end) = time_range(
        parameters,
        ["query.startTimeMin", "query.start_time_min"],
        ["query.startTimeMax", "query.start_time_max"],
    )?;
    let min = parameters.either(["query.durationMin", "query.duration_min"]);
    let max = parameters.either(["query.durationMax", "query.duration_max"]);
    let depths = [
        "query.searchDepth",
        "query.search_depth",
        "query.num_traces",
        "query.pagination.pageSize",
    ];
    let depth = parameters.number(parameters.either(depths), 1, limits::TRACES_MAX)?;
    let raw = parameters.either(["query.rawTraces", "query.raw_traces"]);
    // Times are never adjusted, so traces are always raw.
    parameters.truth(raw)?;
    let text = |names| {
        let text = parameters.text(parameters.either(names));
        text.map(str::to_owned)
    };
    let durations = durations(parameters, min, max)?;
    Ok(Search {
        service: text(["query.serviceName", "query.service_name"]),
        operation: text(["query.operationName", "query.operation_name"]),
        start,
        // The end itself does not belong to it.
        end: (end - 1).max(0),
        duration_min: durations.0,
        duration_max: durations.1,
        tags: json_tags(parameters, "query.attributes")?,
        traces_max: depth.unwrap_or(limits::TRACES_DEFAULT),
    })
}

/// Both times, which are required, in nanoseconds since 1970.
pub(crate) fn time_range(
    parameters: &Parameters,
    starts: [&'static str; 2],
    ends: [&'static str; 2],
) -> Result<(i64, i64), Error> {
    let start_name = parameters.either(starts);
    let start = time(start_name, parameters.required(start_name)?)?;
    let end_name = parameters.either(ends);
    let end = time(end_name, parameters.required(end_name)?)?;
    match start > end {
        true => Err(Error::parameter(start_name, "is behind the end")),
        false => Ok((start, end)),
    }
}

/// A time of RFC 3339.
pub(crate) fn time(name: &'static str, text: &str) -> Result<i64, Error> {
    clock::rfc3339(text).ok_or_else(|| {
        let reason = format!("{text:?} is no time of RFC 3339 such as 2026-01-31T10:00:00Z");
        Error::parameter(name, reason)
    })
}

type Durations = (Option<u64>, Option<u64>);

/// Shortest and longest, in nanoseconds.
fn durations(
    parameters: &Parameters,
    min: &'static str,
    max: &'static str,
) -> Result<Durations, Error> {
    let nanos = |name| {
        let duration = parameters.duration(name)?;
        // Durations that are read fit.
        Ok::<_, Error>(duration.map(|duration| duration.as_nanos() as u64))
    };
    let (least, most) = (nanos(min)?, nanos(max)?);
    match most.is_some() && least > most {
        true => Err(Error::parameter(max, format!("is below `{min}`"))),
        false => Ok((least, most)),
    }
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
    tags.extend(json_tags(parameters, "tags")?);
    match tags.len() > limits::TAGS_MAX {
        true => Err(too_many("tag")),
        false => Ok(tags),
    }
}

fn json_tags(parameters: &Parameters, name: &'static str) -> Result<Vec<(String, String)>, Error> {
    let mut tags = Vec::new();
    for text in parameters.all(name).filter(|text| !text.is_empty()) {
        let map: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
            Error::parameter(name, format!("is no JSON object of strings: {error}"))
        })?;
        tags.extend(map);
    }
    match tags.len() > limits::TAGS_MAX {
        true => Err(too_many(name)),
        false => Ok(tags),
    }
}

fn too_many(name: &'static str) -> Error {
    Error::parameter(name, format!("more than {} are given", limits::TAGS_MAX))
}
