//! TLS servers and clients that get any bytes, and what is between them spoiled and split.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::tls(bytes));
