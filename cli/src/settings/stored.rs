//! Validates the settings of what is stored: which attributes have columns, for how long rows are kept, and
//! which times they may have.

use std::sync::Arc;
use std::time::Duration;

use spanmill_schema::{Promoted, Retention, SchemaSettings, Tables};

use super::reader::Reader;
use super::{Timestamps, table, values};

/// What a table remembers for each shard; 003_create_otel_traces.sql derives it.
const INSERTS_PER_SHARD: u32 = 3_000;

pub(super) fn schema(reader: &mut Reader<'_>, shards: Option<usize>) -> Option<SchemaSettings> {
    // Each list by itself first, so that a clash is told with its key and source.
    let spans = reader.read(&table::PROMOTED_SPAN_ATTRIBUTES, |text| {
        promoted(text, |spans| (spans, Vec::new()))
    });
    let logs = reader.read(&table::PROMOTED_LOG_ATTRIBUTES, |text| {
        promoted(text, |logs| (Vec::new(), logs))
    });
    let retention = retention(reader);
    let cluster = match reader.raw.is_given(&table::CLICKHOUSE_CLUSTER) {
        true => reader.read(&table::CLICKHOUSE_CLUSTER, values::cluster),
        false => Some(None),
    };
    let inserts_remembered = inserts_remembered(reader, shards);
    let tables = Tables::new(spans?, logs?);
    let tables = tables.map_err(|error| reader.relation(error.to_string()));
    Some(SchemaSettings {
        tables: Arc::new(tables.ok()?),
        retention: retention?,
        cluster: cluster?,
        inserts_remembered: inserts_remembered?,
        inserts_remembered_is_given: reader.raw.is_given(&table::INSERTS_REMEMBERED),
    })
}

fn inserts_remembered(reader: &mut Reader<'_>, shards: Option<usize>) -> Option<u32> {
    if reader.raw.is_given(&table::INSERTS_REMEMBERED) {
        let range = 1_000..=10_000_000;
        let number = reader.read(&table::INSERTS_REMEMBERED, |text| {
            values::number(text, range)
        })?;
        return u32::try_from(number).ok();
    }
    let for_shards = INSERTS_PER_SHARD.saturating_mul(u32::try_from(shards?).ok()?);
    Some(for_shards.max(SchemaSettings::INSERTS_REMEMBERED))
}

/// A list whose attributes get along with each other in the table that `side` puts them into.
fn promoted(
    text: &str,
    side: impl FnOnce(Vec<Promoted>) -> (Vec<Promoted>, Vec<Promoted>),
) -> Result<Vec<Promoted>, String> {
    let list = values::promoted(text)?;
    let (spans, logs) = side(list.clone());
    match Tables::new(spans, logs) {
        Ok(_) => Ok(list),
        Err(error) => Err(error.to_string()),
    }
}

fn retention(reader: &mut Reader<'_>) -> Option<Retention> {
    let mut days = |setting| {
        let most = usize::from(Retention::DAYS_MAX);
        let days = reader.read(setting, |text| values::number(text, 1..=most))?;
        u16::try_from(days).ok()
    };
    let raw = days(&table::RETENTION_RAW);
    let five_minutes = days(&table::RETENTION_5M);
    let hour = days(&table::RETENTION_1H);
    Some(Retention {
        raw_days: raw?,
        five_minute_days: five_minutes?,
        hour_days: hour?,
    })
}

pub(super) fn timestamps(
    reader: &mut Reader<'_>,
    schema: Option<&SchemaSettings>,
) -> Option<Timestamps> {
    let day = Duration::from_hours(24);
    let most = day * u32::from(Retention::DAYS_MAX);
    let least = Duration::from_mins(1);
    let future_max = reader.time(&table::TIMESTAMP_FUTURE_MAX, least, most);
    let past_max = if reader.raw.is_given(&table::TIMESTAMP_PAST_MAX) {
        reader.time(&table::TIMESTAMP_PAST_MAX, least, most)
    } else {
        schema.map(|schema| day * u32::from(schema.retention.raw_days))
    };
    Some(Timestamps {
        past_max: past_max?,
        future_max: future_max?,
    })
}
