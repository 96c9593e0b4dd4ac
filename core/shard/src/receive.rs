//! From bytes to packets, and the one mechanism by which a packet waits: the connection is parked, its
//! later packets keep their order, and acknowledgements and pings go on while publishes wait.

use ringmq_proto::conn::Phase;
use ringmq_proto::time::Now;
use ringmq_wire::{Frame, Packet, Sender, Version, Violation, decode, frame};

use crate::Shard;
use crate::authz::{Answer, Ticket, Verdict};
use crate::fault::{self, Fault};
use crate::inbox::{self, Whole};
use crate::input::{ConnId, ShardId};
use crate::links::{Park, Said, Way};
use crate::mesh::frame::Frame as MeshFrame;
use crate::stop::Stopping;
use crate::timer::Timer;
use crate::unread;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is used up.
    Done,
    /// It waits and comes again.
    Wait(Park),
    /// It is CONNECT, and its session is at another shard.
    Away(ShardId),
}

/// What becomes of a packet that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// It goes behind those that are parked.
    Parks,
    /// It stays where it is, with all behind it: it is parked already.
    Stays,
}

impl Shard {
    /// Bytes of a client arrived.
    pub(crate) fn receive(&mut self, now: Now, id: ConnId, bytes: &[u8]) {
        self.counters().bytes_received.add(bytes.len() as u64);
        let Some(link) = self.links.at_mut(id) else { return self.follow(id, bytes) };
        if link.relay.is_some() {
            return self.relay_bytes(id, bytes);
        }
        self.feed(now, id, bytes);
    }

    /// How many bytes the large packet that is arriving on a connection still lacks; 0 for any other. Reading them
    /// at once spares copies.
    #[must_use]
    pub fn missing_bytes(&self, id: ConnId) -> usize {
        self.links.at(id).and_then(|link| inbox::missing(&link.conn.inbox)).unwrap_or(0)
    }

    /// Processes bytes behind those that wait.
    pub(crate) fn feed(&mut self, now: Now, id: ConnId, bytes: &[u8]) {
        let Some(link) = self.links.at_mut(id).filter(|l| l.conn.is_open()) else { return };
        // CONNECT stays with all that follows: it may move to another shard.
        let connected = link.conn.phase == Phase::Connected;
        if connected && link.conn.inbox.is_empty() {
            self.feed_piece(now, id, bytes);
        } else {
            let missing =
                inbox::missing(&link.conn.inbox).filter(|missing| connected && *missing < bytes.len());
            let (first, rest) = bytes.split_at(missing.unwrap_or(bytes.len()));
            self.feed_piece(now, id, first);
            if !rest.is_empty() {
                self.feed_piece(now, id, rest);
            }
        }
        self.after_input(now, id);
    }

    fn feed_piece(&mut self, now: Now, id: ConnId, bytes: &[u8]) {
        let Some(link) = self.links.at_mut(id).filter(|l| l.conn.is_open()) else { return };
        if link.conn.inbox.is_empty() {
            let used = self.process(now, id, bytes, Waiting::Parks);
            if used == bytes.len() {
                return;
            }
            if let Some(link) = self.links.at_mut(id).filter(|l| l.conn.is_open() && l.relay.is_none()) {
                inbox::append(&mut link.conn.inbox, &bytes[used..]);
            }
        } else {
            inbox::append(&mut link.conn.inbox, bytes);
            self.process_inbox(now, id);
        }
    }

    fn process_inbox(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        let rest = match Whole::of(std::mem::take(&mut link.conn.inbox)) {
            Ok(whole) => self.process_whole(now, id, whole),
            Err(mut inbox) => {
                let used = self.process(now, id, &inbox, Waiting::Parks);
                inbox.drain(..used);
                // An idle connection keeps no buffer.
                (!inbox.is_empty()).then_some(inbox)
            }
        };
        if let Some((rest, link)) = rest.zip(self.links.at_mut(id).filter(|l| l.conn.is_open())) {
            debug_assert!(link.conn.inbox.is_empty());
            link.conn.inbox = rest;
        }
    }

    /// Processes an inbox that goes over to its message. Gives it back when its packet has to wait there.
    fn process_whole(&mut self, now: Now, id: ConnId, whole: Whole) -> Option<Vec<u8>> {
        let packet = whole.packet();
        self.whole = Some(whole);
        let used = self.process(now, id, &packet, Waiting::Parks);
        self.whole = None;
        (used == 0).then(|| packet.into())
    }

    /// Whether the socket is to be read, and whether a connection that ended can go now.
    fn after_input(&mut self, now: Now, id: ConnId) {
        let high = self.settings.output_high_water_bytes;
        let park_bytes_max = self.settings.park_bytes_max;
        let stopping = self.stopping != Stopping::No;
        let Some(link) = self.links.at_mut(id) else { return };
        let waiting = link.waits();
        if waiting || link.holds_other_than_noted() {
            self.note_unread(now, id);
        }
        let short_of_room = waiting && self.is_short_of_room();
        let Some(link) = self.links.at_mut(id) else { return };
        let backlog = link.parked.len() + link.conn.inbox.len();
        link.choked = waiting && (backlog > park_bytes_max || short_of_room);
        let choked = link.choked;
        let stuck = choked || link.answers as usize > high || stopping;
        let (was_paused, ended, session) = (link.paused, link.ended, link.session);
        if stuck != was_paused {
            self.set_paused(id, stuck);
        }
        if let Some(session) = session.filter(|_| choked) {
            self.give_up_own(now, session);
        }
        if ended && !waiting {
            self.link_drop(now, id);
        }
    }

    /// No more bytes will come. What came before is processed first.
    pub(crate) fn ended(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        link.ended = true;
        if !(link.waits() && link.conn.phase == Phase::Connected) {
            self.link_drop(now, id);
        }
    }

    /// Processes packets from the front; returns how many bytes are used up. What waits behind a packet that waits is
    /// used up when it is parked.
    fn process(&mut self, now: Now, id: ConnId, bytes: &[u8], waiting: Waiting) -> usize {
        let mut used = 0;
        let offered = self.offer_to(id).packet_bytes_max;
        loop {
            let Some(link) = self.links.at_mut(id) else { return bytes.len() };
            if !link.conn.is_open() {
                return bytes.len();
            }
            let connecting = link.conn.phase == Phase::AwaitConnect;
            if connecting && link.park.is_some() {
                return used;
            }
            let packet_bytes_max =
                if connecting { self.settings.connect_packet_bytes_max.min(offered) } else { offered };
            let frame = match frame::split(&bytes[used..], packet_bytes_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => return used,
                Err(violation) => {
                    self.fault_in_frame(now, id, violation, &bytes[used..]);
                    return bytes.len();
                }
            };
            link.conn.keep_alive.last_packet = now.mono;
            let raw = &bytes[used..used + frame.bytes];
            if link.waits() && !goes_on_while_parked(&frame) {
                if waiting == Waiting::Stays || link.parked.len() > self.settings.park_bytes_max {
                    return used;
                }
                unread::park(&mut link.parked, raw);
                used += frame.bytes;
                continue;
            }
            match self.packet(now, id, &frame, raw) {
                // CONNECT stays in the inbox with all that follows: it may move to another shard.
                Step::Wait(park) if connecting || waiting == Waiting::Stays => {
                    self.park(id, park);
                    return used;
                }
                Step::Wait(park) => {
                    self.park(id, park);
                    if let Some(link) = self.links.at_mut(id) {
                        link.parked.splice(..0, raw.iter().copied());
                    }
                }
                Step::Away(home) => {
                    self.depart(id, home, &bytes[used..]);
                    return bytes.len();
                }
                Step::Done => {}
            }
            used += frame.bytes;
        }
    }

    fn park(&mut self, id: ConnId, park: Park) {
        let Some(link) = self.links.at_mut(id) else { return };
        link.park = Some(park);
        if park == Park::Lane {
            self.lane_waiters.push_back(id);
        }
    }

    /// What a parked connection waited for is there: its packets go on where they stopped.
    pub(crate) fn resume(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id).filter(|l| l.conn.is_open()) else { return };
        let open_questions = link.questions.iter().any(|(_, said)| *said == Said::Open);
        if link.holds > 0 || open_questions || matches!(link.park, Some(Park::Join | Park::Hearing)) {
            // It waits for something else too; whether its socket is read may have changed.
            return self.after_input(now, id);
        }
        link.park = None;
        let Some(link) = self.links.at_mut(id) else { return };
        let mut parked = std::mem::take(&mut link.parked);
        let used = self.process(now, id, &parked, Waiting::Stays);
        let Some(link) = self.links.at_mut(id).filter(|l| l.conn.is_open()) else { return };
        debug_assert!(link.parked.is_empty());
        parked.drain(..used);
        unread::trim(&mut parked);
        link.parked = parked;
        if link.park.is_none() && link.holds == 0 && link.parked.is_empty() {
            link.parked = Vec::new();
            self.process_inbox(now, id);
        }
        self.tunnel_taken(id);
        self.after_input(now, id);
    }

    /// A frame that cannot be one. Before CONNECT its version is not known: the bytes are looked at once
    /// more so that a client of 5.0 gets its code and one of 3.x its return code [MQTT-3.1.2-2].
    fn fault_in_frame(&mut self, now: Now, id: ConnId, violation: Violation, bytes: &[u8]) {
        if let Some(link) = self.links.at_mut(id).filter(|l| l.conn.phase == Phase::AwaitConnect) {
            match violation {
                Violation::UnsupportedLevel(level) if level < 5 => {
                    link.out.extend(&mut self.buffers, &[0x20, 2, 0, 1]);
                }
                _ if is_connect_v5(bytes) => link.conn.version = Version::V5,
                Violation::UnsupportedLevel(_) => link.conn.version = Version::V5,
                _ => {}
            }
        }
        self.fault(now, id, violation.into());
    }

    fn packet(&mut self, now: Now, id: ConnId, frame: &Frame<'_>, raw: &[u8]) -> Step {
        let Some(link) = self.links.at(id) else { return Step::Done };
        let connected = link.conn.phase == Phase::Connected;
        let packet = match decode(link.conn.version, Sender::Client, frame) {
            Ok(packet) => packet,
            Err(_) if connected && frame.first >> 4 == CONNECT => {
                // What is wrong with it does not matter, and may have a code that only CONNACK knows.
                self.fault(now, id, fault::SECOND_CONNECT);
                return Step::Done;
            }
            Err(violation) => {
                self.fault_in_frame(now, id, violation, raw);
                return Step::Done;
            }
        };
        // CONNECT may move on to another shard, which then notes it.
        if !matches!(packet, Packet::Connect(_)) {
            self.note_received(id, &packet);
        }
        let step = match &packet {
            Packet::Publish(publish) if connected => self.on_publish(now, id, publish, raw),
            Packet::Connect(connect) if !connected => self.connect_or_fault(now, id, connect, raw),
            _ => self.dispatch_packet(now, id, &packet, connected),
        };
        step.unwrap_or_else(|fault| {
            self.fault(now, id, fault);
            Step::Done
        })
    }

    /// Counts and logs a packet; one that comes again after waiting was noted when it came first.
    #[inline]
    pub(crate) fn note_received(&mut self, id: ConnId, packet: &Packet<'_>) {
        if self.links.at(id).is_some_and(|link| link.questions.is_empty()) {
            self.counters().packets_received.add(1);
            self.log_packet("Received", id, packet);
        }
    }

    fn dispatch_packet(
        &mut self,
        now: Now,
        id: ConnId,
        packet: &Packet<'_>,
        connected: bool,
    ) -> Result<Step, Fault> {
        match packet {
            Packet::Connect(_) => return Err(fault::SECOND_CONNECT),
            _ if !connected => return self.before_connack(now, id, packet),
            Packet::Subscribe(subscribe) => return self.on_subscribe(now, id, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(id, unsubscribe)?,
            Packet::Puback(ack) => self.on_puback(now, id, ack),
            Packet::Pubrec(ack) => self.on_pubrec(now, id, ack),
            Packet::Pubrel(ack) => self.on_pubrel(id, ack),
            Packet::Pubcomp(ack) => self.on_pubcomp(now, id, ack),
            Packet::Pingreq => self.send(id, &Packet::Pingresp),
            Packet::Disconnect(disconnect) => self.on_disconnect(now, id, disconnect)?,
            Packet::Auth(auth) => return self.on_auth(now, id, auth),
            // PUBLISH is not dispatched; decode refuses what only a server sends.
            Packet::Publish(_)
            | Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp => {}
        }
        Ok(Step::Done)
    }

    /// What was said to the `nth` question of the packet at hand, when it has been here before.
    pub(crate) fn said_before(&self, id: ConnId, nth: usize) -> Option<Said> {
        self.links.at(id)?.questions.get(nth).map(|(_, said)| *said)
    }

    /// A number for the next question.
    pub(crate) const fn next_ticket(tickets: &mut u64) -> Ticket {
        *tickets += 1;
        Ticket(*tickets)
    }

    /// Keeps a decider's answer to the next question of the packet at hand, or waits for it.
    pub(crate) fn note_answer(&mut self, now: Now, id: ConnId, ticket: Ticket, answer: Answer) -> Said {
        let said = match answer {
            Answer::Now(verdict) => self.take_verdict(id, &verdict),
            Answer::Later => {
                let due = now.mono.plus(self.settings.decision_timeout);
                self.asked.insert(ticket, (id, self.timers.arm(due, Timer::Decision(ticket))));
                Said::Open
            }
        };
        if let Some(link) = self.links.at_mut(id) {
            link.questions.push((ticket, said));
        }
        said
    }

    /// A packet waits that nobody was asked about: when it comes again it is known by the answer.
    pub(crate) fn seen_before(&mut self, id: ConnId) {
        let ticket = Self::next_ticket(&mut self.tickets);
        if let Some(link) = self.links.at_mut(id).filter(|link| link.questions.is_empty()) {
            link.questions.push((ticket, Said::Allow));
        }
    }

    /// Forgets the questions of a packet that is used up, and their memory: the connection may rest from here on.
    pub(crate) fn asked_enough(&mut self, id: ConnId) {
        self.take_rewritten(id);
        if let Some(link) = self.links.at_mut(id) {
            link.questions = Vec::new();
        }
    }

    /// A late answer.
    pub(crate) fn decided(&mut self, now: Now, ticket: Ticket, verdict: &Verdict) {
        let Some((id, _)) = self.asked.get(&ticket) else { return };
        let said = self.take_verdict(*id, verdict);
        self.answered(now, ticket, said);
    }

    /// No answer in time.
    pub(crate) fn decision_timeout(&mut self, now: Now, ticket: Ticket) {
        self.answered(now, ticket, Said::Nothing);
    }

    fn answered(&mut self, now: Now, ticket: Ticket, said: Said) {
        let Some((id, timer)) = self.asked.remove(&ticket) else { return };
        self.timers.cancel(timer);
        let Some(link) = self.links.at_mut(id) else { return };
        if let Some(question) = link.questions.iter_mut().find(|(t, _)| *t == ticket) {
            question.1 = said;
        }
        if link.park == Some(Park::Decision) && link.questions.iter().all(|(_, said)| *said != Said::Open) {
            self.resume(now, id);
        }
    }

    /// Bytes of the client that the home of a tunnelled connection has used up are told to its socket end.
    pub(crate) fn tunnel_taken(&mut self, id: ConnId) {
        let Some(link) = self.links.at(id) else { return };
        let Way::Tunnel { shard, remote, .. } = link.way else { return };
        if link.answers as usize > self.settings.output_high_water_bytes {
            return;
        }
        // The window is for packets that wait for their turn. The beginning of a packet waits for its end,
        // which may be longer than any window and must be let through.
        let held = if link.waits() { link.conn.inbox.len() + link.parked.len() } else { 0 };
        let Some(given) = self.tunnels.get_mut(&(shard, remote)) else { return };
        let taken = given.untold.saturating_sub(held);
        if taken > 0 {
            given.untold -= taken;
            self.peers.send(shard, &MeshFrame::TunnelTaken { conn: remote, bytes: taken as u32 });
        }
    }
}

/// Acknowledgements and pings are handled while publishes wait, or two clients that wait for each other
/// would wait for ever.
fn goes_on_while_parked(frame: &Frame<'_>) -> bool {
    const PUBACK_TO_PUBCOMP: std::ops::RangeInclusive<u8> = 4..=7;
    const PINGREQ: u8 = 12;
    let kind = frame.first >> 4;
    PUBACK_TO_PUBCOMP.contains(&kind) || kind == PINGREQ
}

/// The packet type of CONNECT.
const CONNECT: u8 = 1;

/// Whether it is a CONNECT of 5.0, whatever the flags of its fixed header say.
fn is_connect_v5(bytes: &[u8]) -> bool {
    const CONNECT: u8 = 1;
    let body = bytes.iter().skip(1).position(|b| b & 0x80 == 0).map(|at| &bytes[at + 2..]);
    bytes.first().is_some_and(|first| first >> 4 == CONNECT)
        && body.is_some_and(|b| b.starts_with(b"\0\x04MQTT\x05"))
}
