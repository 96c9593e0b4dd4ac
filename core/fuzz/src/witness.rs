//! A client's memory of one connection: what it wrote, what that entitles it to, and whether what it received
//! is that. It reads the same bytes as the broker, so it knows a client of any bytes as well as a lawful one.
//! Where a client breaks the rules it asks less of the broker, never more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringmq_shard::Settings;
use ringmq_wire::{Connect, Frame, Packet, Property, Publish, Qos, Sender, Version, decode, frame};

use crate::harness::packets::{AckKind, Seen, SeenPublish, take_seen};

/// What one connection has been promised, and has received.
#[derive(Debug)]
pub struct Witness {
    /// The version that its CONNECT named, once there was one.
    pub version: Option<Version>,
    /// Packets that arrived and nobody has taken.
    pub inbox: VecDeque<Seen>,
    written: Vec<u8>,
    /// It wrote something that no client may write: the broker owes nothing more.
    broken: bool,
    /// What it writes can no longer be told apart into packets.
    unreadable: bool,
    connect_bytes_max: usize,
    window_max: usize,
    packet_bytes_max: usize,
    alias_max: u16,
    aliases: BTreeSet<u16>,
    owed: Owed,
    held: Held,
    accepted: bool,
    dismissed: bool,
}

/// Answers that the broker owes.
#[derive(Debug, Default)]
struct Owed {
    puback: VecDeque<u16>,
    pubrec: VecDeque<u16>,
    /// QoS 2 publishes sent again while their PUBREC was owed: one PUBREC may answer them all.
    pubrec_again: BTreeMap<u16, u32>,
    pubcomp: BTreeMap<u16, u32>,
    suback: BTreeMap<u16, VecDeque<usize>>,
    unsuback: BTreeMap<u16, VecDeque<usize>>,
    pingresp: u32,
}

/// Messages that the client has not acknowledged for good.
#[derive(Debug, Default)]
struct Held {
    ids: BTreeSet<u16>,
    /// Acknowledgements that the client wrote before it saw what they acknowledge. The broker may read them
    /// after it wrote that, and is then right to use the id again.
    early: BTreeMap<u16, u32>,
}

impl Witness {
    /// Nothing was said yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            version: None,
            inbox: VecDeque::new(),
            written: Vec::new(),
            broken: false,
            unreadable: false,
            connect_bytes_max: settings.connect_packet_bytes_max as usize,
            window_max: settings.inflight_messages_max.into(),
            packet_bytes_max: usize::MAX,
            alias_max: 0,
            aliases: BTreeSet::new(),
            owed: Owed::default(),
            held: Held::default(),
            accepted: false,
            dismissed: false,
        }
    }

    /// Whether the broker let the client in.
    pub const fn accepted(&self) -> bool {
        self.accepted
    }

    /// The client writes.
    pub fn wrote(&mut self, bytes: &[u8]) {
        let mut written = std::mem::take(&mut self.written);
        written.extend_from_slice(bytes);
        let mut at = 0;
        while !self.unreadable {
            match frame::split(&written[at..], u32::MAX) {
                Ok(Some(frame)) => {
                    at += frame.bytes;
                    self.wrote_one(&frame);
                }
                Ok(None) => break,
                Err(_) => (self.broken, self.unreadable) = (true, true),
            }
        }
        written.drain(..at);
        self.written = written;
    }

    fn wrote_one(&mut self, frame: &Frame<'_>) {
        // What does not fit is refused unread.
        self.unreadable |= self.version.is_none() && frame.bytes > self.connect_bytes_max;
        let packet = decode(self.version.unwrap_or(Version::V5), Sender::Client, frame);
        match packet.ok().filter(|_| !self.unreadable) {
            Some(packet) => self.asks(&packet),
            None => {
                self.broken = true;
                // A broken CONNECT is the end: one behind it is not read, and its version is not that of the answer.
                self.unreadable |= self.version.is_none();
            }
        }
    }

    fn asks(&mut self, packet: &Packet<'_>) {
        // Pings and acknowledgements overtake what waits, so one behind a fault may still be answered.
        let overtakes = matches!(packet, Packet::Pubrel(_) | Packet::Pingreq);
        match (self.version, packet) {
            (Some(_), packet) if self.broken && !overtakes => self.frees(packet),
            (None, Packet::Connect(connect)) => self.connects(connect),
            (None, _) => (self.broken, self.unreadable) = (true, true),
            (Some(_), Packet::Connect(_)) => self.broken = true,
            (_, Packet::Publish(publish)) => self.publishes(publish),
            (_, Packet::Pubrel(ack)) => *self.owed.pubcomp.entry(ack.packet_id.value()).or_default() += 1,
            (_, Packet::Subscribe(subscribe)) => {
                let codes = subscribe.filters.iter().count();
                self.owed.suback.entry(subscribe.packet_id.value()).or_default().push_back(codes);
            }
            (_, Packet::Unsubscribe(unsubscribe)) => {
                let codes = unsubscribe.filters.iter().count();
                self.owed.unsuback.entry(unsubscribe.packet_id.value()).or_default().push_back(codes);
            }
            (_, Packet::Pingreq) => self.owed.pingresp += 1,
            _ => self.frees(packet),
        }
    }

    /// Acknowledgements free their ids.
    fn frees(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Puback(ack) | Packet::Pubcomp(ack) => self.held.let_go(ack.packet_id.value()),
            Packet::Pubrec(ack) if ack.reason.is_error() => self.held.let_go(ack.packet_id.value()),
            _ => {}
        }
    }

    fn connects(&mut self, connect: &Connect<'_>) {
        self.version = Some(connect.version);
        let properties = connect.properties;
        if let Some(messages) = properties.u16(Property::ReceiveMaximum) {
            self.window_max = self.window_max.min(messages.into());
        }
        if let Some(bytes) = properties.u32(Property::MaximumPacketSize) {
            self.packet_bytes_max = bytes as usize;
        }
        self.alias_max = properties.u16(Property::TopicAliasMaximum).unwrap_or(0);
    }

    fn publishes(&mut self, publish: &Publish<'_>) {
        let Some(id) = publish.packet_id else { return };
        match publish.qos {
            Qos::ExactlyOnce if self.owed.pubrec.contains(&id.value()) => {
                *self.owed.pubrec_again.entry(id.value()).or_default() += 1;
            }
            Qos::ExactlyOnce => self.owed.pubrec.push_back(id.value()),
            _ => self.owed.puback.push_back(id.value()),
        }
    }

    /// Takes the whole packets out of what has arrived; each is a right one, owed, and within all limits.
    pub fn read(&mut self, received: &mut Vec<u8>) {
        let Some(version) = self.version else { return before_any_version(received) };
        while let Ok(Some(bytes)) = frame::announced(received) {
            assert!(
                bytes <= self.packet_bytes_max,
                "{bytes} bytes are too many for the client [MQTT-3.1.2-24]"
            );
            let Some(seen) = take_seen(version, received) else { return };
            self.gets(version, &seen);
            self.inbox.push_back(seen);
        }
    }

    fn gets(&mut self, version: Version, seen: &Seen) {
        assert!(!self.dismissed, "a packet behind DISCONNECT [MQTT-3.14.4-2]: {seen:?}");
        if let Seen::Connack(connack) = seen {
            assert!(!self.accepted, "a second CONNACK");
            self.accepted = connack.reason == 0;
            self.dismissed = connack.reason != 0;
            return;
        }
        let early = matches!(seen, Seen::Disconnect(_) | Seen::Auth(_));
        assert!(self.accepted || early, "a packet before CONNACK [MQTT-3.2.0-1]: {seen:?}");
        match seen {
            Seen::Publish(publish) => self.message(publish),
            Seen::Ack(AckKind::Puback, id, _) => {
                assert_eq!(self.owed.puback.pop_front(), Some(*id), "PUBACK out of order [MQTT-4.6.0-2]");
            }
            Seen::Ack(AckKind::Pubrec, id, _) => {
                self.owed.received(*id);
            }
            Seen::Ack(AckKind::Pubcomp, id, _) => {
                let owed = self.owed.pubcomp.get_mut(id).filter(|owed| **owed > 0);
                *owed.unwrap_or_else(|| panic!("PUBCOMP {id} answers nothing")) -= 1;
            }
            Seen::Suback(id, codes) => answers(&mut self.owed.suback, *id, codes.len()),
            Seen::Unsuback(id, _) if version < Version::V5 => {
                _ = self.owed.unsuback.get_mut(id).unwrap().pop_front()
            }
            Seen::Unsuback(id, codes) => answers(&mut self.owed.unsuback, *id, codes.len()),
            Seen::Pingresp => {
                self.owed.pingresp = self.owed.pingresp.checked_sub(1).expect("PINGRESP answers nothing");
            }
            Seen::Disconnect(_) => {
                assert_eq!(version, Version::V5, "only 5.0 has a DISCONNECT of the server");
                self.dismissed = true;
            }
            Seen::Ack(AckKind::Pubrel, ..) | Seen::Auth(_) | Seen::Connack(_) => {}
        }
    }

    fn message(&mut self, publish: &SeenPublish) {
        if let Some(alias) = publish.alias {
            assert!((1..=self.alias_max).contains(&alias), "alias {alias} [MQTT-3.3.2-9]");
            let known = !self.aliases.insert(alias);
            assert!(known || !publish.topic.is_empty(), "alias {alias} means nothing yet");
        } else {
            assert!(!publish.topic.is_empty(), "a message without a topic");
        }
        if publish.qos == 0 {
            return;
        }
        let id = publish.id;
        if !self.held.ids.insert(id) {
            let early = self.held.early.get_mut(&id).filter(|early| **early > 0);
            *early.unwrap_or_else(|| panic!("packet id {id} is in use [MQTT-2.2.1-4]")) -= 1;
        }
        let excused: u32 = self.held.early.values().sum();
        let open = self.held.ids.len().saturating_sub(excused as usize);
        assert!(
            open <= self.window_max,
            "{open} messages, the window has {} [MQTT-3.3.4-9]",
            self.window_max
        );
    }

    /// The broker has answered all that it owes, unless the client broke the rules.
    pub fn assert_answered(&self) {
        let owed = &self.owed;
        let open = owed.pubcomp.values().any(|owed| *owed > 0)
            || owed.suback.values().chain(owed.unsuback.values()).any(|owed| !owed.is_empty())
            || !owed.puback.is_empty()
            || !owed.pubrec.is_empty()
            || owed.pingresp > 0;
        assert!(self.broken || !self.accepted || !open, "the broker still owes: {owed:?}");
    }
}

impl Owed {
    /// PUBREC came.
    fn received(&mut self, id: u16) {
        if self.pubrec.front() == Some(&id) {
            self.pubrec.pop_front();
            return;
        }
        let again = self.pubrec_again.get_mut(&id).filter(|again| **again > 0);
        *again.unwrap_or_else(|| panic!("PUBREC {id} out of order [MQTT-4.6.0-3]: {:?}", self.pubrec)) -= 1;
    }
}

impl Held {
    fn let_go(&mut self, id: u16) {
        if !self.ids.remove(&id) {
            *self.early.entry(id).or_default() += 1;
        }
    }
}

fn answers(owed: &mut BTreeMap<u16, VecDeque<usize>>, id: u16, codes: usize) {
    let wanted = owed.get_mut(&id).and_then(VecDeque::pop_front);
    assert_eq!(wanted, Some(codes), "an answer to request {id}, one code for each filter [MQTT-3.8.4-6]");
}

/// Who has not said its version can be told no more than that it is refused, in one packet.
fn before_any_version(received: &[u8]) {
    let Some(first) = received.first() else { return };
    assert!(matches!(first, 0x20 | 0xe0), "not a refusal: {received:02x?}");
    assert_eq!(frame::announced(received), Ok(Some(received.len())), "more than a refusal: {received:02x?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::packets::{self, Hello, Post};
    use ringmq_wire::ReasonCode;

    fn witness() -> Witness {
        let settings = Settings { inflight_messages_max: 1, ..Settings::default() };
        let mut witness = Witness::new(&settings);
        witness.wrote(&Hello::new(Version::V311, "c").encode());
        witness.read(&mut vec![0x20, 2, 0, 0]);
        assert!(witness.accepted());
        witness
    }

    fn gets(witness: &mut Witness, mut bytes: Vec<u8>) {
        witness.read(&mut bytes);
    }

    #[test]
    #[should_panic(expected = "PUBACK out of order")]
    fn an_acknowledgement_that_nothing_asked_for_is_found() {
        gets(&mut witness(), packets::ack(Version::V311, AckKind::Puback, 1, ReasonCode::SUCCESS));
    }

    #[test]
    #[should_panic(expected = "is in use")]
    fn a_packet_id_in_use_is_found() {
        let mut witness = witness();
        gets(&mut witness, Post::new("t", "x", 1, 5).encode(Version::V311).repeat(2));
    }

    #[test]
    #[should_panic(expected = "the window has 1")]
    fn a_message_beyond_the_window_is_found() {
        let mut witness = witness();
        gets(&mut witness, Post::new("t", "x", 1, 5).encode(Version::V311));
        gets(&mut witness, Post::new("t", "x", 1, 6).encode(Version::V311));
    }

    #[test]
    #[should_panic(expected = "still owes")]
    fn an_answer_that_never_comes_is_found() {
        let mut witness = witness();
        witness.wrote(&packets::pingreq(Version::V311));
        witness.assert_answered();
    }

    /// What a client acknowledged before it came may come twice.
    #[test]
    fn early_acknowledgements_excuse() {
        let mut witness = witness();
        witness.wrote(&packets::ack(Version::V311, AckKind::Puback, 5, ReasonCode::SUCCESS));
        gets(&mut witness, Post::new("t", "x", 1, 5).encode(Version::V311).repeat(2));
        assert_eq!(witness.inbox.len(), 3);
    }

    /// The answer to a broken CONNECT has the version of that one.
    #[test]
    fn a_connect_behind_a_broken_one_says_nothing() {
        let mut witness = Witness::new(&Settings::default());
        let mut broken = Hello::new(Version::V5, "").encode();
        // No property has this number.
        broken.splice(12.., [5, 0, 0, 0, 0, 0, 0, 0]);
        broken[1] = broken.len() as u8 - 2;
        witness.wrote(&[broken, Hello::new(Version::V311, "good").encode()].concat());
        assert_eq!(witness.version, None);
        gets(&mut witness, vec![0x20, 3, 0, ReasonCode::MALFORMED_PACKET.value(), 0]);
        assert_eq!(witness.inbox.len(), 0);
    }
}
