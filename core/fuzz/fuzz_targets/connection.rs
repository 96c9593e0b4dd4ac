//! A broker of a few shards and what its clients do.
#![no_main]

use ringmq_fuzz::Script;

libfuzzer_sys::fuzz_target!(|script: Script| ringmq_fuzz::connection(&script));
