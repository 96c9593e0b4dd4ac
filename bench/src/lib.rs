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
mod connects;
mod failure;
pub mod garbage;
mod handshake;
mod hello;
mod idle;
mod latency;
mod ledger;
mod load;
mod meter;
mod pace;
mod plan;
mod poller;
mod population;
mod process;
mod report;
mod retained;
mod socket;
mod stamp;
pub mod storm;
mod template;
mod transport;

pub use failure::Failure;
pub use hello::{HELLO_ANSWER, HELLO_BYTES, HELLO_TIMES, Hello, Role};
pub use latency::Latency;
pub use plan::{Plan, Scenario, WINDOW_MESSAGES_MAX};
pub use report::Report;
pub use stamp::STAMP_BYTES;
pub use transport::{TlsPlan, TlsVersion, Transport, server_name};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Where a run says how it gets on, about once a second.
pub type Tell<'a> = dyn FnMut(&str) + 'a;

/// Runs a plan against a broker that listens.
///
/// Errors: whatever ends a run early; a run that ends in time with faults is a [`Report`] that tells them.
pub fn run(plan: &Plan, tell: &mut Tell<'_>) -> Result<Report, Failure> {
    match plan.scenario {
        Scenario::Connects => connects::run(plan, tell),
        Scenario::Idle => idle::run(plan, tell),
        Scenario::Retained => retained::run(plan, tell),
        Scenario::Pairs | Scenario::FanIn | Scenario::FanOut | Scenario::Subscriptions => {
            load::run(plan, tell)
        }
    }
}

/// Takes as many descriptors as this user may have; too few show when a connection fails.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
