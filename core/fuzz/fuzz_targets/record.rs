//! Records of a store, damaged and sealed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::stored(bytes));
