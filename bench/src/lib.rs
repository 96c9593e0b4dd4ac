//! The load generator of the comparison: drives a broker over real sockets as hard as a window allows, counts
//! what arrives and judges it by the sequence numbers in the payloads.
//!
//! It is one thread on epoll and the codec of `ringmq-wire`, so that one core of load can bring a broker on
//! another core to its limit. It never starts a broker, never reconnects and never hides a failure: a
//! connection that ends, a refusal or a packet that should not come ends the run with that as its result.
#![forbid(unsafe_code)]

pub mod accept;
mod connection;
pub mod connections;
mod failure;
pub mod garbage;
mod handshake;
mod hello;
mod ledger;
mod load;
mod plan;
mod poller;
mod process;
mod report;
mod stamp;
pub mod storm;
mod template;

pub use failure::Failure;
pub use hello::{HELLO_ANSWER, HELLO_BYTES, Hello, Role};
pub use load::{raise_descriptor_limit, run};
pub use plan::{Plan, Scenario, WINDOW_MESSAGES_MAX};
pub use report::Report;
pub use stamp::STAMP_BYTES;
