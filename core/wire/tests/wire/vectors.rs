//! The packet vectors of the testsuite: good packets are decoded to the meaning that stands there and written
//! again byte by byte; bad ones break the clause that stands there [MQTT-4.13.1-1].

use std::collections::BTreeSet;
use std::fmt::Write;

use ringmq_wire::{
    Ack, Connack, Connect, Packet, PacketId, Properties, PropertyValue, Publish, ReasonCode, RetainHandling,
    Sender, Subscribe, Version,
};

use crate::notation::{decode_bytes, encoded};
use crate::vector_file::{Vector, Verdict, all};

#[test]
fn good_packets_mean_what_stands_there_and_are_written_again() {
    for vector in &all() {
        let Verdict::Means { text, again } = &vector.verdict else { continue };
        let packet = decode_bytes(vector.version, vector.sender, &vector.bytes);
        let packet = packet.unwrap_or_else(|violation| panic!("{}: {violation}", vector.name));
        assert_eq!(&words(vector.version, &packet), text, "{}", vector.name);
        assert_eq!(&encoded(vector.version, &packet), again, "{}", vector.name);
    }
}

#[test]
fn bad_packets_break_the_clause_that_stands_there() {
    for vector in &all() {
        let Verdict::Breaks { clause, reason } = &vector.verdict else { continue };
        let result = decode_bytes(vector.version, vector.sender, &vector.bytes);
        let violation = result.err().unwrap_or_else(|| panic!("{} is taken for a good packet", vector.name));
        let found = match vector.version {
            Version::V5 => violation.clause(),
            Version::V31 | Version::V311 => violation.clause_v311(),
        };
        assert_eq!((found, violation.reason().value()), (&**clause, *reason), "{}", vector.name);
    }
}

#[test]
fn names_are_told_apart_and_answers_are_there() {
    let vectors = all();
    for vector in &vectors {
        let asks = vector.sender == Sender::Client || matches!(vector.verdict, Verdict::Breaks { .. });
        assert_eq!(asks, vector.answer.is_some(), "{}: an answer where there is one", vector.name);
    }
    let names: BTreeSet<&str> = vectors.iter().map(|Vector { name, .. }| &**name).collect();
    assert_eq!(names.len(), vectors.len());
}

/// A packet in the words of the vectors.
fn words(version: Version, packet: &Packet<'_>) -> String {
    let kind = packet.kind().name();
    match packet {
        Packet::Connect(connect) => connect_words(connect),
        Packet::Connack(connack) => connack_words(version, connack),
        Packet::Publish(publish) => publish_words(publish),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack_words(kind, ack)
        }
        Packet::Subscribe(subscribe) => subscribe_words(subscribe),
        Packet::Suback(suback) => codes_words(kind, suback.packet_id, suback.properties, suback.codes),
        Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter().map(|filter| quoted(filter.whole()));
            let filters: Vec<String> = filters.collect();
            let properties = properties_words(unsubscribe.properties);
            format!("{kind} id={}{properties} {}", unsubscribe.packet_id.value(), filters.join(" "))
        }
        Packet::Unsuback(unsuback) => {
            codes_words(kind, unsuback.packet_id, unsuback.properties, unsuback.codes)
        }
        Packet::Disconnect(disconnect) => reason_words(kind, disconnect.reason, disconnect.properties),
        Packet::Auth(auth) => reason_words(kind, auth.reason, auth.properties),
        Packet::Pingreq | Packet::Pingresp => kind.to_owned(),
    }
}

fn connect_words(connect: &Connect<'_>) -> String {
    let mut out = format!("CONNECT v{}", connect.version.name());
    out += if connect.bridge { " bridge" } else { "" };
    out += if connect.clean_start { " clean" } else { "" };
    put(&mut out, format_args!(" keep_alive={} client={}", connect.keep_alive, quoted(connect.client_id)));
    if let Some(user_name) = connect.user_name {
        put(&mut out, format_args!(" user={}", quoted(user_name)));
    }
    if let Some(password) = connect.password {
        put(&mut out, format_args!(" password={}", hexadecimal(password)));
    }
    if let Some(will) = connect.will {
        let retain = if will.retain { " retain" } else { "" };
        let (topic, qos, payload) =
            (quoted(will.topic.as_str()), will.qos.value(), hexadecimal(will.payload));
        let properties = properties_words(will.properties);
        put(&mut out, format_args!(" will{{topic={topic} qos={qos}{retain} payload={payload}{properties}}}"));
    }
    out + &properties_words(connect.properties)
}

fn connack_words(version: Version, connack: &Connack<'_>) -> String {
    let present = if connack.session_present { " present" } else { "" };
    let properties = properties_words(connack.properties);
    match version {
        Version::V5 => format!("CONNACK{present} reason={:02x}{properties}", connack.reason.value()),
        Version::V31 | Version::V311 => {
            format!("CONNACK{present} return_code={}", connack.reason.connect_return_code_v3())
        }
    }
}

fn publish_words(publish: &Publish<'_>) -> String {
    let dup = if publish.dup { " dup" } else { "" };
    let retain = if publish.retain { " retain" } else { "" };
    let packet_id = publish.packet_id.map_or_else(String::new, |id| format!(" id={}", id.value()));
    let (topic, qos) = (quoted(publish.topic.as_str()), publish.qos.value());
    let (properties, payload) = (properties_words(publish.properties), hexadecimal(publish.payload));
    format!("PUBLISH{dup}{retain} topic={topic} qos={qos}{packet_id}{properties} payload={payload}")
}

fn ack_words(kind: &str, ack: &Ack<'_>) -> String {
    let properties = properties_words(ack.properties);
    format!("{kind} id={} reason={:02x}{properties}", ack.packet_id.value(), ack.reason.value())
}

fn subscribe_words(subscribe: &Subscribe<'_>) -> String {
    let properties = properties_words(subscribe.properties);
    let mut out = format!("SUBSCRIBE id={}{properties}", subscribe.packet_id.value());
    for asked in subscribe.filters.iter() {
        let options = asked.options;
        put(&mut out, format_args!(" {}(qos={}", quoted(asked.filter.whole()), options.qos.value()));
        out += if options.no_local { " no_local" } else { "" };
        out += if options.retain_as_published { " retain_as_published" } else { "" };
        if options.retain_handling != RetainHandling::SendAtSubscribe {
            put(&mut out, format_args!(" retain_handling={}", options.retain_handling as u8));
        }
        out.push(')');
    }
    out
}

fn codes_words(kind: &str, packet_id: PacketId, properties: Properties<'_>, codes: &[u8]) -> String {
    let codes: Vec<String> = codes.iter().map(|code| format!("{code:02x}")).collect();
    format!("{kind} id={}{} codes={}", packet_id.value(), properties_words(properties), codes.join(","))
}

fn reason_words(kind: &str, reason: ReasonCode, properties: Properties<'_>) -> String {
    format!("{kind} reason={:02x}{}", reason.value(), properties_words(properties))
}

fn properties_words(properties: Properties<'_>) -> String {
    let mut out = String::new();
    for (property, value) in properties.iter() {
        let name = property.name().to_lowercase().replace(' ', "_");
        let value = match value {
            PropertyValue::U8(value) => value.to_string(),
            PropertyValue::U16(value) => value.to_string(),
            PropertyValue::U32(value) | PropertyValue::Variable(value) => value.to_string(),
            PropertyValue::Str(text) => quoted(text),
            PropertyValue::Bytes(bytes) => hexadecimal(bytes),
            PropertyValue::Pair(name, value) => format!("{},{}", quoted(name), quoted(value)),
        };
        put(&mut out, format_args!(" {name}={value}"));
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        if matches!(character, ' '..='~') && !matches!(character, '"' | '\\' | '\'') {
            out.push(character);
        } else {
            put(&mut out, format_args!("\\u{{{:x}}}", u32::from(character)));
        }
    }
    out + "\""
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("writing to a String");
}
