//! Telemetry to load an engine with. Only the corpus stands yet; it never opens a socket or reads a clock.

pub mod corpus;
