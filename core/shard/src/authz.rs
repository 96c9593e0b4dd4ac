//! Who may come in and what they may do: the questions a shard asks and the answers it takes. The shard
//! never decides by itself and never waits: an answer may come at once, later, or not at all, and then a
//! deadline answers.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use ringmq_proto::time::Wall;
use ringmq_wire::ReasonCode;

use crate::hooks::Rewritten;

/// Names one open question of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The address of the other end; `None` behind a Unix socket, where clients have none.
    pub socket: Option<SocketAddr>,
    /// Number of the listener that accepted it.
    pub listener: u16,
    /// A user name that the transport has proved, by a certificate or by the kernel. It goes before the one that
    /// CONNECT gives.
    pub user_name: Option<Arc<str>>,
}

impl PeerAddress {
    /// The address for the log.
    #[must_use]
    pub fn text(&self) -> String {
        self.socket.map_or_else(|| "<unix socket>".to_owned(), |address| address.to_string())
    }

    /// A peer of whom the transport has proved nothing.
    #[must_use]
    pub const fn new(socket: Option<SocketAddr>, listener: u16) -> Self {
        Self { socket, listener, user_name: None }
    }
}

/// Who a client has turned out to be, beyond what it says of itself. The shard keeps it with the session until that
/// ends or its client connects anew, and hands it back with each question. It is never shown.
#[derive(Default)]
pub struct Identity {
    /// The user name that counts instead of CONNECT's.
    pub user_name: Option<Arc<str>>,
    /// When the client is to be disconnected.
    pub expires_at: Option<Wall>,
    /// What the decider wants to know again. The shard does not look into it.
    pub grant: Option<Arc<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

/// What a client that authenticates is to answer.
#[derive(Default)]
pub struct Challenge {
    /// The data of AUTH; none when empty.
    pub data: Box<[u8]>,
    /// What the decider wants to know again when the answer comes. The shard does not look into it.
    pub state: Option<Box<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge(…)")
    }
}

/// Who a client has proved to be.
#[derive(Default)]
pub struct Proof {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// The data of CONNACK, or of the AUTH that ends the exchange; none when empty.
    pub data: Box<[u8]>,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// A client that a message is for.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Its ClientID.
    pub client_id: &'a str,
    /// The user name it connected with last.
    pub user_name: Option<&'a str>,
    /// Who it turned out to be then.
    pub identity: Option<&'a Identity>,
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
    /// Is this client who it says it is? A step of an exchange that CONNECT begins by naming a method (MQTT 5.0, 4.12),
    /// asked instead of [`Question::Connect`]; and of one that begins anew later.
    Authenticate {
        /// Where it comes from.
        peer: &'a PeerAddress,
        /// Its ClientID, already assigned where it sent none.
        client_id: &'a str,
        /// The user name that the transport has proved, else the one that CONNECT gave or that it has by now.
        user_name: Option<&'a str>,
        /// Whether it is connected and authenticates anew.
        again: bool,
        /// The method that CONNECT named.
        method: &'a str,
        /// What it says in this step.
        data: Option<&'a [u8]>,
        /// What the last [`Challenge`] of this exchange had with it; nothing in the first step.
        state: Option<&'a (dyn Any + Send + Sync)>,
    },
    /// May this client publish to this topic?
    Publish {
        /// Its ClientID.
        client_id: &'a str,
        /// The user name it connected with.
        user_name: Option<&'a str>,
        /// Who it turned out to be.
        identity: Option<&'a Identity>,
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
        /// Who it turned out to be.
        identity: Option<&'a Identity>,
        /// Number of the listener through which it connected.
        listener: u16,
        /// The whole filter, `$share/…/` included.
        filter: &'a str,
    },
}

/// A decision.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// Yes, and this is who it is. Elsewhere than for a connection the same as [`Verdict::Allow`].
    AllowAs(Arc<Identity>),
    /// Yes, this is who it is, and this is the last word of the exchange. An answer to [`Question::Authenticate`].
    Proved(Arc<Proof>),
    /// Yes, but the message becomes this one. What [`crate::Hooks::publish`] may answer; elsewhere than for a publish
    /// the same as [`Verdict::Allow`].
    Rewrite(Arc<Rewritten>),
    /// Perhaps: it is to answer this. An answer to [`Question::Authenticate`]; elsewhere it is no.
    Continue(Arc<Challenge>),
    /// No: 0x87 Not authorized.
    Deny,
    /// No, for this reason, where the answer to a PUBLISH of 5.0 may have it (0x80, 0x83, 0x87, 0x90, 0x97, 0x99).
    /// Otherwise, and elsewhere than for a publish, the same as [`Verdict::Deny`].
    Refuse(ReasonCode),
    /// No, a connection's credentials are wrong: 0x86 Bad user name or password. Elsewhere the same as
    /// [`Verdict::Deny`], and so are those below.
    BadCredentials,
    /// No, it may not have this ClientID: 0x85 Client Identifier not valid.
    BadClientId,
    /// No, the method that it named is not known here: 0x8C Bad authentication method.
    BadMethod,
    /// Not now, because too many connections want to be judged: 0x89 Server busy.
    Busy,
    /// Not now, because too much came from there: 0x9F Connection rate exceeded.
    TooOften,
}

/// What a decider says when asked.
#[derive(Clone, Debug)]
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

    /// Whether a client that is connected would be let in by what holds now. Asked of each after a change that says so
    /// ([`crate::Settings::judged_anew`]), and from then on of whoever was let in, because the answer may be older.
    fn may_stay(&mut self, _: &PeerAddress, _: &Reader<'_>) -> bool {
        true
    }

    /// Whether a message of this topic may be given to a client that subscribed to it. Asked once for each session
    /// and message, retained ones and those of shared subscriptions included, so its time counts. In-process handles
    /// are not asked about.
    fn may_read(&mut self, _: &Reader<'_>, _topic: &str) -> bool {
        true
    }
}

/// Says yes to everything, and knows no method to authenticate by.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Decider for AllowAll {
    fn decide(&mut self, _: Ticket, question: &Question<'_>) -> Answer {
        Answer::Now(match question {
            Question::Authenticate { .. } => Verdict::BadMethod,
            _ => Verdict::Allow,
        })
    }

    fn allows_all(&self) -> bool {
        true
    }
}
