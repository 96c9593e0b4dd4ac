//! Packets that are fine, what they mean, and that they are written the same way again.

use ringmq_wire::{
    Packet, Property, Qos, ReasonCode, RetainHandling, Sender, SubscriptionOptions, TopicFilter, Version,
};

use crate::notation::{C, S, V5, V31, V311, decode_bytes, encoded, packet};

/// Packets in the only form the encoder writes them.
const CANONICAL: &[(Version, Sender, u8, &str)] = &[
    (V5, C, 0x10, "=MQTT 05 00 0000 00 ="),
    (V5, C, 0x10, "=MQTT 05 02 003C 00 =client"),
    (V5, C, 0x10, "=MQTT 05 C2 FFFF 00 =c =user =pass"),
    (V5, C, 0x10, "=MQTT 05 42 003C 00 =c =pass"),
    (V5, C, 0x10, "=MQTT 05 82 003C 00 =c ="),
    (V5, C, 0x10, "=MQTT 05 06 003C 00 =c 00 =w ="),
    (V5, C, 0x10, "=MQTT 05 2E 003C 00 =c 00 =w =m"),
    (V5, C, 0x10, "=MQTT 05 F6 003C 00 =c [ 18 00000005 01 01 ] =w 0002 00FF =u =p"),
    (V5, C, 0x10, "=MQTT 05 02 003C [ 11 FFFFFFFF 21 0001 27 00000001 22 0000 19 01 17 00 ] =c"),
    (V5, C, 0x10, "=MQTT 05 02 003C [ 15 =SCRAM 16 0002 0001 26 =k =v 26 =k =v ] =c"),
    (V5, C, 0x10, "=MQTT 05 02 003C 00 0003 EFBBBF"),
    (V5, C, 0x10, "=MQTT 05 02 003C 00 0004 F48FBFBF"),
    (V311, C, 0x10, "=MQTT 04 02 003C =c"),
    (V311, C, 0x10, "=MQTT 84 02 003C =bridge"),
    (V311, C, 0x10, "=MQTT 04 C6 003C =c =w =m =u =p"),
    (V311, C, 0x10, "=MQTT 04 00 0000 ="),
    (V31, C, 0x10, "=MQIsdp 03 02 003C =c"),
    (V31, C, 0x10, "=MQIsdp 83 02 003C =bridge"),
    (V31, C, 0x10, "=MQIsdp 03 F6 003C =c =w =m =u =p"),
    (V31, C, 0x10, "=MQIsdp 03 42 003C =c =p"),
    (V5, S, 0x20, "00 00 00"),
    (V5, S, 0x20, "01 00 00"),
    (V5, S, 0x20, "00 87 [ 1F =no 26 =a =b ]"),
    (V5, S, 0x20, "00 00 [ 11 00000000 12 =id 13 0010 1A =resp 1C =ref 24 01 25 00 28 01 29 00 2A 01 ]"),
    (V311, S, 0x20, "01 00"),
    (V311, S, 0x20, "00 05"),
    (V31, S, 0x20, "00 04"),
    (V5, C, 0x30, "=a 00"),
    (V5, C, 0x30, "=a/b 00 'hello"),
    (V5, C, 0x31, "=/ 00 'x"),
    (V5, C, 0x32, "=a 0001 00 'x"),
    (V5, C, 0x3A, "=a FFFF 00 'x"),
    (V5, C, 0x3D, "=a 0102 00 'x"),
    (V5, C, 0x30, "= [ 23 0001 ] 'x"),
    (V5, C, 0x30, "=a [ 23 FFFF ] 'x"),
    (V5, C, 0x30, "=a [ 01 01 02 0000003C 03 =json 08 =r/t 09 0002 0001 26 =k = ] 'x"),
    (V5, S, 0x30, "=a [ 0B 01 0B FFFFFF7F 0B 8001 ] 'x"),
    (V5, S, 0x30, "=$SYS/uptime 00 '1"),
    (V311, C, 0x30, "=a"),
    (V311, C, 0x30, "=a 'hello"),
    (V311, C, 0x3B, "=a 0001 'x"),
    (V31, S, 0x34, "=a 0001 'x"),
    (V311, C, 0x30, "=$share/g/t 'x"),
    (V5, C, 0x40, "0001"),
    (V5, C, 0x40, "0001 10"),
    (V5, S, 0x40, "0001 97 [ 1F =full ]"),
    (V5, S, 0x40, "0001 00 [ 26 =a =b ]"),
    (V5, C, 0x50, "FFFF"),
    (V5, C, 0x50, "0001 83"),
    (V5, C, 0x62, "0001"),
    (V5, C, 0x62, "0001 92"),
    (V5, S, 0x70, "0001"),
    (V5, S, 0x70, "0001 92 [ 1F =gone ]"),
    (V311, C, 0x40, "0001"),
    (V311, C, 0x50, "0001"),
    (V311, C, 0x62, "0001"),
    (V31, C, 0x70, "0001"),
    (V5, C, 0x82, "0001 00 =a 00"),
    (V5, C, 0x82, "0001 [ 0B 01 ] =a/+/b 2E =# 1D"),
    (V5, C, 0x82, "0001 [ 26 =k =v ] =$share/g/# 02"),
    (V311, C, 0x82, "0001 =a 00 =b 01 =+/c 02"),
    (V311, C, 0x82, "0001 =$share/g/a 01"),
    (V31, C, 0x82, "0001 =a 02"),
    (V5, C, 0xA2, "0001 00 =a"),
    (V5, C, 0xA2, "0001 [ 26 =k =v ] =a =$share/g/#"),
    (V311, C, 0xA2, "0001 =a =b/#"),
    (V31, C, 0xA2, "0001 =a"),
    (V5, S, 0x90, "0001 00 00 01 02 80 83 87 8F 91 97 9E A1 A2"),
    (V5, S, 0x90, "0001 [ 1F =r ] 00"),
    (V311, S, 0x90, "0001 00 01 02 80"),
    (V31, S, 0x90, "0001 02"),
    (V5, S, 0xB0, "0001 00 00 11 80 83 87 8F 91"),
    (V311, S, 0xB0, "0001"),
    (V31, S, 0xB0, "0001"),
    (V5, C, 0xC0, ""),
    (V311, C, 0xC0, ""),
    (V5, S, 0xD0, ""),
    (V31, S, 0xD0, ""),
    (V5, C, 0xE0, ""),
    (V5, C, 0xE0, "04"),
    (V5, C, 0xE0, "00 [ 11 00000010 ]"),
    (V5, S, 0xE0, "8E"),
    (V5, S, 0xE0, "9C [ 1C =other 1F =moved 26 =a =b ]"),
    (V311, C, 0xE0, ""),
    (V31, C, 0xE0, ""),
    (V5, S, 0xF0, ""),
    (V5, S, 0xF0, "18 [ 15 =m 16 =data ]"),
    (V5, S, 0xF0, "00 [ 15 =m ]"),
    (V5, C, 0xF0, "19 [ 15 =m 1F =why 26 =a =b ]"),
];

/// Clauses: [MQTT31-name].
#[test]
fn canonical_packets_come_back_as_they_were() {
    for &(version, sender, first, body) in CANONICAL {
        let bytes = packet(first, body);
        let decoded = decode_bytes(version, sender, &bytes);
        let decoded = decoded.unwrap_or_else(|violation| panic!("{first:02X} {body}: {violation}"));
        assert_eq!(decoded.kind().number(), first >> 4);
        assert_eq!(encoded(version, &decoded), bytes, "{version:?} {first:02X} {body}");
    }
}

/// Allowed forms that are written differently again: the one on the left means the one on the right.
#[test]
fn other_forms() {
    let rows = [
        (V5, C, 0x40, "0001 00", 0x40, "0001"),
        (V5, C, 0x40, "0001 00 00", 0x40, "0001"),
        (V5, C, 0x50, "0001 10 00", 0x50, "0001 10"),
        (V5, C, 0xE0, "00", 0xE0, ""),
        (V5, C, 0xE0, "00 00", 0xE0, ""),
        (V5, C, 0xE0, "04 00", 0xE0, "04"),
        // 3.1: duplicates of PUBREL, SUBSCRIBE, UNSUBSCRIBE, and flags that are not used.
        (V31, C, 0x6A, "0001", 0x62, "0001"),
        (V31, C, 0x8A, "0001 =a 01", 0x82, "0001 =a 01"),
        (V31, C, 0xAB, "0001 =a", 0xA2, "0001 =a"),
        (V31, C, 0x4F, "0001", 0x40, "0001"),
        (V31, C, 0xC1, "", 0xC0, ""),
        (V31, C, 0x38, "=a 'x", 0x30, "=a 'x"),
        (V31, S, 0x20, "01 00", 0x20, "00 00"),
        (V31, S, 0x20, "FF 00", 0x20, "00 00"),
        // 3.1: flags without fields, fields' flags without a will, the lowest bit.
        (V31, C, 0x1F, "=MQIsdp 03 02 003C =c", 0x10, "=MQIsdp 03 02 003C =c"),
        (V31, C, 0x10, "=MQIsdp 03 C2 003C =c", 0x10, "=MQIsdp 03 02 003C =c"),
        (V31, C, 0x10, "=MQIsdp 03 C2 003C =c =u", 0x10, "=MQIsdp 03 82 003C =c =u"),
        (V31, C, 0x10, "=MQIsdp 03 3B 003C =c", 0x10, "=MQIsdp 03 02 003C =c"),
    ];
    for (version, sender, first, body, first_after, body_after) in rows {
        let bytes = packet(first, body);
        let decoded = decode_bytes(version, sender, &bytes);
        let decoded = decoded.unwrap_or_else(|violation| panic!("{first:02X} {body}: {violation}"));
        assert_eq!(encoded(version, &decoded), packet(first_after, body_after), "{first:02X} {body}");
    }
}

/// Clauses: [MQTT-3.1.3-1] [MQTT-3.1.3-1 of 3.1.1].
#[test]
fn connect_has_all_its_fields() {
    let body = "=MQTT 05 EE 0102 [ 11 00000009 ] =me [ 18 00000005 ] =w/t 0002 00FF =u 0001 FE";
    let bytes = packet(0x10, body);
    let Ok(Packet::Connect(connect)) = decode_bytes(V31, C, &bytes) else { panic!("CONNECT") };
    assert_eq!((connect.version, connect.bridge, connect.clean_start), (V5, false, true));
    assert_eq!((connect.keep_alive, connect.client_id), (0x0102, "me"));
    assert_eq!(connect.properties.u32(Property::SessionExpiryInterval), Some(9));
    assert_eq!((connect.user_name, connect.password), (Some("u"), Some(&[0xFE][..])));
    let will = connect.will.expect("a will");
    assert_eq!((will.topic.as_str(), will.payload), ("w/t", &[0x00, 0xFF][..]));
    assert_eq!((will.qos, will.retain), (Qos::AtLeastOnce, true));
    assert_eq!(will.properties.u32(Property::WillDelayInterval), Some(5));
}

/// Clauses: [MQTT31-bridge].
#[test]
fn a_bridge_says_what_it_is() {
    for (body, version) in [("=MQTT 84 02 003C =b", V311), ("=MQIsdp 83 02 003C =b", V31)] {
        let bytes = packet(0x10, body);
        let Ok(Packet::Connect(connect)) = decode_bytes(V5, C, &bytes) else { panic!("CONNECT") };
        assert!(connect.bridge);
        assert_eq!(connect.version, version);
    }
}

#[test]
fn publish_has_all_its_fields() {
    let bytes = packet(0x3D, "=a/b 0102 [ 02 0000003C 26 =k =v 26 =k =w ] 'hello");
    let Ok(Packet::Publish(publish)) = decode_bytes(V5, C, &bytes) else { panic!("PUBLISH") };
    assert_eq!((publish.dup, publish.qos, publish.retain), (true, Qos::ExactlyOnce, true));
    assert_eq!((publish.topic.as_str(), publish.payload), ("a/b", &b"hello"[..]));
    assert_eq!(publish.packet_id.map(|id| id.value()), Some(0x0102));
    assert_eq!(publish.properties.u32(Property::MessageExpiryInterval), Some(60));
    let pairs: Vec<_> = publish.properties.user_properties().collect();
    assert_eq!(pairs, [("k", "v"), ("k", "w")]);
}

#[test]
fn subscribe_has_all_its_filters() {
    let bytes = packet(0x82, "0007 [ 0B 8001 ] =a/+ 2D =$share/g/b/# 12");
    let Ok(Packet::Subscribe(subscribe)) = decode_bytes(V5, C, &bytes) else { panic!("SUBSCRIBE") };
    assert_eq!(subscribe.properties.u32(Property::SubscriptionIdentifier), Some(128));
    assert_eq!(subscribe.filters.len(), 2);
    let filters: Vec<_> = subscribe.filters.iter().collect();
    assert_eq!(filters[0].filter, TopicFilter::new("a/+").unwrap());
    let options = SubscriptionOptions {
        qos: Qos::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    assert_eq!(filters[0].options, options);
    assert_eq!(filters[1].filter.share_name(), Some("g"));
    assert_eq!(filters[1].filter.filter(), "b/#");
    assert_eq!(filters[1].options.retain_handling, RetainHandling::SendIfNew);
}

/// 3.1 does not use the upper bits of the QoS byte, and does not get options from them.
/// Clauses: [MQTT31-unused-bits].
#[test]
fn subscription_options_of_3_1_are_only_a_qos() {
    let bytes = packet(0x82, "0001 =a FE");
    let Ok(Packet::Subscribe(subscribe)) = decode_bytes(V31, C, &bytes) else { panic!("SUBSCRIBE") };
    let filter = subscribe.filters.iter().next().expect("a filter");
    assert_eq!(filter.options, SubscriptionOptions::qos(Qos::ExactlyOnce));
}

#[test]
fn unsubscribe_has_all_its_filters() {
    let bytes = packet(0xA2, "0007 =a/+ =$share/g/b");
    let Ok(Packet::Unsubscribe(unsubscribe)) = decode_bytes(V311, C, &bytes) else { panic!("UNSUBSCRIBE") };
    let filters: Vec<_> = unsubscribe.filters.iter().map(TopicFilter::whole).collect();
    assert_eq!((unsubscribe.filters.len(), filters), (2, vec!["a/+", "$share/g/b"]));
}

/// Clauses: [MQTT31-return-codes].
#[test]
fn connack_codes_of_3_x_are_mapped_both_ways() {
    let codes = [
        (0, ReasonCode::SUCCESS),
        (1, ReasonCode::UNSUPPORTED_PROTOCOL_VERSION),
        (2, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
        (3, ReasonCode::SERVER_UNAVAILABLE),
        (4, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (5, ReasonCode::NOT_AUTHORIZED),
    ];
    for version in [V31, V311] {
        for (code, reason) in codes {
            let bytes = [0x20, 2, 0, code];
            let Ok(Packet::Connack(connack)) = decode_bytes(version, S, &bytes) else { panic!("CONNACK") };
            assert_eq!(connack.reason, reason);
            assert_eq!(encoded(version, &Packet::Connack(connack)), bytes);
        }
    }
}

/// Before 5.0 an error in SUBACK is 0x80 whatever the cause, and what the version lacks is not written.
#[test]
fn what_3_x_lacks_is_left_out() {
    let rows = [
        (S, 0x90, "0001 [ 1F =r ] 01 87 97", "0001 01 80 80"),
        (S, 0xB0, "0001 [ 1F =r ] 11 00", "0001"),
        (S, 0x40, "0001 97 [ 1F =r ]", "0001"),
        (S, 0x20, "00 9F [ 1F =r ]", "00 03"),
        (C, 0xE0, "04 [ 1F =r ]", ""),
        (C, 0x30, "=a [ 26 =k =v ] 'x", "=a 'x"),
    ];
    for (sender, first, body, body_after) in rows {
        let bytes = packet(first, body);
        let decoded = decode_bytes(V5, sender, &bytes).expect("a packet of 5.0");
        for version in [V31, V311] {
            assert_eq!(encoded(version, &decoded), packet(first, body_after), "{first:02X} {body}");
        }
    }
}
