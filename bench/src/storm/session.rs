//! One client's side of MQTT as bytes in and bytes out: what it has sent and not finished, what it has received
//! and not finished, and which faults of the broker only its state can show. It never touches a socket or a
//! clock, and it shares no code with RingMQ's own client, so that it can judge the broker alone.

use std::collections::{BTreeSet, VecDeque};

use ringmq_wire::{
    Ack, Connack, Connect, Packet, PacketId, Properties, PropertiesBuffer, Property, Publish, Qos,
    ReasonCode, Subscribe, SubscribeFilters, SubscriptionOptions, TopicName, Version, Violation,
};

use super::parcel::Parcel;

/// What a kept session asks for in 5.0, in seconds: longer than any run.
const EXPIRY_SECONDS: u32 = 24 * 3600;

/// Who a client is; it stays the same over all of its connections.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) client_id: String,
    pub(crate) version: Version,
    /// Whether its session is kept past its connections.
    pub(crate) kept: bool,
    /// QoS 1 and 2 publishes it takes unacknowledged; only 5.0 can say so.
    pub(crate) receive_maximum: u16,
    /// Whether acknowledgements wait for [`Session::settle`].
    pub(crate) acknowledges_late: bool,
    /// What it subscribes to after each connect that found no session.
    pub(crate) filters: Vec<(String, Qos)>,
    /// User name and password.
    pub(crate) credentials: Option<(String, String)>,
}

/// A message as it is published: everything that is needed to send it again byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) topic: std::rc::Rc<str>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) parcel: Parcel,
}

/// A QoS 1 or 2 publish that is not finished.
struct Unfinished {
    id: PacketId,
    message: Outgoing,
    /// PUBREC has come: the rest is PUBREL and PUBCOMP.
    released: bool,
}

/// What a client heard, in the order in which it heard it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// CONNACK with success.
    Connected { session_present: bool },
    /// SUBACK with what was asked for.
    Subscribed,
    /// The broker has taken responsibility for this publish.
    Acknowledged { stream: u32, sequence: u64 },
    /// A message for whoever uses the client.
    /// It came on the client's `connection`-th connection.
    Arrived { parcel: Parcel, qos: Qos, dup: bool, retain: bool, connection: u64 },
    /// A payload that no storm has made, as on `$SYS`.
    Text { topic: String, payload: Vec<u8> },
    /// CONNACK or DISCONNECT with this reason.
    Refused(ReasonCode),
    /// What the broker must not have done.
    Fault(String),
}

/// One client.
pub(crate) struct Session {
    pub(crate) identity: Identity,
    next_id: PacketId,
    unfinished: VecDeque<Unfinished>,
    /// QoS 2 identifiers received and not released.
    incoming: BTreeSet<PacketId>,
    /// Acknowledgements that wait.
    owed: Vec<Packet<'static>>,
    /// QoS 1 and 2 publishes that came on this connection and whose last acknowledgement has not left.
    in_window: BTreeSet<PacketId>,
    /// What the broker allows to be unfinished.
    window: usize,
    /// How often it was connected.
    pub(crate) connections: u64,
    up: bool,
}

impl Session {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            next_id: PacketId::MIN,
            unfinished: VecDeque::new(),
            incoming: BTreeSet::new(),
            owed: Vec::new(),
            in_window: BTreeSet::new(),
            window: usize::from(u16::MAX),
            connections: 0,
            up: false,
        }
    }

    /// Whether CONNACK has come on this connection.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// QoS 1 and 2 publishes that are not finished.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Whether the broker allows another QoS 1 or 2 publish now.
    pub(crate) fn has_room(&self) -> bool {
        self.unfinished.len() < self.window
    }

    /// The connection is gone; what was unfinished stays.
    pub(crate) fn disconnected(&mut self) {
        self.up = false;
        self.owed.clear();
        self.in_window.clear();
    }

    /// Writes CONNECT.
    pub(crate) fn connect(&mut self, out: &mut Vec<u8>) {
        self.disconnected();
        let identity = &self.identity;
        let mut properties = PropertiesBuffer::new();
        if identity.version == Version::V5 {
            properties.push_u16(Property::ReceiveMaximum, identity.receive_maximum);
            if identity.kept {
                properties.push_u32(Property::SessionExpiryInterval, EXPIRY_SECONDS);
            }
        }
        let connect = Packet::Connect(Connect {
            version: identity.version,
            bridge: false,
            clean_start: !identity.kept,
            keep_alive: 0,
            client_id: &identity.client_id,
            will: None,
            user_name: identity.credentials.as_ref().map(|(user_name, _)| user_name.as_str()),
            password: identity.credentials.as_ref().map(|(_, password)| password.as_bytes()),
            properties: properties.as_properties(),
        });
        connect.encode(identity.version, out);
    }

    /// Publishes; the caller has looked at [`Session::has_room`].
    pub(crate) fn publish(&mut self, message: Outgoing, out: &mut Vec<u8>) {
        if message.qos == Qos::AtMostOnce {
            return put_publish(self.identity.version, &message, None, false, out);
        }
        let id = self.vacant_id();
        put_publish(self.identity.version, &message, Some(id), false, out);
        self.unfinished.push_back(Unfinished { id, message, released: false });
    }

    fn vacant_id(&mut self) -> PacketId {
        loop {
            let id = self.next_id;
            self.next_id = PacketId::new(id.value().wrapping_add(1)).unwrap_or(PacketId::MIN);
            if self.unfinished.iter().all(|other| other.id != id) {
                return id;
            }
        }
    }

    /// Writes the acknowledgements that waited.
    pub(crate) fn settle(&mut self, out: &mut Vec<u8>) {
        for ack in std::mem::take(&mut self.owed) {
            self.put_answer(&ack, out);
        }
    }

    /// Whether acknowledgements wait.
    pub(crate) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// A packet of the broker.
    pub(crate) fn receive(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>, hear: &mut dyn FnMut(Heard)) {
        match packet {
            Packet::Connack(connack) => self.connack(connack, out, hear),
            Packet::Suback(suback) => {
                let asked = self.identity.filters.iter().map(|(_, qos)| qos.value());
                let granted = asked.eq(suback.codes.iter().copied());
                hear(if granted {
                    Heard::Subscribed
                } else {
                    Heard::Fault(format!("SUBACK grants {:?} of {:?}", suback.codes, self.identity.filters))
                });
            }
            Packet::Publish(publish) => self.arrived(publish, out, hear),
            Packet::Puback(ack) => self.finished(ack, Qos::AtLeastOnce, hear),
            Packet::Pubcomp(ack) => self.finished(ack, Qos::ExactlyOnce, hear),
            Packet::Pubrec(ack) => self.recorded(ack, out, hear),
            Packet::Pubrel(ack) => {
                self.incoming.remove(&ack.packet_id);
                self.answer(Packet::Pubcomp(Ack::success(ack.packet_id)), out);
            }
            Packet::Disconnect(disconnect) => hear(Heard::Refused(disconnect.reason)),
            Packet::Pingresp => {}
            other => hear(Heard::Fault(format!("{} has no place here", other.kind()))),
        }
    }

    fn connack(&mut self, connack: &Connack<'_>, out: &mut Vec<u8>, hear: &mut dyn FnMut(Heard)) {
        if connack.reason != ReasonCode::SUCCESS {
            return hear(Heard::Refused(connack.reason));
        }
        let expected = self.identity.kept && self.connections > 0;
        // 3.1 has no such bit.
        let tells = self.identity.version != Version::V31;
        if tells && connack.session_present != expected {
            hear(Heard::Fault(format!("session present is {}", connack.session_present)));
        }
        self.connections += 1;
        self.up = true;
        let maximum = connack.properties.u16(Property::ReceiveMaximum);
        self.window = usize::from(maximum.unwrap_or(u16::MAX));
        hear(Heard::Connected { session_present: connack.session_present });
        if expected {
            return self.resume(out);
        }
        self.unfinished.clear();
        self.incoming.clear();
        if !self.identity.filters.is_empty() {
            self.subscribe(out);
        }
    }

    /// Sends again what the last connection left, in its order [MQTT-4.4.0-1] [MQTT-4.6.0-1].
    fn resume(&mut self, out: &mut Vec<u8>) {
        for unfinished in &self.unfinished {
            if unfinished.released {
                Packet::Pubrel(Ack::success(unfinished.id)).encode(self.identity.version, out);
            } else {
                put_publish(self.identity.version, &unfinished.message, Some(unfinished.id), true, out);
            }
        }
    }

    fn subscribe(&mut self, out: &mut Vec<u8>) {
        let version = self.identity.version;
        let mut raw = Vec::new();
        for (filter, qos) in &self.identity.filters {
            SubscribeFilters::encode_one(filter, SubscriptionOptions::qos(*qos), &mut raw)
                .expect("filters of a storm are short");
        }
        let filters = SubscribeFilters::from_encoded(version, &raw).expect("filters of a storm are valid");
        let subscribe = Subscribe { packet_id: PacketId::MAX, properties: Properties::EMPTY, filters };
        Packet::Subscribe(subscribe).encode(version, out);
    }

    fn arrived(&mut self, publish: &Publish<'_>, out: &mut Vec<u8>, hear: &mut dyn FnMut(Heard)) {
        if let Some(id) = publish.packet_id {
            self.in_window.insert(id);
            let maximum = usize::from(self.identity.receive_maximum);
            if self.identity.version == Version::V5 && self.in_window.len() > maximum {
                hear(Heard::Fault(String::from("more than the receive maximum is under way")));
            }
            if publish.qos == Qos::AtLeastOnce {
                self.answer(Packet::Puback(Ack::success(id)), out);
            } else {
                self.answer(Packet::Pubrec(Ack::success(id)), out);
                if !self.incoming.insert(id) {
                    if !publish.dup {
                        hear(Heard::Fault(format!("identifier {} is used before PUBREL", id.value())));
                    }
                    return;
                }
            }
        }
        if publish.dup && self.connections < 2 {
            hear(Heard::Fault(String::from("DUP on the first connection")));
        }
        hear(match Parcel::of(publish.payload) {
            Some(parcel) => {
                let (qos, dup, retain) = (publish.qos, publish.dup, publish.retain);
                Heard::Arrived { parcel, qos, dup, retain, connection: self.connections }
            }
            None => {
                Heard::Text { topic: publish.topic.as_str().to_owned(), payload: publish.payload.to_vec() }
            }
        });
    }

    fn answer(&mut self, ack: Packet<'static>, out: &mut Vec<u8>) {
        if self.identity.acknowledges_late {
            return self.owed.push(ack);
        }
        self.put_answer(&ack, out);
    }

    fn put_answer(&mut self, ack: &Packet<'static>, out: &mut Vec<u8>) {
        if let Packet::Puback(ack) | Packet::Pubcomp(ack) = ack {
            self.in_window.remove(&ack.packet_id);
        }
        ack.encode(self.identity.version, out);
    }

    fn recorded(&mut self, ack: &Ack<'_>, out: &mut Vec<u8>, hear: &mut dyn FnMut(Heard)) {
        if ack.reason.is_error() {
            return hear(Heard::Fault(format!("PUBREC says {}", ack.reason.name())));
        }
        let found = self.unfinished.iter_mut().find(|u| u.id == ack.packet_id);
        let Some(unfinished) = found.filter(|u| u.message.qos == Qos::ExactlyOnce) else {
            return hear(Heard::Fault(format!("PUBREC for unknown {}", ack.packet_id.value())));
        };
        unfinished.released = true;
        Packet::Pubrel(Ack::success(ack.packet_id)).encode(self.identity.version, out);
    }

    fn finished(&mut self, ack: &Ack<'_>, qos: Qos, hear: &mut dyn FnMut(Heard)) {
        let place = self.unfinished.iter().position(|u| u.id == ack.packet_id);
        let fits = |u: &Unfinished| u.message.qos == qos && u.released == (qos == Qos::ExactlyOnce);
        let Some(place) = place.filter(|&place| fits(&self.unfinished[place])) else {
            return hear(Heard::Fault(format!("{qos:?} acknowledges unknown {}", ack.packet_id.value())));
        };
        // PUBCOMP was lost with the last connection: the broker has forgotten the identifier.
        let finished_before =
            qos == Qos::ExactlyOnce && ack.reason == ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
        if ack.reason.is_error() && !finished_before {
            hear(Heard::Fault(format!("a publish is refused: {}", ack.reason.name())));
        }
        if let Some(done) = self.unfinished.remove(place) {
            let (stream, sequence) = (done.message.parcel.stream, done.message.parcel.sequence);
            hear(Heard::Acknowledged { stream, sequence });
        }
    }
}

fn put_publish(version: Version, message: &Outgoing, id: Option<PacketId>, dup: bool, out: &mut Vec<u8>) {
    let payload = message.parcel.to_payload();
    let packet = Packet::Publish(Publish {
        dup,
        qos: message.qos,
        retain: message.retain,
        topic: TopicName::new(&message.topic).expect("topics of a storm are valid"),
        packet_id: id,
        properties: Properties::EMPTY,
        payload: &payload,
    });
    packet.encode(version, out);
}

/// What the codec says of the broker's bytes.
pub(crate) fn malformed(violation: Violation) -> Heard {
    Heard::Fault(format!("malformed: {violation:?} {}", violation.clause()))
}

#[cfg(test)]
mod tests;
