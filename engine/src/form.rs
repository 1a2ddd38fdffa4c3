//! What a body is said to be, before anything of it is believed.

use crate::decode::Signal;
use crate::inflate::Encoding;

/// How the bytes of a request are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) signal: Signal,
    pub(crate) encoding: Encoding,
    pub(crate) syntax: Syntax,
}

/// What a decompressed body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Protobuf,
    Json,
}
