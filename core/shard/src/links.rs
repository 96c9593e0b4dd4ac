//! The connections of a shard: each a machine of proto with its output, its place in a tunnel, and what it
//! waits for. Opening, closing and telling the runtime about them happens here and nowhere else.

use ringmq_proto::conn::{Conn, Phase};
use ringmq_proto::time::{Mono, Now};
use ringmq_wire::{Connack, Disconnect, Packet, Properties, PropertiesBuffer, Property, ReasonCode, Version};

use crate::authz::{PeerAddress, Ticket, Verdict};
use crate::fault::{self, Fault};
use crate::input::{ConnId, Introduced, ShardId};
use crate::login::Login;
use crate::mesh::frame::Frame;
use crate::output::Output;
use crate::pending::PendingAcks;
use crate::sessions::SessionId;
use crate::slots::slot_id;
use crate::timer::Timer;
use crate::wheel::TimerKey;
use crate::window::Window;
use crate::{Effect, LogLevel, Shard};

slot_id!(ConnId);

/// What a connection waits for before its packets go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Park {
    /// A decider's answers.
    Decision,
    /// Room in a lane to another shard.
    Lane,
    /// The owners of the groups it joins.
    Join,
    /// What the connection it takes over from has sent.
    Hearing,
    /// Nothing any more: its packets go on at the end of the turn.
    Turn,
}

/// What a decider said so far to the questions of the packet that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing yet.
    Open,
    /// Yes.
    Allow,
    /// Perhaps: there is a challenge.
    Continue,
    /// No, and why.
    Deny(Denial),
    /// Nothing in time.
    Nothing,
}

/// Why a decider says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The client may not.
    NotAuthorized,
    /// It is not who it says it is.
    BadCredentials,
    /// It may not have its ClientID.
    ClientId,
    /// It names a method that is not known.
    BadMethod,
    /// There is no time to find out.
    Busy,
    /// It tries too often.
    TooOften,
    /// Its message is not wanted, for this reason.
    Refused(ReasonCode),
}

impl From<&Verdict> for Said {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Allow | Verdict::AllowAs(_) | Verdict::Proved(_) | Verdict::Rewrite(_) => Self::Allow,
            Verdict::Refuse(reason) => Self::Deny(Denial::Refused(*reason)),
            Verdict::BadMethod => Self::Deny(Denial::BadMethod),
            Verdict::Deny | Verdict::Continue(_) => Self::Deny(Denial::NotAuthorized),
            Verdict::BadCredentials => Self::Deny(Denial::BadCredentials),
            Verdict::BadClientId => Self::Deny(Denial::ClientId),
            Verdict::Busy => Self::Deny(Denial::Busy),
            Verdict::TooOften => Self::Deny(Denial::TooOften),
        }
    }
}

impl Said {
    /// This answer, or the one to the next question where this one is yes.
    pub fn and(self, next: impl FnOnce() -> Self) -> Self {
        if self == Self::Allow { next() } else { self }
    }
}

/// Where the bytes of a connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a socket of this shard.
    Socket,
    /// Through another shard, which has the socket.
    Tunnel {
        /// Which shard.
        shard: ShardId,
        /// The connection there.
        remote: ConnId,
        /// Bytes sent there and not yet written; at most a window and one packet.
        unwritten: u32,
    },
}

/// The socket end of a connection whose session is at another shard.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// The shard of the session.
    pub home: ShardId,
    /// Bytes sent there and not yet used up; at most a window and one read.
    pub untaken: u32,
}

/// A connection.
pub struct Link {
    /// The machine.
    pub conn: Conn,
    /// What is to be written.
    pub out: Output,
    /// Bytes of answers to its own packets that may still wait; deliveries do not count. A client that asks
    /// and does not read is not read either.
    pub answers: u32,
    /// Where it comes from.
    pub peer: PeerAddress,
    /// Where its bytes go.
    pub way: Way,
    /// Set on the socket end of a tunnel, which does nothing else.
    pub relay: Option<Relay>,
    /// Its timer: for CONNECT, then its keep alive, then its end.
    pub timer: TimerKey,
    /// What is known of its login beyond names, where there is something.
    pub login: Option<Box<Login>>,
    /// When its CONNECT was complete, in the order of all shards; 0 before.
    pub connect_stamp: u64,
    /// Its session.
    pub session: Option<SessionId>,
    /// The connection that was heard out so that this one takes over from it.
    pub heard: Option<ConnId>,
    /// What it waits for.
    pub park: Option<Park>,
    /// Its publishes that wait for a full queue or a long match, and one more for a full window; it publishes nothing
    /// more until there are none.
    pub holds: u32,
    /// Pages that its output took when that was last looked at.
    pub output_pages: u32,
    /// Packets that wait for their turn, complete.
    pub parked: Vec<u8>,
    /// Bytes of memory that what it cannot use yet was taking when that was last looked at.
    pub unread_bytes: u32,
    /// Since when.
    pub unread_since: Mono,
    /// Questions of the packet that waits.
    pub questions: Vec<(Ticket, Said)>,
    /// Acknowledgements in the order of their publishes.
    pub pending: PendingAcks,
    /// Whether they are kept within a window.
    pub window: Window,
    /// Whether it has not said yet who it is, and is counted as such.
    pub half_open: bool,
    /// Not read because its address has sent too much.
    pub delayed: bool,
    /// Whether the handshakes below MQTT are over.
    pub introduced: bool,
    /// Whether its socket is not read.
    pub paused: bool,
    /// Whether that is because of what stands behind its publishes that wait.
    pub choked: bool,
    /// Whether no more bytes will come.
    pub ended: bool,
    /// Whether it stands in the list of connections to fill.
    pub dirty: bool,
    /// What DISCONNECT said, whoever sent it.
    pub said: Option<ReasonCode>,
    /// Whether DISCONNECT came from the client.
    pub graceful: bool,
}

impl Link {
    fn new(now: Now, peer: PeerAddress, way: Way) -> Self {
        Self {
            conn: Conn::new(now.mono),
            out: Output::default(),
            answers: 0,
            peer,
            way,
            relay: None,
            timer: TimerKey::NONE,
            login: None,
            connect_stamp: 0,
            session: None,
            heard: None,
            park: None,
            holds: 0,
            output_pages: 0,
            parked: Vec::new(),
            unread_bytes: 0,
            unread_since: now.mono,
            questions: Vec::new(),
            pending: PendingAcks::default(),
            window: Window::Open,
            half_open: false,
            delayed: false,
            introduced: true,
            paused: false,
            choked: false,
            ended: false,
            dirty: false,
            said: None,
            graceful: false,
        }
    }

    /// Whether packets wait: for an answer, for room, for a full queue, or only for their turn to go on.
    pub fn waits(&self) -> bool {
        self.park.is_some() || self.holds > 0 || !self.parked.is_empty()
    }
}

impl Shard {
    /// A new connection.
    pub(crate) fn link_open(&mut self, now: Now, peer: PeerAddress, way: Way) -> ConnId {
        // A tunnelled connection is counted where its socket is.
        if way == Way::Socket {
            self.counters().connections.add(1);
        }
        let id = self.links.insert(Link::new(now, peer, way));
        self.arm_link(id, now.mono.plus(self.settings.connect_timeout), Timer::Connect(id));
        id
    }

    /// There are layers below MQTT on a connection that was just accepted, and so many milliseconds for their
    /// handshakes; then comes [`Input::Introduced`](crate::Input::Introduced).
    pub fn await_introduction(&mut self, now: Now, id: ConnId, handshake_timeout: u64) {
        if let Some(link) = self.links.at_mut(id) {
            link.introduced = false;
            self.arm_link(id, now.mono.plus(handshake_timeout), Timer::Connect(id));
        }
    }

    /// What the layers below MQTT know of a client, before it has said a word.
    pub(crate) fn introduced(&mut self, id: ConnId, introduced: Introduced) {
        // It counts for the address it truly has.
        self.half_open_leave(id);
        let Some(link) = self.links.at_mut(id) else { return };
        link.introduced = true;
        link.peer.socket = introduced.address.or(link.peer.socket);
        if introduced.user_name.is_some() {
            link.peer.user_name = introduced.user_name;
        }
        self.arm_link(id, self.now.mono.plus(self.settings.connect_timeout), Timer::Connect(id));
        self.half_open_join(self.now, id);
    }

    /// What arrived is not what this listener expects; the layers have said so to the other end.
    pub(crate) fn broken(&mut self, now: Now, id: ConnId, reason: &str) {
        let Some(link) = self.links.at(id).filter(|link| link.conn.is_open()) else {
            return self.ended(now, id);
        };
        let connected = link.conn.phase == Phase::Connected;
        let name = self.name_of(id);
        self.counters().violations.add(1);
        self.log(LogLevel::Warning, || match connected {
            true => format!("Client {name} disconnected: {reason}."),
            false => format!("A connection from {name} was closed before CONNECT: {reason}."),
        });
        self.ended(now, id);
    }

    /// The ClientID of a session.
    pub(crate) fn client_id(&self, id: SessionId) -> Option<&str> {
        self.sessions.at(id).map(|home| &*home.session.client_id)
    }

    /// The ClientID of a connection, or its address before it has one, for the log.
    pub(crate) fn name_of(&self, id: ConnId) -> String {
        let Some(link) = self.links.at(id) else { return "<gone>".to_owned() };
        if let Some(client_id) = link.session.and_then(|s| self.client_id(s)) {
            return client_id.to_owned();
        }
        link.peer.text()
    }

    /// Encodes a packet for a connection.
    pub(crate) fn send(&mut self, id: ConnId, packet: &Packet<'_>) {
        let Some(link) = self.links.at_mut(id) else { return };
        let (version, bytes_max) = (link.conn.version, link.conn.limits.packet_bytes_max);
        let bytes = packet.encoded_bytes(version);
        if bytes > bytes_max as usize {
            return self.cannot_send(id, packet);
        }
        link.out.write(&mut self.buffers, bytes, |out| packet.encode(version, out));
        link.answers = link.answers.saturating_add(bytes as u32);
        self.counters().packets_sent.add(1);
        self.log_packet("Sending", id, packet);
        self.mark_link_dirty(id);
    }

    /// A packet that is larger than the client takes is not sent [MQTT-3.1.2-24]. The client would wait for
    /// it for ever, so its connection ends: with a code, or without a word where that packet is CONNACK,
    /// because nothing comes before CONNACK [MQTT-3.14.0-1].
    fn cannot_send(&mut self, id: ConnId, packet: &Packet<'_>) {
        self.log(LogLevel::Warning, || "A packet was larger than its client accepts.".to_owned());
        match packet {
            // Its connection is closing already.
            Packet::Disconnect(_) => {}
            Packet::Connack(_) => self.link_finish(self.now, id),
            _ => self.oversized.push(id),
        }
    }

    /// Ends the connections whose answers they do not take.
    pub(crate) fn end_oversized(&mut self, now: Now) {
        for id in std::mem::take(&mut self.oversized) {
            self.fault(now, id, fault::ANSWER_TOO_LARGE);
        }
    }

    /// The connection has something to fill or to write at the end of the turn.
    pub(crate) fn mark_link_dirty(&mut self, id: ConnId) {
        if let Some(link) = self.links.at_mut(id)
            && !std::mem::replace(&mut link.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// The client did something wrong, or the broker wants to be rid of it: the code of its version, then
    /// the connection closes [MQTT-4.13.1-1].
    pub(crate) fn fault(&mut self, now: Now, id: ConnId, fault: Fault) {
        if self.links.at(id).is_some_and(|link| link.conn.is_open()) {
            self.fault_of(now, id, fault, &self.who_is_at(id));
        }
    }

    /// As [`Shard::fault`], of a client that the log is to call so.
    pub(crate) fn fault_of(&mut self, now: Now, id: ConnId, fault: Fault, who: &str) {
        let Some(link) = self.links.at_mut(id).filter(|l| l.conn.is_open()) else { return };
        let (phase, version) = (link.conn.phase, link.conn.version);
        link.said = Some(fault.reason);
        self.count_fault(fault);
        self.log(LogLevel::Warning, || {
            let clause = if fault.clause.is_empty() { String::new() } else { format!(" [{}]", fault.clause) };
            format!(
                "Client disconnected, {who}: {}{clause}, code 0x{:02x}.",
                fault.text,
                fault.reason.value()
            )
        });
        if version == Version::V5 {
            let mut buffer = PropertiesBuffer::new();
            let properties = self.explain(id, &mut buffer, fault.text);
            match phase {
                Phase::Connected => {
                    self.send(id, &Packet::Disconnect(Disconnect { reason: fault.reason, properties }))
                }
                _ => {
                    let session_present = false;
                    self.send(
                        id,
                        &Packet::Connack(Connack { session_present, reason: fault.reason, properties }),
                    );
                }
            }
        }
        self.link_finish(now, id);
    }

    fn count_fault(&self, fault: Fault) {
        let counters = self.counters();
        counters.violations.add(1);
        match fault {
            fault::CONNECT_TIMEOUT | fault::HANDSHAKE_TIMEOUT | fault::EXCHANGE_TIMEOUT => {
                counters.connect_timeouts.add(1);
            }
            fault::KEEP_ALIVE => counters.keep_alive_timeouts.add(1),
            fault::FILTERS_TOO_MANY => counters.filters_too_many.add(1),
            fault::RECEIVE_MAXIMUM => counters.receive_maximum_exceeded.add(1),
            Fault { reason: ReasonCode::PACKET_TOO_LARGE, .. } => counters.packets_too_large.add(1),
            _ => {}
        }
    }

    /// A reason string, where the client wants one and takes a packet that long.
    pub(crate) fn explain<'a>(
        &self,
        id: ConnId,
        buffer: &'a mut PropertiesBuffer,
        text: &str,
    ) -> Properties<'a> {
        let wanted = self.links.at(id).is_some_and(|l| {
            let limits = &l.conn.limits;
            l.conn.version == Version::V5
                && limits.problem_information
                && limits.packet_bytes_max as usize > text.len() + 32
        });
        if wanted {
            buffer.push_str(Property::ReasonString, text);
        }
        buffer.as_properties()
    }

    /// Processes nothing more from this connection; it closes when what is encoded has been written. Its
    /// session is detached now.
    pub(crate) fn link_finish(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        if link.conn.phase == Phase::Closing {
            return;
        }
        link.conn.phase = Phase::Closing;
        link.conn.inbox = Vec::new();
        link.parked = Vec::new();
        self.note_unread(now, id);
        self.detach(now, id);
        self.heard_out(now, id);
        self.arm_link(id, now.mono.plus(self.settings.linger), Timer::Linger(id));
        self.mark_link_dirty(id);
    }

    /// The connection is gone at once, with what was not written.
    pub(crate) fn link_drop(&mut self, now: Now, id: ConnId) {
        self.detach(now, id);
        let Some(link) = self.link_take(id) else { return };
        self.heard_out(now, id);
        if link.way == Way::Socket {
            self.counters().connections.sub(1);
        }
        match (link.way, link.relay) {
            (Way::Tunnel { shard, remote, .. }, _) => {
                self.tunnels.remove(&(shard, remote));
                self.peers.send(shard, &Frame::TunnelClose { conn: remote });
            }
            (Way::Socket, Some(relay)) => {
                self.peers.send(relay.home, &Frame::TunnelEnded { conn: id });
                self.effects.push(Effect::Close(id));
            }
            (Way::Socket, None) => self.effects.push(Effect::Close(id)),
        }
    }

    /// Takes a connection out of the table, with its timer and its questions: nothing of it is left behind.
    pub(crate) fn link_take(&mut self, id: ConnId) -> Option<Link> {
        self.half_open_leave(id);
        let mut link = self.links.remove(id)?;
        self.forget_unread(&mut link);
        self.count_output(link.output_pages, 0);
        self.timers.cancel(link.timer);
        self.take_rewritten(id);
        link.login.iter().for_each(|login| self.timers.cancel(login.expiry));
        for (ticket, _) in &link.questions {
            if let Some((_, timer)) = self.asked.remove(ticket) {
                self.timers.cancel(timer);
            }
        }
        Some(link)
    }

    /// Reads no more, or again, from the connection.
    pub(crate) fn set_paused(&mut self, id: ConnId, paused: bool) {
        let Some(link) = self.links.at_mut(id) else { return };
        if std::mem::replace(&mut link.paused, paused) != paused && link.way == Way::Socket {
            self.effects.push(if paused { Effect::Pause(id) } else { Effect::Resume(id) });
        }
    }

    /// Parks a publisher whose publish waits for a full queue.
    pub(crate) fn hold_publisher(&mut self, id: ConnId) {
        if let Some(link) = self.links.at_mut(id) {
            link.holds += 1;
        }
    }

    /// One of its publishes no longer waits.
    pub(crate) fn release_publisher(&mut self, now: Now, id: ConnId) {
        if let Some(link) = self.links.at_mut(id) {
            link.holds -= 1;
            if link.holds == 0 {
                self.resume_later(now, id);
            }
        }
    }

    /// The connection's waiting packets go on at the end of the turn. Until then it waits: what stands behind
    /// them may be its last.
    pub(crate) fn resume_later(&mut self, _now: Now, id: ConnId) {
        if let Some(link) = self.links.at_mut(id) {
            link.park.get_or_insert(Park::Turn);
            self.resuming.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::Home;

    /// Tables grow by 64 of each. Allocators round such sizes up to the next eighth of a power of two: some bytes more of
    /// a connection or of a session cost each of them 48 to 64.
    #[test]
    fn connections_and_sessions_fill_what_their_tables_allocate() {
        let chunk = |bytes: usize| (bytes + 8) * 64;
        assert!(chunk(size_of::<Link>()) <= 24 << 10, "{} bytes", size_of::<Link>());
        assert!(chunk(size_of::<Home>()) <= 20 << 10, "{} bytes", size_of::<Home>());
    }
}
