//! What is done to right bytes so that they are right no more, or only just.

use super::packets;
use super::random::Random;

/// Bytes of one piece of noise.
const NOISE_BYTES_MAX: usize = 200;

/// How the bytes of a packet came about, for the count.
pub(super) const KINDS: [&str; 9] =
    ["right", "acknowledgement", "noise", "flipped", "flags", "length", "cut", "spliced", "glued"];

/// One piece of garbage: which of [`KINDS`], and its bytes.
pub(super) fn piece(random: &mut Random, version: ringmq_wire::Version) -> (usize, Vec<u8>) {
    let kind = random.below(KINDS.len());
    let mut bytes = packets::any(random, version);
    match KINDS[kind] {
        "acknowledgement" => bytes = packets::acknowledgement(random, version),
        "noise" => bytes = random.bytes(NOISE_BYTES_MAX),
        "flipped" => flip(random, &mut bytes),
        "flags" => bytes[0] = bytes[0] & 0xf0 | random.next() as u8 & 0x0f,
        "length" => announce_another_length(random, &mut bytes),
        "cut" => bytes.truncate(random.below(bytes.len())),
        "spliced" => splice(random, &mut bytes),
        "glued" => {
            let other = random.pick(&packets::VERSIONS);
            bytes.extend(packets::any(random, other));
        }
        _ => {}
    }
    (kind, bytes)
}

/// Changes a few bits.
fn flip(random: &mut Random, bytes: &mut [u8]) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
}

/// The remaining length is any number, or one with too many bytes.
fn announce_another_length(random: &mut Random, bytes: &mut Vec<u8>) {
    let end = bytes[1..].iter().position(|byte| *byte < 0x80).map_or(bytes.len(), |at| at + 2);
    let near = (bytes.len() - end) as i64 + random.below(9) as i64 - 4;
    let mut length = match random.below(4) {
        0 => random.next() & 0x0fff_ffff,
        1 => u64::MAX,
        _ => near.max(0) as u64,
    };
    let mut encoded = Vec::new();
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        encoded.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 || encoded.len() == 5 {
            break;
        }
    }
    bytes.splice(1..end, encoded);
}

/// Takes some bytes out, or puts some in.
fn splice(random: &mut Random, bytes: &mut Vec<u8>) {
    let from = random.below(bytes.len());
    let to = from + random.below((bytes.len() - from).min(8) + 1);
    let new = random.bytes(8);
    bytes.splice(from..to, new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_wire::{Sender, Version, decode, frame};

    /// Every kind comes; the damaged ones are mostly refused and sometimes right, the others always right.
    #[test]
    fn damage_is_done() {
        let mut random = Random::new(2);
        let mut wrong = [(0u32, 0u32); KINDS.len()];
        for _ in 0..20_000 {
            let (kind, bytes) = piece(&mut random, Version::V5);
            let right = match frame::split(&bytes, 10_000) {
                Ok(Some(frame)) => decode(Version::V5, Sender::Client, &frame).is_ok(),
                _ => false,
            };
            wrong[kind].0 += 1;
            wrong[kind].1 += u32::from(!right);
        }
        let share = |name: &str| {
            let (all, wrong) = wrong[KINDS.iter().position(|kind| *kind == name).unwrap()];
            assert!(all > 1_000, "{name}: {all}");
            100 * wrong / all
        };
        assert_eq!(share("acknowledgement"), 0);
        for name in ["noise", "length", "cut"] {
            assert!(share(name) > 50, "{name}: {} % wrong", share(name));
        }
        for name in ["flipped", "flags", "spliced"] {
            assert!((20..100).contains(&share(name)), "{name}: {} % wrong", share(name));
        }
    }

    #[test]
    fn a_length_is_another_one_and_the_rest_stays() {
        let mut random = Random::new(3);
        for _ in 0..1_000 {
            let mut bytes = vec![0x30, 3, 0, 1, b't'];
            announce_another_length(&mut random, &mut bytes);
            assert!(bytes.ends_with(&[0, 1, b't']) && bytes[0] == 0x30, "{bytes:02x?}");
        }
    }
}
