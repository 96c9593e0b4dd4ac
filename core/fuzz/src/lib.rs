//! What the fuzz targets do with their bytes. Each target is one function here, so that it can also be called
//! from a test; the files in `fuzz_targets` only hand the bytes over. No function here forgives anything: a
//! panic, an assertion that fails, a leak or a run that does not end is a finding.
//!
//! | target | what it is given | what must hold |
//! |---|---|---|
//! | `frame` | a stream of bytes | any split of it gives the same packets or the same violation |
//! | `decode_client` | one packet of a client | in each version: a violation, or a packet that encodes to its equal |
//! | `decode_server` | one packet of a server | the same |
//! | `record` | a record, and a body with right checksums around it | an error, or a command that writes the same bytes |
//! | `connection` | what clients of one to three shards do | the broker answers with right packets, comes to rest and stops |
//! | `mesh` | a batch from a peer | the shard takes it or refuses it and goes on serving |
//!
//! # Running
//!
//! `cargo install cargo-fuzz --locked` once; a C++ compiler is needed. Then `core/fuzz/run 60` runs every target
//! for 60 seconds, `core/fuzz/run 600 connection` one of them for ten minutes, on any toolchain; a nightly does
//! without the script: `cargo +nightly fuzz run connection`, in this folder or with `--fuzz-dir core/fuzz`.
//! What is found lies in `artifacts/TARGET`, and `core/fuzz/run 0 TARGET FILE` shows it again.
//! Inputs that led somewhere new are kept in `corpus`; neither folder is committed.
#![forbid(unsafe_code)]

mod broker;
// The world in which the shards' own tests run: fake sockets, lanes, deciders and time, seeded.
#[path = "../../shard/tests/harness/mod.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, unused_imports)]
mod harness;
mod packets;
mod records;

pub use broker::{Script, connection, mesh};
pub use packets::{decode_client, decode_server, frame};
pub use records::record;
