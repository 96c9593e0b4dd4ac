//! Bytes nobody meant: nothing panics, and what decodes nevertheless can be encoded to the same meaning.

use proptest::prelude::*;
use ringmq_wire::{Packet, Place, Properties, Sender, TopicFilter, Version, decode, frame};

use crate::notation::{C, S, V5, V31, V311, encoded};
use crate::parts::any_parts;

/// Decodes every frame in the bytes in every version and from both sides; says how many made sense.
fn read_all(bytes: &[u8]) -> usize {
    let mut decoded = 0;
    for version in [V31, V311, V5] {
        for sender in [C, S] {
            let mut rest = bytes;
            while let Ok(Some(frame)) = frame::split(rest, 100_000) {
                if let Ok(packet) = decode(version, sender, &frame) {
                    decoded += 1;
                    encodes_to_itself(version, sender, &packet);
                    reads_to_the_end(&packet);
                }
                rest = &rest[frame.bytes..];
            }
        }
    }
    decoded
}

fn encodes_to_itself(version: Version, sender: Sender, packet: &Packet<'_>) {
    assert_eq!(packet.check(version), Ok(()));
    let bytes = encoded(version, packet);
    let frame = frame::split(&bytes, u32::MAX).expect("a good length").expect("whole");
    assert_eq!(decode(version, sender, &frame).as_ref(), Ok(packet));
}

/// What was judged once can be read without a surprise.
fn reads_to_the_end(packet: &Packet<'_>) {
    match packet {
        Packet::Subscribe(subscribe) => {
            assert_eq!(subscribe.filters.iter().count(), subscribe.filters.len());
            assert!(
                subscribe.filters.iter().all(|one| TopicFilter::new(one.filter.whole()) == Ok(one.filter))
            );
            count_properties(Place::Subscribe, subscribe.properties);
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert_eq!(unsubscribe.filters.iter().count(), unsubscribe.filters.len());
        }
        Packet::Publish(publish) => count_properties(Place::Publish, publish.properties),
        Packet::Connect(connect) => count_properties(Place::Connect, connect.properties),
        Packet::Connack(connack) => count_properties(Place::Connack, connack.properties),
        _ => {}
    }
}

/// The bytes of all values and numbers are all the bytes there are.
fn count_properties(place: Place, properties: Properties<'_>) {
    let mut buffer = ringmq_wire::PropertiesBuffer::new();
    for (property, value) in properties.iter() {
        assert!(property.is_allowed(place));
        buffer.push(property, value);
    }
    assert_eq!(buffer.as_properties(), properties);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// A good length around nonsense gets further than nonsense alone.
    #[test]
    fn random_bodies(first in any::<u8>(), body in proptest::collection::vec(0..0x30_u8, 0..60)) {
        let mut bytes = vec![first, body.len() as u8];
        bytes.extend(body);
        read_all(&bytes);
    }

    #[test]
    fn mutated_packets(
        parts in any_parts(),
        changes in proptest::collection::vec((any::<u16>(), any::<u8>(), 0..4_u8), 0..4),
    ) {
        let mut bytes = parts.with_packet(|packet| encoded(parts.version, &packet));
        for (at, byte, kind) in &changes {
            if bytes.is_empty() {
                break;
            }
            let at = usize::from(*at) % bytes.len();
            match kind {
                0 => bytes[at] = *byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, *byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let decoded = read_all(&bytes);
        prop_assert!(!changes.is_empty() || decoded > 0, "an unchanged packet decodes in its version");
    }
}
