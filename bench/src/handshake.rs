//! CONNECT and SUBSCRIBE of one connection, blocking: before anything is measured there is no hurry.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use ringmq_wire::{
    Connect, Packet, PacketId, PacketKind, Properties, Property, ReasonCode, Sender, Subscribe,
    SubscribeFilters, SubscriptionOptions, decode, frame,
};

use crate::connection::Connection;
use crate::{Failure, Hello, Plan, Role, Scenario};

/// How long the broker may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Opens the connection of a reader that has all it subscribes to.
pub(crate) fn open_reader(plan: &Plan, reader: usize) -> Result<Connection, Failure> {
    let mut handshake = Handshake::open(plan, "r", reader)?;
    if plan.relay {
        handshake.greet_relay(Role::Reader, reader, 1)?;
    } else {
        handshake.connect()?;
        handshake.subscribe(&plan.filter(reader))?;
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
        handshake.connect()?
    };
    Ok((handshake.finish()?, receive_maximum.into()))
}

/// A connection on its way to be one.
struct Handshake<'a> {
    plan: &'a Plan,
    stream: TcpStream,
    name: String,
    received: Vec<u8>,
}

impl<'a> Handshake<'a> {
    /// Connects the socket.
    fn open(plan: &'a Plan, role: &str, number: usize) -> Result<Handshake<'a>, Failure> {
        let connecting = |error| Failure::Io("connecting", error);
        let stream = TcpStream::connect(plan.broker).map_err(connecting)?;
        stream.set_nodelay(true).map_err(connecting)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(connecting)?;
        // 21 characters at most: MQTT 3.1 allows 23.
        let name = format!("load-{:08x}-{role}-{number}", plan.run_id);
        Ok(Handshake { plan, stream, name, received: Vec::new() })
    }

    /// Tells a relay who this is.
    fn greet_relay(&mut self, role: Role, number: usize, message_bytes: u32) -> Result<(), Failure> {
        let channel = if self.plan.scenario == Scenario::Pairs { number as u32 } else { 0 };
        let connections = (self.plan.publishers() + self.plan.readers()) as u32;
        Hello { role, channel, connections, message_bytes }.say(&mut self.stream)
    }

    /// Says CONNECT and waits for CONNACK; gives the receive maximum.
    fn connect(&mut self) -> Result<u16, Failure> {
        let client_id = self.name.clone();
        self.send(&Packet::Connect(Connect {
            version: self.plan.version,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: &client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }))?;
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
    fn subscribe(&mut self, filter: &str) -> Result<(), Failure> {
        let (version, qos) = (self.plan.version, self.plan.qos);
        let mut filters = Vec::new();
        SubscribeFilters::encode_one(filter, SubscriptionOptions::qos(qos), &mut filters)?;
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: SubscribeFilters::from_encoded(version, &filters)?,
        }))?;
        self.answer(|packet| match packet {
            Packet::Suback(suback) if suback.codes == [qos.value()] => Ok(()),
            Packet::Suback(suback) => {
                let code = suback.codes.first().and_then(|&code| ReasonCode::from_u8(code));
                Err(Failure::Refused(PacketKind::Suback, code.unwrap_or(ReasonCode::UNSPECIFIED_ERROR)))
            }
            other => Err(Failure::Unexpected(other.kind())),
        })
    }

    /// Goes over to non-blocking mode.
    fn finish(self) -> Result<Connection, Failure> {
        Connection::new(self.stream, self.name, self.received)
            .map_err(|error| Failure::Io("making a socket non-blocking", error))
    }

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        packet.encode(self.plan.version, &mut bytes);
        self.stream.write_all(&bytes).map_err(|error| Failure::Io("sending to the broker", error))
    }

    /// Waits for one packet and has it judged.
    fn answer<T>(&mut self, judge: impl FnOnce(&Packet<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(frame) = frame::split(&self.received, u32::MAX)? {
                let judged = judge(&decode(self.plan.version, Sender::Server, &frame)?);
                let bytes = frame.bytes;
                self.received.drain(..bytes);
                return judged;
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Failure::Closed(self.name.clone())),
                Ok(bytes) => self.received.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Io("waiting for an answer of the broker", error)),
            }
        }
    }
}
