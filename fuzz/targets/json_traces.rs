//! See `spanmill_engine::fuzzing::json_traces`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spanmill_engine::fuzzing::json_traces(input));
