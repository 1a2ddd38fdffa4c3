//! What the simulated ClickHouse answers to anything but an INSERT. A query that an engine asks is added
//! here; one that is not known is an exception, as it would be in a ClickHouse that cannot parse it.

use super::store::Store;
use super::wire::{self, Query};

pub(super) fn answer(store: &Store, query: &Query) -> Vec<u8> {
    if query.text.contains("max_block_number") {
        let seen: Vec<_> = store.stored.iter().map(u64::to_string).collect();
        return wire::text(&format!("({},{})", seen.join(","), store.window));
    }
    let unknown = format!("Syntax error: {}", query.text);
    wire::exception(62, "SYNTAX_ERROR", &unknown)
}
