//! Who may come in and what they may do: the questions a shard asks and the answers it takes. The shard
//! never decides by itself and never waits: an answer may come at once, later, or not at all, and then a
//! deadline answers.

use std::net::SocketAddr;

/// Names one open question of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The address of the other end; `None` for peers without one, such as in-process handles.
    pub socket: Option<SocketAddr>,
    /// Number of the listener that accepted it.
    pub listener: u16,
}

/// What a shard wants to know.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// May this client connect?
    Connect {
        /// Where it comes from.
        peer: &'a PeerAddress,
        /// Its ClientID, already assigned where it sent none.
        client_id: &'a str,
        /// The user name it gave.
        user_name: Option<&'a str>,
        /// The password it gave.
        password: Option<&'a [u8]>,
    },
    /// May this client publish to this topic?
    Publish {
        /// Its ClientID.
        client_id: &'a str,
        /// The user name it connected with.
        user_name: Option<&'a str>,
        /// The topic name.
        topic: &'a str,
        /// Whether the message is to be retained.
        retain: bool,
    },
    /// May this client subscribe to this filter?
    Subscribe {
        /// Its ClientID.
        client_id: &'a str,
        /// The user name it connected with.
        user_name: Option<&'a str>,
        /// The whole filter, `$share/…/` included.
        filter: &'a str,
    },
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No; 0x87 Not authorized, or 0x86 for a connection whose credentials are wrong.
    Deny,
}

/// What a decider says when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The decision.
    Now(Verdict),
    /// It comes later as [`crate::Input::Decided`] with the same ticket.
    Later,
}

/// Answers a shard's questions. Called on the shard's core: it must return at once and may say `Later`.
pub trait Decider {
    /// Answers `question`, or says that the answer for `ticket` comes later.
    fn decide(&mut self, ticket: Ticket, question: &Question<'_>) -> Answer;

    /// Whether it allows every publish, now and later. A shard wants to know once, at its start, and then does
    /// not ask about publishes.
    fn allows_all(&self) -> bool {
        false
    }
}

/// Says yes to everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Decider for AllowAll {
    fn decide(&mut self, _: Ticket, _: &Question<'_>) -> Answer {
        Answer::Now(Verdict::Allow)
    }

    fn allows_all(&self) -> bool {
        true
    }
}
