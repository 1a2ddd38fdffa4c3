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
        let (offsets, events) = (&picked.offsets[..], picked.elements());
        block.array(offsets, &self.timestamp, events);
        block.begin_column();
        LowCardinality::write_prefix(block);
        block.offsets(offsets, self.name.rows(), false);
        self.name.write_body(events, block);
        self.attributes.write_within(Some(offsets), events, block);
        block.array(offsets, &self.dropped_attributes, events);
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
        let (offsets, links) = (&picked.offsets[..], picked.elements());
        block.array(offsets, &self.trace_id, links);
        block.array(offsets, &self.span_id, links);
        block.begin_column();
        block.offsets(offsets, self.trace_state.rows(), false);
        block.bulk(&self.trace_state.data(links));
        block.array(offsets, &self.flags, links);
        self.attributes.write_within(Some(offsets), links, block);
        block.array(offsets, &self.dropped_attributes, links);
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
        let (offsets, exemplars) = (&picked.offsets[..], picked.elements());
        block.array(offsets, &self.timestamp, exemplars);
        block.array(offsets, &self.number.kind, exemplars);
        block.array(offsets, &self.number.value, exemplars);
        block.array(offsets, &self.number.int_remainder, exemplars);
        block.array(offsets, &self.trace_id, exemplars);
        block.array(offsets, &self.span_id, exemplars);
        self.attributes
            .write_within(Some(offsets), exemplars, block);
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
        block.array(&picked.offsets, &self.quantile, picked.elements());
        block.array(&picked.offsets, &self.value, picked.elements());
    }
}
