//! See `spanmill_engine::fuzzing::clickhouse_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spanmill_engine::fuzzing::clickhouse_answer(input));
