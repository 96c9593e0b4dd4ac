//! Tokens, their keys and their claims.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::token(bytes));
