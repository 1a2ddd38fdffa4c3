//! The columns of `otel_metrics`: one row a point. The walk ends a point's row; what is equal for all
//! points of a metric or a resource is filled by run, and so are the columns of distributions for points
//! that are plain numbers.

use spanmill_schema::{MetricType, TableId};

use super::column::column_group;
use super::nested::{Exemplars, Quantiles};
use super::numbers::{Number, Numbers};
use super::{Arrays, Attributes, ColumnSet, Fixed, Integers, LowCardinality, NotUtf8};

column_group! {
    /// Rows of `otel_metrics` that wait to be sealed.
    MetricColumns {
        name: LowCardinality,
        service: LowCardinality,
        series_id: Fixed<8>,
        kind: Fixed<1>,
        temporality: Fixed<1>,
        monotonic: Fixed<1>,
        timestamp: Integers,
        start_timestamp: Integers,
        flags: Fixed<4>,
        number: Numbers,
        distribution: DistributionColumns,
        exemplars: Exemplars,
    }
}

column_group! {
    /// The columns of histograms and summaries.
    DistributionColumns {
        count: Integers,
        sum: Fixed<8, true>,
        min: Fixed<8, true>,
        max: Fixed<8, true>,
        given: Fixed<1>,
        explicit: ExplicitColumns,
        exponential: ExponentialColumns,
        quantiles: Quantiles,
    }
}

column_group! {
    /// The columns of histograms with explicit bounds.
    ExplicitColumns {
        bounds: Arrays<8>,
        counts: Arrays<8, true>,
    }
}

column_group! {
    /// The columns of exponential histograms.
    ExponentialColumns {
        scale: Fixed<4>,
        zero_count: Integers,
        zero_threshold: Fixed<8, true>,
        positive_offset: Fixed<4>,
        positive_counts: Arrays<8, true>,
        negative_offset: Fixed<4>,
        negative_counts: Arrays<8, true>,
    }
}

impl ColumnSet for MetricColumns {
    const TABLE: TableId = TableId::Metrics;

    fn rows(&self) -> usize {
        self.timestamp.rows()
    }

    fn timestamps(&self) -> Option<&Integers> {
        Some(&self.timestamp)
    }
}

/// What every point has.
#[derive(Debug, Default)]
pub(crate) struct PointRow {
    pub(crate) series_id: u64,
    /// Unix nanoseconds.
    pub(crate) timestamp: u64,
    /// Unix nanoseconds; 0 when not given.
    pub(crate) start_timestamp: u64,
    pub(crate) flags: u32,
    pub(crate) number: Number,
}

/// What a histogram or summary has besides its arrays.
#[derive(Debug, Default)]
pub(crate) struct Distribution {
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) scale: i32,
    pub(crate) zero_count: u64,
    pub(crate) zero_threshold: f64,
    pub(crate) positive_offset: i32,
    pub(crate) negative_offset: i32,
}

/// One exemplar of a point.
#[derive(Debug, Default)]
pub(crate) struct Exemplar {
    pub(crate) timestamp: u64,
    pub(crate) number: Number,
    /// All zeros when it belongs to no trace.
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
}

/// What the points of one metric share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricKind {
    pub(crate) kind: MetricType,
    pub(crate) temporality: u8,
    pub(crate) monotonic: bool,
}

impl MetricColumns {
    /// What is filled in when a metric or a resource ends: numbers of name and service, kind, temporality
    /// and monotonic; flags, an integer's remainder and exemplars' offset; and of distributions six numbers of
    /// eight bytes, three of four, which are given, and five offsets.
    const FILL_BYTES: usize = 4 + 4 + 3 + (4 + 8 + 8) + (6 * 8 + 3 * 4 + 1 + 5 * 8);

    /// Bytes of a row, without its elements of arrays: besides the above the series' id, times and the number.
    pub(crate) const ROW_BYTES: usize = 8 + 16 + 9 + Self::FILL_BYTES;

    /// At least the bytes that rows take when their resource is filled in.
    pub(crate) fn unfilled_bytes(&self) -> usize {
        (self.timestamp.rows() - self.service.rows()) * Self::FILL_BYTES
    }

    /// Ends the row of a point whose exemplars were appended.
    #[inline]
    pub(crate) fn end_point(&mut self, point: &PointRow) {
        self.series_id.push(point.series_id.to_le_bytes());
        self.timestamp.push(point.timestamp.to_le_bytes());
        self.start_timestamp
            .push(point.start_timestamp.to_le_bytes());
        if point.flags != 0 {
            self.flags.fill([0; 4], self.timestamp.rows() - 1);
            self.flags.push(point.flags.to_le_bytes());
        }
        self.number.push(point.number);
    }

    /// Fills the columns that all points of a metric share, for those that have none yet.
    pub(crate) fn end_metric(&mut self, name: &[u8], metric: MetricKind) -> Result<(), NotUtf8> {
        let rows = self.timestamp.rows();
        self.name.push_run(name, rows - self.name.rows())?;
        self.kind.fill([metric.kind as u8], rows);
        self.temporality.fill([metric.temporality], rows);
        self.monotonic.fill([u8::from(metric.monotonic)], rows);
        Ok(())
    }

    /// Fills what the points of a resource share, and what plain numbers do not have.
    pub(crate) fn end_resource(&mut self, service: &[u8]) -> Result<(), NotUtf8> {
        let rows = self.timestamp.rows();
        self.flags.fill([0; 4], rows);
        self.number.fill();
        self.exemplars.fill(rows);
        self.distribution.fill(rows);
        self.service.push_run(service, rows - self.service.rows())
    }

    /// The distribution of the point that is being built, once what the points before have in common is filled; and
    /// its exemplars.
    pub(crate) fn begin_distribution(&mut self) -> (&mut DistributionColumns, PointExemplars<'_>) {
        let row = self.timestamp.rows();
        self.distribution.fill_common(row);
        let exemplars = PointExemplars {
            row,
            columns: &mut self.exemplars,
        };
        (&mut self.distribution, exemplars)
    }

    /// Those of the point that is being built go there.
    pub(crate) fn exemplars(&mut self) -> PointExemplars<'_> {
        PointExemplars {
            row: self.timestamp.rows(),
            columns: &mut self.exemplars,
        }
    }
}

/// The exemplars of the point that is being built.
pub(crate) struct PointExemplars<'a> {
    row: usize,
    columns: &'a mut Exemplars,
}

impl PointExemplars<'_> {
    /// For one more, whose row is not ended before.
    pub(crate) fn begin(&mut self) -> &mut Exemplars {
        self.columns.fill(self.row);
        self.columns
    }
}

impl Exemplars {
    /// Ends rows until there are `rows` rows; all but the first of them have none.
    fn fill(&mut self, rows: usize) {
        self.offsets.fill(self.timestamp.rows(), rows);
    }

    /// Appends an exemplar whose attributes were appended.
    pub(crate) fn push(&mut self, exemplar: &Exemplar) {
        self.timestamp.push(exemplar.timestamp.to_le_bytes());
        self.number.push(exemplar.number);
        self.number.fill();
        self.trace_id.push(exemplar.trace_id);
        self.span_id.push(exemplar.span_id);
        self.attributes.end_row();
    }

    pub(crate) fn attributes(&mut self) -> &mut Attributes {
        &mut self.attributes
    }
}

impl DistributionColumns {
    /// Appends "none" to what all have until there are `rows` rows.
    fn fill_common(&mut self, rows: usize) {
        self.count.fill([0; 8], rows);
        for column in [&mut self.sum, &mut self.min, &mut self.max] {
            column.fill([0; 8], rows);
        }
        self.given.fill([0], rows);
    }

    /// Appends "none" to all columns until there are `rows` rows.
    fn fill(&mut self, rows: usize) {
        self.fill_common(rows);
        self.explicit.fill(rows);
        self.exponential.fill(rows);
        self.quantiles.fill(rows);
    }

    /// Ends the row of a point whose buckets or quantiles, of one kind, were begun and appended; those of the other
    /// kinds are filled in later.
    pub(crate) fn end_row(&mut self, row: &Distribution) {
        let given = [row.sum, row.min, row.max]
            .iter()
            .enumerate()
            .fold(0, |bits, (bit, value)| {
                bits | u8::from(value.is_some()) << bit
            });
        let bytes = |value: Option<f64>| value.unwrap_or(0.0).to_le_bytes();
        self.count.push(row.count.to_le_bytes());
        self.sum.push(bytes(row.sum));
        self.min.push(bytes(row.min));
        self.max.push(bytes(row.max));
        self.given.push([given]);
    }

    /// The buckets of the point that is being built.
    pub(crate) fn begin_explicit(&mut self) -> &mut ExplicitColumns {
        self.explicit.fill(self.count.rows());
        &mut self.explicit
    }

    /// The buckets of the point that is being built.
    pub(crate) fn begin_exponential(&mut self) -> &mut ExponentialColumns {
        self.exponential.fill(self.count.rows());
        &mut self.exponential
    }

    /// The quantiles of the point that is being built.
    pub(crate) fn begin_quantiles(&mut self) -> &mut Quantiles {
        self.quantiles.fill(self.count.rows());
        &mut self.quantiles
    }
}

impl ExplicitColumns {
    /// Appends empty rows until there are `rows` rows.
    fn fill(&mut self, rows: usize) {
        self.bounds.fill(rows);
        self.counts.fill(rows);
    }

    /// Doubles, each as its bytes, lowest first.
    pub(crate) fn push_bounds(&mut self, bounds: &[[u8; 8]]) {
        self.bounds.extend(bounds);
    }

    /// Integers, each as its bytes, lowest first.
    pub(crate) fn push_counts(&mut self, counts: &[[u8; 8]]) {
        self.counts.extend(counts);
    }

    /// Ends the row of a point whose bounds and counts were appended.
    pub(crate) fn end_row(&mut self) {
        self.bounds.end_row();
        self.counts.end_row();
    }
}

impl ExponentialColumns {
    /// Appends empty rows until there are `rows` rows.
    fn fill(&mut self, rows: usize) {
        self.zero_count.fill([0; 8], rows);
        self.zero_threshold.fill([0; 8], rows);
        for column in [
            &mut self.scale,
            &mut self.positive_offset,
            &mut self.negative_offset,
        ] {
            column.fill([0; 4], rows);
        }
        self.positive_counts.fill(rows);
        self.negative_counts.fill(rows);
    }

    pub(crate) fn push_positive_count(&mut self, count: u64) {
        self.positive_counts.push(count.to_le_bytes());
    }

    pub(crate) fn push_negative_count(&mut self, count: u64) {
        self.negative_counts.push(count.to_le_bytes());
    }

    /// Ends the row of a point whose counts were appended.
    pub(crate) fn end_row(&mut self, row: &Distribution) {
        self.scale.push(row.scale.to_le_bytes());
        self.zero_count.push(row.zero_count.to_le_bytes());
        self.zero_threshold.push(row.zero_threshold.to_le_bytes());
        self.positive_offset.push(row.positive_offset.to_le_bytes());
        self.positive_counts.end_row();
        self.negative_offset.push(row.negative_offset.to_le_bytes());
        self.negative_counts.end_row();
    }
}

impl Quantiles {
    /// Appends empty rows until there are `rows` rows.
    fn fill(&mut self, rows: usize) {
        self.offsets.fill(self.quantile.rows(), rows);
    }

    pub(crate) fn push(&mut self, quantile: f64, value: f64) {
        self.quantile.push(quantile.to_le_bytes());
        self.value.push(value.to_le_bytes());
    }

    /// Ends the row of a point whose quantiles were appended.
    pub(crate) fn end_row(&mut self) {
        self.offsets.end_row(self.quantile.rows());
    }
}
