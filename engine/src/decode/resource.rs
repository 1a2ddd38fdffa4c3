//! Resources and scopes: read once for all the spans below them.

use std::rc::Rc;

use super::value::{Merged, owned_attribute};
use super::wire::Reader;
use super::{DecodeError, utf8};
use crate::columns::{OwnedAttribute, ResourceId, ResourceRow, Resources};

/// Dictionary key, length and type of one entry of an attribute map.
const ENTRY_BYTES: usize = 8;

/// Finds the resource among those written today, or reads it and adds its row. Gives its id and its
/// service name. `encoded` is room to build the key in.
pub(super) fn resolve(
    resource: &Merged<'_>,
    schema_url: &[u8],
    resources: &mut Resources,
    encoded: &mut Vec<u8>,
    now: u32,
) -> Result<(ResourceId, Rc<[u8]>), DecodeError> {
    encoded.clear();
    for part in resource.parts() {
        encoded.extend_from_slice(part);
    }
    encoded.extend_from_slice(schema_url);
    encoded.extend_from_slice(&(schema_url.len() as u64).to_le_bytes());
    if let Some(known) = resources.known(encoded, now) {
        return Ok(known);
    }
    let row = read_resource(resource, schema_url)?;
    Ok(resources.add(encoded, row, now)?)
}

/// Checks a resource that nothing refers to and that is not stored.
pub(super) fn check(resource: &Merged<'_>) -> Result<(), DecodeError> {
    read_resource(resource, &[]).map(drop)
}

fn read_resource(resource: &Merged<'_>, schema_url: &[u8]) -> Result<ResourceRow, DecodeError> {
    let mut row = ResourceRow {
        schema_url: utf8(schema_url)?.to_vec(),
        ..ResourceRow::default()
    };
    let mut text = Vec::new();
    for part in resource.parts() {
        let mut reader = Reader::new(part);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => owned_attribute(reader.bytes(wire)?, &mut text, &mut row.attributes)?,
                2 => row.dropped_attributes = reader.varint(wire)? as u32,
                _ => reader.skip(field, wire)?,
            }
        }
    }
    Ok(row)
}

/// An `InstrumentationScope`.
#[derive(Default)]
pub(super) struct Scope<'a> {
    pub(super) name: &'a [u8],
    pub(super) version: &'a [u8],
    pub(super) attributes: Vec<OwnedAttribute>,
    pub(super) dropped_attributes: u32,
}

impl Scope<'_> {
    /// About the bytes that its attributes take in each span's row.
    pub(super) fn row_bytes(&self) -> usize {
        let entry = |entry: &OwnedAttribute| ENTRY_BYTES + entry.value.len();
        self.attributes.iter().map(entry).sum()
    }
}

pub(super) fn read_scope<'a>(message: &Merged<'a>) -> Result<Scope<'a>, DecodeError> {
    let mut scope = Scope::default();
    let mut text = Vec::new();
    for part in message.parts() {
        let mut reader = Reader::new(part);
        while let Some((field, wire)) = reader.tag()? {
            match field {
                1 => scope.name = utf8(reader.bytes(wire)?)?,
                2 => scope.version = utf8(reader.bytes(wire)?)?,
                3 => owned_attribute(reader.bytes(wire)?, &mut text, &mut scope.attributes)?,
                4 => scope.dropped_attributes = reader.varint(wire)? as u32,
                _ => reader.skip(field, wire)?,
            }
        }
    }
    Ok(scope)
}
