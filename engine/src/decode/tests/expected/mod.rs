//! What must be stored of a request: takes the messages that prost decoded and gives rows. It never looks
//! at bytes and uses nothing of the walk or the columns.

mod common;
pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod spans;
mod text;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use spanmill_schema::Tables;

use super::block::{Row, Value, get};
use super::tree::{Group, Telemetry};
use crate::decode::Arrival;

/// The rule that a row breaks.
pub(super) type Broken = &'static str;

/// What a row must hold that is known before its resource has an id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    /// All columns but `ResourceId` and `SeriesId`.
    pub(super) row: Row,
    /// Of a point, all columns of its series but the ids and the days.
    pub(super) series: Option<Row>,
}

/// What becomes of one row.
pub(super) type RowResult = Result<Stored, Broken>;

/// What all rows below a scope share.
pub(super) struct Place {
    service: Value,
    /// The `Scope*` columns.
    scope: Row,
}

/// A row and its resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    pub(super) stored: Stored,
    /// All of the resource's columns but `ResourceId` and `LastSeen`.
    pub(super) resource: Row,
}

impl Expected {
    /// The time that the row is stored under.
    pub(super) fn time(&self) -> u64 {
        match get(&self.stored.row, "Timestamp") {
            Value::Number(time) => *time,
            other => panic!("{other:?} is no time"),
        }
    }
}

/// The rows that are to be stored, in order, and how many are not.
pub(super) fn expected<S: Telemetry>(
    groups: &[Group<S::Item>],
    tables: &Tables,
    arrival: Arrival,
) -> (Vec<Expected>, usize) {
    let mut good = Vec::new();
    let mut rejected = 0;
    let none = (Resource::default(), InstrumentationScope::default());
    for group in groups {
        let resource = group.resource.as_ref().unwrap_or(&none.0);
        let resource = common::resource_row(resource, &group.schema_url);
        for below in &group.scopes {
            let scope = below.scope.as_ref().unwrap_or(&none.1);
            let scope = common::scope_columns(scope, &below.schema_url);
            let is_good = resource.is_ok() && scope.is_ok();
            let resource = resource.clone().unwrap_or_default();
            let place = Place {
                service: resource
                    .first()
                    .map_or(Value::Bool(false), |name| name.1.clone()),
                scope: scope.unwrap_or_default(),
            };
            for item in &below.items {
                for row in S::rows(item, &place, tables, arrival) {
                    match row {
                        Ok(stored) if is_good => good.push(Expected {
                            stored,
                            resource: resource.clone(),
                        }),
                        _ => rejected += 1,
                    }
                }
            }
        }
    }
    (good, rejected)
}

/// Checks the time that a row is stored under.
fn in_time(time: u64, arrival: Arrival) -> Result<Value, Broken> {
    match (arrival.earliest..=arrival.latest).contains(&time) {
        true => Ok(common::time(time)),
        false => Err("time"),
    }
}
