//! Load, the ledger of what was acknowledged, and the check of what is stored against it: what the tests of
//! faults share. Each of them uses a part of it.
#![allow(dead_code)]

pub(crate) mod load;
pub(crate) mod proxy;
pub(crate) mod requests;
pub(crate) mod stored;
