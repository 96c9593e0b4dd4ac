//! CONNECT and SUBSCRIBE of one connection, blocking: before anything is measured there is no hurry.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use ringmq_net::{Layer as _, Layers};
use ringmq_wire::{
    Connect, Packet, PacketId, PacketKind, Properties, PropertiesBuffer, Property, ReasonCode, Sender,
    Suback, Subscribe, SubscribeFilters, SubscriptionOptions, Version, decode, frame,
};

use crate::connection::Connection;
use crate::{Failure, Hello, Plan, Role, Scenario, socket};

/// How long the broker may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Filters in one SUBSCRIBE.
const FILTERS_MAX: usize = 100;
/// Seconds a session that is to last outlives its connection (5.0; in 3.x the broker decides).
const SESSION_EXPIRY_SECONDS: u32 = 600;

/// Keep-alive of connections that never ping, in seconds: no run is as long, and 0, which would be for ever, is
/// refused by rumqttd.
pub(crate) const KEEP_ALIVE: u16 = u16::MAX;

/// What becomes of a client's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// It begins and ends with the connection.
    Clean,
    /// It is there already, or else begins, and lasts.
    Lasting,
}

/// Opens the connection of a reader that has all it subscribes to.
pub(crate) fn open_reader(
    plan: &Plan,
    reader: usize,
    filters: impl IntoIterator<Item = String>,
) -> Result<Connection, Failure> {
    let mut handshake = Handshake::open(plan, "r", reader)?;
    if plan.relay {
        handshake.greet_relay(Role::Reader, reader, 1)?;
    } else {
        handshake.connect(Session::Clean, KEEP_ALIVE)?;
        handshake.subscribe(filters)?;
    }
    handshake.finish()
}

/// Opens the connection of a publisher of packets of so many bytes; with it comes how many publishes above QoS 0
/// the broker allows to be unacknowledged.
pub(crate) fn open_publisher(
    plan: &Plan,
    publisher: usize,
    packet_bytes: usize,
) -> Result<(Connection, usize), Failure> {
    let mut handshake = Handshake::open(plan, "p", publisher)?;
    let receive_maximum = if plan.relay {
        handshake.greet_relay(Role::Publisher, publisher, packet_bytes as u32)?;
        u16::MAX
    } else {
        handshake.connect(Session::Clean, KEEP_ALIVE)?
    };
    Ok((handshake.finish()?, receive_maximum.into()))
}

/// The name of a client: the plan's, else one of 21 characters at most, because MQTT 3.1 allows 23.
pub(crate) fn client_id(plan: &Plan, role: &str, number: usize) -> String {
    let place = match role {
        "p" => Some(number),
        "r" => Some(plan.publishers() + number),
        _ => None,
    };
    match place.and_then(|place| plan.client_ids.get(place)) {
        Some(name) => name.clone(),
        None => format!("load-{:08x}-{role}-{number}", plan.run_id),
    }
}

/// A CONNECT. Keep-alive is in seconds.
pub(crate) fn connect_packet(plan: &Plan, client_id: &str, session: Session, keep_alive: u16) -> Vec<u8> {
    let mut properties = PropertiesBuffer::new();
    if plan.version == Version::V5 && session == Session::Lasting {
        properties.push_u32(Property::SessionExpiryInterval, SESSION_EXPIRY_SECONDS);
    }
    let packet = Packet::Connect(Connect {
        version: plan.version,
        bridge: false,
        clean_start: session == Session::Clean,
        keep_alive,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: properties.as_properties(),
    });
    let mut bytes = Vec::new();
    packet.encode(plan.version, &mut bytes);
    bytes
}

/// Whether so many filters were granted at the QoS that was asked for.
pub(crate) fn granted(suback: &Suback<'_>, qos: u8, count: usize) -> Result<(), Failure> {
    match suback.codes.iter().find(|code| **code != qos) {
        None if suback.codes.len() == count => Ok(()),
        None => Err(Failure::Unexpected(PacketKind::Suback)),
        Some(code) => {
            let reason = ReasonCode::from_u8(*code).unwrap_or(ReasonCode::UNSPECIFIED_ERROR);
            Err(Failure::Refused(PacketKind::Suback, reason))
        }
    }
}

/// A connection on its way to be one.
pub(crate) struct Handshake<'a> {
    plan: &'a Plan,
    stream: TcpStream,
    layers: Layers,
    name: String,
    received: Vec<u8>,
}

impl<'a> Handshake<'a> {
    /// Connects the socket, and makes the handshakes of what lies between it and MQTT.
    pub(crate) fn open(plan: &'a Plan, role: &str, number: usize) -> Result<Handshake<'a>, Failure> {
        let connecting = |error| Failure::Io("connecting", error);
        let stream = socket::connect_to(plan.broker, number).map_err(connecting)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(connecting)?;
        let layers = plan.transport.open().map_err(connecting)?;
        let name = client_id(plan, role, number);
        let mut handshake = Handshake { plan, stream, layers, name, received: Vec::new() };
        handshake.establish()?;
        Ok(handshake)
    }

    fn establish(&mut self) -> Result<(), Failure> {
        self.send(&[])?;
        while !self.layers.is_established() {
            self.receive()?;
            self.send(&[])?;
        }
        // What came together with the end of the handshakes was held back until now.
        self.layers.introduction();
        self.take_in(&mut [])
    }

    /// Tells a relay who this is.
    fn greet_relay(&mut self, role: Role, number: usize, message_bytes: u32) -> Result<(), Failure> {
        let channel = if self.plan.scenario == Scenario::Pairs { number as u32 } else { 0 };
        let connections = (self.plan.publishers() + self.plan.readers()) as u32;
        Hello { role, channel, connections, message_bytes }.say(&mut self.stream)
    }

    /// Says CONNECT and waits for CONNACK; gives the receive maximum.
    pub(crate) fn connect(&mut self, session: Session, keep_alive: u16) -> Result<u16, Failure> {
        self.send(&connect_packet(self.plan, &self.name, session, keep_alive))?;
        self.answer(|packet| match packet {
            Packet::Connack(connack) if connack.reason != ReasonCode::SUCCESS => {
                Err(Failure::Refused(PacketKind::Connack, connack.reason))
            }
            Packet::Connack(connack) => {
                Ok(connack.properties.u16(Property::ReceiveMaximum).unwrap_or(u16::MAX))
            }
            other => Err(Failure::Unexpected(other.kind())),
        })
    }

    /// Subscribes and waits for SUBACK; a broker that grants less than asked refuses.
    pub(crate) fn subscribe(&mut self, filters: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let options = SubscriptionOptions::qos(self.plan.qos);
        let mut filters = filters.into_iter().peekable();
        while filters.peek().is_some() {
            let (mut encoded, mut count) = (Vec::new(), 0);
            for filter in filters.by_ref().take(FILTERS_MAX) {
                SubscribeFilters::encode_one(&filter, options, &mut encoded)?;
                count += 1;
            }
            self.subscribe_encoded(&encoded, count)?;
        }
        Ok(())
    }

    /// Subscribes to one filter and waits for nothing.
    pub(crate) fn ask_for(&mut self, filter: String) -> Result<(), Failure> {
        let mut encoded = Vec::new();
        SubscribeFilters::encode_one(&filter, SubscriptionOptions::qos(self.plan.qos), &mut encoded)?;
        self.send_subscribe(&encoded)
    }

    fn send_subscribe(&mut self, filters: &[u8]) -> Result<(), Failure> {
        self.send_packet(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: SubscribeFilters::from_encoded(self.plan.version, filters)?,
        }))
    }

    fn subscribe_encoded(&mut self, filters: &[u8], count: usize) -> Result<(), Failure> {
        let qos = self.plan.qos.value();
        self.send_subscribe(filters)?;
        self.answer(|packet| match packet {
            Packet::Suback(suback) => granted(suback, qos, count),
            other => Err(Failure::Unexpected(other.kind())),
        })
    }

    /// Goes over to non-blocking mode.
    pub(crate) fn finish(self) -> Result<Connection, Failure> {
        Connection::new(self.stream, self.layers, self.name, self.received)
            .map_err(|error| Failure::Io("making a socket non-blocking", error))
    }

    /// Sends a packet.
    pub(crate) fn send_packet(&mut self, packet: &Packet<'_>) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        packet.encode(self.plan.version, &mut bytes);
        self.send(&bytes)
    }

    /// Sends packets, and whatever the layers have to say.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() || self.layers.has_own_output() {
            let plain = [IoSlice::new(bytes)];
            let sealed = self.layers.seal(&plain);
            for piece in sealed.pieces() {
                let sent = self.stream.write_all(piece);
                sent.map_err(|error| Failure::Io("sending to the broker", error))?;
            }
            let length = sealed.len();
            bytes = &bytes[self.layers.sent(length)..];
        }
        Ok(())
    }

    /// Waits for one packet and has it judged.
    pub(crate) fn answer<T>(
        &mut self,
        judge: impl FnOnce(&Packet<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        loop {
            if let Some(frame) = frame::split(&self.received, u32::MAX)? {
                let judged = judge(&decode(self.plan.version, Sender::Server, &frame)?);
                let bytes = frame.bytes;
                self.received.drain(..bytes);
                return judged;
            }
            self.receive()?;
        }
    }

    /// Reads once.
    fn receive(&mut self) -> Result<(), Failure> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Failure::Closed(self.name.clone())),
            Ok(bytes) => self.take_in(&mut chunk[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(Failure::Silent(self.name.clone()))
            }
            Err(error) => Err(Failure::Io("waiting for an answer of the broker", error)),
        }
    }

    fn take_in(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        let received = &mut self.received;
        let opened = self.layers.open(bytes, &mut |piece| received.extend_from_slice(piece));
        opened.map_err(|broken| Failure::Io("opening what the broker sent", io::Error::other(broken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_plan_are_given_to_publishers_and_then_to_readers() {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let broker = ([127, 0, 0, 1], 1883).into();
        let plan = Plan { client_ids: names, ..Plan::new(broker, Scenario::FanIn, 2) };
        let rows = [
            ("p", 0, "a"),
            ("p", 1, "b"),
            ("r", 0, "c"),
            ("r", 1, "load-00000001-r-1"),
            ("c", 0, "load-00000001-c-0"),
        ];
        for (role, number, name) in rows {
            assert_eq!(client_id(&plan, role, number), name);
        }
    }
}
