//! The machine against a scripted server: every packet of the client is decoded, every answer encoded.

use super::*;
use crate::time::Mono;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use ringmq_wire::{
    Ack, Connack, Disconnect, Packet, PacketId, Properties, PropertiesBuffer, Property, Publish, Qos,
    ReasonCode, Sender, Suback, SubscriptionOptions, TopicName, Unsuback, Version, decode, frame,
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
    assert_eq!(sent(&mut peer), ["publish 1 out=a", "publish 2 out=b"]);
    feed(&mut peer, &Packet::Pubrec(Ack::success(id(1))));
    assert_eq!(sent(&mut peer), ["pubrel 1 0x0"], "PUBREC alone opens no room");
    feed(&mut peer, &Packet::Pubcomp(Ack::success(id(1))));
    assert_eq!(sent(&mut peer), ["publish 3 out=c"]);
    let refused = Ack { reason: ReasonCode::QUOTA_EXCEEDED, ..Ack::success(id(2)) };
    feed(&mut peer, &Packet::Pubrec(refused));
    assert_eq!(sent(&mut peer), ["publish 4 out=d"]);
    assert_eq!(outcomes(&mut peer), [(1, Ok(0)), (2, Ok(0x97))]);
}

/// [MQTT-4.4.0-1]: PUBLISH with DUP and PUBREL again, in order, then what was never sent.
/// Clauses: [MQTT31-qos-flows].
#[test]
fn resumes_in_order() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut peer = connected(
            Options { clean_start: false, in_flight_max: Some(3), ..options(version) },
            version != Version::V31,
            &PropertiesBuffer::new(),
        );
        for (payload, qos) in [("a", Qos::AtLeastOnce), ("b", Qos::ExactlyOnce), ("c", Qos::ExactlyOnce)] {
            peer.publish(message(payload, qos)).unwrap();
        }
        peer.publish(message("d", Qos::AtLeastOnce)).unwrap();
        feed(&mut peer, &Packet::Pubrec(Ack::success(id(2))));
        sent(&mut peer);
        reconnect(&mut peer, true);
        assert_eq!(sent(&mut peer), ["publish 1 out=a dup", "pubrel 2 0x0", "publish 3 out=c dup"]);
        feed(&mut peer, &Packet::Puback(Ack::success(id(1))));
        assert_eq!(sent(&mut peer), ["publish 4 out=d"]);
        let gone = Ack { reason: ReasonCode::PACKET_IDENTIFIER_NOT_FOUND, ..Ack::success(id(2)) };
        feed(&mut peer, &Packet::Pubcomp(gone));
        assert_eq!(outcomes(&mut peer), [(1, Ok(0)), (2, Ok(0))]);
    }
}

/// A smaller window after the reconnect holds back what is sent again, too.
#[test]
fn resends_within_the_new_window() {
    let mut peer = up(Version::V5);
    for payload in ["a", "b", "c"] {
        peer.publish(message(payload, Qos::AtLeastOnce)).unwrap();
    }
    peer.transport_closed();
    peer.connect(NOW);
    sent(&mut peer);
    let mut properties = PropertiesBuffer::new();
    properties.push_u16(Property::ReceiveMaximum, 1);
    feed(&mut peer, &connack(true, properties.as_properties()));
    for payload in ["a", "b", "c"] {
        let packet_id = u16::from(payload.as_bytes()[0] - b'a') + 1;
        assert_eq!(sent(&mut peer), [format!("publish {packet_id} out={payload} dup")]);
        feed(&mut peer, &Packet::Puback(Ack::success(id(packet_id))));
    }
    assert_eq!(peer.unfinished(), 0);
}

#[test]
fn session_lost() {
    for republish in [true, false] {
        let mut peer =
            connected(Options { republish, ..options(Version::V5) }, false, &PropertiesBuffer::new());
        for (payload, qos) in [("a", Qos::AtLeastOnce), ("b", Qos::ExactlyOnce), ("c", Qos::ExactlyOnce)] {
            peer.publish(message(payload, qos)).unwrap();
        }
        feed(&mut peer, &Packet::Pubrec(Ack::success(id(2))));
        sent(&mut peer);
        events(&mut peer);
        reconnect(&mut peer, false);
        let lost = Err(RequestError::SessionLost);
        if republish {
            assert_eq!(sent(&mut peer), ["publish 1 out=a", "publish 2 out=c"], "new, so without DUP");
            assert_eq!(outcomes(&mut peer), [(2, Ok(0))], "the server had confirmed b");
        } else {
            assert!(sent(&mut peer).is_empty());
            assert_eq!(outcomes(&mut peer), [(1, lost.clone()), (2, Ok(0)), (3, lost)]);
            assert_eq!(peer.unfinished(), 0);
        }
    }
}

#[test]
fn subscriptions_come_back_when_the_session_is_lost() {
    let mut peer = up(Version::V5);
    let request = |filters: &[&str], subscription_id| SubscribeRequest {
        filters: filters.iter().map(|filter| (filter.to_string(), SubscriptionOptions::default())).collect(),
        subscription_id,
        ..SubscribeRequest::default()
    };
    peer.subscribe(request(&["b", "a", "no"], None)).unwrap();
    peer.subscribe(request(&["x"], Some(7))).unwrap();
    assert_eq!(sent(&mut peer), ["subscribe 1 b,a,no", "subscribe 2 x"]);
    let suback = |packet_id, codes| {
        Packet::Suback(Suback { packet_id: id(packet_id), properties: Properties::EMPTY, codes })
    };
    feed(&mut peer, &suback(1, &[0, 0, 0x87]));
    feed(&mut peer, &suback(2, &[0]));
    let answered = events(&mut peer);
    let Event::Subscribed { outcome: Ok(codes), .. } = &answered[0] else { panic!("{answered:?}") };
    assert_eq!(codes.iter().map(|code| code.value()).collect::<Vec<_>>(), [0, 0, 0x87]);
    let filters = vec!["b".to_owned()];
    peer.unsubscribe(UnsubscribeRequest { filters, ..UnsubscribeRequest::default() }).unwrap();
    assert_eq!(sent(&mut peer), ["unsubscribe 3"]);
    let codes = &[0];
    feed(&mut peer, &Packet::Unsuback(Unsuback { packet_id: id(3), properties: Properties::EMPTY, codes }));
    reconnect(&mut peer, true);
    assert!(sent(&mut peer).is_empty(), "the server still has them");
    reconnect(&mut peer, false);
    assert_eq!(sent(&mut peer), ["subscribe 1 a", "subscribe 2 x"], "a new session, numbered anew");
    // The connection ends before the answer, and the session is there the next time: it was not made.
    reconnect(&mut peer, true);
    let again = sent(&mut peer);
    assert_eq!(again.len(), 2, "{again:?}");
    reconnect(&mut peer, false);
    assert_eq!(sent(&mut peer).len(), 2, "asked once, not twice");
}

/// 3.1 cannot say whether the session is present, so the client asks again to be sure.
/// Clauses: [MQTT31-session-present].
#[test]
fn subscriptions_are_repeated_where_the_session_is_uncertain() {
    for (version, expected) in [(Version::V31, 1), (Version::V311, 0)] {
        let options = Options { clean_start: false, ..options(version) };
        let mut peer = connected(options, false, &PropertiesBuffer::new());
        let filters = vec![("f".to_owned(), SubscriptionOptions::default())];
        peer.subscribe(SubscribeRequest { filters, ..SubscribeRequest::default() }).unwrap();
        sent(&mut peer);
        let (packet_id, properties) = (id(1), Properties::EMPTY);
        feed(&mut peer, &Packet::Suback(Suback { packet_id, properties, codes: &[0] }));
        reconnect(&mut peer, true);
        assert_eq!(sent(&mut peer).len(), expected);
    }
}

#[test]
fn requests_wait_for_a_connection_and_go_first() {
    let mut peer = Peer::new(options(Version::V311)).unwrap();
    peer.publish(message("m", Qos::AtLeastOnce)).unwrap();
    peer.publish(message("n", Qos::AtMostOnce)).unwrap();
    let filters = vec![("f".to_owned(), SubscriptionOptions::default())];
    peer.subscribe(SubscribeRequest { filters, ..SubscribeRequest::default() }).unwrap();
    assert!(peer.output().is_empty());
    peer.connect(NOW);
    assert_eq!(sent(&mut peer), ["connect clean=true"]);
    feed(&mut peer, &connack(false, Properties::EMPTY));
    assert_eq!(sent(&mut peer), ["subscribe 1 f", "publish 2 out=m", "publish 0 out=n"]);
}

/// [MQTT-4.3.3-10]: a QoS 2 message is handed out once, however often it comes before PUBREL.
/// Clauses: [MQTT-4.3.3-12] [MQTT-4.3.3-2 of 3.1.1].
#[test]
fn receives_qos_2_once() {
    for version in [Version::V311, Version::V5] {
        let options = Options { clean_start: false, ..options(version) };
        let mut peer = connected(options, false, &PropertiesBuffer::new());
        events(&mut peer);
        feed(&mut peer, &publish(9, Qos::ExactlyOnce, false));
        assert_eq!(sent(&mut peer), ["pubrec 9 0x0"]);
        reconnect(&mut peer, true);
        feed(&mut peer, &publish(9, Qos::ExactlyOnce, true));
        feed(&mut peer, &Packet::Pubrel(Ack::success(id(9))));
        feed(&mut peer, &Packet::Pubrel(Ack::success(id(9))));
        let unknown = if version == Version::V5 { "pubcomp 9 0x92" } else { "pubcomp 9 0x0" };
        assert_eq!(sent(&mut peer), ["pubrec 9 0x0", "pubcomp 9 0x0", unknown]);
        let messages =
            events(&mut peer).into_iter().filter(|event| matches!(event, Event::Message(_))).count();
        assert_eq!(messages, 1);
        feed(&mut peer, &publish(9, Qos::ExactlyOnce, false));
        assert!(matches!(events(&mut peer)[..], [Event::Message(_)]), "released, so it is a new one");
    }
}

fn tokens(peer: &mut Peer) -> Vec<AckToken> {
    let token = |event| match event {
        Event::Message(message) => message.ack,
        _ => None,
    };
    events(peer).into_iter().filter_map(token).collect()
}

/// [MQTT-4.6.0-2, MQTT-4.6.0-3]: answers leave in the order of arrival, whatever the application does.
/// Clauses: [MQTT-4.6.0-2] [MQTT-4.6.0-3].
#[test]
fn acknowledges_in_order() {
    let by_application = Acknowledge::ByApplication;
    let options = Options { acknowledge: by_application, ..options(Version::V5) };
    let mut peer = connected(options, false, &PropertiesBuffer::new());
    feed(&mut peer, &publish(1, Qos::AtLeastOnce, false));
    feed(&mut peer, &publish(2, Qos::ExactlyOnce, false));
    feed(&mut peer, &publish(3, Qos::AtLeastOnce, false));
    let tokens = tokens(&mut peer);
    assert!(peer.acknowledge(tokens[2], ReasonCode::SUCCESS));
    assert!(peer.acknowledge(tokens[1], ReasonCode::QUOTA_EXCEEDED));
    assert!(sent(&mut peer).is_empty());
    assert!(peer.acknowledge(tokens[0], ReasonCode::SUCCESS));
    assert_eq!(sent(&mut peer), ["puback 1 0x0", "pubrec 2 0x97", "puback 3 0x0"]);
    assert!(!peer.acknowledge(tokens[1], ReasonCode::SUCCESS), "an answer is given once");
}

/// A server that sends PUBREL before PUBREC must not block the answers behind it.
#[test]
fn a_release_before_pubrec_blocks_no_later_answer() {
    let options = Options { acknowledge: Acknowledge::ByApplication, ..options(Version::V5) };
    let mut peer = connected(options, false, &PropertiesBuffer::new());
    feed(&mut peer, &publish(1, Qos::ExactlyOnce, false));
    feed(&mut peer, &publish(2, Qos::AtLeastOnce, false));
    let tokens = tokens(&mut peer);
    let release = Ack { packet_id: id(1), reason: ReasonCode::SUCCESS, properties: Properties::EMPTY };
    feed(&mut peer, &Packet::Pubrel(release));
    assert_eq!(sent(&mut peer), ["pubcomp 1 0x0"]);
    assert!(!peer.acknowledge(tokens[0], ReasonCode::SUCCESS), "the exchange is over");
    assert!(peer.acknowledge(tokens[1], ReasonCode::SUCCESS));
    assert_eq!(sent(&mut peer), ["puback 2 0x0"]);
}

/// A property that cannot be written is an error of the caller, also when it is the only one.
#[test]
fn a_property_too_long_to_write_is_refused() {
    let mut peer = up(Version::V5);
    let mut properties = PropertiesBuffer::new();
    properties.push_str(Property::ContentType, &"x".repeat(70_000));
    let refused = peer.publish(Outgoing { properties, ..message("m", Qos::AtMostOnce) });
    assert!(matches!(refused, Err(RequestError::Invalid(_))), "{refused:?}");
    assert!(sent(&mut peer).is_empty());
}

#[test]
fn acknowledgements_across_a_reconnect() {
    let by_application = Acknowledge::ByApplication;
    let options = Options { acknowledge: by_application, ..options(Version::V5) };
    let mut peer = connected(options, false, &PropertiesBuffer::new());
    feed(&mut peer, &publish(1, Qos::AtLeastOnce, false));
    feed(&mut peer, &publish(2, Qos::ExactlyOnce, false));
    let old = tokens(&mut peer);
    reconnect(&mut peer, true);
    events(&mut peer);
    assert!(!peer.acknowledge(old[0], ReasonCode::SUCCESS), "QoS 1 comes again");
    feed(&mut peer, &publish(1, Qos::AtLeastOnce, true));
    feed(&mut peer, &publish(2, Qos::ExactlyOnce, true));
    let again = tokens(&mut peer);
    assert_eq!(again.len(), 1, "QoS 2 was handed out before");
    assert!(peer.acknowledge(again[0], ReasonCode::SUCCESS));
    assert!(peer.acknowledge(old[1], ReasonCode::SUCCESS), "its token outlives the connection");
    assert_eq!(sent(&mut peer), ["puback 1 0x0", "pubrec 2 0x0"]);
    reconnect(&mut peer, false);
    feed(&mut peer, &publish(2, Qos::ExactlyOnce, false));
    assert_eq!(tokens(&mut peer).len(), 1, "another session, another message");
}

#[test]
fn topic_aliases_both_ways() {
    let mut properties = PropertiesBuffer::new();
    properties.push_u16(Property::TopicAliasMaximum, 5);
    let options = Options { topic_alias_max: 2, ..options(Version::V5) };
    let mut peer = connected(options, false, &properties);
    for payload in ["a", "b", "c"] {
        let mut message = message(payload, Qos::AtMostOnce);
        message.topic = "long/topic".to_owned();
        peer.publish(message).unwrap();
    }
    let expected = ["publish 0 long/topic=a", "publish 0 long/topic=b alias=1", "publish 0 =c alias=1"];
    assert_eq!(sent(&mut peer), expected);
    events(&mut peer);
    let mut alias = PropertiesBuffer::new();
    alias.push_u16(Property::TopicAlias, 2);
    let aliased = |topic| {
        let Packet::Publish(publish) = publish(0, Qos::AtMostOnce, false) else { panic!("not a publish") };
        Packet::Publish(Publish { topic, properties: alias.as_properties(), ..publish })
    };
    feed(&mut peer, &aliased(TopicName::new("bound").unwrap()));
    feed(&mut peer, &aliased(TopicName::EMPTY));
    for event in events(&mut peer) {
        assert!(matches!(&event, Event::Message(message) if message.topic == "bound"), "{event:?}");
    }
    reconnect(&mut peer, true);
    feed(&mut peer, &aliased(TopicName::EMPTY));
    assert_eq!(sent(&mut peer), ["disconnect 0x82"], "aliases end with the connection [MQTT-3.3.2-7]");
}

/// Clauses: [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-4.12.0-6].
#[test]
fn servers_faults_end_the_connection_with_a_code() {
    let ack = |packet_id| Ack::success(id(packet_id));
    let rows: [(&str, Packet<'_>, &str); 7] = [
        ("a second CONNACK", connack(false, Properties::EMPTY), "disconnect 0x82"),
        ("PUBREC for QoS 1", Packet::Pubrec(ack(1)), "disconnect 0x82"),
        ("PUBACK for QoS 2", Packet::Puback(ack(2)), "disconnect 0x82"),
        ("PUBCOMP before PUBREL", Packet::Pubcomp(ack(2)), "disconnect 0x82"),
        (
            "SUBACK for PUBLISH",
            Packet::Suback(Suback { packet_id: id(1), properties: Properties::EMPTY, codes: &[0] }),
            "disconnect 0x82",
        ),
        ("a packet that only clients send", Packet::Pingreq, "disconnect 0x82"),
        (
            "AUTH without a method",
            Packet::Auth(ringmq_wire::Auth { reason: ReasonCode::SUCCESS, properties: Properties::EMPTY }),
            "disconnect 0x82",
        ),
    ];
    for (what, packet, expected) in rows {
        let mut peer = up(Version::V5);
        peer.publish(message("a", Qos::AtLeastOnce)).unwrap();
        peer.publish(message("b", Qos::ExactlyOnce)).unwrap();
        sent(&mut peer);
        feed(&mut peer, &packet);
        assert_eq!(sent(&mut peer), [expected], "{what}");
        assert!(peer.is_closing(), "{what}");
        assert!(matches!(ended(&mut peer), Some(DisconnectCause::Violation(_))), "{what}");
    }
}

/// Clauses: [MQTT-3.3.4-9].
#[test]
fn limits_on_what_the_server_sends() {
    let options = Options { receive_maximum: 2, packet_bytes_max: 40, ..options(Version::V5) };
    let options = Options { acknowledge: Acknowledge::ByApplication, ..options };
    let mut peer = connected(options.clone(), false, &PropertiesBuffer::new());
    for packet_id in 1..=102 {
        feed(&mut peer, &publish(packet_id, Qos::AtLeastOnce, false));
        assert!(peer.is_up(), "within the slack: {:?}", ended(&mut peer));
    }
    feed(&mut peer, &publish(103, Qos::ExactlyOnce, false));
    assert_eq!(sent(&mut peer), ["disconnect 0x93"]);
    let mut peer = connected(options, false, &PropertiesBuffer::new());
    peer.handle(NOW, &[0x30, 39]);
    assert_eq!(sent(&mut peer), ["disconnect 0x95"], "refused before the body has come");
}

/// Clauses: [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15].
#[test]
fn the_servers_limits_are_errors_of_the_caller() {
    let mut properties = PropertiesBuffer::new();
    properties.push_u8(Property::MaximumQos, 1);
    properties.push_u8(Property::RetainAvailable, 0);
    properties.push_u32(Property::MaximumPacketSize, 50);
    properties.push_u8(Property::WildcardSubscriptionAvailable, 0);
    properties.push_u8(Property::SharedSubscriptionAvailable, 0);
    properties.push_u8(Property::SubscriptionIdentifierAvailable, 0);
    let mut peer = Peer::new(options(Version::V5)).unwrap();
    let queued = peer.publish(message("too early to know", Qos::ExactlyOnce)).unwrap();
    peer.connect(NOW);
    feed(&mut peer, &connack(false, properties.as_properties()));
    let limit = RequestError::QosNotSupported(Qos::AtLeastOnce);
    assert_eq!(outcomes(&mut peer), [(queued.0, Err(limit.clone()))]);
    assert_eq!(peer.publish(message("m", Qos::ExactlyOnce)), Err(limit));
    let retained = Outgoing { retain: true, ..message("m", Qos::AtMostOnce) };
    assert_eq!(peer.publish(retained), Err(RequestError::RetainNotSupported));
    for (bytes, fits) in [(42, true), (43, false)] {
        let text = "x".repeat(bytes);
        assert_eq!(peer.publish(message(&text, Qos::AtMostOnce)).is_ok(), fits, "{bytes}");
    }
    let subscribe = |filter: &str, subscription_id| SubscribeRequest {
        filters: vec![(filter.to_owned(), SubscriptionOptions::default())],
        subscription_id,
        ..SubscribeRequest::default()
    };
    let rows = [
        (subscribe("a/+", None), RequestError::WildcardsNotSupported),
        (subscribe("$share/g/a", None), RequestError::SharedNotSupported),
        (subscribe("a", Some(1)), RequestError::SubscriptionIdsNotSupported),
    ];
    for (request, error) in rows {
        assert_eq!(peer.subscribe(request), Err(error));
    }
    assert!(peer.subscribe(subscribe(&"f".repeat(60), None)).is_ok());
    let refused = events(&mut peer).into_iter().any(|event| {
        matches!(event, Event::Subscribed { outcome: Err(RequestError::PacketTooLarge { .. }), .. })
    });
    assert!(refused, "a request that is too large is refused by an event");
}

#[test]
fn queues_have_bounds() {
    let bounds = Options { queue_messages_max: 2, queue_bytes_max: 1000, ..options(Version::V311) };
    let mut peer = Peer::new(bounds).unwrap();
    peer.publish(message("a", Qos::AtLeastOnce)).unwrap();
    peer.publish(message("b", Qos::AtMostOnce)).unwrap();
    assert_eq!(peer.publish(message("c", Qos::AtLeastOnce)), Err(RequestError::QueueFull));
    peer.connect(NOW);
    feed(&mut peer, &connack(false, Properties::EMPTY));
    assert!(peer.publish(message(&"x".repeat(900), Qos::AtLeastOnce)).is_err(), "more bytes than are left");
    feed(&mut peer, &Packet::Puback(Ack::success(id(1))));
    assert!(peer.publish(message(&"x".repeat(5000), Qos::AtLeastOnce)).is_ok(), "alone it may be larger");
    let offline = Options { queue_qos0_offline: false, ..options(Version::V311) };
    let mut peer = Peer::new(offline).unwrap();
    assert_eq!(peer.publish(message("a", Qos::AtMostOnce)), Err(RequestError::NotConnected));
    assert!(peer.publish(message("a", Qos::AtLeastOnce)).is_ok());
}

#[test]
fn keep_alive() {
    let mut properties = PropertiesBuffer::new();
    properties.push_u16(Property::ServerKeepAlive, 10);
    let mut peer = connected(options(Version::V5), false, &properties);
    assert_eq!(peer.deadline(), Some(Mono(11_000)), "the server's value wins [MQTT-3.1.2-21]");
    peer.handle_timeout(Mono(10_999));
    assert!(peer.output().is_empty());
    peer.handle_timeout(Mono(11_000));
    assert_eq!(sent(&mut peer), ["pingreq"]);
    peer.handle(Mono(12_000), &[0xD0, 0]);
    // Silence after the next PINGREQ, but the application has stopped the input: no verdict.
    peer.handle_timeout(Mono(22_000));
    sent(&mut peer);
    peer.pause_input(Mono(22_000), true);
    peer.handle_timeout(Mono(40_000));
    assert!(peer.is_up());
    peer.pause_input(Mono(40_000), false);
    peer.handle_timeout(Mono(49_999));
    assert!(peer.is_up());
    peer.handle_timeout(Mono(50_000));
    assert!(matches!(ended(&mut peer), Some(DisconnectCause::PingTimeout)));
}

#[test]
fn no_connack_in_time_and_refusals() {
    let mut peer = Peer::new(options(Version::V5)).unwrap();
    peer.connect(NOW);
    peer.handle_timeout(Mono(11_000));
    assert!(matches!(ended(&mut peer), Some(DisconnectCause::ConnackTimeout)));
    let rows: [(Version, &[u8], u8); 4] = [
        (Version::V311, &[0x20, 2, 0, 5], 0x87),
        (Version::V31, &[0x20, 2, 0, 2], 0x85),
        (Version::V5, &[0x20, 3, 0, 0x86, 0], 0x86),
        // A server that knows 3.x only.
        (Version::V5, &[0x20, 2, 0, 1], 0x84),
    ];
    for (version, bytes, expected) in rows {
        let mut peer = Peer::new(options(version)).unwrap();
        peer.connect(NOW);
        peer.handle(NOW, bytes);
        let cause = ended(&mut peer);
        let Some(DisconnectCause::Refused { reason, .. }) = cause else { panic!("{version:?} {cause:?}") };
        assert_eq!(reason.value(), expected);
    }
    let mut peer = Peer::new(options(Version::V311)).unwrap();
    peer.connect(NOW);
    sent(&mut peer);
    feed(&mut peer, &connack(true, Properties::EMPTY));
    let clean = Some(PeerViolation::SessionAtCleanStart);
    assert!(
        matches!(ended(&mut peer), Some(DisconnectCause::Violation(violation)) if Some(violation) == clean)
    );
}

#[test]
fn goodbyes() {
    let rows = [
        (Version::V311, ReasonCode::NORMAL_DISCONNECTION, vec!["disconnect 0x0"]),
        (Version::V311, ReasonCode::DISCONNECT_WITH_WILL, vec![]),
        (Version::V5, ReasonCode::DISCONNECT_WITH_WILL, vec!["disconnect 0x4"]),
    ];
    for (version, reason, expected) in rows {
        let mut peer = up(version);
        peer.disconnect(&Goodbye { reason, ..Goodbye::default() }).unwrap();
        assert_eq!(sent(&mut peer), expected);
        assert!(matches!(ended(&mut peer), Some(DisconnectCause::Requested)));
        peer.transport_closed();
        assert_eq!(peer.disconnect(&Goodbye::default()), Err(RequestError::NotConnected));
    }
    let mut peer = up(Version::V5);
    let longer = Goodbye { session_expiry_seconds: Some(5), ..Goodbye::default() };
    assert_eq!(peer.disconnect(&longer), Err(RequestError::SessionExpiryNotAllowed));
    let server_only = Goodbye { reason: ReasonCode::SERVER_BUSY, ..Goodbye::default() };
    assert!(matches!(peer.disconnect(&server_only), Err(RequestError::Invalid(_))));
    feed(
        &mut peer,
        &Packet::Disconnect(Disconnect {
            reason: ReasonCode::SESSION_TAKEN_OVER,
            properties: Properties::EMPTY,
        }),
    );
    assert!(matches!(
        ended(&mut peer),
        Some(DisconnectCause::ByServer { reason: ReasonCode::SESSION_TAKEN_OVER, .. })
    ));
}

#[test]
fn a_clean_start_happens_once_in_5() {
    let mut peer = up(Version::V5);
    peer.transport_closed();
    peer.connect(NOW);
    assert_eq!(sent(&mut peer), ["connect clean=false"]);
    let mut peer = up(Version::V311);
    peer.transport_closed();
    peer.connect(NOW);
    assert_eq!(sent(&mut peer), ["connect clean=true"]);
}

/// Clauses: [MQTT31-client-id-empty].
#[test]
fn options_are_judged() {
    let will = |topic: &str| PeerWill { topic: topic.to_owned(), ..PeerWill::default() };
    let rows: [(Options, bool); 7] = [
        (options(Version::V31), true),
        (Options { client_id: String::new(), ..options(Version::V31) }, false),
        (Options { client_id: String::new(), clean_start: false, ..options(Version::V311) }, false),
        (Options { session_expiry_seconds: 1, ..options(Version::V311) }, false),
        (Options { will: Some(will("a/+")), ..options(Version::V5) }, false),
        (Options { will: Some(will("a")), ..options(Version::V5) }, true),
        (Options { password: Some(Bytes::from_static(b"p")), ..options(Version::V311) }, false),
    ];
    for (options, valid) in rows {
        assert_eq!(Peer::new(options.clone()).is_ok(), valid, "{options:?}");
    }
}

#[test]
fn enhanced_authentication() {
    let options =
        Options { authentication: Some(("M".to_owned(), Bytes::from_static(b"1"))), ..options(Version::V5) };
    let mut peer = Peer::new(options).unwrap();
    peer.connect(NOW);
    sent(&mut peer);
    let mut properties = PropertiesBuffer::new();
    properties.push_str(Property::AuthenticationMethod, "M");
    let challenge = ringmq_wire::Auth {
        reason: ReasonCode::CONTINUE_AUTHENTICATION,
        properties: properties.as_properties(),
    };
    feed(&mut peer, &Packet::Auth(challenge));
    assert!(matches!(events(&mut peer)[..], [Event::Authentication { .. }]));
    assert!(peer.authenticate(&Authentication { start_again: true, ..Authentication::default() }).is_err());
    peer.authenticate(&Authentication { data: Bytes::from_static(b"2"), ..Authentication::default() })
        .unwrap();
    assert_eq!(sent(&mut peer), ["auth"]);
    feed(&mut peer, &connack(false, Properties::EMPTY));
    assert!(peer.is_up());
}

/// Says `first`, answers `question` with `answer` and believes who says `proof`.
struct Sworn {
    begun: u8,
}

impl Authenticator for Sworn {
    fn method(&self) -> &str {
        "M"
    }
    fn begin(&mut self) -> Bytes {
        self.begun += 1;
        vec![b'0' + self.begun].into()
    }
    fn answer(&mut self, data: &[u8]) -> Option<Bytes> {
        (data == b"question").then(|| Bytes::from_static(b"answer"))
    }
    fn is_proved(&mut self, data: &[u8]) -> bool {
        data == b"proof"
    }
}

/// What the server says with AUTH.
fn say(peer: &mut Peer, reason: ReasonCode, data: &[u8]) {
    let mut properties = PropertiesBuffer::new();
    properties.push_str(Property::AuthenticationMethod, "M");
    properties.push_bytes(Property::AuthenticationData, data);
    feed(peer, &Packet::Auth(ringmq_wire::Auth { reason, properties: properties.as_properties() }));
}

fn accept(peer: &mut Peer, data: &[u8]) {
    let mut properties = PropertiesBuffer::new();
    properties.push_str(Property::AuthenticationMethod, "M");
    if !data.is_empty() {
        properties.push_bytes(Property::AuthenticationData, data);
    }
    feed(peer, &connack(false, properties.as_properties()));
}

fn sworn() -> Peer {
    let mut peer = Peer::new(options(Version::V5)).unwrap();
    peer.set_authenticator(Box::new(Sworn { begun: 0 }));
    peer.publish(message("waiting", Qos::AtLeastOnce)).unwrap();
    peer
}

#[test]
fn an_authenticator_answers_and_believes_only_who_proves() {
    const GO_ON: ReasonCode = ReasonCode::CONTINUE_AUTHENTICATION;
    let unproved = |peer: &mut Peer| {
        let disconnected = events(peer).into_iter().any(|event| {
            let Event::Disconnected(cause) = event else { return false };
            matches!(*cause, DisconnectCause::Violation(PeerViolation::ServerUnproved))
        });
        (disconnected, sent(peer))
    };
    let mut peer = sworn();
    // Each connection, and the new authentication on the first of them, begins with data of its own.
    for round in [1, 3] {
        peer.connect(NOW);
        assert_eq!(sent(&mut peer).len(), 1, "CONNECT alone");
        let (method, data) = peer.options().authentication.clone().unwrap();
        assert_eq!(
            (&*method, &data[..]),
            ("M", format!("{round}").as_bytes()),
            "each connection has its own"
        );
        say(&mut peer, GO_ON, b"question");
        assert_eq!(sent(&mut peer), ["auth"]);
        assert!(events(&mut peer).is_empty(), "nobody else is asked");
        accept(&mut peer, b"proof");
        assert!(peer.is_up() && !sent(&mut peer).is_empty());
        peer.authenticate(&Authentication { start_again: true, ..Authentication::default() }).unwrap();
        assert_eq!(sent(&mut peer), ["auth"], "it begins anew by itself");
        say(&mut peer, GO_ON, b"question");
        assert_eq!(sent(&mut peer), ["auth"]);
        say(&mut peer, ReasonCode::SUCCESS, b"proof");
        assert!(peer.is_up());
        say(&mut peer, ReasonCode::SUCCESS, b"lie");
        assert!(unproved(&mut peer).0 && !peer.is_up());
        peer.transport_closed();
    }
    for (question, proof) in [(&b"riddle"[..], &b""[..]), (b"question", b"lie"), (b"question", b"")] {
        let mut peer = sworn();
        peer.connect(NOW);
        sent(&mut peer);
        say(&mut peer, GO_ON, question);
        if question == b"question" {
            sent(&mut peer);
            accept(&mut peer, proof);
        }
        let (is_unproved, words) = unproved(&mut peer);
        assert!(is_unproved && !peer.is_up());
        assert!(words.iter().all(|word| word.starts_with("disconnect")), "no message for a liar: {words:?}");
    }
}

/// Any bytes from the server, at any time: never a panic, and a closed machine stays closed.
#[test]
fn arbitrary_bytes_never_panic() {
    let mut seed = 3_u32;
    let mut next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as u8
    };
    for round in 0..3000 {
        let version = [Version::V31, Version::V311, Version::V5][round % 3];
        let mut peer = up(version);
        peer.publish(message("a", Qos::AtLeastOnce)).unwrap();
        peer.publish(message("b", Qos::ExactlyOnce)).unwrap();
        for _ in 0..20 {
            let kind = [0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0];
            let mut bytes = vec![kind[usize::from(next()) % kind.len()], next() % 12];
            bytes.extend((0..bytes[1]).map(|_| next() % 4));
            peer.handle(NOW, &bytes);
        }
        peer.transport_closed();
        assert!(!peer.is_up());
    }
}
