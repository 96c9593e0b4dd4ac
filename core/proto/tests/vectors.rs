//! The client's machine is fed every packet of the testsuite's vectors that a server may not send: it answers
//! what stands there and ends the connection [MQTT-4.13.1-1].

#[path = "../../wire/tests/wire/vector_file.rs"]
mod vector_file;

use ringmq_proto::peer::{DisconnectCause, Event, Options, Peer, PeerViolation};
use ringmq_proto::time::Mono;
use ringmq_wire::{Packet, PacketKind, Sender, Version, decode, frame};
use vector_file::{Vector, Verdict, all};

const NOW: Mono = Mono(1000);

/// Clauses: [MQTT-4.8.0-1 of 3.1.1].
#[test]
fn a_servers_bad_packet_is_answered_and_ends_the_connection() {
    let vectors = all();
    let from_server = vectors.iter().filter(|vector| vector.sender == Sender::Server);
    let count = from_server.filter(|vector| check(vector)).count();
    assert!(count > 100, "only {count} vectors");
}

/// Whether it is a bad packet, which is then fed.
fn check(vector: &Vector) -> bool {
    let Verdict::Breaks { reason, .. } = &vector.verdict else { return false };
    let mut peer = peer(vector.version, vector.bytes[0] >> 4 == PacketKind::Connack.number());
    peer.handle(NOW, &vector.bytes);
    let mut words = said(&mut peer, vector.version);
    words.push("closed".to_owned());
    assert_eq!(Some(words.join(", ")), vector.answer, "{}", vector.name);
    let last = std::iter::from_fn(|| peer.next_event()).last();
    let Some(Event::Disconnected(cause)) = last else { panic!("{}: no end, {last:?}", vector.name) };
    let DisconnectCause::Violation(PeerViolation::Packet(violation)) = *cause else {
        panic!("{}: {cause:?}", vector.name)
    };
    assert_eq!(violation.reason().value(), *reason, "{}", vector.name);
    assert!(peer.is_closing(), "{}", vector.name);
    true
}

/// A machine that waits for CONNACK, or has one.
fn peer(version: Version, waits: bool) -> Peer {
    let options = Options { version, client_id: "c".to_owned(), ..Options::default() };
    let mut peer = Peer::new(options).expect("good options");
    peer.connect(NOW);
    assert_eq!(said(&mut peer, version), ["CONNECT"]);
    if !waits {
        let accepted: &[u8] = if version == Version::V5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
        peer.handle(NOW, accepted);
        assert!(peer.is_up());
    }
    peer
}

/// What the machine wrote, in the words of the vectors.
fn said(peer: &mut Peer, version: Version) -> Vec<String> {
    let bytes = peer.output().to_vec();
    peer.output_taken(NOW, bytes.len());
    let mut rest = &bytes[..];
    let mut words = Vec::new();
    while let Some(frame) = frame::split(rest, u32::MAX).expect("the client writes packets") {
        words.push(match decode(version, Sender::Client, &frame).expect("the client writes good packets") {
            Packet::Disconnect(packet) => format!("DISCONNECT 0x{:02X}", packet.reason.value()),
            packet => packet.kind().name().to_owned(),
        });
        rest = &rest[frame.bytes..];
    }
    assert!(rest.is_empty(), "whole packets");
    words
}
