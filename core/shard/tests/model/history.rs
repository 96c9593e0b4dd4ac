//! What the clients of one run sent and saw, in the order in which it happened to them. Times are places in
//! that order, not milliseconds: two things overlapped when neither was over before the other began.

use ringmq_wire::topic_matches;

/// A place in the history.
pub type Time = u64;
/// Later than everything.
pub const NEVER: Time = u64::MAX;

/// Whether a message was bound to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It may or may not have been accepted.
    Maybe,
    /// It was accepted.
    Accepted,
    /// It was not, or must not be.
    Never,
}

/// One message that a client published, or left as its will.
#[derive(Clone, Debug)]
pub struct Published {
    pub actor: usize,
    pub seq: u64,
    pub topic: &'static str,
    pub qos: u8,
    pub retain: bool,
    /// An empty payload: deletes the retained message, and carries no name to be known by.
    pub empty: bool,
    pub will: bool,
    pub sent: Time,
    /// How often the client sent it.
    pub sends: u32,
    /// When its acknowledgement was seen.
    pub acked: Time,
    pub reason: u8,
    pub fate: Fate,
}

/// One filter of one SUBSCRIBE.
#[derive(Clone, Debug)]
pub struct Subscribed {
    pub actor: usize,
    pub session: usize,
    /// With `$share/…/`, when it is shared.
    pub whole: &'static str,
    /// Without.
    pub filter: &'static str,
    pub qos: u8,
    pub no_local: bool,
    /// Whether retained messages were asked for.
    pub retained: bool,
    pub identifier: Option<u32>,
    pub sent: Time,
    pub acked: Time,
    /// When it may have ended at the earliest.
    pub may_end: Time,
    /// When it was seen to have ended.
    pub ended: Time,
    /// The subscription that took its place without a gap.
    pub replaced_by: Option<usize>,
}

/// One UNSUBSCRIBE.
#[derive(Clone, Debug)]
pub struct Unsubscribed {
    pub filter: &'static str,
    pub sent: Time,
    pub acked: Time,
}

/// One session of one ClientID, as its client can know it.
#[derive(Clone, Debug)]
pub struct Session {
    pub actor: usize,
    /// A CONNACK has shown that it exists.
    pub confirmed: bool,
    pub persists: bool,
    /// When it may have ended at the earliest.
    pub may_end: Time,
    /// When it was seen to have ended.
    pub ended: Time,
    /// It cannot be there for another connection, although nobody has seen its end.
    pub over: bool,
}

/// One PUBLISH that a client received and took for a message, not for a repetition it already holds.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub actor: usize,
    /// Raised when the client forgets what it holds.
    pub epoch: u32,
    pub session: usize,
    pub at: Time,
    pub publish: usize,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    pub identifiers: Vec<u32>,
}

/// A CONNECT sent while an older connection of the ClientID was up.
#[derive(Clone, Debug)]
pub struct Takeover {
    pub actor: usize,
    pub sent: Time,
    pub acked: Time,
}

/// Since when a client has been connected without a break, to the end of the run.
#[derive(Clone, Copy, Debug)]
pub struct Presence {
    pub actor: usize,
    pub since: Time,
}

/// The whole of it.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub clock: Time,
    pub published: Vec<Published>,
    pub subscribed: Vec<Subscribed>,
    pub unsubscribed: Vec<Unsubscribed>,
    pub sessions: Vec<Session>,
    pub delivered: Vec<Delivered>,
    pub takeovers: Vec<Takeover>,
    /// Filled in at the end.
    pub present: Vec<Presence>,
    /// Connections that ended, by whatever end.
    pub links_lost: u64,
}

impl History {
    /// The next place in time.
    pub fn tick(&mut self) -> Time {
        self.clock += 1;
        self.clock
    }

    /// The subscriptions of an actor that may have matched a message at some time from `from` to `to`.
    pub fn possible<'a>(
        &'a self,
        actor: usize,
        publish: &'a Published,
        from: Time,
        to: Time,
    ) -> impl Iterator<Item = (usize, &'a Subscribed)> {
        self.subscribed.iter().enumerate().filter(move |(_, sub)| {
            sub.actor == actor
                && sub.sent < to
                && sub.ended > from
                && topic_matches(sub.filter, publish.topic)
                && !(sub.no_local && publish.actor == actor)
        })
    }

    /// The subscription that holds the place of this one at the end of the run, and the range of QoS that the
    /// place had from this one on; `None` when the place may have been empty.
    pub fn lasting(&self, mut index: usize) -> Option<(u8, u8, usize)> {
        let (mut low, mut high) = (u8::MAX, 0);
        loop {
            let sub = &self.subscribed[index];
            low = low.min(sub.qos);
            high = high.max(sub.qos);
            match sub.replaced_by {
                Some(next) => index = next,
                None if sub.may_end == NEVER && sub.acked != NEVER => return Some((low, high, index)),
                None => return None,
            }
        }
    }

    /// Whether any holder of the place from this one on does not want the client's own messages.
    pub fn deaf_to_own(&self, mut index: usize) -> bool {
        loop {
            if self.subscribed[index].no_local {
                return true;
            }
            match self.subscribed[index].replaced_by {
                Some(next) => index = next,
                None => return false,
            }
        }
    }

    /// Whether `later` was certainly processed after `earlier`.
    pub fn after(&self, later: usize, earlier: usize) -> bool {
        let (late, early) = (&self.published[later], &self.published[earlier]);
        if late.sent > early.acked {
            return true;
        }
        let plain = early.sends == 1 && !early.will && !late.will;
        plain && late.actor == early.actor && late.seq > early.seq
    }

    /// Ends a session's subscriptions: at the earliest at `may_end`.
    pub fn session_may_end(&mut self, session: usize, at: Time) {
        let record = &mut self.sessions[session];
        record.may_end = record.may_end.min(at);
        for sub in self.subscribed.iter_mut().filter(|sub| sub.session == session) {
            sub.may_end = sub.may_end.min(at);
        }
    }

    /// A session was seen to have ended.
    pub fn session_ended(&mut self, session: usize, at: Time) {
        self.session_may_end(session, at);
        let record = &mut self.sessions[session];
        record.ended = record.ended.min(at);
        for sub in self.subscribed.iter_mut().filter(|sub| sub.session == session) {
            sub.ended = sub.ended.min(at);
        }
    }
}
