//! What the standard asks of a client, clause by clause, of the client's machine against scripted bytes. The
//! bytes of the server are written out, so that no encoder of ours stands between.

use bytes::Bytes;
use ringmq_proto::peer::{
    Acknowledge, Authentication, DisconnectCause, Event, Goodbye, Options, Outgoing, Peer, PeerWill,
    SubscribeRequest,
};
use ringmq_proto::time::Mono;
use ringmq_wire::{
    Packet, PacketId, PropertiesBuffer, Property, Qos, ReasonCode, Sender, SubscriptionOptions, Version,
    decode, frame,
};

const NOW: Mono = Mono(1000);
const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn options(version: Version) -> Options {
    Options { version, client_id: "c".to_owned(), ..Options::default() }
}

/// A CONNACK of success, with properties in 5.0.
fn connack(version: Version, present: bool, properties: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x20, 2, u8::from(present), 0];
    if version == Version::V5 {
        bytes[1] += 1 + u8::try_from(properties.len()).unwrap();
        bytes.push(u8::try_from(properties.len()).unwrap());
        bytes.extend_from_slice(properties);
    }
    bytes
}

/// A machine that is connected; its CONNECT is used up.
fn up(options: Options, properties: &[u8]) -> Peer {
    let version = options.version;
    let mut peer = Peer::new(options).unwrap();
    peer.connect(NOW);
    assert_eq!(said(&mut peer), ["CONNECT"]);
    peer.handle(NOW, &connack(version, false, properties));
    assert!(peer.is_up());
    peer
}

/// The connection breaks and a new one finds its session.
fn resume(peer: &mut Peer, properties: &[u8]) {
    let version = peer.options().version;
    peer.transport_closed();
    peer.connect(NOW);
    assert_eq!(said(peer), ["CONNECT"]);
    peer.handle(NOW, &connack(version, version != Version::V31, properties));
}

/// What the machine wrote since the last time: each packet in a word or two.
fn said(peer: &mut Peer) -> Vec<String> {
    let version = peer.options().version;
    let mut words = Vec::new();
    while !peer.output().is_empty() {
        let bytes = peer.output().to_vec();
        peer.output_taken(NOW, bytes.len());
        let mut rest = &bytes[..];
        while let Some(frame) = frame::split(rest, u32::MAX).expect("the client writes packets") {
            words.push(word(&decode(version, Sender::Client, &frame).expect("good packets")));
            rest = &rest[frame.bytes..];
        }
        assert!(rest.is_empty(), "whole packets");
    }
    words
}

fn word(packet: &Packet<'_>) -> String {
    let kind = packet.kind().name();
    match packet {
        Packet::Publish(publish) => {
            let id = publish.packet_id.map_or(0, PacketId::value);
            let dup = if publish.dup { " DUP" } else { "" };
            let alias = publish.properties.u16(Property::TopicAlias);
            let alias = alias.map_or_else(String::new, |alias| format!(" alias {alias}"));
            format!("{kind} {id} {}{dup}{alias}", String::from_utf8_lossy(publish.payload))
        }
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            format!("{kind} {} {:02x}", ack.packet_id.value(), ack.reason.value())
        }
        Packet::Subscribe(packet) => format!("{kind} {}", packet.packet_id.value()),
        Packet::Unsubscribe(packet) => format!("{kind} {}", packet.packet_id.value()),
        Packet::Disconnect(packet) => format!("{kind} {:02x}", packet.reason.value()),
        Packet::Auth(packet) => {
            let method = packet.properties.str(Property::AuthenticationMethod).unwrap_or("none");
            format!("{kind} {:02x} {method}", packet.reason.value())
        }
        _ => kind.to_owned(),
    }
}

fn message(payload: &str, qos: Qos) -> Outgoing {
    let (topic, payload) = ("out/topic".to_owned(), Bytes::copy_from_slice(payload.as_bytes()));
    Outgoing { topic, payload, qos, ..Outgoing::default() }
}

fn ended(peer: &mut Peer) -> Option<DisconnectCause> {
    let events = std::iter::from_fn(|| peer.next_event());
    events.filter_map(|event| if let Event::Disconnected(cause) = event { Some(*cause) } else { None }).last()
}

/// Identifiers are not zero and not in use, up to the last one [MQTT-2.2.1-3] [MQTT-4.3.2-1] [MQTT-4.3.3-1], in
/// 3.1.1 [MQTT-2.3.1-1 of 3.1.1] [MQTT-2.3.1-2 of 3.1.1]; with all in use nothing is sent until one is free.
/// Clauses: [MQTT-4.3.2-1 of 3.1.1].
#[test]
fn packet_identifiers_are_free_ones() {
    for version in VERSIONS {
        let mut peer =
            up(Options { in_flight_max: Some(65_535), queue_messages_max: 70_000, ..options(version) }, &[]);
        let mut used = std::collections::BTreeSet::new();
        for number in 0..65_535_u32 {
            let qos = if number % 2 == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
            peer.publish(message("x", qos)).unwrap();
            let words = said(&mut peer);
            let [word] = &words[..] else { panic!("{words:?}") };
            let id: u16 = word.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(id != 0 && used.insert(id), "{word}");
        }
        peer.publish(message("waits", Qos::AtLeastOnce)).unwrap();
        assert!(said(&mut peer).is_empty());
        peer.handle(NOW, &[0x40, 2, 0, 1]);
        assert_eq!(said(&mut peer), ["PUBLISH 1 waits"]);
    }
}

/// The first PUBLISH has no DUP [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-4.3.1-1], the same one again has it
/// [MQTT-3.3.1-1] and its identifier [MQTT-2.3.1-3 of 3.1.1], QoS 0 never [MQTT-3.3.1-2] nor an identifier
/// [MQTT-2.2.1-2]; what is sent again is what has no answer, in its order [MQTT-4.4.0-1] [MQTT-4.6.0-1].
/// Clauses: [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-2.3.1-5 of 3.1.1] [MQTT-3.3.1-1 of 3.1.1]
/// [MQTT-4.3.1-1 of 3.1.1] [MQTT-4.3.2-1 of 3.1.1] [MQTT-4.3.3-1 of 3.1.1] [MQTT-4.4.0-1 of 3.1.1]
/// [MQTT-4.6.0-1 of 3.1.1].
/// Clauses: [MQTT-3.1.2-23].
#[test]
fn sends_again_what_has_no_answer() {
    for version in VERSIONS {
        let mut peer = up(Options { clean_start: false, ..options(version) }, &[]);
        for (payload, qos) in [
            ("a", Qos::ExactlyOnce),
            ("b", Qos::AtLeastOnce),
            ("c", Qos::AtMostOnce),
            ("d", Qos::AtLeastOnce),
        ] {
            peer.publish(message(payload, qos)).unwrap();
        }
        assert_eq!(said(&mut peer), ["PUBLISH 1 a", "PUBLISH 2 b", "PUBLISH 0 c", "PUBLISH 3 d"]);
        for _ in 0..3 {
            resume(&mut peer, &[]);
            assert_eq!(said(&mut peer), ["PUBLISH 1 a DUP", "PUBLISH 2 b DUP", "PUBLISH 3 d DUP"]);
        }
        peer.handle(NOW, &[0x40, 2, 0, 2]);
        resume(&mut peer, &[]);
        assert_eq!(said(&mut peer), ["PUBLISH 1 a DUP", "PUBLISH 3 d DUP"]);
    }
}

/// After PUBREC only PUBREL [MQTT-4.3.3-4] until PUBCOMP [MQTT-4.3.3-5], with the identifier of the PUBLISH
/// [MQTT-2.2.1-5]; the PUBLISH is not sent again [MQTT-4.3.3-6].
/// Clauses: [MQTT-2.3.1-3 of 3.1.1] [MQTT-2.3.1-6 of 3.1.1] [MQTT-4.3.3-1 of 3.1.1].
#[test]
fn releases_until_pubcomp() {
    for version in VERSIONS {
        let mut peer = up(Options { clean_start: false, ..options(version) }, &[]);
        peer.publish(message("a", Qos::ExactlyOnce)).unwrap();
        assert_eq!(said(&mut peer), ["PUBLISH 1 a"]);
        peer.handle(NOW, &[0x50, 2, 0, 1]);
        assert_eq!(said(&mut peer), ["PUBREL 1 00"]);
        for _ in 0..3 {
            resume(&mut peer, &[]);
            assert_eq!(said(&mut peer), ["PUBREL 1 00"]);
        }
        peer.handle(NOW, &[0x50, 2, 0, 1]);
        assert_eq!(said(&mut peer), ["PUBREL 1 00"], "a PUBREC that comes again");
        peer.handle(NOW, &[0x70, 2, 0, 1]);
        resume(&mut peer, &[]);
        assert!(said(&mut peer).is_empty());
        assert_eq!(peer.unfinished(), 0);
    }
}

/// PUBRELs leave in the order of the PUBRECs [MQTT-4.6.0-4], also on a new connection.
/// Clauses: [MQTT-4.6.0-4 of 3.1.1].
#[test]
fn releases_in_the_order_of_pubrecs() {
    for version in VERSIONS {
        let mut peer = up(Options { clean_start: false, ..options(version) }, &[]);
        for payload in ["a", "b", "c"] {
            peer.publish(message(payload, Qos::ExactlyOnce)).unwrap();
        }
        said(&mut peer);
        for id in [2, 3, 1] {
            peer.handle(NOW, &[0x50, 2, 0, id]);
        }
        assert_eq!(said(&mut peer), ["PUBREL 2 00", "PUBREL 3 00", "PUBREL 1 00"]);
    }
}

/// A PUBACK or PUBREC with an error ends the exchange: nothing is sent again [MQTT-4.4.0-2].
#[test]
fn a_refused_message_is_not_repeated() {
    let mut peer = up(options(Version::V5), &[]);
    peer.publish(message("a", Qos::AtLeastOnce)).unwrap();
    peer.publish(message("b", Qos::ExactlyOnce)).unwrap();
    said(&mut peer);
    peer.handle(NOW, &[0x40, 3, 0, 1, 0x97]);
    peer.handle(NOW, &[0x50, 3, 0, 2, 0x97]);
    resume(&mut peer, &[]);
    assert!(said(&mut peer).is_empty());
}

/// Every message is acknowledged by the rules of its QoS [MQTT-4.5.0-2] [MQTT-3.3.4-1] under its identifier
/// [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11], in the order in which they came [MQTT-4.6.0-2]
/// [MQTT-4.6.0-3]. What has been acknowledged may come again as another [MQTT-4.3.2-5] [MQTT-4.3.3-12].
/// Clauses: [MQTT-3.3.4-1 of 3.1.1] [MQTT-4.3.2-2 of 3.1.1] [MQTT-4.5.0-2 of 3.1.1] [MQTT-4.6.0-2 of 3.1.1]
/// [MQTT-4.6.0-3 of 3.1.1].
#[test]
fn acknowledges_every_message() {
    for version in VERSIONS {
        let mut peer = up(options(version), &[]);
        let end: &[u8] = if version == Version::V5 { &[0, b'x'] } else { b"x" };
        let mut publish = |first: u8, id: Option<u8>| {
            let mut body = vec![0, 1, b't'];
            body.extend(id.into_iter().flat_map(|id| [0, id]));
            body.extend_from_slice(end);
            peer.handle(NOW, &[&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat());
        };
        publish(0x32, Some(9));
        publish(0x34, Some(3));
        publish(0x30, None);
        publish(0x32, Some(4));
        publish(0x3A, Some(9));
        peer.handle(NOW, &[0x62, 2, 0, 3]);
        let words = said(&mut peer);
        assert_eq!(words, ["PUBACK 9 00", "PUBREC 3 00", "PUBACK 4 00", "PUBACK 9 00", "PUBCOMP 3 00"]);
        let messages = std::iter::from_fn(|| peer.next_event());
        assert_eq!(messages.filter(|event| matches!(event, Event::Message(_))).count(), 5);
    }
}

/// A code that may not stand in PUBACK or PUBREC is not sent [MQTT-3.4.2-1] [MQTT-3.5.2-1]: what an
/// application says with it is an error all the same.
#[test]
fn answers_have_codes_of_their_kind() {
    for (qos, kind) in [(1, "PUBACK"), (2, "PUBREC")] {
        for (asked, sent) in
            [(0x00, 0x00), (0x10, 0x10), (0x97, 0x97), (0x89, 0x80), (0x92, 0x80), (0x8E, 0x80), (0x04, 0x00)]
        {
            let by_application = Acknowledge::ByApplication;
            let mut peer = up(Options { acknowledge: by_application, ..options(Version::V5) }, &[]);
            peer.handle(NOW, &[0x30 | qos << 1, 6, 0, 1, b't', 0, 1, 0]);
            let token = std::iter::from_fn(|| peer.next_event()).find_map(|event| match event {
                Event::Message(message) => message.ack,
                _ => None,
            });
            assert!(peer.acknowledge(token.unwrap(), ReasonCode::from_u8(asked).unwrap()));
            assert_eq!(said(&mut peer), [format!("{kind} 1 {sent:02x}")], "{asked:02x}");
        }
    }
}

/// Never more unfinished QoS 1 and 2 messages than the server takes [MQTT-3.3.4-7] [MQTT-4.9.0-1]
/// [MQTT-4.9.0-2], and everything else goes on meanwhile [MQTT-3.3.4-8] [MQTT-4.9.0-3].
/// Clauses: [MQTT-4.1.0-1].
#[test]
fn a_full_window_holds_only_publishes() {
    let mut peer = up(options(Version::V5), &[0x21, 0, 1]);
    for payload in ["a", "b"] {
        peer.publish(message(payload, Qos::ExactlyOnce)).unwrap();
    }
    assert_eq!(said(&mut peer), ["PUBLISH 1 a"]);
    let filters = vec![("f".to_owned(), SubscriptionOptions::default())];
    peer.subscribe(SubscribeRequest { filters, ..SubscribeRequest::default() }).unwrap();
    peer.handle(NOW, &[0x32, 6, 0, 1, b't', 0, 7, 0]);
    peer.handle(NOW, &[0x62, 2, 0, 8]);
    peer.handle_timeout(Mono(NOW.0 + 60_000));
    assert_eq!(said(&mut peer), ["SUBSCRIBE 2", "PUBACK 7 00", "PUBCOMP 8 92", "PINGREQ"]);
    peer.handle(NOW, &[0x50, 2, 0, 1]);
    assert_eq!(said(&mut peer), ["PUBREL 1 00"]);
    peer.handle(NOW, &[0x70, 2, 0, 1]);
    assert_eq!(said(&mut peer), ["PUBLISH 3 b"]);
}

/// Aliases from 1 to the server's maximum and no others [MQTT-3.2.2-17] [MQTT-3.3.2-9] [MQTT-3.3.2-8], none
/// where it names no maximum [MQTT-3.2.2-18].
#[test]
fn aliases_stay_below_the_servers_maximum() {
    for maximum in [0_u8, 1, 3] {
        let properties: &[u8] = if maximum == 0 { &[] } else { &[0x22, 0, maximum] };
        let mut peer = up(options(Version::V5), properties);
        let mut used = std::collections::BTreeSet::new();
        for number in 0..60 {
            let topic = format!("long/topic/{}", number % 5);
            peer.publish(Outgoing { topic, ..message("x", Qos::AtMostOnce) }).unwrap();
            let words = said(&mut peer);
            used.extend(words[0].split_once("alias ").map(|(_, alias)| alias.parse::<u8>().unwrap()));
        }
        assert!(used.iter().all(|alias| (1..=maximum).contains(alias)), "{used:?} for {maximum}");
        assert_eq!(used.is_empty(), maximum == 0);
    }
}

/// Every alias up to the client's maximum is taken [MQTT-3.3.2-10]; the one above is not.
#[test]
fn takes_every_alias_it_allows() {
    let mut peer = up(Options { topic_alias_max: 300, ..options(Version::V5) }, &[]);
    for alias in 1..=300_u16 {
        let [high, low] = alias.to_be_bytes();
        peer.handle(NOW, &[0x30, 7, 0, 1, b't', 3, 0x23, high, low]);
        peer.handle(NOW, &[0x30, 6, 0, 0, 3, 0x23, high, low]);
    }
    assert!(peer.is_up() && said(&mut peer).is_empty());
    peer.handle(NOW, &[0x30, 7, 0, 1, b't', 3, 0x23, 1, 45]);
    assert_eq!(said(&mut peer), ["DISCONNECT 94"]);
}

/// Before CONNACK nothing but CONNECT, AUTH and DISCONNECT goes out [MQTT-3.1.2-30], and the AUTH of an
/// exchange says 0x18 [MQTT-4.12.0-3] and the method of CONNECT [MQTT-4.12.0-5]; an AUTH that begins anew says
/// 0x19 [MQTT-4.12.1-1] [MQTT-3.15.2-1].
#[test]
fn authentication_has_its_packets() {
    let authentication = Some(("M".to_owned(), Bytes::from_static(b"1")));
    let mut peer = Peer::new(Options { authentication, ..options(Version::V5) }).unwrap();
    peer.publish(message("early", Qos::AtMostOnce)).unwrap();
    peer.connect(NOW);
    let filters = vec![("f".to_owned(), SubscriptionOptions::default())];
    peer.subscribe(SubscribeRequest { filters, ..SubscribeRequest::default() }).unwrap();
    assert_eq!(said(&mut peer), ["CONNECT"]);
    let step = |start_again| Authentication { data: Bytes::from_static(b"2"), start_again };
    assert!(peer.authenticate(&step(true)).is_err(), "not before CONNACK");
    peer.handle(NOW, &[0xF0, 6, 0x18, 4, 0x15, 0, 1, b'M']);
    peer.authenticate(&step(false)).unwrap();
    assert_eq!(said(&mut peer), ["AUTH 18 M"]);
    peer.handle(NOW, &connack(Version::V5, false, &[0x15, 0, 1, b'M']));
    assert_eq!(said(&mut peer), ["SUBSCRIBE 1", "PUBLISH 0 early"]);
    peer.authenticate(&step(true)).unwrap();
    assert_eq!(said(&mut peer), ["AUTH 19 M"]);
}

/// Without a method in CONNECT the client sends no AUTH [MQTT-4.12.0-7].
#[test]
fn no_auth_without_a_method() {
    let mut peer = up(options(Version::V5), &[]);
    for start_again in [false, true] {
        assert!(peer.authenticate(&Authentication { start_again, ..Authentication::default() }).is_err());
    }
    assert!(said(&mut peer).is_empty());
}

/// Nothing that the application says goes out in a packet larger than the server takes [MQTT-3.2.2-15]: what
/// only explains is left out of DISCONNECT [MQTT-3.14.2-3] [MQTT-3.14.2-4], and AUTH is an error.
#[test]
fn goodbyes_fit_the_server() {
    let long = || "x".repeat(100);
    let goodbye = Goodbye {
        reason_string: Some(long()),
        user_properties: vec![("k".to_owned(), long())],
        session_expiry_seconds: Some(7),
        ..Goodbye::default()
    };
    for (bytes_max, expected) in [(20, 9), (255, 220)] {
        let options = Options { session_expiry_seconds: 60, ..options(Version::V5) };
        let mut peer = up(options, &[0x27, 0, 0, 0, bytes_max]);
        peer.disconnect(&goodbye).unwrap();
        assert_eq!(peer.output().len(), expected);
        assert_eq!(said(&mut peer), ["DISCONNECT 00"]);
    }
    let authentication = Some(("M".to_owned(), Bytes::new()));
    let mut peer = up(Options { authentication, ..options(Version::V5) }, &[0x27, 0, 0, 0, 20]);
    let step = Authentication { data: Bytes::from(long()), start_again: true };
    assert!(peer.authenticate(&step).is_err());
    assert!(said(&mut peer).is_empty());
}

/// After DISCONNECT nothing goes out [MQTT-3.14.4-1], and the connection is to be closed [MQTT-3.14.4-2].
/// Clauses: [MQTT-3.14.4-1 of 3.1.1] [MQTT-3.14.4-2 of 3.1.1].
#[test]
fn disconnect_is_the_last_packet() {
    for version in VERSIONS {
        let mut peer = up(options(version), &[]);
        peer.publish(message("a", Qos::AtLeastOnce)).unwrap();
        peer.disconnect(&Goodbye::default()).unwrap();
        peer.publish(message("late", Qos::AtLeastOnce)).unwrap();
        peer.handle(NOW, &[0x40, 2, 0, 1]);
        assert_eq!(said(&mut peer), ["PUBLISH 1 a", "DISCONNECT 00"]);
        assert!(peer.is_closing());
    }
}

/// A refused connection is closed [MQTT-3.2.2-7] [MQTT-4.13.2-1], as is one that the server ends.
#[test]
fn a_refusal_closes() {
    let mut peer = Peer::new(options(Version::V5)).unwrap();
    peer.connect(NOW);
    said(&mut peer);
    peer.handle(NOW, &[0x20, 3, 0, 0x87, 0]);
    assert!(peer.is_closing() && said(&mut peer).is_empty());
    assert!(matches!(ended(&mut peer), Some(DisconnectCause::Refused { .. })));
    let mut peer = up(options(Version::V5), &[]);
    peer.handle(NOW, &[0xE0, 1, 0x8B]);
    assert!(peer.is_closing() && said(&mut peer).is_empty());
    assert!(matches!(ended(&mut peer), Some(DisconnectCause::ByServer { .. })));
}

/// A session that the server does not have is given up here as well [MQTT-3.2.2-5]; one that it says it has
/// although the client asked for none is an error [MQTT-3.2.2-4].
#[test]
fn both_sides_have_the_session_or_none() {
    let mut peer = up(Options { session_expiry_seconds: 60, republish: false, ..options(Version::V5) }, &[]);
    peer.publish(message("a", Qos::ExactlyOnce)).unwrap();
    said(&mut peer);
    peer.transport_closed();
    peer.connect(NOW);
    said(&mut peer);
    peer.handle(NOW, &connack(Version::V5, false, &[]));
    assert!(said(&mut peer).is_empty());
    assert_eq!(peer.unfinished(), 0);
    let mut peer = Peer::new(options(Version::V5)).unwrap();
    peer.connect(NOW);
    said(&mut peer);
    peer.handle(NOW, &connack(Version::V5, true, &[]));
    assert!(peer.is_closing() && matches!(ended(&mut peer), Some(DisconnectCause::Violation(_))));
}

/// In silence the client pings within the keep alive [MQTT-3.1.2-20] [MQTT-3.1.2-23 of 3.1.1], which the server
/// may set [MQTT-3.2.2-21] [MQTT-3.1.2-21].
#[test]
fn pings_within_the_keep_alive() {
    for (version, properties, seconds) in [
        (Version::V31, &[][..], 60),
        (Version::V311, &[], 60),
        (Version::V5, &[], 60),
        (Version::V5, &[0x13, 0, 7], 7),
    ] {
        let mut peer = up(options(version), properties);
        assert!(peer.deadline().unwrap() <= Mono(NOW.0 + seconds * 1000));
        peer.handle_timeout(Mono(NOW.0 + seconds * 1000));
        assert_eq!(said(&mut peer), ["PINGREQ"]);
    }
}

/// The options of a CONNECT that no version allows are refused before anything is sent: a will to wildcards,
/// a password without a user in 3.1.1 [MQTT-3.1.2-22 of 3.1.1], an empty ClientID without clean session
/// [MQTT-3.1.3-7 of 3.1.1].
#[test]
fn connect_is_what_its_version_allows() {
    let will = |topic: &str| Some(PeerWill { topic: topic.to_owned(), ..PeerWill::default() });
    let password = Some(Bytes::from_static(b"p"));
    let empty = Options { client_id: String::new(), clean_start: false, ..options(Version::V311) };
    for version in VERSIONS {
        assert!(Peer::new(Options { will: will("w/#"), ..options(version) }).is_err());
        assert!(Peer::new(Options { will: will(""), ..options(version) }).is_err());
        assert!(Peer::new(Options { will: will("w"), ..options(version) }).is_ok());
    }
    assert!(Peer::new(Options { password: password.clone(), ..options(Version::V311) }).is_err());
    assert!(Peer::new(Options { password, ..options(Version::V5) }).is_ok());
    assert!(Peer::new(empty.clone()).is_err());
    assert!(Peer::new(Options { clean_start: true, ..empty }).is_ok());
}

/// Properties that the client sets by itself, or only a server may set [MQTT-3.3.4-6], cannot be given.
#[test]
fn reserved_properties_are_errors_of_the_caller() {
    let mut peer = up(options(Version::V5), &[0x22, 0, 9]);
    for property in [Property::SubscriptionIdentifier, Property::TopicAlias] {
        let mut properties = PropertiesBuffer::new();
        match property {
            Property::TopicAlias => properties.push_u16(property, 1),
            _ => properties.push_variable(property, 1),
        }
        assert!(peer.publish(Outgoing { properties, ..message("x", Qos::AtMostOnce) }).is_err());
    }
    assert!(said(&mut peer).is_empty());
}

/// A QoS 2 message that the client refused with its PUBREC is a new one when its identifier comes again
/// [MQTT-4.3.3-9].
#[test]
fn a_refused_qos_2_message_may_come_again() {
    let by_application = Acknowledge::ByApplication;
    let mut peer = up(Options { acknowledge: by_application, ..options(Version::V5) }, &[]);
    for reason in [ReasonCode::QUOTA_EXCEEDED, ReasonCode::SUCCESS] {
        peer.handle(NOW, &[0x34, 6, 0, 1, b't', 0, 1, 0]);
        let token = std::iter::from_fn(|| peer.next_event()).find_map(|event| match event {
            Event::Message(message) => message.ack,
            _ => None,
        });
        assert!(peer.acknowledge(token.expect("it is handed out"), reason));
        assert_eq!(said(&mut peer), [format!("PUBREC 1 {:02x}", reason.value())]);
    }
}

/// SUBACK and UNSUBACK have one code for each filter [MQTT-3.8.4-6] [MQTT-3.11.3-1], no less and no more.
#[test]
fn suback_has_a_code_for_each_filter() {
    for codes in [1_u8, 2, 3] {
        let mut peer = up(options(Version::V5), &[]);
        let filters = ["a", "b"].map(|filter| (filter.to_owned(), SubscriptionOptions::default()));
        peer.subscribe(SubscribeRequest { filters: filters.to_vec(), ..SubscribeRequest::default() })
            .unwrap();
        assert_eq!(said(&mut peer), ["SUBSCRIBE 1"]);
        let mut suback = vec![0x90, 3 + codes, 0, 1, 0];
        suback.extend(std::iter::repeat_n(0, usize::from(codes)));
        peer.handle(NOW, &suback);
        let expected: &[&str] = if codes == 2 { &[] } else { &["DISCONNECT 82"] };
        assert_eq!(said(&mut peer), expected, "{codes} codes for 2 filters");
    }
}
