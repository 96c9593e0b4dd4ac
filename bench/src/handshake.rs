//! CONNECT and SUBSCRIBE of one connection, blocking: before anything is measured there is no hurry.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use ringmq_wire::{
    Connect, Packet, PacketId, PacketKind, Properties, Property, ReasonCode, Sender, Subscribe,
    SubscribeFilters, SubscriptionOptions, decode, frame,
};

use crate::connection::Connection;
use crate::{Failure, Plan};

/// How long the broker may take for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A connection on its way to be one.
pub(crate) struct Handshake<'a> {
    plan: &'a Plan,
    stream: TcpStream,
    name: String,
    received: Vec<u8>,
    /// QoS 1 and 2 publishes that the broker allows to be unacknowledged.
    pub(crate) receive_maximum: u16,
}

impl<'a> Handshake<'a> {
    /// Connects and waits for CONNACK.
    pub(crate) fn connect(plan: &'a Plan, role: &str, number: usize) -> Result<Handshake<'a>, Failure> {
        let connecting = |error| Failure::Io("connecting", error);
        let stream = TcpStream::connect(plan.broker).map_err(connecting)?;
        stream.set_nodelay(true).map_err(connecting)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(connecting)?;
        let name = format!("load-{:08x}-{role}-{number}", plan.run_id);
        let mut handshake = Handshake { plan, stream, name, received: Vec::new(), receive_maximum: u16::MAX };
        // 21 characters at most: MQTT 3.1 allows 23.
        let client_id = handshake.name.clone();
        handshake.send(&Packet::Connect(Connect {
            version: plan.version,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: &client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }))?;
        handshake.receive_maximum = handshake.answer(|packet| match packet {
            Packet::Connack(connack) if connack.reason != ReasonCode::SUCCESS => {
                Err(Failure::Refused(PacketKind::Connack, connack.reason))
            }
            Packet::Connack(connack) => {
                Ok(connack.properties.u16(Property::ReceiveMaximum).unwrap_or(u16::MAX))
            }
            other => Err(Failure::Unexpected(other.kind())),
        })?;
        Ok(handshake)
    }

    /// Subscribes and waits for SUBACK; a broker that grants less than asked refuses.
    pub(crate) fn subscribe(&mut self, filter: &str) -> Result<(), Failure> {
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
    pub(crate) fn finish(self) -> Result<Connection, Failure> {
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
