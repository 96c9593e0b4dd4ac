//! A server of WebSocket that gets any bytes in any split, and one that is spoken to properly.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::websocket(bytes));
