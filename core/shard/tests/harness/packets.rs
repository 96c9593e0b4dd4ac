//! Packets as a client writes and reads them in a test: written in one line, read as owned values that can be
//! compared. Never anything but the codec makes or takes the bytes.

use ringmq_wire::{
    Ack, Auth, Connect, Disconnect, Packet, PacketId, Properties, PropertiesBuffer, Property, Publish, Qos,
    ReasonCode, Sender, Subscribe, SubscribeFilters, SubscriptionOptions, TopicName, Unsubscribe,
    UnsubscribeFilters, Version, Will, decode, frame,
};

/// What a client sends to open a connection.
#[derive(Clone, Debug)]
pub struct Hello {
    pub version: Version,
    pub id: String,
    pub clean: bool,
    pub keep_alive_seconds: u16,
    pub will: Option<LastWill>,
    pub properties: PropertiesBuffer,
    pub will_properties: PropertiesBuffer,
}

/// A will as a test writes it.
#[derive(Clone, Debug)]
pub struct LastWill {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: Qos,
    pub retain: bool,
}

impl Hello {
    pub fn new(version: Version, id: &str) -> Self {
        Self {
            version,
            id: id.to_owned(),
            clean: true,
            keep_alive_seconds: 0,
            will: None,
            properties: PropertiesBuffer::default(),
            will_properties: PropertiesBuffer::default(),
        }
    }

    /// A session that outlives its connection, and is gone on with when it is there.
    pub fn persistent(mut self) -> Self {
        self.clean = false;
        self.expiry(u32::MAX)
    }

    /// Session expiry interval; 3.x has none.
    pub fn expiry(mut self, seconds: u32) -> Self {
        if self.version == Version::V5 {
            self.properties.push_u32(Property::SessionExpiryInterval, seconds);
        }
        self
    }

    pub fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    /// Receive maximum; 3.x has none.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        if self.version == Version::V5 {
            self.properties.push_u16(Property::ReceiveMaximum, messages);
        }
        self
    }

    /// Authentication method, and data where there is some.
    pub fn method(mut self, method: &str, data: &[u8]) -> Self {
        push_exchange(&mut self.properties, method, data);
        self
    }

    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive_seconds = seconds;
        self
    }

    pub fn will(mut self, topic: &str, payload: &[u8], qos: Qos, retain: bool) -> Self {
        self.will = Some(LastWill { topic: topic.to_owned(), payload: payload.to_vec(), qos, retain });
        self
    }

    pub fn will_delay(mut self, seconds: u32) -> Self {
        self.will_properties.push_u32(Property::WillDelayInterval, seconds);
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let will = self.will.as_ref().map(|will| Will {
            topic: TopicName::new(&will.topic).expect("a test's will topic is right"),
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            properties: self.will_properties.as_properties(),
        });
        let connect = Connect {
            version: self.version,
            bridge: false,
            clean_start: self.clean,
            keep_alive: self.keep_alive_seconds,
            client_id: &self.id,
            will,
            user_name: None,
            password: None,
            properties: self.properties.as_properties(),
        };
        encode(self.version, &Packet::Connect(connect))
    }
}

/// A PUBLISH as a test writes it.
#[derive(Clone, Debug)]
pub struct Post {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: Qos,
    pub id: u16,
    pub retain: bool,
    pub dup: bool,
    pub properties: PropertiesBuffer,
}

impl Post {
    pub fn new(topic: &str, payload: impl AsRef<[u8]>, qos: u8, id: u16) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.as_ref().to_vec(),
            qos: Qos::from_u8(qos).expect("0 to 2"),
            id,
            retain: false,
            dup: false,
            properties: PropertiesBuffer::default(),
        }
    }

    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    pub fn again(mut self) -> Self {
        self.dup = true;
        self
    }

    pub fn expiry(mut self, seconds: u32) -> Self {
        self.properties.push_u32(Property::MessageExpiryInterval, seconds);
        self
    }

    pub fn encode(&self, version: Version) -> Vec<u8> {
        let publish = Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: TopicName::new(&self.topic).expect("a test's topic is right"),
            packet_id: if self.qos == Qos::AtMostOnce { None } else { Some(packet_id(self.id)) },
            properties: self.properties.as_properties(),
            payload: &self.payload,
        };
        encode(version, &Packet::Publish(publish))
    }
}

pub fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("a test's packet id is not zero")
}

pub fn encode(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    out
}

/// The four acknowledgements of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AckKind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

pub fn ack(version: Version, kind: AckKind, id: u16, reason: ReasonCode) -> Vec<u8> {
    let ack = Ack { packet_id: packet_id(id), reason, properties: Properties::EMPTY };
    let packet = match kind {
        AckKind::Puback => Packet::Puback(ack),
        AckKind::Pubrec => Packet::Pubrec(ack),
        AckKind::Pubrel => Packet::Pubrel(ack),
        AckKind::Pubcomp => Packet::Pubcomp(ack),
    };
    encode(version, &packet)
}

/// Options with nothing but a QoS.
pub fn with_qos(qos: u8) -> SubscriptionOptions {
    SubscriptionOptions { qos: Qos::from_u8(qos).expect("0 to 2"), ..SubscriptionOptions::default() }
}

pub fn subscribe(
    version: Version,
    id: u16,
    filters: &[(&str, SubscriptionOptions)],
    identifier: Option<u32>,
) -> Vec<u8> {
    let mut raw = Vec::new();
    for (filter, options) in filters {
        SubscribeFilters::encode_one(filter, *options, &mut raw).expect("a test's filter is right");
    }
    let mut properties = PropertiesBuffer::default();
    if let Some(identifier) = identifier {
        properties.push_variable(Property::SubscriptionIdentifier, identifier);
    }
    let packet = Packet::Subscribe(Subscribe {
        packet_id: packet_id(id),
        properties: properties.as_properties(),
        filters: SubscribeFilters::from_encoded(version, &raw).expect("a test's filters are right"),
    });
    encode(version, &packet)
}

pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut raw = Vec::new();
    for filter in filters {
        UnsubscribeFilters::encode_one(filter, &mut raw).expect("a test's filter is right");
    }
    let packet = Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(id),
        properties: Properties::EMPTY,
        filters: UnsubscribeFilters::from_encoded(version, &raw).expect("a test's filters are right"),
    });
    encode(version, &packet)
}

pub fn disconnect(version: Version, reason: ReasonCode) -> Vec<u8> {
    encode(version, &Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }))
}

/// AUTH with a method, and data where there is some.
pub fn auth(reason: ReasonCode, method: &str, data: &[u8]) -> Vec<u8> {
    let mut properties = PropertiesBuffer::default();
    push_exchange(&mut properties, method, data);
    encode(Version::V5, &Packet::Auth(Auth { reason, properties: properties.as_properties() }))
}

fn push_exchange(properties: &mut PropertiesBuffer, method: &str, data: &[u8]) {
    properties.push_str(Property::AuthenticationMethod, method);
    if !data.is_empty() {
        properties.push_bytes(Property::AuthenticationData, data);
    }
}

pub fn pingreq(version: Version) -> Vec<u8> {
    encode(version, &Packet::Pingreq)
}

/// A PUBLISH as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPublish {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub id: u16,
    pub retain: bool,
    pub dup: bool,
    pub subscription_ids: Vec<u32>,
    pub expiry_seconds: Option<u32>,
    pub alias: Option<u16>,
    pub user_properties: Vec<(String, String)>,
}

/// A CONNACK as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenConnack {
    pub session_present: bool,
    pub reason: u8,
    pub assigned_id: Option<String>,
    pub keep_alive_seconds: Option<u16>,
    pub receive_maximum: Option<u16>,
    pub session_expiry_seconds: Option<u32>,
    pub method: Option<String>,
    pub data: Option<Vec<u8>>,
}

/// AUTH as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenAuth {
    pub reason: u8,
    pub method: Option<String>,
    pub data: Option<Vec<u8>>,
}

/// One packet as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Connack(SeenConnack),
    Publish(SeenPublish),
    Ack(AckKind, u16, u8),
    Suback(u16, Vec<u8>),
    Unsuback(u16, Vec<u8>),
    Pingresp,
    Disconnect(u8),
    Auth(SeenAuth),
}

/// Takes the first whole packet out of what a client has received; a broken one is the broker's fault.
pub fn take_seen(version: Version, received: &mut Vec<u8>) -> Option<Seen> {
    let bytes = frame::announced(received).expect("the broker's framing is right")?;
    if received.len() < bytes {
        return None;
    }
    let whole: Vec<u8> = received.drain(..bytes).collect();
    let frame = frame::split(&whole, u32::MAX).expect("the broker's frame is right").expect("a whole frame");
    let packet = decode(version, Sender::Server, &frame)
        .unwrap_or_else(|violation| panic!("the broker sent a wrong packet: {violation}: {whole:02x?}"));
    Some(seen(packet))
}

fn seen(packet: Packet<'_>) -> Seen {
    match packet {
        Packet::Connack(connack) => Seen::Connack(SeenConnack {
            session_present: connack.session_present,
            reason: connack.reason.value(),
            assigned_id: connack.properties.str(Property::AssignedClientIdentifier).map(str::to_owned),
            keep_alive_seconds: connack.properties.u16(Property::ServerKeepAlive),
            receive_maximum: connack.properties.u16(Property::ReceiveMaximum),
            session_expiry_seconds: connack.properties.u32(Property::SessionExpiryInterval),
            method: connack.properties.str(Property::AuthenticationMethod).map(str::to_owned),
            data: connack.properties.bytes(Property::AuthenticationData).map(<[u8]>::to_vec),
        }),
        Packet::Publish(publish) => Seen::Publish(seen_publish(&publish)),
        Packet::Puback(ack) => seen_ack(AckKind::Puback, ack),
        Packet::Pubrec(ack) => seen_ack(AckKind::Pubrec, ack),
        Packet::Pubrel(ack) => seen_ack(AckKind::Pubrel, ack),
        Packet::Pubcomp(ack) => seen_ack(AckKind::Pubcomp, ack),
        Packet::Suback(suback) => Seen::Suback(suback.packet_id.value(), suback.codes.to_vec()),
        Packet::Unsuback(unsuback) => Seen::Unsuback(unsuback.packet_id.value(), unsuback.codes.to_vec()),
        Packet::Pingresp => Seen::Pingresp,
        Packet::Disconnect(disconnect) => Seen::Disconnect(disconnect.reason.value()),
        Packet::Auth(auth) => Seen::Auth(SeenAuth {
            reason: auth.reason.value(),
            method: auth.properties.str(Property::AuthenticationMethod).map(str::to_owned),
            data: auth.properties.bytes(Property::AuthenticationData).map(<[u8]>::to_vec),
        }),
        Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Pingreq => {
            panic!("a broker may not send this packet")
        }
    }
}

fn seen_ack(kind: AckKind, ack: Ack<'_>) -> Seen {
    Seen::Ack(kind, ack.packet_id.value(), ack.reason.value())
}

fn seen_publish(publish: &Publish<'_>) -> SeenPublish {
    let properties = publish.properties;
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    SeenPublish {
        topic: publish.topic.as_str().to_owned(),
        payload: publish.payload.to_vec(),
        qos: publish.qos.value(),
        id: publish.packet_id.map_or(0, PacketId::value),
        retain: publish.retain,
        dup: publish.dup,
        subscription_ids: properties.subscription_identifiers().collect(),
        expiry_seconds: properties.u32(Property::MessageExpiryInterval),
        alias: properties.u16(Property::TopicAlias),
        user_properties: properties.user_properties().map(own).collect(),
    }
}
