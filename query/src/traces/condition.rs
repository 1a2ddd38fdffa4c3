//! What a tag means for spans. It may be stored in several places, each with an index of its own or none, so each
//! place is a condition of its own: joined by OR, none of the indexes would be used.

use std::sync::Arc;

use clickhouse::Row;
use serde::Deserialize;

use super::Traces;
use super::promoted::PromotedColumn;
use crate::clickhouse::{Source, Statement, Value};
use crate::error::Error;

/// Up to so many resources are named one by one; more are asked for within the statement.
const RESOURCES_NAMED_MAX: usize = 1_000;

/// A key and a value, and what is known of them.
pub(super) struct Tag {
    key: String,
    value: String,
    places: Vec<Place>,
}

/// Where a tag may be stored.
enum Place {
    /// It is shown as a tag and has a column of its own; the condition says all.
    Field(&'static str),
    /// The same, but the value is to be compared.
    TextField(&'static str),
    Promoted(usize),
    Map,
    /// Resources that have it.
    Resources(Vec<u64>),
    AnyResource,
}

#[derive(Row, Deserialize)]
struct Id {
    id: u64,
}

/// Finds out where the tag may be stored.
pub(super) async fn tag(
    traces: &Traces,
    columns: &[PromotedColumn],
    key: &str,
    value: &str,
) -> Result<Tag, Error> {
    let mut places = Vec::new();
    places.extend(field(key, value).map(Place::Field));
    places.extend(text_field(key).map(Place::TextField));
    let promoted = columns.iter().position(|column| column.key == key);
    let promoted = promoted.filter(|index| holds(&columns[*index], value));
    places.extend(promoted.map(Place::Promoted));
    places.push(Place::Map);
    let resources = resources(traces, key, value).await?;
    match resources.len() {
        0 => {}
        1..=RESOURCES_NAMED_MAX => places.push(Place::Resources(resources)),
        _ => places.push(Place::AnyResource),
    }
    Ok(Tag {
        key: key.to_owned(),
        value: value.to_owned(),
        places,
    })
}

impl Tag {
    /// How many places there are, at least one.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Appends the condition that it is stored in this place.
    pub(super) fn in_place(
        &self,
        traces: &Traces,
        columns: &[PromotedColumn],
        statement: &mut Statement,
        place: usize,
    ) {
        let Self { key, value, places } = self;
        match &places[place] {
            Place::Field(condition) => {
                statement.sql(condition);
            }
            Place::TextField(column) => {
                statement.sql(column).sql(" = ").text(value);
            }
            Place::Promoted(index) => in_column(statement, &columns[*index], value),
            Place::Map => in_map(statement, "SpanAttributes", key, value),
            Place::Resources(ids) => {
                statement
                    .sql("ResourceId IN ")
                    .value(Value::Unsigneds(ids.clone()));
            }
            Place::AnyResource => {
                statement
                    .sql("ResourceId IN (SELECT ResourceId FROM ")
                    .sql(traces.clickhouse.name(Source::Resources))
                    .sql(" WHERE ");
                in_map(statement, "Attributes", key, value);
                statement.sql(")");
            }
        }
    }

    /// Appends the condition that it is stored in any place.
    pub(super) fn anywhere(
        &self,
        traces: &Traces,
        columns: &[PromotedColumn],
        statement: &mut Statement,
    ) {
        for place in 0..self.places() {
            statement.sql(if place == 0 { "(" } else { " OR " });
            self.in_place(traces, columns, statement, place);
        }
        statement.sql(")");
    }
}

/// Ids of resources that have the tag; one more than are named if there are more.
async fn resources(traces: &Traces, key: &str, value: &str) -> Result<Vec<u64>, Error> {
    let mut statement = Statement::new("resources by attribute");
    statement
        .sql("SELECT DISTINCT ResourceId AS id FROM ")
        .sql(traces.clickhouse.name(Source::Resources))
        .sql(" WHERE ");
    in_map(&mut statement, "Attributes", key, value);
    statement
        .sql(" LIMIT ")
        .value(Value::Unsigned(RESOURCES_NAMED_MAX as u64 + 1));
    let rows: Arc<Vec<Id>> = traces.clickhouse.rows(statement).await?;
    Ok(rows.iter().map(|row| row.id).collect())
}

/// What has a column and is shown as a tag.
fn field(key: &str, value: &str) -> Option<&'static str> {
    Some(match (key, value) {
        ("error", "true") | ("otel.status_code", "ERROR" | "Error") => "StatusCode = 2",
        ("otel.status_code", "OK" | "Ok") => "StatusCode = 1",
        ("span.kind", "internal") => "SpanKind = 1",
        ("span.kind", "server") => "SpanKind = 2",
        ("span.kind", "client") => "SpanKind = 3",
        ("span.kind", "producer") => "SpanKind = 4",
        ("span.kind", "consumer") => "SpanKind = 5",
        _ => return None,
    })
}

fn text_field(key: &str) -> Option<&'static str> {
    Some(match key {
        "otel.status_description" => "StatusMessage",
        "otel.scope.name" | "otel.library.name" => "ScopeName",
        "otel.scope.version" | "otel.library.version" => "ScopeVersion",
        _ => return None,
    })
}

/// An empty text or 0 in such a column says that the span lacks the attribute.
fn holds(promoted: &PromotedColumn, value: &str) -> bool {
    match promoted.is_integer {
        true => value.parse::<i64>().is_ok_and(|number| number != 0),
        false => !value.is_empty(),
    }
}

fn in_column(statement: &mut Statement, promoted: &PromotedColumn, value: &str) {
    statement.column(&promoted.column).sql(" = ");
    match value.parse::<i64>() {
        Ok(number) if promoted.is_integer => statement.value(Value::Signed(number)),
        _ => statement.text(value),
    };
}

/// A key that a map lacks reads as an empty text, so that one is looked for by its key as well.
fn in_map(statement: &mut Statement, map: &'static str, key: &str, value: &str) {
    if value.is_empty() {
        statement
            .sql("(mapContains(")
            .sql(map)
            .sql(", ")
            .text(key)
            .sql(") AND ");
    }
    statement
        .sql(map)
        .sql("[")
        .text(key)
        .sql("] = ")
        .text(value);
    if value.is_empty() {
        statement.sql(")");
    }
}
