//! See `spanmill_engine::fuzzing::inflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spanmill_engine::fuzzing::inflate(input));
