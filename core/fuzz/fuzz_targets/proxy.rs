//! The header of a load balancer before a connection, in any split.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::proxy(bytes));
