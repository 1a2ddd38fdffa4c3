//! Reads the points of each kind of metric, with their exemplars, and finds the series of each.

use super::logs::correlation;
use super::request::Walk;
use super::value::{attribute, owned_attribute};
use super::wire::{Reader, WireError, WireType};
use super::{DecodeError, storable_time};
use crate::columns::{
    Distribution, Exemplar, Metric, MetricColumns, MetricHash, Number, PointRow, push_varint,
    series_key,
};

/// What each point needs of its metric.
pub(super) struct OfMetric<'a> {
    pub(super) metric: &'a Metric<'a>,
    pub(super) hash: MetricHash,
    /// About the bytes that each row of a series repeats.
    pub(super) repeated: usize,
}

/// A point of a gauge or a sum.
pub(super) fn number_point(
    message: &[u8],
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    const ATTRIBUTES: u32 = 7;
    let mut row = begin_point(of, walk);
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.start_timestamp = reader.fixed64(wire)?,
            3 => row.timestamp = reader.fixed64(wire)?,
            4 => row.number = Number::Double(double(&mut reader, wire)?),
            5 => exemplar(reader.bytes(wire)?, columns, &mut walk.text)?,
            6 => row.number = Number::Int(reader.fixed64(wire)? as i64),
            ATTRIBUTES => push_attribute(reader.bytes(wire)?, &mut walk.room),
            8 => row.flags = reader.varint(wire)? as u32,
            _ => reader.skip(field, wire)?,
        }
    }
    end_point(row, message, ATTRIBUTES, of, columns, walk)
}

/// A point of a histogram with explicit bounds.
pub(super) fn histogram_point(
    message: &[u8],
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    const EXEMPLARS: u32 = 8;
    const ATTRIBUTES: u32 = 9;
    let mut has_exemplars = false;
    let mut row = begin_point(of, walk);
    let mut values = Distribution::default();
    let buckets = columns.begin_distribution();
    let mut reader = Reader::new(message);
    // Exemplars lie in other columns: they are read when the buckets are done.
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.start_timestamp = reader.fixed64(wire)?,
            3 => row.timestamp = reader.fixed64(wire)?,
            4 => values.count = reader.fixed64(wire)?,
            5 => values.sum = Some(double(&mut reader, wire)?),
            6 => buckets.push_bucket_counts(reader.fixed64s(wire)?),
            7 => buckets.push_explicit_bounds(reader.fixed64s(wire)?),
            EXEMPLARS => {
                reader.bytes(wire)?;
                has_exemplars = true;
            }
            ATTRIBUTES => push_attribute(reader.bytes(wire)?, &mut walk.room),
            10 => row.flags = reader.varint(wire)? as u32,
            11 => values.min = Some(double(&mut reader, wire)?),
            12 => values.max = Some(double(&mut reader, wire)?),
            _ => reader.skip(field, wire)?,
        }
    }
    buckets.end_row(&values);
    if has_exemplars {
        exemplars(message, EXEMPLARS, columns, &mut walk.text)?;
    }
    end_point(row, message, ATTRIBUTES, of, columns, walk)
}

/// A point of an exponential histogram.
pub(super) fn exponential_point(
    message: &[u8],
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    const ATTRIBUTES: u32 = 1;
    const EXEMPLARS: u32 = 11;
    let mut has_exemplars = false;
    let mut row = begin_point(of, walk);
    let mut values = Distribution::default();
    let buckets = columns.begin_distribution();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            ATTRIBUTES => push_attribute(reader.bytes(wire)?, &mut walk.room),
            2 => row.start_timestamp = reader.fixed64(wire)?,
            3 => row.timestamp = reader.fixed64(wire)?,
            4 => values.count = reader.fixed64(wire)?,
            5 => values.sum = Some(double(&mut reader, wire)?),
            6 => values.scale = zigzag(reader.varint(wire)?),
            7 => values.zero_count = reader.fixed64(wire)?,
            8 => {
                let (message, offset) = (reader.bytes(wire)?, &mut values.positive_offset);
                exponential_buckets(message, offset, |count| buckets.push_positive_count(count))?;
            }
            9 => {
                let (message, offset) = (reader.bytes(wire)?, &mut values.negative_offset);
                exponential_buckets(message, offset, |count| buckets.push_negative_count(count))?;
            }
            10 => row.flags = reader.varint(wire)? as u32,
            EXEMPLARS => {
                reader.bytes(wire)?;
                has_exemplars = true;
            }
            12 => values.min = Some(double(&mut reader, wire)?),
            13 => values.max = Some(double(&mut reader, wire)?),
            14 => values.zero_threshold = double(&mut reader, wire)?,
            _ => reader.skip(field, wire)?,
        }
    }
    buckets.end_row(&values);
    if has_exemplars {
        exemplars(message, EXEMPLARS, columns, &mut walk.text)?;
    }
    end_point(row, message, ATTRIBUTES, of, columns, walk)
}

/// A point of a summary.
pub(super) fn summary_point(
    message: &[u8],
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    const ATTRIBUTES: u32 = 7;
    let mut row = begin_point(of, walk);
    let mut values = Distribution {
        sum: Some(0.0),
        ..Distribution::default()
    };
    let quantiles = columns.begin_distribution();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.start_timestamp = reader.fixed64(wire)?,
            3 => row.timestamp = reader.fixed64(wire)?,
            4 => values.count = reader.fixed64(wire)?,
            5 => values.sum = Some(double(&mut reader, wire)?),
            6 => {
                let (quantile, value) = value_at_quantile(reader.bytes(wire)?)?;
                quantiles.push_quantile(quantile, value);
            }
            ATTRIBUTES => push_attribute(reader.bytes(wire)?, &mut walk.room),
            8 => row.flags = reader.varint(wire)? as u32,
            _ => reader.skip(field, wire)?,
        }
    }
    quantiles.end_row(&values);
    end_point(row, message, ATTRIBUTES, of, columns, walk)
}

/// An empty row, and room that holds the beginning of its series' key.
fn begin_point(of: &OfMetric<'_>, walk: &mut Walk<'_>) -> PointRow {
    walk.room.clear();
    walk.room.extend_from_slice(&of.hash);
    PointRow::default()
}

/// Adds an attribute, as it is encoded, to what the series' key is made from.
#[inline]
fn push_attribute(message: &[u8], room: &mut Vec<u8>) {
    push_varint(room, message.len() as u64);
    room.extend_from_slice(message);
}

/// Finds the series of a point that was read, or adds it, and ends the point's row.
#[inline]
fn end_point(
    mut row: PointRow,
    message: &[u8],
    attributes: u32,
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    walk.arrival
        .check(row.timestamp, "data_point.time_unix_nano")?;
    row.timestamp = storable_time(row.timestamp);
    row.start_timestamp = storable_time(row.start_timestamp);
    let key = series_key(&walk.room);
    row.series_id = match walk.series.known(key, row.timestamp) {
        Some(id) => id,
        None => {
            // The columns may be measured here, and then count of this row only what was appended yet.
            let bytes = of.metric.series_bytes() + MetricColumns::ROW_BYTES;
            walk.foresee_owned(&[message], attributes, bytes, columns)?;
            let mut owned = Vec::new();
            let mut reader = Reader::new(message);
            while let Some((field, wire)) = reader.tag()? {
                if field == attributes {
                    owned_attribute(reader.bytes(wire)?, &mut walk.text, &mut owned)?;
                } else {
                    reader.skip(field, wire)?;
                }
            }
            walk.repeat(of.repeated, 1)?;
            let (series, room) = (&mut *walk.series, &mut walk.room);
            series.add(key, of.metric, &of.hash, &owned, row.timestamp, room)?
        }
    };
    columns.end_point(&row);
    Ok(())
}

fn exemplars(
    point: &[u8],
    field_number: u32,
    columns: &mut MetricColumns,
    text: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(point);
    while let Some((field, wire)) = reader.tag()? {
        if field == field_number {
            exemplar(reader.bytes(wire)?, columns, text)?;
        } else {
            reader.skip(field, wire)?;
        }
    }
    Ok(())
}

fn exemplar(
    message: &[u8],
    columns: &mut MetricColumns,
    text: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let mut row = Exemplar::default();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.timestamp = storable_time(reader.fixed64(wire)?),
            3 => row.number = Number::Double(double(&mut reader, wire)?),
            4 => row.span_id = correlation(reader.bytes(wire)?),
            5 => row.trace_id = correlation(reader.bytes(wire)?),
            6 => row.number = Number::Int(reader.fixed64(wire)? as i64),
            7 => {
                let (key, value) = attribute(reader.bytes_and_behind(wire)?, text)?;
                columns.exemplar_attributes().push(key, value)?;
            }
            _ => reader.skip(field, wire)?,
        }
    }
    columns.end_exemplar(&row);
    Ok(())
}

fn exponential_buckets(
    message: &[u8],
    offset: &mut i32,
    mut push: impl FnMut(u64),
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => *offset = zigzag(reader.varint(wire)?),
            2 => reader.each_varint(wire, &mut push)?,
            _ => reader.skip(field, wire)?,
        }
    }
    Ok(())
}

fn value_at_quantile(message: &[u8]) -> Result<(f64, f64), DecodeError> {
    let (mut quantile, mut value) = (0.0, 0.0);
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            1 => quantile = double(&mut reader, wire)?,
            2 => value = double(&mut reader, wire)?,
            _ => reader.skip(field, wire)?,
        }
    }
    Ok((quantile, value))
}

#[inline]
fn double(reader: &mut Reader<'_>, wire: WireType) -> Result<f64, WireError> {
    reader.fixed64(wire).map(f64::from_bits)
}

/// A `sint32`. Of a varint with more than 32 bits the lower ones count, as protobuf has it.
fn zigzag(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}
