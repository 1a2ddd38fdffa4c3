//! The columns that say where a row comes from: service, resource and scope. They are equal for many rows
//! in a row, and filled by run.

use super::column::column_group;
use super::{
    Attributes, DICTIONARY_ENTRY_BYTES, Fixed, Integers, LowCardinality, NotUtf8, OwnedAttribute,
};

column_group! {
    /// See the module. Every table of rows that name their resource has these, in this order.
    Origin {
        service: LowCardinality,
        resource_id: Integers,
        scope_name: LowCardinality,
        scope_version: LowCardinality,
        scope_schema_url: LowCardinality,
        scope_attributes: Attributes,
        scope_dropped_attributes: Fixed<4>,
    }
}

/// An instrumentation scope as the walk read it.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) version: &'a [u8],
    pub(crate) schema_url: &'a [u8],
    pub(crate) attributes: Vec<OwnedAttribute>,
    pub(crate) dropped_attributes: u32,
}

impl Scope<'_> {
    /// Bytes of what a block holds once of its scopes: names, and the keys of attributes.
    pub(crate) fn dictionary_bytes(&self) -> usize {
        let keys = self.attributes.iter().map(|entry| entry.key.len());
        self.name.len() + self.version.len() + self.schema_url.len() + keys.sum::<usize>()
    }

    /// At least the bytes that a scope takes in `rows` rows, besides `Origin::ROW_BYTES` each.
    pub(crate) fn stored_bytes(&self, rows: usize) -> usize {
        let entries = self.attributes.iter().map(OwnedAttribute::entry_bytes);
        let entries = entries.sum::<usize>().saturating_mul(rows);
        let texts = 3 + self.attributes.len();
        entries
            .saturating_add(self.dictionary_bytes())
            .saturating_add(texts * DICTIONARY_ENTRY_BYTES)
    }
}

impl Origin {
    /// Bytes of a row: five numbers, an offset and the resource's id, without what dictionaries and scope
    /// attributes take.
    pub(super) const ROW_BYTES: usize = 5 * 4 + 8 + 8;

    /// Rows whose resource is filled in.
    pub(super) fn rows(&self) -> usize {
        self.resource_id.rows()
    }

    /// Fills the scope columns up to `rows` rows.
    pub(crate) fn end_scope(&mut self, scope: &Scope<'_>, rows: usize) -> Result<(), NotUtf8> {
        let rows = rows - self.scope_dropped_attributes.rows();
        if rows == 0 {
            return Ok(());
        }
        self.scope_name.push_run(scope.name, rows)?;
        self.scope_version.push_run(scope.version, rows)?;
        self.scope_schema_url.push_run(scope.schema_url, rows)?;
        self.scope_attributes.push_run(&scope.attributes, rows)?;
        self.scope_dropped_attributes
            .push_run(scope.dropped_attributes.to_le_bytes(), rows);
        Ok(())
    }

    /// Fills the resource columns up to `rows` rows.
    pub(crate) fn end_resource(
        &mut self,
        id: u64,
        service: &[u8],
        rows: usize,
    ) -> Result<(), NotUtf8> {
        let rows = rows - self.resource_id.rows();
        self.resource_id.push_run(id.to_le_bytes(), rows);
        self.service.push_run(service, rows)
    }
}
