//! Packets of a client, in every version.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::decode_client(bytes));
