//! Whole runs of the shards' model, judged.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ringmq_fuzz::model(bytes));
