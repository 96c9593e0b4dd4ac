//! Whether a message may be given to a client that subscribed to it. Asked where subscribers are found and nowhere
//! else: what stands in a queue may be delivered.

use crate::Shard;
use crate::authz::Decider;
use crate::sessions::{Home, SessionId};

/// The place in the match list of a session that matches and may not read the message.
pub const MAY_NOT_READ: u32 = u32::MAX;

/// Whether the decider restricts reading, as it said last.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    is_restricted: bool,
}

impl Reading {
    /// As the decider says now.
    pub fn of(decider: &dyn Decider) -> Self {
        Self { is_restricted: decider.restricts_reading() }
    }

    /// What one message passes on its way to each session.
    pub fn gate(self, decider: &mut dyn Decider) -> Gate<'_> {
        Gate { decider: self.is_restricted.then_some(decider), denied: 0 }
    }
}

/// What one message passes on its way to each session.
pub struct Gate<'a> {
    /// Nobody to ask where reading is not restricted.
    decider: Option<&'a mut dyn Decider>,
    /// Sessions that may not read it, and do not get it.
    pub denied: u64,
}

impl Gate<'_> {
    /// Whether this session may read a message of `topic`.
    #[inline]
    pub fn lets_pass(&mut self, home: &Home, topic: &str) -> bool {
        match &mut self.decider {
            None => true,
            Some(decider) => {
                let may = home.reader().is_none_or(|reader| decider.may_read(&reader, topic));
                self.denied += u64::from(!may);
                may
            }
        }
    }
}

impl Shard {
    /// Whether a session of this shard may read a message of `topic`; counted when not.
    pub(crate) fn may_read(&mut self, id: SessionId, topic: &str) -> bool {
        let Some(home) = self.sessions.at(id) else { return true };
        let mut gate = self.reading.gate(&mut *self.decider);
        let may = gate.lets_pass(home, topic);
        let denied = gate.denied;
        self.count_denied(denied);
        may
    }

    /// Counts deliveries that were not made because their clients may not read them.
    pub(crate) fn count_denied(&self, denied: u64) {
        if denied > 0 {
            self.counters().denied_delivery.add(denied);
        }
    }

    /// Asks the decider anew what it need not be asked about: what holds may have been replaced.
    pub(crate) fn look_at_decider(&mut self) {
        self.allows_all = self.decider.allows_all();
        self.reading = Reading::of(&*self.decider);
    }
}
