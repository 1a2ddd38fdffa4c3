//! Reads the points of each kind of metric, with their exemplars, and finds the series of each.

use super::logs::correlation;
use super::request::Walk;
use super::value::{attribute, owned_attribute};
use super::wire::{BYTES, Reader, WireError, WireType};
use super::{DecodeError, storable_time};
use crate::columns::{
    Distribution, Exemplar, Metric, MetricColumns, Number, PointExemplars, PointRow, Series,
    SeriesKey, push_varint, series_key,
};

/// What each point needs of its metric.
pub(super) struct OfMetric<'a> {
    pub(super) metric: &'a Metric<'a>,
    pub(super) key: SeriesKey,
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
    let mut row = PointRow::default();
    let mut attributes = Encoded::new(message, ATTRIBUTES);
    let mut reader = Reader::new(message);
    times(&mut row, &mut reader);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.start_timestamp = reader.fixed64(wire)?,
            3 => row.timestamp = reader.fixed64(wire)?,
            4 => row.number = Number::Double(double(&mut reader, wire)?),
            5 => exemplar(
                reader.bytes(wire)?,
                &mut columns.exemplars(),
                &mut walk.text,
            )?,
            6 => row.number = Number::Int(reader.fixed64(wire)? as i64),
            ATTRIBUTES => attributes.read(wire, &mut reader, of, walk.series)?,
            8 => row.flags = reader.varint(wire)? as u32,
            _ => reader.skip(field, wire)?,
        }
    }
    end_point(row, &attributes, of, columns, walk)
}

/// A point of a histogram with explicit bounds.
pub(super) fn histogram_point(
    message: &[u8],
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    const ATTRIBUTES: u32 = 9;
    let mut row = PointRow::default();
    let mut attributes = Encoded::new(message, ATTRIBUTES);
    let mut values = Distribution::default();
    let (distribution, mut exemplars) = columns.begin_distribution();
    let buckets = distribution.begin_explicit();
    let mut reader = Reader::new(message);
    times(&mut row, &mut reader);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.start_timestamp = reader.fixed64(wire)?,
            3 => row.timestamp = reader.fixed64(wire)?,
            4 => values.count = reader.fixed64(wire)?,
            5 => values.sum = Some(double(&mut reader, wire)?),
            6 => buckets.push_counts(reader.fixed64s(wire)?),
            7 => buckets.push_bounds(reader.fixed64s(wire)?),
            8 => exemplar(reader.bytes(wire)?, &mut exemplars, &mut walk.text)?,
            ATTRIBUTES => attributes.read(wire, &mut reader, of, walk.series)?,
            10 => row.flags = reader.varint(wire)? as u32,
            11 => values.min = Some(double(&mut reader, wire)?),
            12 => values.max = Some(double(&mut reader, wire)?),
            _ => reader.skip(field, wire)?,
        }
    }
    buckets.end_row();
    distribution.end_row(&values);
    end_point(row, &attributes, of, columns, walk)
}

/// A point of an exponential histogram.
pub(super) fn exponential_point(
    message: &[u8],
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    const ATTRIBUTES: u32 = 1;
    let mut row = PointRow::default();
    let mut attributes = Encoded::new(message, ATTRIBUTES);
    let mut values = Distribution::default();
    let (distribution, mut exemplars) = columns.begin_distribution();
    let buckets = distribution.begin_exponential();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            ATTRIBUTES => attributes.read(wire, &mut reader, of, walk.series)?,
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
            11 => exemplar(reader.bytes(wire)?, &mut exemplars, &mut walk.text)?,
            12 => values.min = Some(double(&mut reader, wire)?),
            13 => values.max = Some(double(&mut reader, wire)?),
            14 => values.zero_threshold = double(&mut reader, wire)?,
            _ => reader.skip(field, wire)?,
        }
    }
    buckets.end_row(&values);
    distribution.end_row(&values);
    end_point(row, &attributes, of, columns, walk)
}

/// A point of a summary.
pub(super) fn summary_point(
    message: &[u8],
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    const ATTRIBUTES: u32 = 7;
    let mut row = PointRow::default();
    let mut attributes = Encoded::new(message, ATTRIBUTES);
    let mut values = Distribution {
        sum: Some(0.0),
        ..Distribution::default()
    };
    let (distribution, _) = columns.begin_distribution();
    let quantiles = distribution.begin_quantiles();
    let mut reader = Reader::new(message);
    times(&mut row, &mut reader);
    while let Some((field, wire)) = reader.tag()? {
        match field {
            2 => row.start_timestamp = reader.fixed64(wire)?,
            3 => row.timestamp = reader.fixed64(wire)?,
            4 => values.count = reader.fixed64(wire)?,
            5 => values.sum = Some(double(&mut reader, wire)?),
            6 => {
                let (quantile, value) = value_at_quantile(reader.bytes(wire)?)?;
                quantiles.push(quantile, value);
            }
            ATTRIBUTES => attributes.read(wire, &mut reader, of, walk.series)?,
            8 => row.flags = reader.varint(wire)? as u32,
            _ => reader.skip(field, wire)?,
        }
    }
    quantiles.end_row();
    distribution.end_row(&values);
    end_point(row, &attributes, of, columns, walk)
}

/// Reads the times, with which nearly every point begins.
#[inline]
fn times(row: &mut PointRow, reader: &mut Reader<'_>) {
    if let Some(time) = reader.fixed64_of(2) {
        row.start_timestamp = time;
    }
    if let Some(time) = reader.fixed64_of(3) {
        row.timestamp = time;
    }
}

/// The attributes of a point as they are encoded. Nearly always they lie one behind the other, and are hashed there.
struct Encoded<'m> {
    point: &'m [u8],
    field: u32,
    /// Where the first begins and the last ends, in bytes before the end of the point; 0 when there are none.
    start: usize,
    end: usize,
    /// Something else lies between them.
    is_scattered: bool,
    /// Of the series, once it is known that these are its attributes.
    key: Option<SeriesKey>,
}

impl<'m> Encoded<'m> {
    fn new(point: &'m [u8], field: u32) -> Self {
        Encoded {
            point,
            field,
            start: 0,
            end: 0,
            is_scattered: false,
            key: None,
        }
    }

    fn tag(&self) -> u8 {
        (self.field as u8) << 3 | BYTES
    }

    /// Reads the attribute whose tag was read. When it and what follows are those of the series that is likely to come
    /// next, all of them are read at once.
    #[inline]
    fn read(
        &mut self,
        wire: WireType,
        reader: &mut Reader<'m>,
        of: &OfMetric<'_>,
        series: &Series,
    ) -> Result<(), WireError> {
        if self.start == 0
            && let start = reader.left() + 1
            && let Some((key, length)) = self.is_next(start, of, series)
        {
            (self.start, self.end) = (start, start - length);
            self.key = Some(key);
            return reader.pass(length - 1);
        }
        self.add(reader.bytes(wire)?, reader.left());
        Ok(())
    }

    /// The key of the series that is likely to come next, and the length of its attributes, if they begin `start` bytes
    /// before the end of the point. Bytes that were attributes once are attributes again.
    #[inline]
    fn is_next(
        &self,
        start: usize,
        of: &OfMetric<'_>,
        series: &Series,
    ) -> Option<(SeriesKey, usize)> {
        let (key, length) = series.next()?;
        let rest = &self.point[self.point.len() - start..];
        let encoded = rest.get(..length)?;
        let is_it = encoded.first() == Some(&self.tag()) && series_key(of.key, encoded) == key;
        is_it.then_some((key, length))
    }

    /// Adds the attribute that ends `left` bytes before the end of the point.
    #[inline]
    fn add(&mut self, attribute: &[u8], left: usize) {
        self.key = None;
        // One byte of tag, one or two of length. Were there more, one of the length's would be found where the tag
        // must be, and that is none: only the last byte of a varint is below 0x80.
        let head = if attribute.len() < 0x80 { 2 } else { 3 };
        let start = left + attribute.len() + head;
        let found = self.point.get(self.point.len().wrapping_sub(start));
        self.is_scattered |= found != Some(&self.tag());
        if self.start == 0 {
            self.start = start;
        } else {
            self.is_scattered |= self.end != start;
        }
        self.end = left;
    }

    /// Each with tag and length. `room` is overwritten.
    #[inline]
    fn bytes<'t>(&self, room: &'t mut Vec<u8>) -> Result<&'t [u8], DecodeError>
    where
        'm: 't,
    {
        let length = self.point.len();
        match self.is_scattered {
            false => Ok(&self.point[length - self.start..length - self.end]),
            true => self.gather(room),
        }
    }

    #[cold]
    fn gather<'t>(&self, room: &'t mut Vec<u8>) -> Result<&'t [u8], DecodeError> {
        room.clear();
        self.each(|attribute| {
            room.push(self.tag());
            push_varint(room, attribute.len() as u64);
            room.extend_from_slice(attribute);
            Ok(())
        })?;
        Ok(room)
    }

    fn each(
        &self,
        mut take: impl FnMut(&'m [u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(self.point);
        while let Some((field, wire)) = reader.tag()? {
            match field == self.field {
                true => take(reader.bytes(wire)?)?,
                false => reader.skip(field, wire)?,
            }
        }
        Ok(())
    }
}

/// Finds the series of a point that was read, or adds it, and ends the point's row.
#[inline]
fn end_point(
    mut row: PointRow,
    attributes: &Encoded<'_>,
    of: &OfMetric<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    walk.arrival
        .check(row.timestamp, "data_point.time_unix_nano")?;
    row.timestamp = storable_time(row.timestamp);
    row.start_timestamp = storable_time(row.start_timestamp);
    let key = match attributes.key {
        Some(key) => key,
        None => series_key(of.key, attributes.bytes(&mut walk.room)?),
    };
    row.series_id = match walk.series.known(key, row.timestamp) {
        Some(id) => id,
        None => {
            // The columns may be measured here, and then count of this row only what was appended yet.
            let bytes = of.metric.series_bytes() + MetricColumns::ROW_BYTES;
            walk.foresee_owned(&[attributes.point], attributes.field, bytes, columns)?;
            let mut owned = Vec::new();
            let text = &mut walk.text;
            attributes.each(|attribute| owned_attribute(attribute, text, &mut owned))?;
            walk.repeat(of.repeated, 1)?;
            let (series, room) = (&mut *walk.series, &mut walk.room);
            let length = attributes.bytes(room)?.len();
            series.add(key, of.metric, length, &owned, row.timestamp, room)?
        }
    };
    columns.end_point(&row);
    Ok(())
}

fn exemplar(
    message: &[u8],
    exemplars: &mut PointExemplars<'_>,
    text: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let exemplars = exemplars.begin();
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
                exemplars.attributes().push(key, value)?;
            }
            _ => reader.skip(field, wire)?,
        }
    }
    exemplars.push(&row);
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
