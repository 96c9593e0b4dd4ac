//! A client of any bytes at a whole shard.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::stream(bytes));
