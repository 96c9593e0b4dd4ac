//! Who may come in and what they may do: the questions a shard asks and the answers it takes. The shard
//! never decides by itself and never waits: an answer may come at once, later, or not at all, and then a
//! deadline answers.

use std::net::SocketAddr;
use std::sync::Arc;

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
    /// A user name that the transport has proved, by a certificate or by the kernel. It goes before the one that
    /// CONNECT gives.
    pub user_name: Option<Arc<str>>,
}

impl PeerAddress {
    /// A peer of whom the transport has proved nothing.
    #[must_use]
    pub const fn new(socket: Option<SocketAddr>, listener: u16) -> Self {
        Self { socket, listener, user_name: None }
    }
}

/// A client that a message is for.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Its ClientID.
    pub client_id: &'a str,
    /// The user name it connected with last.
    pub user_name: Option<&'a str>,
    /// Number of the listener through which it did.
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
        /// The user name that the transport has proved, else the one it gave.
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
        /// Number of the listener through which it connected.
        listener: u16,
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
        /// Number of the listener through which it connected.
        listener: u16,
        /// The whole filter, `$share/…/` included.
        filter: &'a str,
    },
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No: 0x87 Not authorized.
    Deny,
    /// No, a connection's credentials are wrong: 0x86 Bad user name or password. Elsewhere the same as
    /// [`Verdict::Deny`], and so are those below.
    BadCredentials,
    /// Not now, because too many connections want to be judged: 0x89 Server busy.
    Busy,
    /// Not now, because too much came from there: 0x9F Connection rate exceeded.
    TooOften,
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

    /// Whether it allows every publish for now. A shard wants to know at its start and once a turn, and as long as it
    /// does, it does not ask about publishes.
    fn allows_all(&self) -> bool {
        false
    }

    /// Whether somebody may not read something for now. A shard wants to know at its start and once a turn, and as
    /// long as it does not, every delivery is made without [`Decider::may_read`].
    fn restricts_reading(&self) -> bool {
        false
    }

    /// Whether a message of this topic may be given to a client that subscribed to it. Asked once for each session
    /// and message, retained ones and those of shared subscriptions included, so its time counts. In-process handles
    /// are not asked about.
    fn may_read(&mut self, _: &Reader<'_>, _topic: &str) -> bool {
        true
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
