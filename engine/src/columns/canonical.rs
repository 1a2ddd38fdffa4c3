//! The canonical bytes of attributes and texts, from which ids of resources and series are hashed: order
//! does not matter, boundaries and types do.

use std::borrow::Borrow;

use super::OwnedAttribute;
use super::varint::push_varint;

/// Brings attributes into the order that their canonical bytes have.
pub(super) fn sort_attributes<A: Borrow<OwnedAttribute>>(attributes: &mut [A]) {
    attributes.sort_by(|a, b| order(a.borrow()).cmp(&order(b.borrow())));
}

fn order(entry: &OwnedAttribute) -> (&[u8], u8, &[u8]) {
    (&entry.key, entry.kind as u8, &entry.value)
}

/// Appends the number of attributes, then key, type and value of each.
pub(super) fn push_attributes<A: Borrow<OwnedAttribute>>(out: &mut Vec<u8>, attributes: &[A]) {
    push_varint(out, attributes.len() as u64);
    for attribute in attributes {
        let OwnedAttribute { key, kind, value } = attribute.borrow();
        push_text(out, key);
        out.push(*kind as u8);
        push_text(out, value);
    }
}

/// Appends a text with its length before it.
pub(super) fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}
