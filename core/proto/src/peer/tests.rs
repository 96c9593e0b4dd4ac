//! The machine against a scripted server: every packet of the client is decoded, every answer encoded.

use super::*;
use crate::time::Mono;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use ringmq_wire::{
    Ack, Connack, Disconnect, Packet, PacketId, Properties, PropertiesBuffer, Property, Publish, Qos, ReasonCode,
    Sender, Suback, SubscriptionOptions, TopicName, Unsuback, Version, decode, frame,
};

const NOW: Mono = Mono(1000);

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn options(version: Version) -> Options {
    Options { version, client_id: "c".to_owned(), ..Options::default() }
}

fn connack(session_present: bool, properties: Properties<'_>) -> Packet<'_> {
    Packet::Connack(Connack { session_present, reason: ReasonCode::SUCCESS, properties })
}

fn publish(packet_id: u16, qos: Qos, dup: bool) -> Packet<'static> {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: false,
        topic: TopicName::new("in").unwrap(),
        packet_id: PacketId::new(packet_id),
        properties: Properties::EMPTY,
        payload: b"x",
    })
}

/// Encodes and hands over, split into `bytes_max` at a time.
fn feed(peer: &mut Peer, packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    packet.encode(peer.options().version, &mut bytes);
    for part in bytes.chunks(3) {
        peer.handle(NOW, part);
    }
}

/// What the client wrote, as short words; all of it counts as taken.
fn sent(peer: &mut Peer) -> Vec<String> {
    let mut words = Vec::new();
    while !peer.output().is_empty() {
        let bytes = peer.output().to_vec();
        let mut at = 0;
        while let Some(frame) = frame::split(&bytes[at..], u32::MAX).unwrap() {
            let packet = decode(peer.options().version, Sender::Client, &frame).unwrap();
            words.push(word(&packet));
            at += frame.bytes;
        }
        assert_eq!(at, bytes.len(), "the client writes whole packets");
        peer.output_taken(NOW, bytes.len());
    }
    words
}

fn word(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => format!("connect clean={}", connect.clean_start),
        Packet::Publish(publish) => {
            let dup = if publish.dup { " dup" } else { "" };
            let alias = publish.properties.u16(Property::TopicAlias);
            let alias = alias.map(|alias| format!(" alias={alias}")).unwrap_or_default();
            let packet_id = publish.packet_id.map_or(0, PacketId::value);
            let payload = core::str::from_utf8(publish.payload).unwrap();
            format!("publish {packet_id} {}={payload}{dup}{alias}", publish.topic.as_str())
        }
        Packet::Puback(ack) => format!("puback {} {:#x}", ack.packet_id.value(), ack.reason.value()),
        Packet::Pubrec(ack) => format!("pubrec {} {:#x}", ack.packet_id.value(), ack.reason.value()),
        Packet::Pubrel(ack) => format!("pubrel {} {:#x}", ack.packet_id.value(), ack.reason.value()),
        Packet::Pubcomp(ack) => format!("pubcomp {} {:#x}", ack.packet_id.value(), ack.reason.value()),
        Packet::Subscribe(subscribe) => {
            let filters: Vec<&str> = subscribe.filters.iter().map(|entry| entry.filter.whole()).collect();
            format!("subscribe {} {}", subscribe.packet_id.value(), filters.join(","))
        }
        Packet::Unsubscribe(unsubscribe) => format!("unsubscribe {}", unsubscribe.packet_id.value()),
        Packet::Disconnect(disconnect) => format!("disconnect {:#x}", disconnect.reason.value()),
        other => other.kind().name().to_ascii_lowercase(),
    }
}

fn connected(options: Options, session_present: bool, properties: &PropertiesBuffer) -> Peer {
    let mut peer = Peer::new(options).unwrap();
    peer.connect(NOW);
    assert_eq!(sent(&mut peer).len(), 1);
    feed(&mut peer, &connack(session_present, properties.as_properties()));
    assert!(peer.is_up());
    peer
}

fn up(version: Version) -> Peer {
    let mut peer = connected(options(version), false, &PropertiesBuffer::new());
    assert!(matches!(peer.next_event(), Some(Event::Connected(_))));
    peer
}

fn reconnect(peer: &mut Peer, session_present: bool) {
    peer.transport_closed();
    peer.connect(NOW);
    sent(peer);
    let resumes = session_present && peer.options().version != Version::V31;
    feed(peer, &connack(resumes, Properties::EMPTY));
}

fn message(payload: &str, qos: Qos) -> Outgoing {
    Outgoing {
        topic: "out".to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos,
        ..Outgoing::default()
    }
}

fn events(peer: &mut Peer) -> Vec<Event> {
    core::iter::from_fn(|| peer.next_event()).collect()
}

fn outcomes(peer: &mut Peer) -> Vec<(u64, Result<u8, RequestError>)> {
    let outcome = |event| match event {
        Event::Published { token, outcome } => Some((token.0, outcome.map(ReasonCode::value))),
        _ => None,
    };
    events(peer).into_iter().filter_map(outcome).collect()
}

fn ended(peer: &mut Peer) -> Option<DisconnectCause> {
    events(peer).into_iter().find_map(|event| match event {
        Event::Disconnected(cause) => Some(*cause),
        _ => None,
    })
}

#[test]
fn publishes_at_every_qos_in_every_version() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut peer = up(version);
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            peer.publish(message("m", qos)).unwrap();
        }
        assert_eq!(sent(&mut peer), ["publish 0 out=m", "publish 1 out=m", "publish 2 out=m"]);
        assert_eq!(outcomes(&mut peer), [(1, Ok(0))]);
        feed(&mut peer, &Packet::Puback(Ack::success(id(1))));
        feed(&mut peer, &Packet::Pubrec(Ack::success(id(2))));
        assert_eq!(sent(&mut peer), ["pubrel 2 0x0"]);
        assert_eq!(outcomes(&mut peer), [(2, Ok(0))]);
        feed(&mut peer, &Packet::Pubcomp(Ack::success(id(2))));
        assert_eq!(outcomes(&mut peer), [(3, Ok(0))]);
        assert_eq!(peer.unfinished(), 0);
        assert!(peer.has_room(usize::MAX / 2), "nothing is held any more");
    }
}

/// [MQTT-3.3.4-7]: the window counts messages until PUBACK or PUBCOMP, and PUBREC with an error.
#[test]
fn keeps_the_servers_receive_maximum() {
    let mut properties = PropertiesBuffer::new();
    properties.push_u16(Property::ReceiveMaximum, 2);
    let mut peer = connected(options(Version::V5), false, &properties);
    for payload in ["a", "b", "c", "d", "e"] {
        peer.publish(message(payload, Qos::ExactlyOnce)).unwrap();
    }
    assert_eq!(sent(&mut peer), ["publish 1 out=a", "publish 2 out=b alias=0"].map(|word| word.replace(" alias=0", "")));
    feed(&mut peer, &Packet::Pubrec(Ack::success(id(1))));
    assert_eq!(sent(&mut peer), ["pubrel 1 0x0"], "PUBREC alone opens no room");
    feed(&mut peer, &Packet::Pubcomp(Ack::success(id(1))));
    assert_eq!(sent(&mut peer), ["publish 3 out=c"]);
    let refused = Ack { reason: ReasonCode::QUOTA_EXCEEDED, ..Ack::success(id(2)) };
    feed(&mut peer, &Packet::Pubrec(refused));
    assert_eq!(sent(&mut peer), ["publish 4 out=d"]);
    assert_eq!(outcomes(&mut peer), [(1, Ok(0)), (2, Ok(0x97))]);
}
