//! The client's machine with a hostile server: packets that a server may send under ids that it may not, any
//! bytes, and an application that publishes, subscribes, answers, breaks off and comes back. What the machine
//! writes is always right; every request ends exactly once; what it holds is bounded.

use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use ringmq_proto::peer::{
    AckToken, Acknowledge, Authentication, Event, Goodbye, Options, Outgoing, Peer, RequestError,
    SubscribeRequest, Token, UnsubscribeRequest,
};
use ringmq_proto::time::Mono;
use ringmq_wire::{
    Ack, Auth, Connack, Disconnect, Packet, PacketId, Properties, PropertiesBuffer, Property, Publish, Qos,
    ReasonCode, Sender, Suback, SubscriptionOptions, TopicName, Unsuback, Version, decode, frame,
};

/// Requests that one script makes at most.
const REQUESTS_MAX: usize = 40;
/// Steps of one script that are carried out.
const STEPS_MAX: usize = 200;

/// A client, its server, and what happens.
#[derive(Clone, Debug)]
pub struct Talk {
    shape: Shape,
    steps: Vec<Step>,
}

impl<'a> Arbitrary<'a> for Talk {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let shape = Shape::arbitrary(bytes)?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < STEPS_MAX {
            steps.push(Step::arbitrary(bytes)?);
        }
        Ok(Self { shape, steps })
    }
}

#[derive(Arbitrary, Clone, Debug)]
struct Shape {
    version: u8,
    clean: bool,
    by_application: bool,
    authenticates: bool,
    resubscribe: bool,
    republish: bool,
    receive_maximum: u8,
    in_flight_max: u8,
    aliases: u8,
    keep_alive_seconds: u8,
    packet_bytes_max: u8,
    piece: u8,
}

#[derive(Arbitrary, Clone, Debug)]
enum Step {
    Raw { bytes: [u8; 8], length: u8 },
    Accept { present: bool, reason: u8, limits: Limits },
    Message { topic: u8, qos: u8, id: u8, dup: bool, alias: u8, payload_bytes: u8 },
    Ack { kind: u8, id: u8, reason: u8 },
    Suback { id: u8, codes: u8, reason: u8 },
    Unsuback { id: u8, codes: u8, reason: u8 },
    Pingresp,
    Dismiss { reason: u8 },
    Auth { reason: u8 },
    Publish { topic: u8, qos: u8, retain: bool, payload_bytes: u16 },
    Subscribe { filters: u8, options: u8, identifier: u8 },
    Unsubscribe { filters: u8 },
    Answer { which: u8, reason: u8 },
    Authenticate { again: bool },
    Goodbye,
    Write { bytes: u8 },
    WriteAll,
    Connect,
    Break,
    Pause { paused: bool },
    Pass { milliseconds: u16 },
}

/// What a server allows; zero leaves a property out.
#[derive(Arbitrary, Clone, Debug)]
struct Limits {
    window: u8,
    packet_bytes: u8,
    aliases: u8,
    maximum_qos: u8,
    keep_alive: u8,
    offers: u8,
    assigned: bool,
}

/// Carries it out.
pub fn peer(talk: &Talk) {
    let Ok(peer) = Peer::new(options(&talk.shape)) else { return };
    let piece = usize::from(talk.shape.piece) % 40 + 1;
    let mut side = Side { peer, piece, ..Side::new(&talk.shape) };
    side.peer.connect(side.now);
    side.check();
    for step in &talk.steps {
        side.take(step);
        side.check();
    }
    side.peer.transport_closed();
    side.peer.abandon(&RequestError::SessionLost);
    side.check();
    assert_eq!(side.peer.unfinished(), 0, "something is left after all was given up");
    assert!(side.open.is_empty(), "requests without an end: {:?}", side.open);
}

fn version(shape: &Shape) -> Version {
    [Version::V31, Version::V311, Version::V5][usize::from(shape.version) % 3]
}

fn options(shape: &Shape) -> Options {
    let version = version(shape);
    let authentication = (shape.authenticates && version == Version::V5)
        .then(|| ("method".to_owned(), Bytes::from_static(b"data")));
    Options {
        version,
        client_id: "client".to_owned(),
        clean_start: shape.clean,
        keep_alive_seconds: shape.keep_alive_seconds.into(),
        receive_maximum: u16::from(shape.receive_maximum).max(1),
        packet_bytes_max: if shape.packet_bytes_max == 0 {
            u32::MAX
        } else {
            20 + u32::from(shape.packet_bytes_max)
        },
        topic_alias_max: u16::from(shape.aliases) % 4,
        authentication,
        acknowledge: if shape.by_application { Acknowledge::ByApplication } else { Acknowledge::OnReceipt },
        in_flight_max: (shape.in_flight_max > 0).then_some(shape.in_flight_max.into()),
        queue_messages_max: 6,
        queue_bytes_max: 4_000,
        republish: shape.republish,
        resubscribe: shape.resubscribe,
        ..Options::default()
    }
}

struct Side {
    peer: Peer,
    piece: usize,
    version: Version,
    now: Mono,
    /// Requests that have not ended.
    open: BTreeSet<Token>,
    requests: usize,
    messages: Vec<AckToken>,
    /// Connections opened, and how many of them ended.
    ended: bool,
    written: Vec<u8>,
}

impl Side {
    fn new(shape: &Shape) -> Self {
        Self {
            peer: Peer::new(Options { client_id: "c".to_owned(), ..Options::default() })
                .expect("right options"),
            piece: 1,
            version: version(shape),
            now: Mono(1_000),
            open: BTreeSet::new(),
            requests: 0,
            messages: Vec::new(),
            ended: false,
            written: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Raw { bytes, length } => {
                let length = usize::from(*length) % (bytes.len() + 1);
                self.feed(&bytes[..length]);
            }
            Step::Connect => self.connect(),
            Step::Break => self.peer.transport_closed(),
            Step::Pause { paused } => self.peer.pause_input(self.now, *paused),
            Step::Pass { milliseconds } => self.pass(u64::from(*milliseconds)),
            Step::Write { bytes } => self.write(usize::from(*bytes)),
            Step::WriteAll => self.write(usize::MAX),
            Step::Goodbye => _ = self.peer.disconnect(&Goodbye::default()),
            Step::Authenticate { again } => {
                let data = Bytes::from_static(b"more");
                _ = self.peer.authenticate(&Authentication { start_again: *again, data });
            }
            Step::Answer { which, reason } => self.answer(*which, *reason),
            Step::Publish { .. } | Step::Subscribe { .. } | Step::Unsubscribe { .. } => self.request(step),
            _ => self.serve(step),
        }
    }

    fn connect(&mut self) {
        self.peer.transport_closed();
        self.check();
        self.written.clear();
        self.ended = false;
        self.peer.connect(self.now);
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now = self.now.plus(milliseconds);
        self.peer.handle_timeout(self.now);
    }

    /// The transport takes some bytes: they are whole, right packets of a client in the end.
    fn write(&mut self, bytes: usize) {
        let output = self.peer.output();
        let taken = bytes.min(output.len());
        self.written.extend_from_slice(&output[..taken]);
        self.peer.output_taken(self.now, taken);
        let mut at = 0;
        while let Some(frame) = frame::split(&self.written[at..], u32::MAX).expect("a right frame") {
            let packet = decode(self.version, Sender::Client, &frame).expect("a right packet");
            let bytes_max = self.peer.limits().packet_bytes_max as usize;
            let may_be_large =
                matches!(packet, Packet::Connect(_)) || frame.bytes <= bytes_max || !is_bounded(&packet);
            assert!(may_be_large, "{} bytes, the server takes {bytes_max}: {packet:?}", frame.bytes);
            at += frame.bytes;
        }
        self.written.drain(..at);
    }

    fn request(&mut self, step: &Step) {
        if self.requests == REQUESTS_MAX {
            return;
        }
        let token = match step {
            Step::Publish { topic, qos, retain, payload_bytes } => self.peer.publish(Outgoing {
                topic: ["a", "a/b", "c"][usize::from(*topic) % 3].to_owned(),
                payload: Bytes::from(vec![b'x'; usize::from(*payload_bytes) % 700]),
                qos: Qos::from_u8(qos % 3).unwrap_or_default(),
                retain: *retain,
                properties: PropertiesBuffer::new(),
            }),
            Step::Subscribe { filters, options, identifier } => {
                let options = SubscriptionOptions::from_u8(options % 3).unwrap_or_default();
                let filters = filters_of(*filters).map(|filter| (filter, options)).collect();
                let subscription_id =
                    (*identifier > 0 && self.version == Version::V5).then_some((*identifier).into());
                self.peer.subscribe(SubscribeRequest {
                    filters,
                    subscription_id,
                    ..SubscribeRequest::default()
                })
            }
            Step::Unsubscribe { filters } => self.peer.unsubscribe(UnsubscribeRequest {
                filters: filters_of(*filters).collect(),
                ..UnsubscribeRequest::default()
            }),
            _ => unreachable!("the other steps are no requests"),
        };
        if let Ok(token) = token {
            self.requests += 1;
            assert!(self.open.insert(token), "a token was given twice");
        }
    }

    fn answer(&mut self, which: u8, reason: u8) {
        if self.messages.is_empty() {
            return;
        }
        let index = usize::from(which) % self.messages.len();
        let reason = if reason < 200 { ReasonCode::SUCCESS } else { ReasonCode::UNSPECIFIED_ERROR };
        let token = self.messages[index];
        if !self.peer.acknowledge(token, reason) {
            self.messages.swap_remove(index);
        }
    }

    /// Takes the events: a request ends once, a connection ends once.
    fn check(&mut self) {
        while let Some(event) = self.peer.next_event() {
            match event {
                Event::Published { token, .. }
                | Event::Subscribed { token, .. }
                | Event::Unsubscribed { token, .. } => {
                    assert!(self.open.remove(&token), "{token:?} ended twice, or was never begun");
                }
                Event::Disconnected(cause) => {
                    assert!(!self.ended, "a connection ended twice: {cause:?}");
                    self.ended = true;
                }
                Event::Message(message) => {
                    assert!(!message.topic.is_empty(), "a message without a topic");
                    self.messages.extend(message.ack);
                }
                Event::Connected(_) => assert!(!self.ended && self.peer.options().client_id.len() < 100),
                Event::ResubscribeRefused { .. } | Event::Authentication { .. } => {}
            }
        }
        assert!(self.peer.unfinished() <= 2 * REQUESTS_MAX, "{} unfinished", self.peer.unfinished());
        assert!(self.peer.deadline().is_none() || !self.peer.is_closing(), "nothing is due while closing");
    }

    fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.peer.handle(self.now, piece);
        }
    }

    fn send(&mut self, packet: &Packet<'_>) {
        if packet.check(self.version).is_err() {
            return;
        }
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        self.feed(&bytes);
    }

    /// The server says something that a server may say, now or never.
    fn serve(&mut self, step: &Step) {
        match step {
            Step::Accept { present, reason, limits } => self.accept(*present, *reason, limits),
            Step::Message { topic, qos, id, dup, alias, payload_bytes } => {
                let mut properties = PropertiesBuffer::new();
                if *alias > 0 && self.version == Version::V5 {
                    properties.push_u16(Property::TopicAlias, u16::from(*alias) % 5);
                }
                let topic = ["a", "a/b", "c", ""][usize::from(*topic) % 4];
                let qos = Qos::from_u8(qos % 3).unwrap_or_default();
                self.send(&Packet::Publish(Publish {
                    dup: *dup && qos != Qos::AtMostOnce,
                    qos,
                    retain: false,
                    topic: TopicName::new(topic).unwrap_or(TopicName::EMPTY),
                    packet_id: (qos != Qos::AtMostOnce).then_some(packet_id(*id)),
                    properties: properties.as_properties(),
                    payload: &vec![b'm'; (*payload_bytes).into()],
                }));
            }
            Step::Ack { kind, id, reason } => self.acknowledge(*kind, *id, *reason),
            Step::Suback { id, codes, reason } => {
                let codes = vec![[0, 1, 2, 0x80][usize::from(*reason) % 4]; usize::from(*codes) % 4 + 1];
                let (packet_id, properties) = (packet_id(*id), Properties::EMPTY);
                self.send(&Packet::Suback(Suback { packet_id, properties, codes: &codes }));
            }
            Step::Unsuback { id, codes, reason } => {
                let codes =
                    vec![[0, 0x11, 0x80, 0x83][usize::from(*reason) % 4]; usize::from(*codes) % 4 + 1];
                let codes = if self.version == Version::V5 { &codes[..] } else { &[] };
                let (packet_id, properties) = (packet_id(*id), Properties::EMPTY);
                self.send(&Packet::Unsuback(Unsuback { packet_id, properties, codes }));
            }
            Step::Pingresp => self.send(&Packet::Pingresp),
            Step::Dismiss { reason } if self.version == Version::V5 => {
                let reason =
                    if *reason < 128 { ReasonCode::SUCCESS } else { ReasonCode::SERVER_SHUTTING_DOWN };
                self.send(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
            }
            Step::Auth { reason } if self.version == Version::V5 => {
                let mut properties = PropertiesBuffer::new();
                properties.push_str(Property::AuthenticationMethod, "method");
                let reasons = [ReasonCode::SUCCESS, ReasonCode::CONTINUE_AUTHENTICATION];
                let reason = reasons[usize::from(*reason) % 2];
                self.send(&Packet::Auth(Auth { reason, properties: properties.as_properties() }));
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, kind: u8, id: u8, reason: u8) {
        let error = reason >= 200 && self.version == Version::V5;
        let reason = match (error, kind % 4) {
            (false, _) => ReasonCode::SUCCESS,
            (true, 0 | 1) => ReasonCode::QUOTA_EXCEEDED,
            (true, _) => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
        };
        let ack = Ack { packet_id: packet_id(id), reason, properties: Properties::EMPTY };
        self.send(&match kind % 4 {
            0 => Packet::Puback(ack),
            1 => Packet::Pubrec(ack),
            2 => Packet::Pubrel(ack),
            _ => Packet::Pubcomp(ack),
        });
    }

    fn accept(&mut self, present: bool, reason: u8, limits: &Limits) {
        let mut properties = PropertiesBuffer::new();
        if self.version == Version::V5 {
            limits.write(&mut properties);
        }
        let refused =
            if self.version == Version::V5 { ReasonCode::BANNED } else { ReasonCode::NOT_AUTHORIZED };
        let reason = if reason < 220 { ReasonCode::SUCCESS } else { refused };
        let session_present = present && reason == ReasonCode::SUCCESS && self.version != Version::V31;
        let properties = properties.as_properties();
        self.send(&Packet::Connack(Connack { session_present, reason, properties }));
    }
}

impl Limits {
    fn write(&self, properties: &mut PropertiesBuffer) {
        if self.window > 0 {
            properties.push_u16(Property::ReceiveMaximum, self.window.into());
        }
        if self.packet_bytes > 0 {
            properties.push_u32(Property::MaximumPacketSize, self.packet_bytes.into());
        }
        if self.aliases > 0 {
            properties.push_u16(Property::TopicAliasMaximum, u16::from(self.aliases) % 3);
        }
        if self.maximum_qos > 128 {
            properties.push_u8(Property::MaximumQos, self.maximum_qos % 2);
        }
        if self.keep_alive > 0 {
            properties.push_u16(Property::ServerKeepAlive, self.keep_alive.into());
        }
        let offers = [
            Property::RetainAvailable,
            Property::WildcardSubscriptionAvailable,
            Property::SubscriptionIdentifierAvailable,
            Property::SharedSubscriptionAvailable,
        ];
        for (bit, offer) in offers.into_iter().enumerate() {
            if self.offers & (1 << bit) != 0 {
                properties.push_u8(offer, 0);
            }
        }
        if self.assigned {
            properties.push_str(Property::AssignedClientIdentifier, "assigned");
        }
    }
}

/// Packets that the server's limit on their size binds: what an application asked for. Acknowledgements of a few
/// bytes are sent in any case.
const fn is_bounded(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Publish(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_))
}

fn filters_of(bits: u8) -> impl Iterator<Item = String> {
    let filters = ["a", "a/+", "#", "$share/g/a"];
    filters
        .into_iter()
        .enumerate()
        .filter(move |(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, filter)| filter.to_owned())
}

fn packet_id(id: u8) -> PacketId {
    PacketId::new(u16::from(id % 12) + 1).expect("not zero")
}
