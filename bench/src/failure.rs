//! Why a run ended early. None of these is retried: whoever reads the report decides.

use std::fmt;
use std::io;

use ringmq_wire::{PacketKind, ReasonCode, Violation};

/// Why a run ended early.
#[derive(Debug)]
pub enum Failure {
    /// The machine refused something: a connection, descriptors, a process that is gone.
    Io(&'static str, io::Error),
    /// The broker closed a connection, given by its name.
    Closed(String),
    /// The broker sent nothing to a client, given by its name, that waited for something.
    Silent(String),
    /// The broker answered a packet of this kind with an error.
    Refused(PacketKind, ReasonCode),
    /// The broker sent what the codec refuses.
    Malformed(Violation),
    /// Too few clients or filters for this scenario.
    TooFew,
    /// The broker sent a packet that does not belong there.
    Unexpected(PacketKind),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io(doing, error) => write!(out, "{doing}: {error}"),
            Failure::Closed(name) => write!(out, "the broker closed the connection of {name}"),
            Failure::Silent(name) => write!(out, "{name} waits for something that the broker does not send"),
            Failure::Refused(kind, reason) => {
                write!(out, "the broker answered with {kind:?} 0x{:02x} {}", reason.value(), reason.name())
            }
            Failure::Malformed(violation) => {
                write!(out, "the broker sent {violation:?} {}", violation.clause())
            }
            Failure::TooFew => {
                write!(out, "too few for this scenario: take at least 3 clients and 3 subscriptions for each")
            }
            Failure::Unexpected(kind) => write!(out, "the broker sent {kind:?} where it has no place"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Failure {
        Failure::Malformed(violation)
    }
}
