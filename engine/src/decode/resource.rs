//! Resources and scopes: read once for all the rows below them.

use std::rc::Rc;

use super::value::{Merged, owned_attribute};
use super::wire::Reader;
use super::{DecodeError, utf8};
use crate::columns::{OwnedAttribute, ResourceId, ResourceRow, Resources, Scope};

/// Dictionary key, length and type of one entry of an attribute map.
const ENTRY_BYTES: usize = 8;

/// Finds the resource among those written today, or reads it and adds its row. Gives its id and its
/// service name. `encoded` is room to build the key in; `now` is in Unix seconds.
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

/// About the bytes that attributes take in each row that they are repeated in.
pub(super) fn repeated_bytes(attributes: &[OwnedAttribute]) -> usize {
    let entry = |entry: &OwnedAttribute| ENTRY_BYTES + entry.value.len();
    attributes.iter().map(entry).sum()
}

pub(super) fn read_scope<'a>(
    message: &Merged<'a>,
    schema_url: &'a [u8],
) -> Result<Scope<'a>, DecodeError> {
    let mut scope = Scope {
        schema_url: utf8(schema_url)?,
        ..Scope::default()
    };
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
