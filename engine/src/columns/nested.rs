//! Events and links of spans: groups of array columns that share their offsets.

use super::block::BlockWriter;
use super::column::{Column, buffer_group};
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
    fn write(&self, block: &mut BlockWriter<'_>) {
        write_array(block, &self.offsets, self.timestamp.data());
        block.begin_column();
        LowCardinality::write_prefix(block);
        block.bulk(self.offsets.data());
        self.name.write_body(block);
        self.attributes.write_within(Some(&self.offsets), block);
        write_array(block, &self.offsets, self.dropped_attributes.data());
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
    fn write(&self, block: &mut BlockWriter<'_>) {
        write_array(block, &self.offsets, self.trace_id.data());
        write_array(block, &self.offsets, self.span_id.data());
        write_array(block, &self.offsets, self.trace_state.data());
        write_array(block, &self.offsets, self.flags.data());
        self.attributes.write_within(Some(&self.offsets), block);
        write_array(block, &self.offsets, self.dropped_attributes.data());
    }
}

fn write_array(block: &mut BlockWriter<'_>, offsets: &Offsets, elements: &[u8]) {
    block.begin_column();
    block.bulk(offsets.data());
    block.bulk(elements);
}
