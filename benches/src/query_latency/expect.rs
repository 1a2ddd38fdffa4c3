//! Whether an answer is right: a status and a body go in, nothing or what is wrong comes out.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::subjects::Trace;

/// What an answer must hold.
#[derive(Debug, Clone)]
pub(crate) enum Expect {
    /// This trace with all its spans.
    Trace(Trace),
    NoTrace,
    /// These at least; others may have come since.
    Names(Vec<String>),
    Search(Searched),
    Edges,
    Stats,
}

/// Traces that a search may give.
#[derive(Debug, Clone)]
pub(crate) struct Searched {
    pub(crate) start_micros: u64,
    pub(crate) end_micros: u64,
    pub(crate) service: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) tag: Option<(String, String)>,
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// Just this trace.
    pub(crate) only: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceJson {
    #[serde(rename = "traceID")]
    id: String,
    spans: Vec<SpanJson>,
    processes: HashMap<String, ProcessJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson {
    operation_name: String,
    /// Microseconds since 1970.
    start_time: u64,
    #[serde(rename = "processID")]
    process: String,
    tags: Vec<TagJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessJson {
    service_name: String,
}

#[derive(Deserialize)]
struct TagJson {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EdgeJson {
    parent: String,
    child: String,
    call_count: u64,
}

#[derive(Deserialize)]
struct StatsJson {
    service: String,
    calls: u64,
}

impl Expect {
    /// # Errors
    /// Says what is wrong with the answer.
    pub(crate) fn check(&self, status: u16, body: &[u8]) -> Result<()> {
        let wanted = if matches!(self, Expect::NoTrace) {
            404
        } else {
            200
        };
        if status != wanted {
            let text = String::from_utf8_lossy(body);
            bail!(
                "status {status}: {}",
                text.chars().take(300).collect::<String>()
            );
        }
        match self {
            Expect::NoTrace => Ok(()),
            Expect::Trace(trace) => {
                let found: Vec<TraceJson> = data(body)?;
                let [found] = &found[..] else {
                    bail!("{} traces in place of one", found.len());
                };
                ensure!(
                    found.id == trace.id,
                    "trace {} in place of {}",
                    found.id,
                    trace.id
                );
                let (has, wants) = (found.spans.len(), trace.spans);
                ensure!(
                    has == wants,
                    "trace {}: {has} spans in place of {wants}",
                    trace.id
                );
                Ok(())
            }
            Expect::Names(names) => {
                let found: Vec<String> = data(body)?;
                let missing: Vec<_> = names.iter().filter(|name| !found.contains(name)).collect();
                ensure!(missing.is_empty(), "{missing:?} are missing");
                Ok(())
            }
            Expect::Search(searched) => searched.check(&data::<Vec<_>>(body)?),
            Expect::Edges => {
                let edges: Vec<EdgeJson> = data(body)?;
                let is_whole = |edge: &EdgeJson| edge.parent != edge.child && edge.call_count > 0;
                ensure!(
                    !edges.is_empty() && edges.iter().all(is_whole),
                    "edges are missing"
                );
                Ok(())
            }
            Expect::Stats => {
                let stats: Vec<StatsJson> = data(body)?;
                let is_whole = |row: &StatsJson| !row.service.is_empty() && row.calls > 0;
                ensure!(
                    !stats.is_empty() && stats.iter().all(is_whole),
                    "statistics are missing"
                );
                Ok(())
            }
        }
    }
}

impl Searched {
    fn check(&self, traces: &[TraceJson]) -> Result<()> {
        let count = traces.len();
        let (least, most) = (self.least, self.most);
        ensure!(
            (least..=most).contains(&count),
            "{count} traces, not {least} to {most}"
        );
        if let Some(only) = &self.only {
            ensure!(count == 1 && traces[0].id == *only, "not only trace {only}");
        }
        for trace in traces {
            ensure!(
                trace.spans.iter().any(|span| self.fits(span, trace)),
                "trace {} does not fit",
                trace.id
            );
        }
        let begins = |trace: &TraceJson| trace.spans.iter().map(|span| span.start_time).min();
        ensure!(
            traces.is_sorted_by_key(|trace| std::cmp::Reverse(begins(trace))),
            "not newest first"
        );
        Ok(())
    }

    fn fits(&self, span: &SpanJson, of: &TraceJson) -> bool {
        let service = of
            .processes
            .get(&span.process)
            .map(|process| &process.service_name);
        let has = |(key, value): &(String, String)| {
            span.tags.iter().any(|tag| {
                tag.key == *key
                    && match &tag.value {
                        Value::String(text) => text == value,
                        other => value.parse::<Value>().is_ok_and(|value| value == *other),
                    }
            })
        };
        (self.start_micros..=self.end_micros).contains(&span.start_time)
            && (self.service.is_none() || self.service.as_ref() == service)
            && self
                .operation
                .as_ref()
                .is_none_or(|operation| *operation == span.operation_name)
            && self.tag.as_ref().is_none_or(has)
    }
}

fn data<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T> {
    let envelope: Envelope<T> =
        serde_json::from_slice(body).context("an answer of another shape")?;
    Ok(envelope.data)
}

#[cfg(test)]
mod tests;
