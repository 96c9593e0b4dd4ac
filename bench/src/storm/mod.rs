//! Storms: a broker under many clients that are killed, stalled, taken over and resumed, from one seed, with an
//! account of everything that was sent, acknowledged and received. One thread drives all clients; the clients share
//! no code with RingMQ's own client. A storm never starts a broker, and what it finds it says and does not mend.

mod account;
mod field;
mod logins;
mod memory;
mod parcel;
mod retained;
mod session;
mod slow_reader;
mod soak;

use std::fmt;
use std::io;

pub use logins::{Logins, logins};
pub use retained::{RetainedFlood, retained_flood};
pub use slow_reader::{SlowReader, slow_reader};
pub use soak::{Soak, soak};

/// What came of a storm.
#[derive(Debug)]
pub struct StormReport {
    /// Lines for a person.
    pub text: String,
    /// One line of JSON.
    pub json: String,
    /// Whether every promise was kept.
    pub kept: bool,
}

/// Why a storm ended early; whoever runs it looks at the broker's log.
#[derive(Debug)]
pub enum StormError {
    /// The machine refused something, or the broker does not listen any more.
    Io(io::Error),
    /// What had to happen did not.
    Stuck(String),
}

impl fmt::Display for StormError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(out, "the storm ended early: {error}"),
            Self::Stuck(what) => write!(out, "the storm got stuck: {what}"),
        }
    }
}

impl std::error::Error for StormError {}

impl From<io::Error> for StormError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
