//! The honest client: one connection for the whole run, on which a message at QoS 1 must come back and be
//! acknowledged within its time, whatever the others do.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringmq_wire::{
    Ack, Connect, Packet, PacketId, Properties, Publish, Qos, ReasonCode, Sender, Subscribe,
    SubscribeFilters, SubscriptionOptions, TopicName, Version, decode, frame,
};

const VERSION: Version = Version::V5;

/// One client that does what it should.
pub(super) struct Honest {
    stream: TcpStream,
    received: Vec<u8>,
    topic: String,
    patience: Duration,
    rounds: u64,
    slowest: Duration,
}

/// What a round trip waits for.
#[derive(Default)]
struct Missing {
    acknowledged: bool,
    came_back: bool,
}

impl Honest {
    /// Connects and subscribes to a topic of its own.
    pub(super) fn connect(broker: SocketAddr, patience: Duration, seed: u64) -> Result<Self, String> {
        let stream = TcpStream::connect(broker).map_err(|error| format!("connecting: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let run = u64::from(std::process::id()) << 32 ^ seed;
        let topic = format!("honest/{run:016x}");
        let mut honest =
            Self { stream, received: Vec::new(), topic, patience, rounds: 0, slowest: Duration::ZERO };
        let client_id = format!("honest-{run:016x}");
        honest.say(&Packet::Connect(Connect {
            version: VERSION,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            client_id: &client_id,
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        }))?;
        let deadline = Instant::now() + patience;
        honest.until(deadline, |packet| match packet {
            Packet::Connack(connack) => Ok(connack.reason == ReasonCode::SUCCESS),
            other => Err(format!("{:?} instead of CONNACK", other.kind())),
        })?;
        honest.subscribe(deadline)?;
        Ok(honest)
    }

    fn subscribe(&mut self, deadline: Instant) -> Result<(), String> {
        let mut raw = Vec::new();
        SubscribeFilters::encode_one(&self.topic, SubscriptionOptions::qos(Qos::AtLeastOnce), &mut raw)
            .map_err(|violation| violation.to_string())?;
        let filters =
            SubscribeFilters::from_encoded(VERSION, &raw).map_err(|violation| violation.to_string())?;
        let (packet_id, properties) = (PacketId::MIN, Properties::EMPTY);
        self.say(&Packet::Subscribe(Subscribe { packet_id, properties, filters }))?;
        self.until(deadline, |packet| match packet {
            Packet::Suback(suback) => Ok(suback.codes == [1]),
            other => Err(format!("{:?} instead of SUBACK", other.kind())),
        })
    }

    /// How many round trips there were.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }

    /// The longest of them.
    pub(super) fn slowest(&self) -> Duration {
        self.slowest
    }

    /// Publishes one message and waits until it is back and acknowledged.
    pub(super) fn round_trip(&mut self) -> Result<(), String> {
        let started = Instant::now();
        self.rounds += 1;
        let payload = self.rounds.to_be_bytes();
        let topic = self.topic.clone();
        self.say(&Packet::Publish(Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: TopicName::new(&topic).map_err(|violation| violation.to_string())?,
            packet_id: Some(PacketId::MIN),
            properties: Properties::EMPTY,
            payload: &payload,
        }))?;
        let mut missing = Missing::default();
        let mut answer = None;
        self.until(started + self.patience, |packet| {
            match packet {
                Packet::Puback(ack) if !ack.reason.is_error() => missing.acknowledged = true,
                Packet::Publish(publish) if publish.payload == payload => {
                    missing.came_back = true;
                    answer = publish.packet_id;
                }
                other => return Err(format!("unexpected {other:?}")),
            }
            Ok(missing.acknowledged && missing.came_back)
        })?;
        if let Some(packet_id) = answer {
            self.say(&Packet::Puback(Ack::success(packet_id)))?;
        }
        self.slowest = self.slowest.max(started.elapsed());
        Ok(())
    }

    fn say(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let mut bytes = Vec::new();
        packet.encode(VERSION, &mut bytes);
        self.stream.write_all(&bytes).map_err(|error| format!("sending: {error}"))
    }

    /// Reads packets until `done` says so.
    fn until(
        &mut self,
        deadline: Instant,
        mut done: impl FnMut(&Packet<'_>) -> Result<bool, String>,
    ) -> Result<(), String> {
        loop {
            while let Some(frame) =
                frame::split(&self.received, u32::MAX).map_err(|fault| fault.to_string())?
            {
                let packet = decode(VERSION, Sender::Server, &frame).map_err(|fault| fault.to_string())?;
                let finished = done(&packet)?;
                let bytes = frame.bytes;
                self.received.drain(..bytes);
                if finished {
                    return Ok(());
                }
            }
            self.read(deadline)?;
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<(), String> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("no answer within {} ms", self.patience.as_millis()));
        }
        self.stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err("the broker closed its connection".to_owned()),
            Ok(bytes) => {
                self.received.extend_from_slice(&chunk[..bytes]);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(()),
                _ => Err(format!("reading: {error}")),
            },
        }
    }
}
