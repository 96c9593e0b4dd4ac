//! Every fault in both directions, whatever the pieces in which bytes come and go, under every other layer.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use ringmq_wire::{Packet, Properties, PropertiesBuffer, Property, Sender, Version, decode, frame};

use super::*;
use crate::limits::{FAULT_HELD_BYTES_MAX, FAULT_PACKET_BYTES_MAX};
use crate::{Door, DoorOptions, Layer, Layers, WebSocketOptions};

/// A packet of this type and so many bytes behind its header; what it says does not matter here.
fn packet(kind: PacketKind, fill: u8, bytes: usize) -> Vec<u8> {
    let mut packet = vec![kind.number() << 4];
    let mut left = bytes;
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        packet.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    packet.resize(packet.len() + bytes, fill);
    packet
}

fn connect(version: Version, client_id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let connect = ringmq_wire::Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 0,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    };
    Packet::Connect(connect).encode(version, &mut bytes);
    bytes
}

fn rule(fault: Fault) -> FaultRule {
    FaultRule { client_id: None, packet: None, direction: None, times: None, fault }
}

/// One connection with faults, as a runtime drives it.
struct Line {
    layers: Layers,
    heard: Vec<u8>,
    sent: Vec<u8>,
    due: Option<u64>,
    broken: Option<&'static str>,
    now: u64,
}

impl Line {
    fn new(faults: &Arc<Faults>) -> Self {
        let options = DoorOptions { faults: Some(Arc::clone(faults)), ..DoorOptions::default() };
        let layers = Door::new(options).open(None);
        assert!(layers.is_established() && layers.has_faults());
        Self { layers, heard: Vec::new(), sent: Vec::new(), due: None, broken: None, now: 100 }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let heard = &mut self.heard;
        let opened = self.layers.open(&mut bytes.to_vec(), &mut |plain| heard.extend_from_slice(plain));
        self.broken = opened.err().map(|broken| broken.0);
        self.tend();
    }

    fn tend(&mut self) {
        let heard = &mut self.heard;
        let due = self.layers.pass_time(self.now, &mut |plain| heard.extend_from_slice(plain));
        self.due = due;
        let opened = self.layers.open(&mut [], &mut |_| {});
        self.broken = opened.err().map(|broken| broken.0);
    }

    /// Sends plaintext, of which the socket takes at most `room` bytes at a time; says how much is done with.
    fn send(&mut self, plain: &[u8], room: usize) {
        let mut done = 0;
        for _ in 0..1_000_000 {
            let left = &plain[done..];
            let (one, other) = left.split_at(left.len() / 2);
            let slices = [IoSlice::new(one), IoSlice::new(other)];
            let sealed = self.layers.seal(&slices);
            let bytes: Vec<u8> = sealed.pieces().flatten().copied().take(room).collect();
            self.sent.extend_from_slice(&bytes);
            done += self.layers.sent(bytes.len());
            if bytes.is_empty() {
                self.tend();
                if done == plain.len() && !self.layers.has_own_output() {
                    return;
                }
            }
        }
        panic!("{done} of {} bytes are done with", plain.len());
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        self.tend();
        self.send(&[], usize::MAX);
    }
}

#[test]
fn each_fault_does_what_it_says_in_both_directions() {
    use PacketKind::{Pingreq, Pingresp, Puback, Publish};
    let stream = [
        packet(Publish, 1, 3),
        packet(Puback, 2, 2),
        packet(Pingreq, 3, 0),
        packet(Publish, 4, 200),
        packet(Pingresp, 5, 0),
    ];
    let whole = stream.concat();
    let without = [&stream[1], &stream[2], &stream[4]].map(Vec::as_slice).concat();
    let twice = [0, 0, 1, 2, 3, 3, 4].map(|index: usize| stream[index].as_slice()).concat();
    for (fault, times, expected) in [
        (Fault::Drop, None, without),
        (Fault::Drop, Some(1), stream[1..].concat()),
        (Fault::Duplicate, None, twice),
        (Fault::Drop, Some(0), whole.clone()),
    ] {
        for piece in [1, 2, 7, usize::MAX] {
            let faults = Faults::new();
            let placed = faults.add(FaultRule { packet: Some(Publish), times, ..rule(fault) });
            let mut line = Line::new(&faults);
            whole.chunks(piece.min(whole.len())).for_each(|bytes| line.receive(bytes));
            assert_eq!(line.heard, expected, "{fault:?} in pieces of {piece}");
            assert_eq!(placed.hits(), times.unwrap_or(2));
            placed.remove();
            let placed = faults.add(FaultRule { packet: Some(Publish), times, ..rule(fault) });
            line.send(&whole, piece);
            assert_eq!(line.sent, expected, "{fault:?} in pieces of {piece}");
            faults.clear();
            line.sent.clear();
            line.send(&whole, piece);
            assert_eq!((line.sent, placed.hits()), (whole.clone(), times.unwrap_or(2)));
        }
    }
}

#[test]
fn what_is_late_holds_up_what_is_behind_it_and_nothing_else() {
    let faults = Faults::new();
    let late = packet(PacketKind::Publish, 1, 3);
    let behind = packet(PacketKind::Pingreq, 0, 0);
    let delay = Fault::Delay(Duration::from_millis(50));
    let placed = faults.add(FaultRule { packet: Some(PacketKind::Publish), times: Some(2), ..rule(delay) });
    let mut line = Line::new(&faults);
    line.receive(&[&behind[..], &late, &behind].concat());
    assert_eq!((&line.heard, line.due), (&behind, Some(151)));
    line.send(&late, usize::MAX);
    assert_eq!((&line.sent[..], line.due), (&b""[..], Some(151)));
    line.pass(49);
    line.send(&behind, usize::MAX);
    assert_eq!((&line.heard, &line.sent[..]), (&behind, &b""[..]));
    line.pass(2);
    assert_eq!(line.heard, [&behind[..], &late, &behind].concat());
    assert_eq!(line.sent, [&late[..], &behind].concat());
    assert_eq!((line.due, placed.hits()), (None, 2));
    line.receive(&late);
    assert_eq!(line.heard.len(), 2 * (late.len() + behind.len()), "no more than twice");
}

#[test]
fn a_reset_ends_it_whichever_way_the_packet_went() {
    let stream = [packet(PacketKind::Pingreq, 0, 0), packet(PacketKind::Publish, 1, 3)].concat();
    for outward in [false, true] {
        let faults = Faults::new();
        let _placed = faults.add(FaultRule { packet: Some(PacketKind::Publish), ..rule(Fault::Reset) });
        let mut line = Line::new(&faults);
        let passed = if outward {
            line.send(&[&stream[..], &stream].concat(), 3);
            &line.sent
        } else {
            line.receive(&stream);
            &line.heard
        };
        assert_eq!(passed[..], stream[..2]);
        assert!(line.broken.is_some() && line.layers.resets());
        line.receive(&stream);
        assert_eq!((line.heard.len(), line.broken.is_some()), (if outward { 0 } else { 2 }, true));
    }
}

#[test]
fn a_refusal_answers_connect_in_its_version() {
    for (version, code) in [(Version::V31, 3), (Version::V311, 3), (Version::V5, 0x88)] {
        let faults = Faults::new();
        let refuse = Fault::Refuse(ReasonCode::SERVER_UNAVAILABLE);
        let client_id = Some("victim".to_owned());
        let placed = faults.add(FaultRule { client_id, ..rule(refuse) });
        let mut other = Line::new(&faults);
        let bytes = [connect(version, "other"), packet(PacketKind::Publish, 1, 3)].concat();
        other.receive(&bytes);
        assert_eq!((other.heard, other.broken), (bytes, None));
        let mut line = Line::new(&faults);
        line.receive(&connect(version, "victim"));
        assert!(line.layers.has_own_output() && !line.layers.resets());
        line.send(&[], 1);
        assert_eq!((&line.heard[..], line.broken.is_some(), placed.hits()), (&b""[..], true, 1));
        let frame = frame::split(&line.sent, 100).unwrap().unwrap();
        assert_eq!(frame.first, 0x20);
        assert_eq!(frame.body[..2], [0, code]);
        assert!(decode(version, Sender::Server, &frame).is_ok());
    }
}

#[test]
fn a_client_is_known_by_the_id_it_was_given() {
    let faults = Faults::new();
    let client_id = Some("given".to_owned());
    let placed = faults.add(FaultRule { client_id, packet: Some(PacketKind::Publish), ..rule(Fault::Drop) });
    let mut line = Line::new(&faults);
    line.receive(&connect(Version::V5, ""));
    let mut properties = PropertiesBuffer::new();
    properties.push_str(Property::AssignedClientIdentifier, "given");
    let connack = ringmq_wire::Connack {
        session_present: false,
        reason: ReasonCode::SUCCESS,
        properties: properties.as_properties(),
    };
    let mut bytes = Vec::new();
    Packet::Connack(connack).encode(Version::V5, &mut bytes);
    line.send(&bytes, usize::MAX);
    line.receive(&packet(PacketKind::Publish, 1, 3));
    assert_eq!(placed.hits(), 1);
}

#[test]
fn large_packets_and_what_is_no_packet_pass() {
    let large = packet(PacketKind::Publish, 1, FAULT_PACKET_BYTES_MAX);
    let small = packet(PacketKind::Publish, 2, 3);
    let garbage = [&[0xff; 6][..], &small].concat();
    for (stream, expected) in [
        ([&large[..], &small].concat(), large.clone()),
        ([&large[..], &small, &large, &small].concat(), [&large[..], &large].concat()),
        (garbage.clone(), garbage),
    ] {
        for piece in [1_000, usize::MAX] {
            let faults = Faults::new();
            let _placed = faults.add(rule(Fault::Drop));
            let mut line = Line::new(&faults);
            stream.chunks(piece.min(stream.len())).for_each(|bytes| line.receive(bytes));
            assert!(line.heard == expected, "{} of {} bytes", line.heard.len(), expected.len());
        }
    }
}

#[test]
fn what_is_late_is_bounded() {
    let faults = Faults::new();
    let _placed = faults.add(rule(Fault::Delay(Duration::from_secs(3600))));
    let some = packet(PacketKind::Publish, 1, 100_000);
    let mut line = Line::new(&faults);
    for _ in 0..=FAULT_HELD_BYTES_MAX / some.len() {
        assert_eq!(line.broken, None);
        line.receive(&some);
    }
    assert!(line.broken.is_some());
    assert!(line.layers.held_bytes() < FAULT_HELD_BYTES_MAX + 2 * some.len());
    // On its way out it waits where it is.
    let mut line = Line::new(&faults);
    let mut taken = 0;
    for _ in 0..100 {
        line.layers.seal(&[IoSlice::new(&some)]);
        taken += line.layers.sent(0);
        line.tend();
        assert_eq!(line.broken, None);
    }
    assert!(taken <= FAULT_HELD_BYTES_MAX && taken + some.len() > FAULT_HELD_BYTES_MAX, "{taken}");
}

#[test]
fn websocket_is_below_the_faults() {
    let faults = Faults::new();
    let placed = faults.add(FaultRule { packet: Some(PacketKind::Pingresp), ..rule(Fault::Duplicate) });
    let door = Door::new(DoorOptions {
        websocket: Some(WebSocketOptions::default()),
        faults: Some(faults),
        ..DoorOptions::default()
    });
    let mut broker = crate::conversation::End::new(door.open(None));
    let request = crate::WebSocketRequest { host: "localhost".into(), path: "/mqtt".into() };
    let client = crate::ClientDoor { websocket: Some(request), ..Default::default() };
    let mut client = crate::conversation::End::new(client.open([7; 32]).unwrap());
    crate::conversation::converse(&mut broker, &mut client, &[5, 1, 300]);
    let (ping, pong) = (packet(PacketKind::Pingreq, 0, 0), packet(PacketKind::Pingresp, 0, 0));
    client.say(&ping);
    broker.say(&[&pong[..], &pong].concat());
    crate::conversation::converse(&mut broker, &mut client, &[3, 1, 300]);
    assert_eq!(broker.heard, ping);
    assert_eq!((client.heard, placed.hits()), (pong.repeat(4), 2));
}

proptest! {
    #[test]
    fn without_a_rule_that_fits_nothing_is_changed(
        packets in prop::collection::vec((1..16u8, 0..400usize), 0..20),
        pieces in prop::collection::vec(1..300usize, 1..10),
        room in 1..500usize,
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let faults = Faults::new();
        let _placed = faults.add(FaultRule { client_id: Some("nobody".into()), ..rule(Fault::Drop) });
        let mut line = Line::new(&faults);
        let mut stream: Vec<u8> = packets
            .iter()
            .flat_map(|&(kind, bytes)| packet(PacketKind::ALL[usize::from(kind) - 1], kind, bytes))
            .collect();
        line.send(&stream, room);
        prop_assert_eq!(&line.sent, &stream);
        stream.extend(tail);
        let mut rest = &stream[..];
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            line.receive(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        // What is no whole packet may be kept.
        prop_assert!(stream.starts_with(&line.heard));
        prop_assert!(line.heard.len() + 500 > stream.len());
    }
}
