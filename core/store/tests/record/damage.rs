//! Bytes that are no record: cut off, flipped, of another version, or sealed with right checksums around
//! nonsense.

use core::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use ringmq_store::RecordError;
use ringmq_store::record::{HEADER_BYTES, VERSION, decode};

use crate::golden::records;
use crate::random::runner;
use crate::record;

/// CRC-32 as its definition says it, bit by bit, apart from the crate that the product uses.
fn crc32(bytes: &[u8]) -> u32 {
    let mut state = u32::MAX;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = if state & 1 == 0 { state >> 1 } else { state >> 1 ^ 0xEDB8_8320 };
        }
    }
    !state
}

/// A record with right checksums around any body.
fn sealed(version: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version];
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32(body).to_le_bytes());
    bytes.extend_from_slice(&crc32(&bytes).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn error(bytes: &[u8]) -> Option<RecordError> {
    decode(bytes).err()
}

#[test]
fn a_record_cut_anywhere_is_truncated() {
    for (name, bytes) in records() {
        for end in 0..bytes.len() {
            assert_eq!(error(&bytes[..end]), Some(RecordError::Truncated), "{name} cut at {end}");
        }
    }
}

#[test]
fn a_flipped_bit_is_seen() {
    for (name, bytes) in records() {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(error(&flipped), Some(RecordError::Corrupt), "{name}, bit {bit}");
        }
    }
}

#[test]
fn another_version_is_named() {
    for (_, bytes) in records() {
        let body = &bytes[HEADER_BYTES..];
        assert_eq!(sealed(VERSION, body), bytes, "the test seals as the product does");
        assert_eq!(error(&sealed(VERSION + 1, body)), Some(RecordError::UnknownVersion(VERSION + 1)));
    }
}

#[test]
fn zeros_are_no_record() {
    assert_eq!(error(&[]), Some(RecordError::Truncated));
    assert_eq!(error(&[0; 4096]), Some(RecordError::Corrupt));
    assert_eq!(error(&sealed(VERSION, &[])), Some(RecordError::Corrupt));
}

#[test]
fn a_body_may_not_be_longer_or_shorter_than_its_fields() {
    for (name, bytes) in records() {
        let body = &bytes[HEADER_BYTES..];
        let longer = [body, &[0]].concat();
        assert_eq!(error(&sealed(VERSION, &longer)), Some(RecordError::Corrupt), "{name}");
        for end in 0..body.len() {
            assert_eq!(error(&sealed(VERSION, &body[..end])), Some(RecordError::Corrupt), "{name} at {end}");
        }
    }
}

/// Fields that hold what no command says, by the body that holds them. Each body begins with partition 0.
#[test]
fn values_that_no_command_has_are_refused() {
    let session = |change: &[u8]| [&[0, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0][..], change].concat();
    let accepted = session(&[8, 1, 0]);
    assert!(decode(&sealed(VERSION, &accepted)).is_ok(), "the frame of these cases is right");
    let refused = [
        ("kind of command", vec![0, 0]),
        ("kind of command past the last", vec![0, 5]),
        ("ClientID is not text", [&[0, 2, 1, 0, 0, 0, 0xFF][..], &[0; 8]].concat()),
        ("empty topic", [&[0, 4, 0, 0, 0, 0][..], &[0; 8]].concat()),
        ("topic with a wildcard", [&[0, 4, 1, 0, 0, 0, b'#'][..], &[0; 8]].concat()),
        ("kind of change", session(&[0])),
        ("kind of change past the last", session(&[17])),
        ("packet id 0", session(&[8, 0, 0])),
        ("flag that is neither 0 nor 1", session(&[15, 2])),
        ("misplaced wildcard", session(&[6, 2, 0, 0, 0, b'a', b'#'])),
        ("share without a filter", session(&[6, 8, 0, 0, 0, b'$', b's', b'h', b'a', b'r', b'e', b'/', b'g'])),
        ("reserved option", session(&[5, 1, 0, 0, 0, b'a', 0x40, 0, 0, 0, 0])),
        ("QoS 3", session(&[5, 1, 0, 0, 0, b'a', 3, 0, 0, 0, 0])),
        ("identifier past the last", session(&[5, 1, 0, 0, 0, b'a', 0, 0, 0, 0, 0x10])),
        ("length past the end", session(&[6, 0xFF, 0xFF, 0xFF, 0xFF, b'a'])),
    ];
    for (name, body) in refused {
        assert_eq!(error(&sealed(VERSION, &body)), Some(RecordError::Corrupt), "{name}");
    }
}

/// With right checksums around it, a changed body is refused, or is another command that writes these very
/// bytes.
#[test]
fn a_changed_body_is_refused_or_means_what_it_says() {
    let bodies: Vec<Vec<u8>> =
        records().into_iter().map(|(_, bytes)| bytes[HEADER_BYTES..].to_vec()).collect();
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let (kept, refused) = (Cell::new(0), Cell::new(0));
    let checked = runner(4_000).run(&(0..bodies.len(), changes), |(which, changes)| {
        let mut body = bodies[which].clone();
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        let bytes = sealed(VERSION, &body);
        match decode(&bytes) {
            Ok((command, taken)) => {
                prop_assert_eq!(taken, bytes.len());
                prop_assert_eq!(record(&command), bytes);
                kept.set(kept.get() + 1);
            }
            Err(error) => {
                prop_assert_eq!(error, RecordError::Corrupt);
                refused.set(refused.get() + 1);
            }
        }
        Ok(())
    });
    checked.unwrap();
    assert!(kept.get() > 100 && refused.get() > 100, "{} read, {} refused", kept.get(), refused.get());
}

#[test]
fn any_bytes_are_judged_without_panic() {
    let checked = runner(2_000).run(&vec(any::<u8>(), 0..200), |bytes| {
        prop_assert!(decode(&bytes).is_err(), "random bytes do not have two right checksums");
        let bytes = sealed(VERSION, &bytes);
        if let Ok((command, _)) = decode(&bytes) {
            prop_assert_eq!(record(&command), bytes);
        }
        Ok(())
    });
    checked.unwrap();
}
