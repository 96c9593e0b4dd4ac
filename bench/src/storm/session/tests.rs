//! What a session says to packets of a broker, right ones and wrong ones.

use std::rc::Rc;

use ringmq_wire::{Sender, decode, frame};

use super::*;

fn session(version: Version, kept: bool, receive_maximum: u16, acknowledges_late: bool) -> Session {
    Session::new(Identity {
        client_id: "one".into(),
        version,
        kept,
        receive_maximum,
        acknowledges_late,
        filters: Vec::new(),
        credentials: None,
    })
}

fn parcel(sequence: u64) -> Parcel {
    Parcel { run_id: 1, stream: 2, sequence, due_nanos: 0, bytes: 40 }
}

fn outgoing(qos: Qos, sequence: u64) -> Outgoing {
    Outgoing { topic: Rc::from("t"), qos, retain: false, parcel: parcel(sequence) }
}

/// Hands the session a packet; what it heard, and the packets it wrote.
fn hear(session: &mut Session, packet: &Packet<'_>) -> (Vec<Heard>, Vec<String>) {
    let (mut out, mut heard) = (Vec::new(), Vec::new());
    session.receive(packet, &mut out, &mut |what| heard.push(what));
    (heard, written(session.identity.version, &out))
}

fn written(version: Version, mut bytes: &[u8]) -> Vec<String> {
    let mut packets = Vec::new();
    while let Some(frame) = frame::split(bytes, u32::MAX).unwrap() {
        packets.push(match decode(version, Sender::Client, &frame).unwrap() {
            Packet::Publish(p) => {
                format!("PUBLISH {} {}", Parcel::of(p.payload).unwrap().sequence, u8::from(p.dup))
            }
            Packet::Pubrel(ack) => format!("PUBREL {}", ack.packet_id.value()),
            other => other.kind().name().to_owned(),
        });
        bytes = &bytes[frame.bytes..];
    }
    packets
}

fn connack(session_present: bool) -> Packet<'static> {
    Packet::Connack(Connack { session_present, reason: ReasonCode::SUCCESS, properties: Properties::EMPTY })
}

fn ack(id: u16) -> Ack<'static> {
    Ack::success(PacketId::new(id).unwrap())
}

fn publish(payload: &[u8], qos: Qos, id: u16, dup: bool) -> Packet<'_> {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: false,
        topic: TopicName::new("t").unwrap(),
        packet_id: PacketId::new(id).filter(|_| qos != Qos::AtMostOnce),
        properties: Properties::EMPTY,
        payload,
    })
}

/// Whether something in it is a fault with these words.
fn is_fault(heard: &[Heard], words: &str) -> bool {
    heard.iter().any(|what| matches!(what, Heard::Fault(text) if text.contains(words)))
}

#[test]
fn what_was_unfinished_is_sent_again_in_its_order() {
    let mut session = session(Version::V311, true, u16::MAX, false);
    hear(&mut session, &connack(false));
    let mut out = Vec::new();
    for (sequence, qos) in [Qos::AtLeastOnce, Qos::ExactlyOnce, Qos::ExactlyOnce].into_iter().enumerate() {
        session.publish(outgoing(qos, sequence as u64), &mut out);
    }
    let (_, wrote) = hear(&mut session, &Packet::Pubrec(ack(2)));
    assert_eq!(wrote, ["PUBREL 2"]);
    session.disconnected();
    let (_, wrote) = hear(&mut session, &connack(true));
    assert_eq!(wrote, ["PUBLISH 0 1", "PUBREL 2", "PUBLISH 2 1"]);
    for packet in
        [Packet::Pubcomp(ack(2)), Packet::Puback(ack(1)), Packet::Pubrec(ack(3)), Packet::Pubcomp(ack(3))]
    {
        assert!(!is_fault(&hear(&mut session, &packet).0, ""));
    }
    assert_eq!(session.unfinished(), 0);
}

#[test]
fn acknowledgements_that_fit_nothing_are_faults() {
    let mut session = session(Version::V311, true, u16::MAX, false);
    hear(&mut session, &connack(false));
    session.publish(outgoing(Qos::ExactlyOnce, 0), &mut Vec::new());
    for packet in
        [Packet::Puback(ack(1)), Packet::Puback(ack(2)), Packet::Pubcomp(ack(1)), Packet::Pubrec(ack(2))]
    {
        assert!(is_fault(&hear(&mut session, &packet).0, "unknown"), "{packet:?}");
    }
    assert_eq!(session.unfinished(), 1);
}

#[test]
fn a_session_that_is_lost_or_kept_against_what_was_asked_is_a_fault() {
    for (kept, first, second, faults) in [
        (true, false, true, [false, false]),
        (true, false, false, [false, true]),
        (false, false, true, [false, true]),
        (false, true, false, [true, false]),
    ] {
        let mut session = session(Version::V5, kept, 10, false);
        let found =
            [first, second].map(|present| is_fault(&hear(&mut session, &connack(present)).0, "present"));
        assert_eq!(found, faults, "kept {kept}: {first} {second}");
    }
}

#[test]
fn a_qos_2_message_arrives_once_until_it_is_released() {
    let payload = parcel(7).to_payload();
    let mut session = session(Version::V311, true, u16::MAX, false);
    hear(&mut session, &connack(false));
    let (heard, wrote) = hear(&mut session, &publish(&payload, Qos::ExactlyOnce, 9, false));
    assert!(matches!(heard[..], [Heard::Arrived { .. }]) && wrote == ["PUBREC"]);
    assert!(is_fault(&hear(&mut session, &publish(&payload, Qos::ExactlyOnce, 9, false)).0, "before PUBREL"));
    session.disconnected();
    hear(&mut session, &connack(true));
    let (heard, wrote) = hear(&mut session, &publish(&payload, Qos::ExactlyOnce, 9, true));
    assert!(heard.is_empty() && wrote == ["PUBREC"]);
    assert_eq!(hear(&mut session, &Packet::Pubrel(ack(9))).1, ["PUBCOMP"]);
    let (heard, _) = hear(&mut session, &publish(&payload, Qos::ExactlyOnce, 9, false));
    assert!(matches!(heard[..], [Heard::Arrived { .. }]));
}

#[test]
fn more_than_the_receive_maximum_and_an_early_dup_are_faults() {
    let payload = parcel(0).to_payload();
    let mut session = session(Version::V5, true, 2, true);
    hear(&mut session, &connack(false));
    for id in 1..=2 {
        assert!(!is_fault(&hear(&mut session, &publish(&payload, Qos::AtLeastOnce, id, false)).0, ""));
    }
    assert!(is_fault(
        &hear(&mut session, &publish(&payload, Qos::AtLeastOnce, 3, false)).0,
        "receive maximum"
    ));
    session.settle(&mut Vec::new());
    assert!(!is_fault(&hear(&mut session, &publish(&payload, Qos::AtLeastOnce, 4, false)).0, ""));
    assert!(is_fault(&hear(&mut session, &publish(&payload, Qos::AtLeastOnce, 5, true)).0, "DUP"));
}
