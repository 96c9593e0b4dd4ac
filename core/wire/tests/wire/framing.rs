//! Lengths, limits and incomplete packets.

use ringmq_wire::frame::{announced, split};
use ringmq_wire::{REMAINING_LENGTH_MAX, Violation};

use crate::notation::{bytes, packet, variable};

#[test]
fn lengths() {
    let rows: &[(&str, Result<Option<usize>, Violation>)] = &[
        ("", Ok(None)),
        ("30", Ok(None)),
        ("30 80", Ok(None)),
        ("30 FFFF", Ok(None)),
        ("30 FFFFFF", Ok(None)),
        ("30 00", Ok(Some(2))),
        ("30 01", Ok(Some(3))),
        ("30 7F", Ok(Some(129))),
        ("30 8001", Ok(Some(131))),
        ("30 FF7F", Ok(Some(16_386))),
        ("30 808001", Ok(Some(16_388))),
        ("30 FFFF7F", Ok(Some(2_097_155))),
        ("30 80808001", Ok(Some(2_097_157))),
        ("30 FFFFFF7F", Ok(Some(268_435_460))),
        ("30 8000", Err(Violation::LengthOverlong)),
        ("30 FF00", Err(Violation::LengthOverlong)),
        ("30 808000", Err(Violation::LengthOverlong)),
        ("30 80808000", Err(Violation::LengthOverlong)),
        ("30 80808080", Err(Violation::LengthTooLong)),
        ("30 FFFFFFFF", Err(Violation::LengthTooLong)),
        ("30 FFFFFFFF7F", Err(Violation::LengthTooLong)),
    ];
    for (notation, expected) in rows {
        assert_eq!(announced(&bytes(notation)), *expected, "{notation}");
        if let Err(violation) = expected {
            assert_eq!(split(&bytes(notation), u32::MAX), Err(*violation), "{notation}");
        }
    }
}

#[test]
fn every_length_of_each_size_is_found() {
    for length in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455] {
        let mut bytes = vec![0x30];
        bytes.extend(variable(length));
        assert_eq!(announced(&bytes), Ok(Some(bytes.len() + length)));
    }
}

/// The limit holds for the whole packet and as soon as the length is there, without a byte of the body.
#[test]
fn limits() {
    let rows = [
        ("30 05", 7, Ok(())),
        ("30 05", 6, Err(Violation::PacketTooLarge)),
        ("30 8001", 131, Ok(())),
        ("30 8001", 130, Err(Violation::PacketTooLarge)),
        ("30 FFFFFF7F", REMAINING_LENGTH_MAX, Err(Violation::PacketTooLarge)),
        ("30 FFFFFF7F", REMAINING_LENGTH_MAX + 5, Ok(())),
        ("30 FFFFFF", 100, Ok(())),
        ("C0 00", 1, Err(Violation::PacketTooLarge)),
    ];
    for (notation, packet_max, expected) in rows {
        let result = split(&bytes(notation), packet_max).map(|frame| assert!(frame.is_none()));
        assert_eq!(result, expected, "{notation} at most {packet_max}");
    }
}

#[test]
fn a_frame_is_the_first_of_many() {
    let mut stream = packet(0x30, "=a 'x");
    let first_bytes = stream.len();
    stream.extend(packet(0xC0, ""));
    let frame = split(&stream, 100).expect("fine").expect("whole");
    assert_eq!((frame.first, frame.bytes), (0x30, first_bytes));
    assert_eq!(frame.body, bytes("=a 'x"));
    let frame = split(&stream[first_bytes..], 100).expect("fine").expect("whole");
    assert_eq!((frame.first, frame.body, frame.bytes), (0xC0, &[][..], 2));
}

#[test]
fn a_prefix_is_never_a_frame() {
    let stream = packet(0x10, "=MQTT 05 02 003C 00 =client");
    for bytes in 0..stream.len() {
        assert_eq!(split(&stream[..bytes], 1000), Ok(None), "{bytes} bytes");
    }
}

/// A packet of the protocol's maximum is found and decoded.
#[test]
fn the_largest_packet() {
    let mut stream = vec![0x30];
    stream.extend(variable(REMAINING_LENGTH_MAX as usize));
    stream.extend(bytes("=a"));
    let whole = stream.len() - 3 + REMAINING_LENGTH_MAX as usize;
    stream.resize(whole, 7);
    let frame = split(&stream, u32::MAX).expect("fine").expect("whole");
    let decoded = ringmq_wire::decode(crate::notation::V311, crate::notation::C, &frame).expect("a packet");
    let ringmq_wire::Packet::Publish(publish) = decoded else { panic!("PUBLISH") };
    assert_eq!(publish.payload.len(), REMAINING_LENGTH_MAX as usize - 3);
    assert_eq!(decoded.check(crate::notation::V311), Ok(()));
    assert_eq!(decoded.check(crate::notation::V5), Err(Violation::PacketTooLarge));
    assert_eq!(decoded.encoded_bytes(crate::notation::V311), stream.len());
}
