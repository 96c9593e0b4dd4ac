//! Right packets of every type and version, with whatever they may carry. Names come from small sets, so that
//! they meet: sessions are taken over, subscriptions match, packet ids collide.

use ringmq_wire::{
    Ack, Auth, Connack, Connect, Disconnect, Packet, PacketId, Properties, PropertiesBuffer, Property,
    Publish, Qos, ReasonCode, Suback, Subscribe, SubscribeFilters, SubscriptionOptions, TopicName, Unsuback,
    Unsubscribe, UnsubscribeFilters, Version, Will,
};

use super::random::Random;

const TOPICS: [&str; 8] = ["a", "a/b", "a/b/c", "$x/a", "b/水", "deep/1/2/3/4/5/6/7/8", "c", "/"];
const FILTERS: [&str; 10] =
    ["a", "a/+", "#", "+/b/#", "$share/g/a/#", "$share/h/#", "$x/#", "$SYS/#", "/", "deep/#"];
/// Longest payload; a few are as long as this, most are short.
const PAYLOAD_BYTES_MAX: usize = 3_000;
/// ClientIDs in use.
const CLIENT_IDS: usize = 50;

pub(super) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// A CONNECT that a broker has no reason to refuse.
pub(super) fn connect(random: &mut Random, version: Version) -> Vec<u8> {
    let id = format!("hostile-{}", random.below(CLIENT_IDS));
    let (properties, will_properties) = (connect_properties(random, version), PropertiesBuffer::new());
    let payload = random.bytes(40);
    let will = random.chance(30).then(|| Will {
        topic: topic(random),
        payload: &payload,
        qos: qos(random),
        retain: random.chance(20),
        properties: will_properties.as_properties(),
    });
    encode(
        version,
        &Packet::Connect(Connect {
            version,
            bridge: false,
            clean_start: random.chance(60),
            keep_alive: random.pick(&[0, 1, 60]),
            client_id: &id,
            will,
            user_name: random.chance(20).then_some("somebody"),
            password: None,
            properties: properties.as_properties(),
        }),
    )
}

fn connect_properties(random: &mut Random, version: Version) -> PropertiesBuffer {
    let mut properties = PropertiesBuffer::new();
    if version < Version::V5 {
        return properties;
    }
    if random.chance(50) {
        properties.push_u32(Property::SessionExpiryInterval, random.pick(&[0, 1, 60, u32::MAX]));
    }
    if random.chance(30) {
        properties.push_u16(Property::ReceiveMaximum, random.pick(&[1, 2, 100]));
    }
    if random.chance(20) {
        properties.push_u32(Property::MaximumPacketSize, random.pick(&[1, 20, 100, 10_000]));
    }
    if random.chance(30) {
        properties.push_u16(Property::TopicAliasMaximum, random.pick(&[1, 5]));
    }
    properties
}

/// A right packet of any type, those of servers included, written as one version would.
pub(super) fn any(random: &mut Random, version: Version) -> Vec<u8> {
    match random.below(16) {
        0 => connect(random, version),
        1..6 => publish(random, version),
        6 | 7 => subscribe(random, version),
        8 => unsubscribe(random, version),
        9..12 => acknowledgement(random, version),
        12 => encode(version, &Packet::Pingreq),
        13 => disconnect(random, version),
        14 => auth(random),
        _ => of_a_server(random, version),
    }
}

/// A message that nothing stands against, if its packet id is free.
pub(super) fn publish(random: &mut Random, version: Version) -> Vec<u8> {
    let mut properties = PropertiesBuffer::new();
    if version == Version::V5 && random.chance(40) {
        message_properties(random, &mut properties);
    }
    let qos = qos(random);
    let bytes_max = if random.chance(5) { PAYLOAD_BYTES_MAX } else { 60 };
    encode(
        version,
        &Packet::Publish(Publish {
            dup: qos != Qos::AtMostOnce && random.chance(20),
            qos,
            retain: random.chance(20),
            topic: topic(random),
            packet_id: (qos != Qos::AtMostOnce).then(|| packet_id(random)),
            properties: properties.as_properties(),
            payload: &random.bytes(bytes_max),
        }),
    )
}

fn message_properties(random: &mut Random, properties: &mut PropertiesBuffer) {
    match random.below(5) {
        0 => properties.push_u16(Property::TopicAlias, random.pick(&[1, 2, 32, 33])),
        1 => properties.push_u32(Property::MessageExpiryInterval, random.pick(&[0, 1, 100])),
        2 => properties.push_str(Property::ResponseTopic, "response"),
        3 => properties.push_bytes(Property::CorrelationData, &random.bytes(30)),
        _ => properties.push_user("name", "value"),
    }
}

fn subscribe(random: &mut Random, version: Version) -> Vec<u8> {
    let mut raw = Vec::new();
    for _ in 0..=random.below(3) {
        let (filter, options) = (random.pick(&FILTERS), SubscriptionOptions::qos(qos(random)));
        // Those names are right filters.
        let _ = SubscribeFilters::encode_one(filter, options, &mut raw);
    }
    let mut properties = PropertiesBuffer::new();
    if version == Version::V5 && random.chance(30) {
        properties.push_variable(Property::SubscriptionIdentifier, random.pick(&[1, 127, 128, 268_435_455]));
    }
    let Ok(filters) = SubscribeFilters::from_encoded(version, &raw) else { return raw };
    let properties = properties.as_properties();
    encode(version, &Packet::Subscribe(Subscribe { packet_id: packet_id(random), properties, filters }))
}

fn unsubscribe(random: &mut Random, version: Version) -> Vec<u8> {
    let mut raw = Vec::new();
    let _ = UnsubscribeFilters::encode_one(random.pick(&FILTERS), &mut raw);
    let Ok(filters) = UnsubscribeFilters::from_encoded(version, &raw) else { return raw };
    let (packet_id, properties) = (packet_id(random), Properties::EMPTY);
    encode(version, &Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters }))
}

/// An acknowledgement of what was sent, or never was.
pub(super) fn acknowledgement(random: &mut Random, version: Version) -> Vec<u8> {
    let ack =
        Ack { packet_id: packet_id(random), reason: ReasonCode::SUCCESS, properties: Properties::EMPTY };
    encode(
        version,
        &match random.below(4) {
            0 => Packet::Puback(ack),
            1 => Packet::Pubrec(ack),
            2 => Packet::Pubrel(ack),
            _ => Packet::Pubcomp(ack),
        },
    )
}

fn disconnect(random: &mut Random, version: Version) -> Vec<u8> {
    let will = version == Version::V5 && random.chance(50);
    let reason = if will { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::NORMAL_DISCONNECTION };
    encode(version, &Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }))
}

fn auth(random: &mut Random) -> Vec<u8> {
    let mut properties = PropertiesBuffer::new();
    properties.push_str(Property::AuthenticationMethod, "method");
    let reason = random.pick(&[ReasonCode::CONTINUE_AUTHENTICATION, ReasonCode::REAUTHENTICATE]);
    encode(Version::V5, &Packet::Auth(Auth { reason, properties: properties.as_properties() }))
}

fn of_a_server(random: &mut Random, version: Version) -> Vec<u8> {
    let (packet_id, properties) = (packet_id(random), Properties::EMPTY);
    let codes: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    encode(
        version,
        &match random.below(4) {
            0 => Packet::Connack(Connack { session_present: false, reason: ReasonCode::SUCCESS, properties }),
            1 => Packet::Suback(Suback { packet_id, properties, codes: &[0] }),
            2 => Packet::Unsuback(Unsuback { packet_id, properties, codes }),
            _ => Packet::Pingresp,
        },
    )
}

fn encode(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}

fn topic(random: &mut Random) -> TopicName<'static> {
    TopicName::new(random.pick(&TOPICS)).unwrap_or(TopicName::EMPTY)
}

fn qos(random: &mut Random) -> Qos {
    random.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
}

/// From a small set, and now and then the last one.
fn packet_id(random: &mut Random) -> PacketId {
    let id = if random.chance(5) { u16::MAX } else { random.below(20) as u16 + 1 };
    PacketId::new(id).unwrap_or(PacketId::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_wire::{PacketKind, Sender, decode, frame};

    /// Before it is damaged, everything is right, and every type comes.
    #[test]
    fn every_type_comes_and_is_right() {
        let mut random = Random::new(1);
        let mut kinds: Vec<PacketKind> = Vec::new();
        for turn in 0..2_000 {
            let version = VERSIONS[turn % 3];
            let bytes = any(&mut random, version);
            let frame = frame::split(&bytes, u32::MAX).unwrap().unwrap();
            let sides = [Sender::Client, Sender::Server]
                .map(|side| decode(version, side, &frame).or_else(|_| decode(Version::V5, side, &frame)));
            let packet = sides.into_iter().find_map(Result::ok).expect("right from one side");
            if !kinds.contains(&packet.kind()) {
                kinds.push(packet.kind());
            }
        }
        assert_eq!(kinds.len(), 15, "{kinds:?}");
    }
}
