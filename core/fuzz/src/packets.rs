//! Framing and packets: what the codec makes of any bytes.

use ringmq_wire::{Frame, Packet, Sender, Version, Violation, decode, frame as framing};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Prefixes longer than this are not tried one by one.
const PREFIX_BYTES_MAX: usize = 300;

/// Where the packets of a stream end, and the violation that ends them.
type Split = (Vec<usize>, Option<Violation>);

/// Splits the bytes as one buffer and as pieces of a size that the first byte tells; both give the same.
pub fn frame(bytes: &[u8]) {
    let Some((first, stream)) = bytes.split_first() else { return };
    let piece_bytes = usize::from(*first) % 7 + 1;
    for packet_max in [2, 40, 100_000, u32::MAX] {
        assert_eq!(split_whole(stream, packet_max), split_pieces(stream, packet_max, piece_bytes));
        prefixes_agree(stream, packet_max);
    }
}

fn split_whole(stream: &[u8], packet_max: u32) -> Split {
    let mut ends = Vec::new();
    let mut at = 0;
    loop {
        match framing::split(&stream[at..], packet_max) {
            Ok(Some(frame)) => {
                assert_eq!(framing::announced(&stream[at..]), Ok(Some(frame.bytes)));
                assert!(frame.bytes <= packet_max as usize && frame.body.len() < frame.bytes);
                at += frame.bytes;
                ends.push(at);
            }
            Ok(None) => return (ends, None),
            Err(violation) => return (ends, Some(violation)),
        }
    }
}

fn split_pieces(stream: &[u8], packet_max: u32, piece_bytes: usize) -> Split {
    let (mut ends, mut buffer, mut taken) = (Vec::new(), Vec::new(), 0);
    for piece in stream.chunks(piece_bytes) {
        buffer.extend_from_slice(piece);
        loop {
            match framing::split(&buffer, packet_max) {
                Ok(Some(frame)) => {
                    taken += frame.bytes;
                    ends.push(taken);
                    let bytes = frame.bytes;
                    buffer.drain(..bytes);
                }
                Ok(None) => break,
                Err(violation) => return (ends, Some(violation)),
            }
        }
    }
    (ends, None)
}

/// More bytes never change what was already known.
fn prefixes_agree(stream: &[u8], packet_max: u32) {
    let (mut announced, mut found) = (Ok(None), Ok(None));
    for end in 0..=stream.len().min(PREFIX_BYTES_MAX) {
        let prefix = &stream[..end];
        let (announced_now, found_now) = (framing::announced(prefix), framing::split(prefix, packet_max));
        if announced != Ok(None) {
            assert_eq!(announced, announced_now);
        }
        if found != Ok(None) {
            assert_eq!(found, found_now);
        }
        (announced, found) = (announced_now, found_now);
    }
}

/// Decodes the bytes as one packet of a client: the first byte, then the body.
pub fn decode_client(bytes: &[u8]) {
    decode_from(Sender::Client, bytes);
}

/// Decodes the bytes as one packet of a server: the first byte, then the body.
pub fn decode_server(bytes: &[u8]) {
    decode_from(Sender::Server, bytes);
}

fn decode_from(sender: Sender, bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let frame = Frame { first: *first, body, bytes: body.len() + 2 };
    for version in VERSIONS {
        match decode(version, sender, &frame) {
            Ok(packet) => encodes_to_its_equal(version, sender, &packet),
            Err(violation) => assert!(!violation.to_string().is_empty()),
        }
    }
}

fn encodes_to_its_equal(version: Version, sender: Sender, packet: &Packet<'_>) {
    assert_eq!(packet.check(version), Ok(()));
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    assert_eq!(bytes.len(), packet.encoded_bytes(version));
    let frame = framing::split(&bytes, u32::MAX).expect("a right length").expect("a whole packet");
    assert_eq!(frame.bytes, bytes.len());
    assert_eq!(decode(version, sender, &frame).as_ref(), Ok(packet));
    assert!(!format!("{packet:?}").is_empty(), "everything in it can be read");
}
