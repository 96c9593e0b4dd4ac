//! Packets that break one rule each, and the violation that says which.

use ringmq_wire::Violation::{self, *};
use ringmq_wire::{Sender, Version};

use crate::notation::{C, S, V5, V31, V311, decode_bytes, packet};

type Row = (Version, Sender, u8, &'static str, Violation);

fn check(rows: &[Row]) {
    for &(version, sender, first, body, violation) in rows {
        let bytes = packet(first, body);
        let result = decode_bytes(version, sender, &bytes);
        assert_eq!(result, Err(violation), "{version:?} {sender:?} {first:02X} {body}");
    }
}

#[test]
fn types_and_directions() {
    let mut rows = Vec::new();
    for version in [V31, V311, V5] {
        for sender in [C, S] {
            rows.push((version, sender, 0x00, "", PacketTypeReserved));
            rows.push((version, sender, 0x0F, "00 00", PacketTypeReserved));
        }
        for first in [0x20, 0x90, 0xB0, 0xD0] {
            rows.push((version, C, first, "00 00 00", PacketFromWrongSide));
        }
        for first in [0x10, 0x82, 0xA2, 0xC0] {
            rows.push((version, S, first, "00 00 00", PacketFromWrongSide));
        }
    }
    for version in [V31, V311] {
        rows.push((version, S, 0xE0, "", PacketFromWrongSide));
        rows.push((version, C, 0xF0, "", PacketTypeReserved));
        rows.push((version, S, 0xF0, "", PacketTypeReserved));
    }
    check(&rows);
}

/// Clauses: [MQTT-2.2.2-1 of 3.1.1].
#[test]
fn reserved_header_flags() {
    let mut rows = Vec::new();
    for version in [V311, V5] {
        for flags in 0..16 {
            if flags != 0 {
                for (sender, first) in [(S, 0x20), (C, 0x40), (C, 0x50), (C, 0x70), (S, 0x90), (S, 0xB0)] {
                    rows.push((version, sender, first | flags, "0001", HeaderFlagsReserved));
                }
                rows.push((version, C, 0xC0 | flags, "", HeaderFlagsReserved));
                rows.push((version, S, 0xD0 | flags, "", HeaderFlagsReserved));
                rows.push((version, C, 0xE0 | flags, "", DisconnectFlagsReserved));
            }
            if flags != 2 {
                rows.push((version, C, 0x60 | flags, "0001", PubrelFlagsReserved));
                rows.push((version, C, 0x80 | flags, "0001", SubscribeFlagsReserved));
                rows.push((version, C, 0xA0 | flags, "0001", UnsubscribeFlagsReserved));
            }
        }
    }
    for flags in 1..16 {
        rows.push((V5, S, 0xF0 | flags, "", AuthFlagsReserved));
        rows.push((V5, C, 0x10 | flags, "=MQTT 05 02 003C 00 =c", HeaderFlagsReserved));
        rows.push((V311, C, 0x10 | flags, "=MQTT 04 02 003C =c", HeaderFlagsReserved));
    }
    // 3.1: the QoS bits must be 01; DUP and RETAIN may be anything.
    for flags in [0x0, 0x1, 0x4, 0x5, 0x6, 0x8, 0xC] {
        rows.push((V31, C, 0x60 | flags, "0001", PubrelFlagsReserved));
        rows.push((V31, C, 0x80 | flags, "0001 =a 00", SubscribeFlagsReserved));
        rows.push((V31, C, 0xA0 | flags, "0001 =a", UnsubscribeFlagsReserved));
    }
    check(&rows);
}

#[test]
fn connect_name_and_level() {
    check(&[
        (V5, C, 0x10, "=MQTx 05 02 003C 00 =c", ProtocolNameUnknown),
        (V5, C, 0x10, "=mqtt 05 02 003C 00 =c", ProtocolNameUnknown),
        (V5, C, 0x10, "=MQTT5 05 02 003C 00 =c", ProtocolNameUnknown),
        (V5, C, 0x10, "0000 05 02 003C 00 =c", ProtocolNameUnknown),
        (V5, C, 0x10, "0004 FFFFFFFF 05 02 003C 00 =c", ProtocolNameUnknown),
        (V5, C, 0x10, "=MQIsdP 03 02 003C =c", ProtocolNameUnknown),
        (V5, C, 0x10, "=MQTT 00 02 003C =c", UnsupportedLevel(0)),
        (V5, C, 0x10, "=MQTT 01 02 003C =c", UnsupportedLevel(1)),
        (V5, C, 0x10, "=MQTT 02 02 003C =c", UnsupportedLevel(2)),
        (V5, C, 0x10, "=MQTT 03 02 003C =c", UnsupportedLevel(3)),
        (V5, C, 0x10, "=MQTT 06 02 003C 00 =c", UnsupportedLevel(6)),
        (V5, C, 0x10, "=MQTT 06", UnsupportedLevel(6)),
        (V5, C, 0x10, "=MQTT 7F 02 003C 00 =c", UnsupportedLevel(0x7F)),
        (V5, C, 0x10, "=MQTT 83 02 003C =c", UnsupportedLevel(0x83)),
        (V5, C, 0x10, "=MQTT 85 02 003C 00 =c", UnsupportedLevel(0x85)),
        (V5, C, 0x10, "=MQTT FF 02 003C 00 =c", UnsupportedLevel(0xFF)),
        (V5, C, 0x10, "=MQIsdp 04 02 003C =c", UnsupportedLevel(4)),
        (V5, C, 0x10, "=MQIsdp 05 02 003C 00 =c", UnsupportedLevel(5)),
        (V5, C, 0x10, "=MQIsdp 84 02 003C =c", UnsupportedLevel(0x84)),
    ]);
}

#[test]
fn connect_flags() {
    check(&[
        (V5, C, 0x10, "=MQTT 05 03 003C 00 =c", ConnectFlagReserved),
        (V5, C, 0x10, "=MQTT 05 01 003C 00 =c", ConnectFlagReserved),
        (V5, C, 0x10, "=MQTT 04 03 003C =c", ConnectFlagReserved),
        (V5, C, 0x10, "=MQTT 05 0A 003C 00 =c", WillQosWithoutWill),
        (V5, C, 0x10, "=MQTT 05 12 003C 00 =c", WillQosWithoutWill),
        (V5, C, 0x10, "=MQTT 05 1A 003C 00 =c", WillQosWithoutWill),
        (V5, C, 0x10, "=MQTT 04 0A 003C =c", WillQosWithoutWill),
        (V5, C, 0x10, "=MQTT 05 22 003C 00 =c", WillRetainWithoutWill),
        (V5, C, 0x10, "=MQTT 04 22 003C =c", WillRetainWithoutWill),
        (V5, C, 0x10, "=MQTT 05 1E 003C 00 =c 00 =w =m", WillQosInvalid),
        (V5, C, 0x10, "=MQTT 05 3E 003C 00 =c 00 =w =m", WillQosInvalid),
        (V5, C, 0x10, "=MQTT 04 1E 003C =c =w =m", WillQosInvalid),
        (V5, C, 0x10, "=MQIsdp 03 1E 003C =c =w =m", WillQosInvalid),
        (V5, C, 0x10, "=MQTT 04 42 003C =c =p", PasswordWithoutUserName),
    ]);
}

/// Clauses: [MQTT-1.5.7-1] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.3-3]
/// [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-3.1.4-1].
#[test]
fn connect_payload() {
    check(&[
        (V5, C, 0x10, "", Truncated),
        (V5, C, 0x10, "00", Truncated),
        (V5, C, 0x10, "0004 'MQT", Truncated),
        (V5, C, 0x10, "=MQTT", Truncated),
        (V5, C, 0x10, "=MQTT 05", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 00", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 003C", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 003C 00", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 003C 05 =c", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 003C 80", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 003C 8000 =c", LengthOverlong),
        (V5, C, 0x10, "=MQTT 05 02 003C FFFFFFFF7F =c", LengthTooLong),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 =c 00", TrailingBytes),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c", Truncated),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c 00 =w", Truncated),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c 00 =w 0005 'm", Truncated),
        (V5, C, 0x10, "=MQTT 05 82 003C 00 =c", Truncated),
        (V5, C, 0x10, "=MQTT 05 C2 003C 00 =c =u", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 =c =u", TrailingBytes),
        (V5, C, 0x10, "=MQTT 05 82 003C 00 =c =u =p", TrailingBytes),
        (V5, C, 0x10, "=MQTT 04 02 003C =c =u", TrailingBytes),
        (V5, C, 0x10, "=MQTT 04 82 003C =c", Truncated),
        (V5, C, 0x10, "=MQTT 04 C2 003C =c =u", Truncated),
        (V5, C, 0x10, "=MQIsdp 03 02 003C =c 00", TrailingBytes),
        (V5, C, 0x10, "=MQIsdp 03 82 003C =c 00", Truncated),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 0002 C328", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 0003 EDA080", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 0003 EDBFBF", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 0002 C080", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 0004 F4908080", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 0001 80", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 05 02 003C 00 0003 610062", TextHasNul),
        (V5, C, 0x10, "=MQTT 04 02 003C 0001 00", TextHasNul),
        (V5, C, 0x10, "=MQTT 05 82 003C 00 =c 0001 FF", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 04 82 003C =c 0001 00", TextHasNul),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c 00 =a/# =m", TopicHasWildcard),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c 00 =+ =m", TopicHasWildcard),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c 00 = =m", TopicEmpty),
        (V5, C, 0x10, "=MQTT 04 06 003C =c = =m", TopicEmpty),
        (V5, C, 0x10, "=MQTT 04 06 003C =c 0001 00 =m", TopicHasNul),
        (V5, C, 0x10, "=MQTT 04 06 003C =c 0001 FF =m", TextNotUtf8),
        (V5, C, 0x10, "=MQIsdp 03 06 003C =c =# =m", TopicHasWildcard),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 16 =x ] =c", AuthenticationDataWithoutMethod),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 21 0000 ] =c", ReceiveMaximumZero),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 27 00000000 ] =c", MaximumPacketSizeZero),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 17 02 ] =c", PropertyBooleanOutOfRange),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 19 FF ] =c", PropertyBooleanOutOfRange),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 18 00000001 ] =c", PropertyNotAllowed),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 11 00000001 11 00000001 ] =c", PropertyRepeated),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 26 =a 0001 FF ] =c", TextNotUtf8),
        (V5, C, 0x10, "=MQTT 05 02 003C [ 26 0001 00 =a ] =c", TextHasNul),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c [ 01 02 ] =w =m", PayloadFormatIndicatorOutOfRange),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c [ 08 =a/+ ] =w =m", ResponseTopicHasWildcard),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c [ 23 0001 ] =w =m", PropertyNotAllowed),
        (V5, C, 0x10, "=MQTT 05 06 003C 00 =c [ 11 00000001 ] =w =m", PropertyNotAllowed),
    ]);
}

#[test]
fn connack() {
    check(&[
        (V5, S, 0x20, "", Truncated),
        (V5, S, 0x20, "00", Truncated),
        (V5, S, 0x20, "00 00", Truncated),
        (V5, S, 0x20, "02 00 00", ConnackFlagsReserved),
        (V5, S, 0x20, "81 00 00", ConnackFlagsReserved),
        (V311, S, 0x20, "02 00", ConnackFlagsReserved),
        (V5, S, 0x20, "01 87 00", SessionPresentWithError),
        (V311, S, 0x20, "01 05", SessionPresentWithError),
        (V5, S, 0x20, "00 01 00", ConnackReasonUnknown),
        (V5, S, 0x20, "00 8B 00", ConnackReasonUnknown),
        (V5, S, 0x20, "00 8D 00", ConnackReasonUnknown),
        (V5, S, 0x20, "00 FF 00", ConnackReasonUnknown),
        (V311, S, 0x20, "00 06", ConnackReasonUnknown),
        (V31, S, 0x20, "00 80", ConnackReasonUnknown),
        (V5, S, 0x20, "00 00 00 00", TrailingBytes),
        (V311, S, 0x20, "00 00 00", TrailingBytes),
        (V31, S, 0x20, "00 00 00", TrailingBytes),
        (V311, S, 0x20, "00", Truncated),
        (V5, S, 0x20, "00 00 [ 24 02 ]", MaximumQosOutOfRange),
        (V5, S, 0x20, "00 00 [ 25 02 ]", PropertyBooleanOutOfRange),
        (V5, S, 0x20, "00 00 [ 28 02 ]", PropertyBooleanOutOfRange),
        (V5, S, 0x20, "00 00 [ 29 02 ]", PropertyBooleanOutOfRange),
        (V5, S, 0x20, "00 00 [ 2A 02 ]", PropertyBooleanOutOfRange),
        (V5, S, 0x20, "00 00 [ 21 0000 ]", ReceiveMaximumZero),
        (V5, S, 0x20, "00 00 [ 27 00000000 ]", MaximumPacketSizeZero),
        (V5, S, 0x20, "00 00 [ 17 01 ]", PropertyNotAllowed),
        (V5, S, 0x20, "00 00 [ 12 =a 12 =b ]", PropertyRepeated),
        (V5, S, 0x20, "00 00 [ 16 =x ]", AuthenticationDataWithoutMethod),
    ]);
}

/// Clauses: [MQTT-3.3.2-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-4.7.0-1] [MQTT-3.3.2-1 of 3.1.1]
/// [MQTT-4.7.1-1 of 3.1.1].
#[test]
fn publish() {
    let mut rows: Vec<Row> = vec![
        (V5, C, 0x30, "=a", Truncated),
        (V5, C, 0x30, "=a 05", Truncated),
        (V5, C, 0x30, "=a [ 23 0000 ]", TopicAliasZero),
        (V5, C, 0x30, "= 00 'x", TopicEmptyWithoutAlias),
        (V5, C, 0x30, "= [ 01 01 ] 'x", TopicEmptyWithoutAlias),
        (V5, C, 0x30, "=a [ 0B 01 ]", SubscriptionIdentifierFromClient),
        (V5, S, 0x30, "=a [ 0B 00 ]", SubscriptionIdentifierZero),
        (V5, S, 0x30, "=a [ 0B 8000 ]", LengthOverlong),
        (V5, S, 0x30, "=a [ 0B FFFFFFFF ]", LengthTooLong),
        (V5, S, 0x30, "=a [ 0B FFFF ]", Truncated),
        (V5, C, 0x30, "=a [ 01 02 ]", PayloadFormatIndicatorOutOfRange),
        (V5, C, 0x30, "=a [ 01 01 01 01 ]", PropertyRepeated),
        (V5, C, 0x30, "=a [ 02 00000001 02 00000001 ]", PropertyRepeated),
        (V5, C, 0x30, "=a [ 03 =t 03 =t ]", PropertyRepeated),
        (V5, C, 0x30, "=a [ 08 =t 08 =t ]", PropertyRepeated),
        (V5, C, 0x30, "=a [ 09 =t 09 =t ]", PropertyRepeated),
        (V5, C, 0x30, "=a [ 23 0001 23 0001 ]", PropertyRepeated),
        (V5, C, 0x30, "=a [ 08 =a/# ]", ResponseTopicHasWildcard),
        (V5, C, 0x30, "=a [ 08 =a/+/b ]", ResponseTopicHasWildcard),
        (V5, C, 0x30, "=a [ 08 = ]", TopicEmpty),
        (V5, C, 0x30, "=a [ 03 0001 FF ]", TextNotUtf8),
        (V5, C, 0x30, "=a [ 03 0001 00 ]", TextHasNul),
        (V5, C, 0x30, "=a [ 00 ]", PropertyUnknown),
        (V5, C, 0x30, "=a [ 04 01 ]", PropertyUnknown),
        (V5, C, 0x30, "=a [ 2B 01 ]", PropertyUnknown),
        (V5, C, 0x30, "=a [ 7F ]", PropertyUnknown),
        (V5, C, 0x30, "=a [ 8101 ]", PropertyUnknown),
        (V5, C, 0x30, "=a [ 8100 01 ]", LengthOverlong),
        (V5, C, 0x30, "=a [ 11 00000001 ]", PropertyNotAllowed),
        (V5, C, 0x30, "=a [ 18 00000001 ]", PropertyNotAllowed),
        (V5, C, 0x30, "=a [ 1F =x ]", PropertyNotAllowed),
        (V5, C, 0x30, "=a [ 02 000000 ]", Truncated),
        (V5, C, 0x30, "=a [ 01 ]", Truncated),
        (V5, C, 0x30, "=a [ 23 00 ]", Truncated),
        (V5, C, 0x30, "=a [ 09 0002 00 ]", Truncated),
        (V5, C, 0x30, "=a [ 26 =k ]", Truncated),
        (V5, C, 0x30, "=a [ 26 =k 0009 'v ]", Truncated),
        (V5, C, 0x30, "=a 81", Truncated),
        (V5, C, 0x30, "=a 808000", LengthOverlong),
        (V5, C, 0x30, "=a 8080808001", LengthTooLong),
        (V311, C, 0x30, "=", TopicEmpty),
        (V31, C, 0x30, "= 'x", TopicEmpty),
    ];
    for version in [V31, V311, V5] {
        for sender in [C, S] {
            for (first, body, violation) in [
                (0x36, "=a 0001 00", PublishQosInvalid),
                (0x3F, "=a 0001 00", PublishQosInvalid),
                (0x32, "=a 0000 00", PacketIdZero),
                (0x34, "=a 0000 00", PacketIdZero),
                (0x32, "=a 00", Truncated),
                (0x32, "=a", Truncated),
                (0x30, "", Truncated),
                (0x30, "00", Truncated),
                (0x30, "0002 'a", Truncated),
                (0x30, "=a/+ 00", TopicHasWildcard),
                (0x30, "=# 00", TopicHasWildcard),
                (0x30, "=a#b 00", TopicHasWildcard),
                (0x30, "0003 610062 00", TopicHasNul),
                (0x30, "0001 FF 00", TextNotUtf8),
                (0x30, "0003 EDA080 00", TextNotUtf8),
            ] {
                rows.push((version, sender, first, body, violation));
            }
        }
    }
    for version in [V311, V5] {
        rows.push((version, C, 0x38, "=a 00", PublishDupAtQos0));
        rows.push((version, S, 0x39, "=a 00", PublishDupAtQos0));
    }
    check(&rows);
}

#[test]
fn acknowledgements() {
    let mut rows = Vec::new();
    for sender in [C, S] {
        for (first, unknown) in [
            (0x40, PubackReasonUnknown),
            (0x50, PubrecReasonUnknown),
            (0x62, PubrelReasonUnknown),
            (0x70, PubcompReasonUnknown),
        ] {
            for version in [V31, V311, V5] {
                rows.push((version, sender, first, "", Truncated));
                rows.push((version, sender, first, "00", Truncated));
                rows.push((version, sender, first, "0000", PacketIdZero));
            }
            for version in [V31, V311] {
                rows.push((version, sender, first, "0001 00", TrailingBytes));
            }
            rows.push((V5, sender, first, "0001 01", unknown));
            rows.push((V5, sender, first, "0001 04", unknown));
            rows.push((V5, sender, first, "0001 81 00", unknown));
            rows.push((V5, sender, first, "0001 FF", unknown));
            rows.push((V5, sender, first, "0001 00 00 00", TrailingBytes));
            rows.push((V5, sender, first, "0001 00 02 1F", Truncated));
            rows.push((V5, sender, first, "0001 00 [ 1F =a 1F =b ]", PropertyRepeated));
            rows.push((V5, sender, first, "0001 00 [ 01 01 ]", PropertyNotAllowed));
            rows.push((V5, sender, first, "0001 00 [ 0B 01 ]", PropertyNotAllowed));
        }
    }
    rows.push((V5, C, 0x40, "0001 92", PubackReasonUnknown));
    rows.push((V5, C, 0x50, "0001 92", PubrecReasonUnknown));
    rows.push((V5, C, 0x62, "0001 10", PubrelReasonUnknown));
    rows.push((V5, C, 0x70, "0001 91", PubcompReasonUnknown));
    check(&rows);
}

/// Clauses: [MQTT-3.8.3-1] [MQTT-3.8.3-1 of 3.1.1].
#[test]
fn subscribe() {
    let mut rows: Vec<Row> = vec![
        (V5, C, 0x82, "0001 00", SubscribeEmpty),
        (V311, C, 0x82, "0001", SubscribeEmpty),
        (V31, C, 0x82, "0001", SubscribeEmpty),
        (V5, C, 0x82, "0001", Truncated),
        (V5, C, 0x82, "0000 00 =a 00", PacketIdZero),
        (V311, C, 0x82, "0000 =a 00", PacketIdZero),
        (V5, C, 0x82, "0001 00 =a", Truncated),
        (V311, C, 0x82, "0001 =a", Truncated),
        (V311, C, 0x82, "0001 =a 00 00", Truncated),
        (V5, C, 0x82, "0001 00 =a 03", SubscriptionQosInvalid),
        (V311, C, 0x82, "0001 =a 03", SubscriptionQosInvalid),
        (V31, C, 0x82, "0001 =a 03", SubscriptionQosInvalid),
        (V5, C, 0x82, "0001 00 =a 30", RetainHandlingInvalid),
        (V5, C, 0x82, "0001 00 =a 40", SubscriptionOptionsReserved),
        (V5, C, 0x82, "0001 00 =a 80", SubscriptionOptionsReserved),
        (V311, C, 0x82, "0001 =a 04", SubscriptionOptionsReserved),
        (V311, C, 0x82, "0001 =a 10", SubscriptionOptionsReserved),
        (V311, C, 0x82, "0001 =a 80", SubscriptionOptionsReserved),
        (V5, C, 0x82, "0001 00 =$share/g/a 04", NoLocalOnShared),
        (V5, C, 0x82, "0001 00 =a 00 =b 03", SubscriptionQosInvalid),
        (V5, C, 0x82, "0001 [ 0B 00 ] =a 00", SubscriptionIdentifierZero),
        (V5, C, 0x82, "0001 [ 0B 01 0B 02 ] =a 00", PropertyRepeated),
        (V5, C, 0x82, "0001 [ 1F =x ] =a 00", PropertyNotAllowed),
    ];
    for (filter, violation) in BAD_FILTERS {
        for (version, before) in [(V31, "0001"), (V311, "0001"), (V5, "0001 00")] {
            let body = format!("{before} {filter} 00");
            rows.push((version, C, 0x82, body.leak(), *violation));
        }
    }
    check(&rows);
}

const BAD_FILTERS: &[(&str, Violation)] = &[
    ("=", TopicEmpty),
    ("0001 00", TextHasNul),
    ("0001 FF", TextNotUtf8),
    ("0003 EDA080", TextNotUtf8),
    ("=a#", FilterMultiLevelMisplaced),
    ("=a/#/b", FilterMultiLevelMisplaced),
    ("=#/", FilterMultiLevelMisplaced),
    ("=##", FilterMultiLevelMisplaced),
    ("=a/b#", FilterMultiLevelMisplaced),
    ("=a+", FilterSingleLevelMisplaced),
    ("=+a", FilterSingleLevelMisplaced),
    ("=a/+b/c", FilterSingleLevelMisplaced),
    ("=a/b+", FilterSingleLevelMisplaced),
    ("=++", FilterSingleLevelMisplaced),
    ("=+#", FilterSingleLevelMisplaced),
    ("=$share/", ShareNameEmpty),
    ("=$share//a", ShareNameEmpty),
    ("=$share/g", ShareNameInvalid),
    ("=$share/g/", ShareNameInvalid),
    ("=$share/g+/a", ShareNameInvalid),
    ("=$share/#/a", ShareNameInvalid),
    ("=$share/+/a", ShareNameInvalid),
    ("=$share/g/a#", FilterMultiLevelMisplaced),
    ("=$share/g/a+", FilterSingleLevelMisplaced),
];

/// Clauses: [MQTT-3.10.3-1] [MQTT-3.10.3-1 of 3.1.1].
#[test]
fn unsubscribe() {
    let mut rows: Vec<Row> = vec![
        (V5, C, 0xA2, "0001 00", UnsubscribeEmpty),
        (V311, C, 0xA2, "0001", UnsubscribeEmpty),
        (V31, C, 0xA2, "0001", UnsubscribeEmpty),
        (V5, C, 0xA2, "0001", Truncated),
        (V5, C, 0xA2, "0000 00 =a", PacketIdZero),
        (V311, C, 0xA2, "0000 =a", PacketIdZero),
        (V311, C, 0xA2, "0001 =a 00", Truncated),
        (V311, C, 0xA2, "0001 0005 'a", Truncated),
        (V5, C, 0xA2, "0001 [ 0B 01 ] =a", PropertyNotAllowed),
        (V5, C, 0xA2, "0001 [ 1F =a ] =a", PropertyNotAllowed),
    ];
    for (filter, violation) in BAD_FILTERS {
        for (version, before) in [(V31, "0001"), (V311, "0001"), (V5, "0001 00")] {
            rows.push((version, C, 0xA2, format!("{before} {filter}").leak(), *violation));
        }
    }
    check(&rows);
}

#[test]
fn answers_to_subscriptions() {
    check(&[
        (V5, S, 0x90, "0001", Truncated),
        (V5, S, 0x90, "0000 00 00", PacketIdZero),
        (V311, S, 0x90, "0000 00", PacketIdZero),
        (V5, S, 0x90, "0001 00", SubackEmpty),
        (V311, S, 0x90, "0001", SubackEmpty),
        (V31, S, 0x90, "0001", SubackEmpty),
        (V5, S, 0x90, "0001 00 03", SubackReasonUnknown),
        (V5, S, 0x90, "0001 00 00 11", SubackReasonUnknown),
        (V5, S, 0x90, "0001 00 81", SubackReasonUnknown),
        (V311, S, 0x90, "0001 03", SubackReasonUnknown),
        (V311, S, 0x90, "0001 87", SubackReasonUnknown),
        (V31, S, 0x90, "0001 00 81", SubackReasonUnknown),
        (V5, S, 0x90, "0001 [ 0B 01 ] 00", PropertyNotAllowed),
        (V5, S, 0xB0, "0001", Truncated),
        (V5, S, 0xB0, "0000 00 00", PacketIdZero),
        (V311, S, 0xB0, "0000", PacketIdZero),
        (V5, S, 0xB0, "0001 00", UnsubackEmpty),
        (V5, S, 0xB0, "0001 00 01", UnsubackReasonUnknown),
        (V5, S, 0xB0, "0001 00 00 97", UnsubackReasonUnknown),
        (V311, S, 0xB0, "0001 00", TrailingBytes),
        (V31, S, 0xB0, "0001 00", TrailingBytes),
    ]);
}

#[test]
fn pings_and_ends() {
    let mut rows: Vec<Row> = vec![
        (V5, C, 0xE0, "03", DisconnectReasonUnknown),
        (V5, C, 0xE0, "87", DisconnectReasonUnknown),
        (V5, C, 0xE0, "8E", DisconnectReasonUnknown),
        (V5, S, 0xE0, "04", DisconnectReasonUnknown),
        (V5, S, 0xE0, "84", DisconnectReasonUnknown),
        (V5, C, 0xE0, "00 00 00", TrailingBytes),
        (V5, C, 0xE0, "00 05", Truncated),
        (V5, S, 0xE0, "00 [ 11 00000001 ]", SessionExpiryFromServer),
        (V5, C, 0xE0, "00 [ 21 0001 ]", PropertyNotAllowed),
        (V5, C, 0xE0, "00 [ 11 00000001 11 00000001 ]", PropertyRepeated),
        (V311, C, 0xE0, "00", TrailingBytes),
        (V31, C, 0xE0, "00", TrailingBytes),
        (V5, S, 0xF0, "18", Truncated),
        (V5, S, 0xF0, "18 00", AuthenticationMethodMissing),
        (V5, C, 0xF0, "18 [ 16 =x ]", AuthenticationDataWithoutMethod),
        (V5, C, 0xF0, "18 [ 1F =x ]", AuthenticationMethodMissing),
        (V5, C, 0xF0, "", AuthReasonUnknown),
        (V5, C, 0xF0, "00 [ 15 =m ]", AuthReasonUnknown),
        (V5, S, 0xF0, "19 [ 15 =m ]", AuthReasonUnknown),
        (V5, S, 0xF0, "80 [ 15 =m ]", AuthReasonUnknown),
        (V5, S, 0xF0, "18 [ 15 =m 15 =m ]", PropertyRepeated),
        (V5, S, 0xF0, "18 [ 15 =m ] 00", TrailingBytes),
        (V5, S, 0xF0, "18 [ 15 =m 21 0001 ]", PropertyNotAllowed),
    ];
    for version in [V31, V311, V5] {
        rows.push((version, C, 0xC0, "00", TrailingBytes));
        rows.push((version, S, 0xD0, "00", TrailingBytes));
    }
    check(&rows);
}

/// Every violation names a clause and says something, and none is a mere success.
#[test]
fn every_violation_speaks() {
    for violation in Violation::ALL {
        assert!(violation.reason().is_error(), "{violation:?}");
        assert!(violation.clause().starts_with("MQTT-"), "{violation:?}");
        assert!(violation.clause_v311() == "-" || violation.clause_v311().starts_with("MQTT-"));
        assert!(violation.to_string().contains(violation.clause()));
    }
    assert_eq!(Violation::UnsupportedLevel(9).reason().connect_return_code_v3(), 1);
}
