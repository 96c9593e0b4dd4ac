//! The client's machine with a hostile server.
#![no_main]

use ringmq_fuzz::Talk;

libfuzzer_sys::fuzz_target!(|talk: Talk| ringmq_fuzz::peer(&talk));
