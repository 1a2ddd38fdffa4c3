//! See `spanmill_engine::fuzzing::walk_logs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spanmill_engine::fuzzing::walk_logs(input));
