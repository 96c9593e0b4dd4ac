//! The end of a connection: asked for by DISCONNECT, or lost; and what it means for the session, its will
//! and the messages that wait.

use ringmq_proto::session::{Change, NEVER};
use ringmq_proto::time::{Now, Wall};
use ringmq_wire::{Disconnect, Property, ReasonCode};

use crate::fault::{self, Fault};
use crate::input::ConnId;
use crate::sessions::{ArmedTimer, Attached, SessionId};
use crate::timer::{TIMER_AHEAD_MAX, Timer};
use crate::{LogLevel, Shard};

impl Shard {
    /// DISCONNECT: with success the will is withdrawn [MQTT-3.14.4-3]; a session expiry it carries counts.
    pub(crate) fn on_disconnect(
        &mut self,
        now: Now,
        id: ConnId,
        packet: &Disconnect<'_>,
    ) -> Result<(), Fault> {
        let Some(session) = self.links.at(id).and_then(|l| l.session) else { return Ok(()) };
        if let Some(expiry_seconds) = packet.properties.u32(Property::SessionExpiryInterval) {
            let before = self.sessions.at(session).map_or(0, |home| home.session.expiry_seconds);
            if before == 0 && expiry_seconds != 0 {
                return Err(fault::EXPIRY_FROM_ZERO);
            }
            let expiry_seconds = expiry_seconds.min(self.offer_to(id).session_expiry_seconds_max);
            self.change(session, Change::ExpirySet { expiry_seconds });
        }
        if packet.reason == ReasonCode::NORMAL_DISCONNECTION {
            self.change(session, Change::WillCleared);
        }
        if let Some(link) = self.links.at_mut(id) {
            link.graceful = true;
            link.said = Some(packet.reason);
        }
        self.link_finish(now, id);
        Ok(())
    }

    /// Takes the connection from its session. The session ends with it, or waits for its client.
    pub(crate) fn detach(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        let (graceful, said) = (link.graceful, link.said);
        let Some(session) = link.session.take() else { return };
        let client_id = self.client_id(session).unwrap_or_default().to_owned();
        self.log(LogLevel::Info, || {
            let how = if graceful { "disconnected" } else { "closed its connection" };
            format!("Client {client_id} {how}.")
        });
        self.tell_disconnected(session, said);
        self.detach_session(now, session);
    }

    /// As [`Shard::detach`], for whoever was attached.
    pub(crate) fn detach_session(&mut self, now: Now, session: SessionId) {
        let Some(home) = self.sessions.at_mut(session) else { return };
        let was = std::mem::replace(&mut home.attached, Attached::Nobody);
        home.reading = None;
        home.session.detach();
        if matches!(was, Attached::Link(_)) {
            self.counters().sessions_connected.sub(1);
        }
        self.announce_member(session);
        self.return_shared(session, false);
        self.fail_held(session);
        let Some(home) = self.sessions.at(session) else { return };
        let expiry_seconds = home.session.expiry_seconds;
        let delay = home.session.will.as_ref().map(|w| w.delay_seconds.min(expiry_seconds));
        if delay == Some(0) {
            self.publish_will(now, session);
        }
        if expiry_seconds == 0 {
            return self.session_end(session);
        }
        let after = |seconds: u32| now.wall.plus_seconds(u64::from(seconds));
        let expires_at = (expiry_seconds != NEVER).then(|| after(expiry_seconds));
        let will_due = delay.filter(|d| *d > 0).map(after);
        self.change(session, Change::Detached { expires_at, will_due });
        self.arm_expiry(now, session, expires_at);
        self.arm_will(now, session, will_due);
    }

    /// Arms the timer of a session's end, unless one stands that is early enough.
    pub(crate) fn arm_expiry(&mut self, now: Now, session: SessionId, at: Option<Wall>) {
        let (Some(at), Some(home)) = (at, self.sessions.at_mut(session)) else { return };
        let due = now.mono.plus(at.since(now.wall).min(TIMER_AHEAD_MAX));
        let armed = &mut home.ends.get_or_insert_default().expiry;
        if armed.at <= now.mono || armed.at > due {
            self.timers.cancel(armed.key);
            *armed = ArmedTimer { at: due, key: self.timers.arm(due, Timer::Expiry(session)) };
        }
    }

    /// As [`Shard::arm_expiry`], for its will.
    pub(crate) fn arm_will(&mut self, now: Now, session: SessionId, at: Option<Wall>) {
        let (Some(at), Some(home)) = (at, self.sessions.at_mut(session)) else { return };
        let due = now.mono.plus(at.since(now.wall).min(TIMER_AHEAD_MAX));
        let armed = &mut home.ends.get_or_insert_default().will;
        if armed.at <= now.mono || armed.at > due {
            self.timers.cancel(armed.key);
            *armed = ArmedTimer { at: due, key: self.timers.arm(due, Timer::Will(session)) };
        }
    }

    /// Sessions whose full queue ends them: the client is told, and its session is gone.
    pub(crate) fn end_full_sessions(&mut self, now: Now) {
        for session in std::mem::take(&mut self.ending) {
            let Some(home) = self.sessions.at(session) else { continue };
            let attached = home.attached;
            self.change(session, Change::ExpirySet { expiry_seconds: 0 });
            match attached {
                Attached::Link(id) => self.fault(now, id, fault::QUEUE_FULL),
                Attached::Local(local) => self.local_close(now, local),
                Attached::Nobody => {}
            }
            if self.sessions.at(session).is_some() {
                self.publish_will(now, session);
                self.session_end(session);
            }
        }
    }
}
