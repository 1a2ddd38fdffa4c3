//! See `spanmill_engine::fuzzing::json_logs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spanmill_engine::fuzzing::json_logs(input));
