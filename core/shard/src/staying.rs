//! Whether who is connected would still be let in, after a change that says that this matters. All connections are
//! looked at once, a bounded number a turn, and whoever comes in later with an answer from before is looked at then.

use ringmq_proto::conn::Phase;
use ringmq_proto::time::Now;

use crate::Shard;
use crate::authz::Reader;
use crate::fault;
use crate::input::ConnId;
use crate::limits::JUDGED_PER_TURN;

/// The slot of the connection that is looked at next, as long as there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judging(Option<u32>);

impl Judging {
    /// From the first connection on.
    pub const BEGUN: Self = Self(Some(0));

    /// Whether connections wait to be looked at.
    pub const fn is_under_way(self) -> bool {
        self.0.is_some()
    }
}

impl Shard {
    /// Looks at the next connections; whoever may not stay is told and disconnected.
    pub(crate) fn go_on_judging(&mut self, now: Now) {
        let Some(first) = self.judging.0 else { return };
        let end = self.links.slots();
        let last = first.saturating_add(JUDGED_PER_TURN).min(end);
        for slot in first..last {
            if let Some(id) = self.links.id_of_slot(slot)
                && !self.may_stay(id)
            {
                self.fault(now, id, fault::MAY_NOT_STAY);
            }
        }
        self.judging = Judging((last < end).then_some(last));
    }

    fn may_stay(&mut self, id: ConnId) -> bool {
        let Some(link) = self.links.at(id).filter(|link| link.conn.phase == Phase::Connected) else {
            return true;
        };
        let home = link.session.and_then(|session| self.sessions.at(session));
        let Some(reader) = home.and_then(|home| home.reader()) else { return true };
        self.decider.may_stay(&link.peer, &reader)
    }

    /// Whether a client that was let in may come in all the same: the answer may be older than a change.
    pub(crate) fn may_still_come(&mut self, id: ConnId, client_id: &str, user_name: Option<&str>) -> bool {
        if self.settings.judged_anew == 0 {
            return true;
        }
        let Some(link) = self.links.at(id) else { return false };
        let identity = link.identity();
        let known_as = identity.and_then(|identity| identity.user_name.as_deref());
        let user_name = known_as.or(user_name);
        let listener = link.peer.listener;
        self.decider.may_stay(&link.peer, &Reader { client_id, user_name, identity, listener })
    }
}
