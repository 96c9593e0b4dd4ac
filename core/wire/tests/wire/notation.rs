//! A short notation for packets in tables.
//!
//! Tokens are separated by blanks: hexadecimal bytes (`04`, `003C`), `=text` for text with its length of two
//! bytes, `'text` for text without, `[ ... ]` for what stands inside behind its length as a variable byte
//! integer. A first byte and a body make a packet.

use ringmq_wire::{Packet, Sender, Version, Violation, decode, frame};

pub use ringmq_wire::Sender::{Client as C, Server as S};
pub use ringmq_wire::Version::{V5, V31, V311};

/// The bytes that the notation means.
pub fn bytes(notation: &str) -> Vec<u8> {
    let mut levels = vec![Vec::new()];
    for token in notation.split_whitespace() {
        match token {
            "[" => levels.push(Vec::new()),
            "]" => {
                let inner = levels.pop().expect("a closed bracket");
                let outer = levels.last_mut().expect("an open bracket");
                outer.extend(variable(inner.len()));
                outer.extend(inner);
            }
            _ => levels.last_mut().expect("a level").extend(token_bytes(token)),
        }
    }
    assert_eq!(levels.len(), 1, "brackets match in {notation}");
    levels.remove(0)
}

fn token_bytes(token: &str) -> Vec<u8> {
    if let Some(text) = token.strip_prefix('=') {
        let mut field = (text.len() as u16).to_be_bytes().to_vec();
        field.extend(text.as_bytes());
        return field;
    }
    if let Some(text) = token.strip_prefix('\'') {
        return text.as_bytes().to_vec();
    }
    let digits = token.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// A variable byte integer, written independently of the codec.
pub fn variable(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        out.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return out;
        }
    }
}

/// A packet with its remaining length.
pub fn packet(first: u8, body: &str) -> Vec<u8> {
    let body = bytes(body);
    let mut out = vec![first];
    out.extend(variable(body.len()));
    out.extend(body);
    out
}

/// Splits and decodes the one packet that the bytes are.
pub fn decode_bytes(version: Version, sender: Sender, bytes: &[u8]) -> Result<Packet<'_>, Violation> {
    let frame = frame::split(bytes, u32::MAX)?.expect("a whole packet");
    assert_eq!(frame.bytes, bytes.len());
    decode(version, sender, &frame)
}

pub fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    assert_eq!(packet.encoded_bytes(version), out.len(), "the length told beforehand for {packet:?}");
    out
}
