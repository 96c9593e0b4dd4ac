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
//! | `stream` | a client of any bytes at one to three shards | refused or served by the rules, the same at any split, and others are served |
//! | `connection` | what clients and handles of one to three shards do | every packet was owed, bounds hold after each step, all is answered, it stops |
//! | `model` | who does what when, in the shards' own model | the judge of the whole history: nothing lost, doubled, out of order or acknowledged early |
//! | `mesh` | a batch from a peer | the shard takes it or refuses it and goes on serving |
//! | `acl` | an ACL file, names and topics | the compiled rules say what their plain reading says |
//! | `password` | a password file, and a stored password | an error with its line, or what is written as it was read |
//! | `token` | keys, a token, and claims that are signed rightly | an answer, and never by a wrong signature |
//! | `peer` | what a server sends and an application asks | the client's machine writes right packets, and every request ends once |
//! | `websocket` | bytes of a client with WebSocket, and bytes to be sent by one | any split gives the same plaintext and the same end; both ends understand each other |
//! | `proxy` | bytes before a connection | the same address and the same rest in any split, or the connection is broken |
//! | `tls` | bytes to either end, and changes to what both say | no panic; what comes out is the beginning of what went in; an end once broken stays so |
//! | `config_toml` | a configuration file | judged, and every mistake has its place and one line |
//! | `mosquitto_conf` | a mosquitto.conf and a file that it includes | the same, and its translation means the same |
//!
//! # Running
//!
//! `testsuite/run --only fuzz` runs every target for seconds from its seeds, `core/fuzz/run 60` for 60 seconds,
//! `core/fuzz/run 600 connection` one of them for ten minutes, on any toolchain; a C++ compiler is needed. Only our
//! own crates are instrumented, so that everything else is compiled once for all tests. cargo-fuzz instruments all of
//! it: `cargo +nightly fuzz run --features targets connection`, in this folder or with `--fuzz-dir core/fuzz`.
//! What is found lies in `artifacts/TARGET`, and `core/fuzz/run 0 TARGET FILE` shows it again; with `RINGMQ_LOUD=1`
//! in the environment the targets with shards print each step. A finding becomes a test in
//! `core/shard/tests/directed/found_by_fuzzing.rs`, or beside the code it concerns, before it is mended.
//! Inputs that led somewhere new are kept in `corpus`; neither folder is committed. Seeds are made by code
//! (`seeds.rs`) whenever a target runs.
#![forbid(unsafe_code)]

mod bounds;
mod broker;
mod configuration;
mod files;
mod handles;
// The world in which the shards' own tests run: fake sockets, lanes, deciders and time, seeded.
#[path = "../../shard/tests/harness/mod.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, unused_imports)]
mod harness;
mod layers;
mod mesh;
#[allow(dead_code, missing_docs, unreachable_pub)]
mod model;
mod packets;
mod peer;
mod records;
mod script;
mod seeds;
mod stream;
mod tls;
mod witness;
mod writing;

pub use broker::connection;
pub use configuration::{config_toml, mosquitto_conf};
pub use files::{acl, password, token};
pub use layers::{proxy, websocket};
pub use mesh::mesh;
pub use model::model;
pub use packets::{decode_client, decode_server, frame};
pub use peer::{Talk, peer};
pub use records::stored;
pub use script::Script;
#[allow(unused_imports)]
use seeds::record;
pub use seeds::write as write_seeds;
pub use stream::stream;
pub use tls::tls;
