//! See `spanmill_engine::fuzzing::log_replay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spanmill_engine::fuzzing::log_replay(input));
