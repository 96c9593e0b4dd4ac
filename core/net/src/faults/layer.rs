//! Both directions of one connection.

use std::io::IoSlice;
use std::sync::Arc;

use ringmq_wire::{
    Connack, Packet, PacketKind, Properties, Property, ReasonCode, Sender, Version, decode, frame,
};

use super::flow::{Flow, Stop};
use super::{Direction, Fault, Faults, Seen};
use crate::Broken;
use crate::limits::{FAULT_HELD_BYTES_MAX, FAULT_PACKET_BYTES_MAX};

/// The faults of one connection.
#[derive(Debug)]
pub(crate) struct FaultLayer {
    faults: Arc<Faults>,
    client: Client,
    inward: Flow,
    outward: Flow,
    /// What has passed on its way out.
    passed: Vec<u8>,
    /// Plaintext that was taken and is not done with.
    taken: usize,
    stop: Option<Stop>,
}

/// Who it is, as far as packets have said.
#[derive(Debug, Default)]
struct Client {
    id: Option<String>,
    version: Option<Version>,
}

impl Client {
    /// Which fault a packet has.
    fn judge(&mut self, faults: &Faults, direction: Direction, packet: &[u8]) -> Option<Fault> {
        let kind = PacketKind::from_first(*packet.first()?)?;
        match (direction, kind) {
            (Direction::ToBroker, PacketKind::Connect) => self.connects(packet),
            (Direction::ToClient, PacketKind::Connack) => self.is_named(packet),
            _ => {}
        }
        faults.of(Seen { client_id: self.id.as_deref(), packet: kind, direction })
    }

    fn connects(&mut self, packet: &[u8]) {
        let frame = frame::split(packet, FAULT_PACKET_BYTES_MAX as u32).ok().flatten();
        let decoded = frame.and_then(|frame| decode(Version::V5, Sender::Client, &frame).ok());
        if let Some(Packet::Connect(connect)) = decoded {
            self.version = Some(connect.version);
            self.id = Some(connect.client_id.to_owned());
        }
    }

    /// A client that has no ClientID is given one (MQTT 5.0, 3.2.2.3.7).
    fn is_named(&mut self, packet: &[u8]) {
        let frame = frame::split(packet, FAULT_PACKET_BYTES_MAX as u32).ok().flatten();
        let Some((version, frame)) = self.version.zip(frame) else { return };
        if let Ok(Packet::Connack(connack)) = decode(version, Sender::Server, &frame)
            && let Some(id) = connack.properties.str(Property::AssignedClientIdentifier)
        {
            self.id = Some(id.to_owned());
        }
    }

    /// A CONNACK that refuses.
    fn refusal(&self, reason: ReasonCode) -> Vec<u8> {
        let connack = Connack { session_present: false, reason, properties: Properties::EMPTY };
        let mut bytes = Vec::new();
        Packet::Connack(connack).encode(self.version.unwrap_or(Version::V311), &mut bytes);
        bytes
    }
}

impl FaultLayer {
    pub(crate) fn new(faults: Arc<Faults>) -> Self {
        Self {
            faults,
            client: Client::default(),
            inward: Flow::default(),
            outward: Flow::default(),
            passed: Vec::new(),
            taken: 0,
            stop: None,
        }
    }

    /// Takes what a client has sent.
    pub(crate) fn open(&mut self, bytes: &[u8], plain: &mut dyn FnMut(&[u8])) {
        let Self { faults, client, inward, stop, .. } = self;
        if stop.is_none() {
            let judge = &mut |packet: &[u8]| client.judge(faults, Direction::ToBroker, packet);
            *stop = inward.feed(bytes, judge, plain).err();
            if let Some(Stop::Fault(Fault::Refuse(reason))) = *stop {
                self.passed = client.refusal(reason);
            }
        }
    }

    /// Takes what is to be sent to it, as long as there is room.
    pub(crate) fn take(&mut self, plain: &[IoSlice<'_>]) {
        let mut known = self.taken;
        for slice in plain {
            let new = &slice[known.min(slice.len())..];
            known -= slice.len() - new.len();
            if new.is_empty() {
                continue;
            }
            let here = self.outward.late_bytes() + self.passed.len();
            if self.stop.is_none() && here > 0 && here + new.len() > FAULT_HELD_BYTES_MAX {
                return;
            }
            self.taken += new.len();
            let Self { faults, client, outward, stop, passed, .. } = self;
            if stop.is_none() {
                let judge = &mut |packet: &[u8]| client.judge(faults, Direction::ToClient, packet);
                *stop = outward.feed(new, judge, &mut |bytes| passed.extend_from_slice(bytes)).err();
            }
        }
    }

    /// What is to be sent now.
    pub(crate) fn passed(&self) -> &[u8] {
        &self.passed
    }

    /// So much of it is on its way; a layer with nothing to send holds nothing.
    pub(crate) fn went(&mut self, bytes: usize) {
        self.passed.drain(..bytes);
        if self.passed.is_empty() {
            self.passed = Vec::new();
        }
    }

    /// Whether there is something to be sent now.
    pub(crate) fn has_passed(&self) -> bool {
        !self.passed.is_empty()
    }

    /// How much plaintext is done with.
    pub(crate) fn done(&mut self) -> usize {
        std::mem::take(&mut self.taken)
    }

    /// It is so late, in milliseconds of the caller's clock: gives out what is due of what a client has sent, and says
    /// when to ask again.
    pub(crate) fn pass_time(&mut self, now: u64, plain: &mut dyn FnMut(&[u8])) -> Option<u64> {
        if self.stop.is_some() {
            return None;
        }
        let passed = &mut self.passed;
        let outward = self.outward.pass_time(now, &mut |bytes| passed.extend_from_slice(bytes));
        let inward = self.inward.pass_time(now, plain);
        outward.into_iter().chain(inward).min()
    }

    /// Whether the connection is at its end, and why.
    pub(crate) fn ended(&self) -> Option<Broken> {
        Some(match self.stop? {
            Stop::Full => Broken("faults hold back more than may be"),
            Stop::Fault(Fault::Refuse(_)) => Broken("refused by a fault of the program's"),
            Stop::Fault(_) => Broken("reset by a fault of the program's"),
        })
    }

    /// Whether it is to end with a reset.
    pub(crate) fn resets(&self) -> bool {
        self.stop == Some(Stop::Fault(Fault::Reset))
    }

    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.inward.held_bytes() + self.outward.held_bytes() + self.passed.capacity()
    }
}
