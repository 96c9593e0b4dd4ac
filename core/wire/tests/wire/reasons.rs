//! Which packet may carry which reason code, written down again from the tables of the specification.

use ringmq_wire::{PacketKind, ReasonCode, Sender};

use crate::notation::{C, S, V5, decode_bytes, packet};

/// Sections 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1.
const ALLOWED: &[(PacketKind, &[Sender], &[u8])] = &[
    (
        PacketKind::Connack,
        &[S],
        &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
            0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
    ),
    (PacketKind::Puback, &[C, S], &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
    (PacketKind::Pubrec, &[C, S], &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
    (PacketKind::Pubrel, &[C, S], &[0x00, 0x92]),
    (PacketKind::Pubcomp, &[C, S], &[0x00, 0x92]),
    (PacketKind::Suback, &[S], &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]),
    (PacketKind::Unsuback, &[S], &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
    (
        PacketKind::Disconnect,
        &[C],
        &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99],
    ),
    (
        PacketKind::Disconnect,
        &[S],
        &[
            0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
            0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
    ),
    (PacketKind::Auth, &[C], &[0x18, 0x19]),
    (PacketKind::Auth, &[S], &[0x00, 0x18]),
];

/// A packet of the kind that is right but for its code.
fn with_code(kind: PacketKind, code: u8) -> Vec<u8> {
    let (first, body) = match kind {
        PacketKind::Connack => (0x20, format!("00 {code:02X} 00")),
        PacketKind::Puback => (0x40, format!("0001 {code:02X}")),
        PacketKind::Pubrec => (0x50, format!("0001 {code:02X}")),
        PacketKind::Pubrel => (0x62, format!("0001 {code:02X}")),
        PacketKind::Pubcomp => (0x70, format!("0001 {code:02X}")),
        PacketKind::Suback => (0x90, format!("0001 00 {code:02X}")),
        PacketKind::Unsuback => (0xB0, format!("0001 00 {code:02X}")),
        PacketKind::Disconnect => (0xE0, format!("{code:02X}")),
        _ => (0xF0, format!("{code:02X} [ 15 =m ]")),
    };
    packet(first, &body)
}

#[test]
fn every_code_in_every_packet() {
    for &(kind, senders, codes) in ALLOWED {
        for &sender in senders {
            for code in 0..=255 {
                let bytes = with_code(kind, code);
                let decoded = decode_bytes(V5, sender, &bytes);
                assert_eq!(
                    decoded.is_ok(),
                    codes.contains(&code),
                    "{kind} {sender:?} {code:02X}: {decoded:?}"
                );
            }
        }
    }
}

#[test]
fn codes_have_names() {
    let known: Vec<u8> = (0..=255).filter(|&code| ReasonCode::from_u8(code).is_some()).collect();
    let mut wanted: Vec<u8> = ALLOWED.iter().flat_map(|row| row.2).copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(known, wanted);
    for code in known {
        let reason = ReasonCode::from_u8(code).expect("a known code");
        assert_ne!(reason.name(), "Unknown");
        assert_eq!(reason.is_error(), code >= 0x80);
        assert!(reason.connect_return_code_v3() <= 5);
        assert_eq!(reason.connect_return_code_v3() == 0, code == 0);
    }
    assert_eq!(ReasonCode::SERVER_BUSY.to_string(), "Server busy (0x89)");
}

#[test]
fn return_codes_of_3_x_come_back() {
    for code in 0..=255 {
        let reason = ReasonCode::from_connect_return_code_v3(code);
        assert_eq!(reason.is_some(), code <= 5);
        assert!(reason.is_none_or(|reason| reason.connect_return_code_v3() == code));
    }
}
