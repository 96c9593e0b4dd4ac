//! libringmq: brokers and clients for C and C++ programs, behind `include/ringmq.h`.
//!
//! Nothing is decided here: each function checks what it was given, calls the library, and turns what comes of it into a
//! status. No panic passes the border, no callback runs on a broker's core, and nothing is written but outputs that
//! succeed.
#![allow(non_camel_case_types, reason = "the names that C gives them")]
#![allow(unsafe_code)]

pub mod broker;
pub mod client;
pub mod client_options;
pub mod config;
mod entry;
pub mod error;
pub mod faults;
mod fork;
mod handle;
pub mod log;
pub mod message;
pub mod properties;
pub mod publish;
pub mod questions;
mod ready;
pub mod subscription;
pub mod text;

use std::ffi::c_char;

/// The version of the header: major * 1,000,000 + minor * 1,000 + patch. `ringmq_version_number` says the library's.
pub const RINGMQ_VERSION_NUMBER: u32 = 1_000;

/// The version of the library, as `RINGMQ_VERSION_NUMBER` says that of the header. A library is good for a header whose
/// first two numbers are the same and whose last is not greater than its own.
#[unsafe(no_mangle)]
pub extern "C" fn ringmq_version_number() -> u32 {
    RINGMQ_VERSION_NUMBER
}

/// The version of the library as text, such as "0.1.0". It is the library's and lives as long as it does.
#[unsafe(no_mangle)]
pub extern "C" fn ringmq_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

const _: () = {
    // The number is that of the package.
    const fn number(text: &str) -> u32 {
        let bytes = text.as_bytes();
        assert!(bytes.len() == 5 && bytes[1] == b'.' && bytes[3] == b'.');
        (bytes[0] - b'0') as u32 * 1_000_000 + (bytes[2] - b'0') as u32 * 1_000 + (bytes[4] - b'0') as u32
    }
    assert!(number(env!("CARGO_PKG_VERSION")) == RINGMQ_VERSION_NUMBER);
};
