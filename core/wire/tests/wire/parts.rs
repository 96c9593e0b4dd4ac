//! Random packets: owned parts of which any packet can be put together.

use proptest::prelude::*;
use ringmq_wire::*;

/// What random packets are made of. Each packet takes what it needs.
#[derive(Clone, Debug)]
pub struct Parts {
    pub kind: PacketKind,
    pub version: Version,
    pub sender: Sender,
    pub topic: String,
    pub text: String,
    pub payload: Vec<u8>,
    pub number: u32,
    pub flags: u16,
    pub packet_id: u16,
    pub filters: Vec<(String, u8)>,
    pub codes: Vec<usize>,
    /// Which properties there are, one bit each.
    pub properties: u64,
    pub pairs: Vec<(String, String)>,
}

/// Names of levels that meet each other, and a few that are strange.
const LEVELS: &str = "(a|b|c|ü|\\$x| |[a-zé€😀]{0,6})";

fn topic() -> impl Strategy<Value = String> {
    let levels = format!("{LEVELS}(/{LEVELS}){{0,4}}");
    proptest::string::string_regex(&levels).expect("a pattern").prop_map(|topic| match topic.is_empty() {
        true => "t".to_owned(),
        false => topic,
    })
}

fn filter() -> impl Strategy<Value = String> {
    (topic(), 0..7_u8).prop_map(|(topic, kind)| match kind {
        0 => format!("{topic}/#"),
        1 => format!("+/{topic}"),
        2 => format!("$share/group/{topic}"),
        3 => format!("$share/g/{topic}/+/#"),
        4 => "#".to_owned(),
        5 => format!("{topic}/+/x"),
        _ => topic,
    })
}

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-z0-9é€😀\u{FEFF}]{0,12}").expect("a pattern")
}

pub fn any_parts() -> impl Strategy<Value = Parts> {
    let which = (
        proptest::sample::select(&PacketKind::ALL[..]),
        proptest::sample::select(&[Version::V31, Version::V311, Version::V5][..]),
        any::<bool>(),
    );
    let scalars = (any::<u32>(), any::<u16>(), 1..=u16::MAX, any::<u64>());
    let payload = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => proptest::collection::vec(any::<u8>(), 100..300),
    ];
    let lists = (
        proptest::collection::vec((filter(), any::<u8>()), 1..5),
        proptest::collection::vec(any::<usize>(), 1..5),
        proptest::collection::vec((text(), text()), 0..4),
    );
    (which, topic(), text(), payload, scalars, lists).prop_map(
        |(which, topic, text, payload, scalars, lists)| {
            let (kind, version, is_client) = which;
            let (number, flags, packet_id, properties) = scalars;
            let (filters, codes, pairs) = lists;
            // AUTH exists only in 5.0.
            let version = if kind == PacketKind::Auth { Version::V5 } else { version };
            let sender = sender(kind, version, is_client);
            Parts {
                kind,
                version,
                sender,
                topic,
                text,
                payload,
                number,
                flags,
                packet_id,
                filters,
                codes,
                properties,
                pairs,
            }
        },
    )
}

fn sender(kind: PacketKind, version: Version, is_client: bool) -> Sender {
    use PacketKind as Kind;
    match kind {
        Kind::Connect | Kind::Subscribe | Kind::Unsubscribe | Kind::Pingreq => Sender::Client,
        Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => Sender::Server,
        Kind::Disconnect if version < Version::V5 => Sender::Client,
        _ if is_client => Sender::Client,
        _ => Sender::Server,
    }
}

impl Parts {
    fn flag(&self, bit: u32) -> bool {
        self.flags >> bit & 1 != 0
    }

    fn id(&self) -> PacketId {
        PacketId::new(self.packet_id).expect("not zero")
    }

    fn qos(&self) -> Qos {
        Qos::from_u8((self.number % 3) as u8).expect("at most 2")
    }

    fn reason(&self) -> ReasonCode {
        let all = (0..=255).filter_map(ReasonCode::from_u8);
        let allowed: Vec<_> = all.filter(|code| code.is_allowed(self.kind, self.sender)).collect();
        match self.version {
            Version::V5 => allowed[self.number as usize % allowed.len()],
            _ if self.kind == PacketKind::Connack => {
                ReasonCode::from_connect_return_code_v3((self.number % 6) as u8).expect("at most 5")
            }
            _ => ReasonCode::SUCCESS,
        }
    }

    fn codes(&self) -> Vec<u8> {
        let all = (0..=255).filter_map(ReasonCode::from_u8);
        let allowed: Vec<_> = all.filter(|code| code.is_allowed(self.kind, self.sender)).collect();
        let one = |&index: &usize| match self.version {
            Version::V5 => allowed[index % allowed.len()].value(),
            _ => [0, 1, 2, 0x80][index % 4],
        };
        if self.kind == PacketKind::Unsuback && self.version < Version::V5 {
            return Vec::new();
        }
        self.codes.iter().map(one).collect()
    }

    /// Random properties that may stand in the place.
    pub fn properties(&self, place: Place) -> PropertiesBuffer {
        let mut buffer = PropertiesBuffer::new();
        if self.version < Version::V5 {
            return buffer;
        }
        for property in Property::ALL {
            if self.properties >> property.id() & 1 != 0 && self.may_have(property, place) {
                self.push(property, &mut buffer);
            }
        }
        let with_data = buffer.as_properties().contains(Property::AuthenticationData);
        let wants_method = with_data || place == Place::Auth;
        if wants_method && !buffer.as_properties().contains(Property::AuthenticationMethod) {
            buffer.push_str(Property::AuthenticationMethod, &self.text);
        }
        buffer
    }

    fn may_have(&self, property: Property, place: Place) -> bool {
        let forbidden = match (self.sender, place) {
            (Sender::Client, Place::Publish) => property == Property::SubscriptionIdentifier,
            (Sender::Server, Place::Disconnect) => property == Property::SessionExpiryInterval,
            _ => false,
        };
        property.is_allowed(place) && !forbidden
    }

    fn push(&self, property: Property, buffer: &mut PropertiesBuffer) {
        let not_zero = self.number.max(1);
        match property.kind() {
            ValueKind::U8 => buffer.push_u8(property, (self.number % 2) as u8),
            ValueKind::U16 => buffer.push_u16(property, self.packet_id),
            ValueKind::U32 => buffer.push_u32(property, not_zero),
            ValueKind::Variable => buffer.push_variable(property, not_zero & 0x0FFF_FFFF | 1),
            ValueKind::Text if property == Property::ResponseTopic => buffer.push_str(property, &self.topic),
            ValueKind::Text => buffer.push_str(property, &self.text),
            ValueKind::Bytes => buffer.push_bytes(property, &self.payload),
            ValueKind::Pair => self.pairs.iter().for_each(|(name, value)| buffer.push_user(name, value)),
        }
    }

    /// Puts the packet together and hands it on.
    pub fn with_packet<R>(&self, then: impl FnOnce(Packet<'_>) -> R) -> R {
        match self.kind {
            PacketKind::Connect => self.with_connect(then),
            PacketKind::Publish => self.with_publish(then),
            PacketKind::Puback => self.with_ack(Place::Puback, |ack| then(Packet::Puback(ack))),
            PacketKind::Pubrec => self.with_ack(Place::Pubrec, |ack| then(Packet::Pubrec(ack))),
            PacketKind::Pubrel => self.with_ack(Place::Pubrel, |ack| then(Packet::Pubrel(ack))),
            PacketKind::Pubcomp => self.with_ack(Place::Pubcomp, |ack| then(Packet::Pubcomp(ack))),
            PacketKind::Subscribe | PacketKind::Unsubscribe => self.with_filters(then),
            PacketKind::Pingreq => then(Packet::Pingreq),
            PacketKind::Pingresp => then(Packet::Pingresp),
            _ => self.with_answer(then),
        }
    }

    fn with_connect<R>(&self, then: impl FnOnce(Packet<'_>) -> R) -> R {
        let properties = self.properties(Place::Connect);
        let will_properties = self.properties(Place::Will);
        let will = Will {
            topic: TopicName::new(&self.topic).expect("a topic"),
            payload: &self.payload,
            qos: self.qos(),
            retain: self.flag(0),
            properties: will_properties.as_properties(),
        };
        let has_user_name = self.flag(1);
        let has_password = self.flag(2) && (has_user_name || self.version != Version::V311);
        then(Packet::Connect(Connect {
            version: self.version,
            bridge: self.flag(3) && self.version != Version::V5,
            clean_start: self.flag(4),
            keep_alive: self.packet_id,
            client_id: &self.text,
            will: self.flag(5).then_some(will),
            user_name: has_user_name.then_some(self.topic.as_str()),
            password: has_password.then_some(&self.payload[..]),
            properties: properties.as_properties(),
        }))
    }

    fn with_publish<R>(&self, then: impl FnOnce(Packet<'_>) -> R) -> R {
        let properties = self.properties(Place::Publish);
        let properties = properties.as_properties();
        let is_short = self.flag(0) && properties.contains(Property::TopicAlias);
        let topic = TopicName::new(&self.topic).expect("a topic");
        let qos = self.qos();
        then(Packet::Publish(Publish {
            dup: self.flag(1) && qos != Qos::AtMostOnce,
            qos,
            retain: self.flag(2),
            topic: if is_short { TopicName::EMPTY } else { topic },
            packet_id: (qos != Qos::AtMostOnce).then_some(self.id()),
            properties,
            payload: &self.payload,
        }))
    }

    fn with_ack<R>(&self, place: Place, then: impl FnOnce(Ack<'_>) -> R) -> R {
        let properties = self.properties(place);
        let properties = properties.as_properties();
        then(Ack { packet_id: self.id(), reason: self.reason(), properties })
    }

    fn with_filters<R>(&self, then: impl FnOnce(Packet<'_>) -> R) -> R {
        let (mut to_subscribe, mut to_unsubscribe) = (Vec::new(), Vec::new());
        for (filter, options) in &self.filters {
            let is_shared = filter.starts_with("$share/");
            let options = self.options(*options, is_shared);
            SubscribeFilters::encode_one(filter, options, &mut to_subscribe).expect("a filter");
            UnsubscribeFilters::encode_one(filter, &mut to_unsubscribe).expect("a filter");
        }
        if self.kind == PacketKind::Subscribe {
            let properties = self.properties(Place::Subscribe);
            let filters = SubscribeFilters::from_encoded(self.version, &to_subscribe).expect("filters");
            let properties = properties.as_properties();
            return then(Packet::Subscribe(Subscribe { packet_id: self.id(), properties, filters }));
        }
        let properties = self.properties(Place::Unsubscribe);
        let filters = UnsubscribeFilters::from_encoded(self.version, &to_unsubscribe).expect("filters");
        let properties = properties.as_properties();
        then(Packet::Unsubscribe(Unsubscribe { packet_id: self.id(), properties, filters }))
    }

    fn options(&self, bits: u8, is_shared: bool) -> SubscriptionOptions {
        let qos = Qos::from_u8(bits % 3).expect("at most 2");
        if self.version < Version::V5 {
            return SubscriptionOptions::qos(qos);
        }
        let handlings =
            [RetainHandling::SendAtSubscribe, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
        SubscriptionOptions {
            qos,
            no_local: bits & 0x80 != 0 && !is_shared,
            retain_as_published: bits & 0x40 != 0,
            retain_handling: handlings[usize::from(bits / 3 % 3)],
        }
    }

    fn with_answer<R>(&self, then: impl FnOnce(Packet<'_>) -> R) -> R {
        let place = match self.kind {
            PacketKind::Connack => Place::Connack,
            PacketKind::Suback => Place::Suback,
            PacketKind::Unsuback => Place::Unsuback,
            PacketKind::Disconnect => Place::Disconnect,
            _ => Place::Auth,
        };
        let buffer = self.properties(place);
        let (properties, packet_id) = (buffer.as_properties(), self.id());
        let codes = self.codes();
        let codes = &codes[..];
        let reason = self.reason();
        let session_present = self.flag(0) && reason == ReasonCode::SUCCESS && self.version != Version::V31;
        then(match self.kind {
            PacketKind::Connack => Packet::Connack(Connack { session_present, reason, properties }),
            PacketKind::Suback => Packet::Suback(Suback { packet_id, properties, codes }),
            PacketKind::Unsuback => Packet::Unsuback(Unsuback { packet_id, properties, codes }),
            PacketKind::Disconnect => Packet::Disconnect(Disconnect { reason, properties }),
            _ => Packet::Auth(Auth { reason, properties }),
        })
    }
}
