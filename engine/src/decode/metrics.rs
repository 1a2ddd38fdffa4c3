//! Reads a metric: which kind it is and what its points share, then each point into its row. Fields come
//! in any order, so a metric is looked through before its points are read.

use spanmill_schema::MetricType;

use super::growth::{
    EXPONENTIAL_POINT, HISTOGRAM_POINT, NUMBER_POINT, SUMMARY_POINT, owned_attribute_growth,
};
use super::points::{OfMetric, exponential_point, histogram_point, number_point, summary_point};
use super::prefetch;
use super::request::{Place, Rows, Walk, partitions};
use super::resource::repeated_bytes;
use super::value::{Merged, owned_attribute};
use super::wire::{Reader, VARINT, WireType};
use super::{DecodeError, small_enum, utf8};
use crate::columns::{
    ColumnSet as _, Metric, MetricColumns, MetricKind, OwnedAttribute, ResourceId, Scope,
};

impl Rows for MetricColumns {
    // A series holds its scope, a point does not.
    const HOLD_SCOPE: bool = false;

    fn item(
        &mut self,
        message: &[u8],
        place: &Place<'_>,
        walk: &mut Walk<'_>,
    ) -> Result<(), DecodeError> {
        metric(message, place, self, walk)
    }

    fn count(message: &[u8]) -> usize {
        read_metric(message).map_or(0, |metric| metric.data.map_or(0, |data| data.points()))
    }

    fn row_bytes(&self) -> usize {
        MetricColumns::ROW_BYTES
    }

    fn unfilled_bytes(&self) -> usize {
        self.unfilled_bytes()
    }

    fn end_scope(&mut self, _: &Scope<'_>) -> Result<(), DecodeError> {
        Ok(())
    }

    fn end_resource(&mut self, _: ResourceId, service: &[u8]) -> Result<(), DecodeError> {
        Ok(self.end_resource(service)?)
    }
}

/// The field of a metric's metadata.
const METADATA: u32 = 12;

type ReadPoint =
    fn(&[u8], &OfMetric<'_>, &mut MetricColumns, &mut Walk<'_>) -> Result<(), DecodeError>;

/// A metric, looked through.
#[derive(Default)]
struct Message<'a> {
    name: &'a [u8],
    description: &'a [u8],
    unit: &'a [u8],
    /// What is foreseen of the metadata; 0 when there is none.
    metadata_bytes: usize,
    data: Option<Data<'a>>,
}

/// The message that holds a metric's points.
struct Data<'a> {
    kind: MetricType,
    message: Merged<'a>,
}

fn metric(
    message: &[u8],
    place: &Place<'_>,
    columns: &mut MetricColumns,
    walk: &mut Walk<'_>,
) -> Result<(), DecodeError> {
    let head = read_metric(message)?;
    let Some(data) = &head.data else {
        return Ok(());
    };
    let owned = walk.owned();
    if head.metadata_bytes > 0 {
        walk.own_bytes(head.metadata_bytes, columns)?;
    }
    let guess = match walk.guesses {
        true => data.guess_kind(),
        false => None,
    };
    let metric = Metric {
        name: utf8(head.name)?,
        unit: utf8(head.unit)?,
        description: utf8(head.description)?,
        metadata: head.read_metadata(message, &mut walk.text)?,
        kind: match guess {
            Some(kind) => kind,
            None => data.read_kind()?,
        },
        resource: place.resource,
        service: place.service,
        scope: place.scope,
    };
    let of = OfMetric {
        key: metric.key(place.key),
        repeated: repeated_bytes(&metric.metadata) + repeated_bytes(&place.scope.attributes),
        metric: &metric,
    };
    let (point, shape): (ReadPoint, _) = match data.kind {
        MetricType::Gauge | MetricType::Sum => (number_point, &NUMBER_POINT),
        MetricType::Histogram => (histogram_point, &HISTOGRAM_POINT),
        MetricType::ExponentialHistogram => (exponential_point, &EXPONENTIAL_POINT),
        MetricType::Summary => (summary_point, &SUMMARY_POINT),
    };
    let before = columns.rows();
    let mut seen = data.kind();
    for part in data.message.parts() {
        let mut reader = Reader::new(part);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => {
                    let message = reader.bytes(wire)?;
                    prefetch::behind(message);
                    let read = |walk: &mut Walk<'_>, columns: &mut MetricColumns| {
                        walk.foresee(message, shape, columns)?;
                        point(message, &of, columns, walk)
                    };
                    walk.step(columns, || 1, read)?;
                }
                _ => read_kind(&mut seen, field, wire, &mut reader)?,
            }
        }
    }
    if seen != metric.kind {
        return Err(DecodeError::GuessedWrong);
    }
    walk.repeat(metric.name.len(), partitions(columns, before))?;
    walk.grow(metric.name_bytes(), columns)?;
    walk.disown(owned);
    Ok(columns.end_metric(metric.name, metric.kind)?)
}

fn read_metric(message: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut metric = Message::default();
    let mut reader = Reader::new(message);
    while let Some((field, wire)) = reader.tag()? {
        let kind = match field {
            1 => {
                metric.name = reader.bytes(wire)?;
                continue;
            }
            2 => {
                metric.description = reader.bytes(wire)?;
                continue;
            }
            3 => {
                metric.unit = reader.bytes(wire)?;
                continue;
            }
            METADATA => {
                metric.metadata_bytes += owned_attribute_growth(reader.bytes(wire)?);
                continue;
            }
            5 => MetricType::Gauge,
            7 => MetricType::Sum,
            9 => MetricType::Histogram,
            10 => MetricType::ExponentialHistogram,
            11 => MetricType::Summary,
            _ => {
                reader.skip(field, wire)?;
                continue;
            }
        };
        let part = reader.bytes(wire)?;
        // The last kind on the wire holds; one that comes again is merged.
        match &mut metric.data {
            Some(data) if data.kind == kind => data.message.push(part)?,
            data => {
                *data = Some(Data {
                    kind,
                    message: Merged::Whole(part),
                });
            }
        }
    }
    Ok(metric)
}

impl Message<'_> {
    fn read_metadata(
        &self,
        message: &[u8],
        text: &mut Vec<u8>,
    ) -> Result<Vec<OwnedAttribute>, DecodeError> {
        let mut metadata = Vec::new();
        if self.metadata_bytes == 0 {
            return Ok(metadata);
        }
        let mut reader = Reader::new(message);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                METADATA => owned_attribute(reader.bytes(wire)?, text, &mut metadata)?,
                _ => reader.skip(field, wire)?,
            }
        }
        Ok(metadata)
    }
}

/// Reads what a field says of the kind, or passes over it.
#[inline]
fn read_kind(
    kind: &mut MetricKind,
    field: u32,
    wire: WireType,
    reader: &mut Reader<'_>,
) -> Result<(), DecodeError> {
    match (kind.kind, field) {
        (MetricType::Sum | MetricType::Histogram | MetricType::ExponentialHistogram, 2) => {
            kind.temporality = small_enum(reader.varint(wire)?);
        }
        (MetricType::Sum, 3) => kind.monotonic = reader.varint(wire)? != 0,
        _ => reader.skip(field, wire)?,
    }
    Ok(())
}

impl Data<'_> {
    /// The kind before anything is read of it.
    fn kind(&self) -> MetricKind {
        MetricKind {
            kind: self.kind,
            temporality: 0,
            monotonic: false,
        }
    }

    fn read_kind(&self) -> Result<MetricKind, DecodeError> {
        let mut kind = self.kind();
        for part in self.message.parts() {
            let mut reader = Reader::new(part);
            while let Some((field, wire)) = reader.tag()? {
                read_kind(&mut kind, field, wire, &mut reader)?;
            }
        }
        Ok(kind)
    }

    /// The kind by the message's last bytes, where senders have it: behind all points.
    fn guess_kind(&self) -> Option<MetricKind> {
        const TEMPORALITY: u8 = 2 << 3 | VARINT;
        const MONOTONIC: u8 = 3 << 3 | VARINT;
        let kind = self.kind();
        let Merged::Whole(message) = self.message else {
            return None;
        };
        let (temporality, monotonic) = match (self.kind, message) {
            (MetricType::Gauge | MetricType::Summary, _) => (0, false),
            (MetricType::Sum, [.., TEMPORALITY, temporality, MONOTONIC, monotonic]) => {
                (*temporality, *monotonic != 0)
            }
            (_, [.., TEMPORALITY, temporality]) => (*temporality, false),
            _ => return None,
        };
        Some(MetricKind {
            temporality,
            monotonic,
            ..kind
        })
    }

    /// How many points there are; of broken bytes, those before they break.
    fn points(&self) -> usize {
        let mut points = 0;
        for part in self.message.parts() {
            let mut reader = Reader::new(part);
            while let Ok(Some((field, wire))) = reader.tag()
                && reader.skip(field, wire).is_ok()
            {
                points += usize::from(field == 1);
            }
        }
        points
    }
}
