//! What a timer of a shard can be for, and what happens when it fires. What goes cancels its timers; one that
//! fires all the same in that turn finds nobody, or somebody who decides that it means nothing any more.

use ringmq_proto::conn::Phase;
use ringmq_proto::time::{Mono, Now};

use crate::authz::Ticket;
use crate::fault;
use crate::input::ConnId;
use crate::sessions::{Attached, Home, SessionId};
use crate::stop::Stopping;
use crate::{Shard, links::Park};

/// Why the shard wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// CONNECT must be complete.
    Connect(ConnId),
    /// The keep alive of a connection may be over.
    KeepAlive(ConnId),
    /// What a client came in with may have expired.
    LoginOver(ConnId),
    /// A closing connection must have taken its last bytes.
    Linger(ConnId),
    /// A question must have been answered.
    Decision(Ticket),
    /// Held messages are due.
    Hold(SessionId),
    /// A session without connection may have expired.
    Expiry(SessionId),
    /// A will may be due.
    Will(SessionId),
    /// `$SYS` topics are due.
    Sys,
    /// Expired retained messages are looked for.
    Sweep,
    /// Full lanes are tried again.
    Lanes,
    /// The stop must be over.
    Stop,
}

/// Milliseconds a timer is armed ahead at most; whoever is not due then is armed again.
pub const TIMER_AHEAD_MAX: u64 = 600_000;
/// Milliseconds between looks for expired retained messages.
pub const SWEEP_INTERVAL: u64 = 1000;
/// Milliseconds until a full lane is tried again; its reader empties it within a turn.
pub const LANES_INTERVAL: u64 = 1;

impl Shard {
    pub(crate) fn tick(&mut self, now: Now) {
        let mut due = std::mem::take(&mut self.due);
        self.timers.advance(now.mono, &mut due);
        for timer in due.drain(..) {
            self.fire(now, timer);
        }
        self.due = due;
        self.go_on_matching(now);
        self.go_on_judging(now);
    }

    fn fire(&mut self, now: Now, timer: Timer) {
        match timer {
            Timer::Connect(conn) => self.connect_timeout(now, conn),
            Timer::KeepAlive(conn) => self.keep_alive_timeout(now, conn),
            Timer::LoginOver(conn) => self.login_over(now, conn),
            // While the broker stops, its own longer deadline counts, and counts who is left.
            Timer::Linger(conn) => {
                let closing = self.links.at(conn).is_some_and(|l| l.conn.phase == Phase::Closing);
                if closing && self.stopping != Stopping::Connections {
                    self.link_drop(now, conn);
                }
            }
            Timer::Decision(ticket) => self.decision_timeout(now, ticket),
            Timer::Hold(id) => self.held_due(now, id),
            Timer::Expiry(id) => self.session_expiry(now, id),
            Timer::Will(id) => self.will_due(now, id),
            Timer::Sys => self.publish_sys(now),
            Timer::Sweep => {
                self.sweep_retained(now);
                self.timers.arm(now.mono.plus(SWEEP_INTERVAL), Timer::Sweep);
            }
            Timer::Lanes => self.lanes_armed = false,
            Timer::Stop => self.stop_deadline(now),
        }
    }

    fn connect_timeout(&mut self, now: Now, conn: ConnId) {
        let Some(link) = self.links.at(conn) else { return };
        if link.delayed && link.conn.phase == Phase::AwaitConnect {
            // Its CONNECT may stand unread.
            let due = now.mono.plus(self.settings.connect_timeout);
            return self.arm_link(conn, due, Timer::Connect(conn));
        }
        // A client whose CONNECT is complete and waits for a decision has that decision's own deadline. One that
        // answers challenges has this one for all its answers.
        let decided_in_time = link.park == Some(Park::Decision) && !link.is_challenged();
        if link.conn.phase == Phase::AwaitConnect && !decided_in_time && link.relay.is_none() {
            let fault = match link.introduced {
                _ if link.is_challenged() => fault::EXCHANGE_TIMEOUT,
                true => fault::CONNECT_TIMEOUT,
                false => fault::HANDSHAKE_TIMEOUT,
            };
            self.fault(now, conn, fault);
        }
    }

    fn keep_alive_timeout(&mut self, now: Now, conn: ConnId) {
        let Some(link) = self.links.at_mut(conn).filter(|l| l.conn.phase == Phase::Connected) else { return };
        // What a parked or delayed client sends may stand unread: its silence is ours.
        if link.ended || link.delayed || (link.paused && link.waits()) {
            link.conn.keep_alive.last_packet = now.mono;
        }
        match link.conn.keep_alive.deadline() {
            Some(at) if at <= now.mono => self.fault(now, conn, fault::KEEP_ALIVE),
            Some(at) => self.arm_link(conn, at.min(now.mono.plus(TIMER_AHEAD_MAX)), Timer::KeepAlive(conn)),
            None => {}
        }
    }

    /// Arms the one timer of a connection: which one it needs follows from its phase.
    pub(crate) fn arm_link(&mut self, id: ConnId, due: Mono, timer: Timer) {
        let Some(link) = self.links.at_mut(id) else { return };
        self.timers.cancel(link.timer);
        link.timer = self.timers.arm(due, timer);
    }

    /// The connection needs no timer in this phase.
    pub(crate) fn disarm_link(&mut self, id: ConnId) {
        if let Some(link) = self.links.at_mut(id) {
            self.timers.cancel(link.timer);
        }
    }

    fn session_expiry(&mut self, now: Now, id: SessionId) {
        let is_due = |home: &&Home| home.ends.as_ref().is_none_or(|ends| now.mono >= ends.expiry.at);
        if self.sessions.at(id).filter(is_due).is_some() {
            self.session_is_due(now, id);
        }
    }

    /// Ends a session whose time has come, else sees to it that its timer fires then.
    pub(crate) fn session_is_due(&mut self, now: Now, id: SessionId) {
        let Some(home) = self.sessions.at(id) else { return };
        match home.session.expires_at {
            Some(at) if home.attached == Attached::Nobody && at <= now.wall => {
                self.counters().sessions_expired.add(1);
                self.publish_will(now, id);
                self.session_end(id);
            }
            at if home.attached == Attached::Nobody => self.arm_expiry(now, id, at),
            _ => {}
        }
    }

    fn will_due(&mut self, now: Now, id: SessionId) {
        let is_due = |home: &&Home| home.ends.as_ref().is_none_or(|ends| now.mono >= ends.will.at);
        if self.sessions.at(id).filter(is_due).is_some() {
            self.will_is_due(now, id);
        }
    }

    /// Publishes a will whose time has come, else sees to it that its timer fires then.
    pub(crate) fn will_is_due(&mut self, now: Now, id: SessionId) {
        match self.sessions.at(id).and_then(|home| home.session.will_due) {
            Some(at) if at <= now.wall => self.publish_will(now, id),
            at => self.arm_will(now, id, at),
        }
    }
}
