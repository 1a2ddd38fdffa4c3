//! Events and links of spans, exemplars and quantiles of points: groups of array columns that share their
//! offsets.

use super::block::BlockWriter;
use super::column::{Column, Picked, buffer_group};
use super::numbers::Numbers;
use super::{Attributes, Fixed, LowCardinality, Offsets, Strings};

buffer_group! {
    /// The `Events.*` columns.
    Events {
        offsets: Offsets,
        timestamp: Fixed<8>,
        name: LowCardinality,
        attributes: Attributes,
        dropped_attributes: Fixed<4>,
    }
}

impl Column for Events {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        let picked = self.offsets.pick(rows);
        block.array(&picked, &self.timestamp);
        block.begin_column();
        LowCardinality::write_prefix(block);
        block.offsets(&picked, false);
        self.name.write_body(picked.elements(), block);
        self.attributes
            .write_within(Some(&picked), picked.elements(), block);
        block.array(&picked, &self.dropped_attributes);
    }
}

buffer_group! {
    /// The `Links.*` columns.
    Links {
        offsets: Offsets,
        trace_id: Fixed<16>,
        span_id: Fixed<8>,
        trace_state: Strings,
        flags: Fixed<4>,
        attributes: Attributes,
        dropped_attributes: Fixed<4>,
    }
}

impl Column for Links {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        let picked = self.offsets.pick(rows);
        block.array(&picked, &self.trace_id);
        block.array(&picked, &self.span_id);
        block.begin_column();
        block.offsets(&picked, false);
        block.bulk(&self.trace_state.data(picked.elements()));
        block.array(&picked, &self.flags);
        self.attributes
            .write_within(Some(&picked), picked.elements(), block);
        block.array(&picked, &self.dropped_attributes);
    }
}

buffer_group! {
    /// The `Exemplars.*` columns.
    Exemplars {
        offsets: Offsets,
        timestamp: Fixed<8>,
        number: Numbers,
        trace_id: Fixed<16>,
        span_id: Fixed<8>,
        attributes: Attributes,
    }
}

impl Column for Exemplars {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        let picked = self.offsets.pick(rows);
        block.array(&picked, &self.timestamp);
        block.array(&picked, &self.number.kind);
        block.array(&picked, &self.number.value);
        block.array(&picked, &self.number.int_remainder);
        block.array(&picked, &self.trace_id);
        block.array(&picked, &self.span_id);
        self.attributes
            .write_within(Some(&picked), picked.elements(), block);
    }
}

buffer_group! {
    /// The `ValueAtQuantiles.*` columns.
    Quantiles {
        offsets: Offsets,
        quantile: Fixed<8>,
        value: Fixed<8>,
    }
}

impl Column for Quantiles {
    fn write(&self, rows: Picked<'_>, block: &mut BlockWriter<'_>) {
        let picked = self.offsets.pick(rows);
        block.array(&picked, &self.quantile);
        block.array(&picked, &self.value);
    }
}
