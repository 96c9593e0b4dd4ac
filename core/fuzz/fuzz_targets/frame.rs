//! Finding packets in a stream that is split anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::frame(bytes));
