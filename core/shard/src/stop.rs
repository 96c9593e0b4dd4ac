//! Stopping in two steps: first the wills of those who will be disconnected go out to those who are still
//! there, then everybody is told and flushed.

use ringmq_proto::conn::Phase;
use ringmq_proto::time::Now;
use ringmq_wire::ReasonCode;

use crate::input::ConnId;
use crate::links::Way;
use crate::sessions::Attached;
use crate::timer::Timer;
use crate::{Effect, LogLevel, Shard};

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// Not stopping.
    No,
    /// Wills are on their way.
    Work,
    /// Wills are on their way, as far as this shard knows.
    WorkDone,
    /// Clients are being flushed.
    Connections,
    /// Nothing is left.
    Done,
}

impl Shard {
    /// No new work: nothing more is read, and wills without a delay are published once.
    pub(crate) fn stop_work(&mut self, now: Now) {
        if self.stopping != Stopping::No {
            return;
        }
        self.stopping = Stopping::Work;
        for id in self.links.ids() {
            self.set_paused(id, true);
        }
        for id in self.sessions.ids() {
            let due = self.sessions.at(id).is_some_and(|home| {
                let expiry_seconds = home.session.expiry_seconds;
                let delay = home.session.will.as_ref().map(|w| w.delay_seconds.min(expiry_seconds));
                matches!(home.attached, Attached::Link(_)) && delay == Some(0)
            });
            if due {
                self.publish_will(now, id);
            }
        }
    }

    /// Everybody is told and flushed.
    pub(crate) fn stop_connections(&mut self, now: Now) {
        self.stopping = Stopping::Connections;
        self.timers.arm(now.mono.plus(self.settings.stop_deadline), Timer::Stop);
        for local in self.locals.keys().copied().collect::<std::collections::BTreeSet<_>>() {
            self.local_close(now, local);
        }
        for id in self.links.ids() {
            let Some(link) = self.links.at_mut(id) else { continue };
            match link.conn.phase {
                Phase::Connected => {
                    link.said = Some(ReasonCode::SERVER_SHUTTING_DOWN);
                    link.conn.phase = Phase::Leaving(ReasonCode::SERVER_SHUTTING_DOWN);
                    self.mark_link_dirty(id);
                }
                // The other end of a tunnel flushes and closes it.
                Phase::AwaitConnect if link.relay.is_some() => {}
                Phase::AwaitConnect => self.link_drop(now, id),
                Phase::Leaving(_) | Phase::Closing => {}
            }
        }
    }

    /// The stop took too long: who is left is counted and dropped.
    pub(crate) fn stop_deadline(&mut self, now: Now) {
        let left = self.links.ids();
        if self.stopping != Stopping::Connections || left.is_empty() {
            return;
        }
        // A tunnelled connection is counted where its socket is.
        let is_socket = |id: &&ConnId| self.links.at(**id).is_some_and(|l| l.way == Way::Socket);
        let clients = left.iter().filter(is_socket).count();
        self.counters().stop_left.add(clients as u64);
        self.log(LogLevel::Warning, || format!("{clients} client(s) were not flushed in time."));
        left.into_iter().for_each(|id| self.link_drop(now, id));
    }

    /// Says how far the stop has come, once for each step.
    pub(crate) fn report_stop(&mut self) {
        let idle = self.deferred.is_empty() && self.matching.is_empty() && !self.peers.is_waiting();
        match self.stopping {
            Stopping::Work if idle => {
                self.stopping = Stopping::WorkDone;
                self.effects.push(Effect::WorkStopped);
            }
            Stopping::Connections if self.links.len() == 0 && idle => {
                self.stopping = Stopping::Done;
                self.effects.push(Effect::Stopped);
            }
            _ => {}
        }
    }
}
