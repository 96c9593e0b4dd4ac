//! The frames between shards: bytes that could as well go between nodes. Each begins with its kind and
//! carries everything its receiver needs; payloads too large to be copied travel beside the bytes.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use ::bytes::Bytes;
use ringmq_wire::message::{Message, MessageParts, Payload};
use ringmq_wire::{Place, Properties, Qos};

use super::Batch;
use super::bytes::{Put, Take};
use crate::aggregate::{AggregateId, Tally};
use crate::input::ConnId;
use crate::message_pool::MessagePool;
use crate::sessions::SessionId;
use crate::shared::GroupId;
use crate::slots::SlotId;

/// One frame, as it is written and as it is read.
#[derive(Debug)]
pub enum Frame<'a> {
    /// A publish that matches something at the receiver.
    Publish {
        /// To be answered with `Done`.
        ticket: Option<AggregateId>,
        /// Milliseconds a full queue may hold it.
        hold: u64,
        /// The message.
        message: Rc<Message>,
    },
    /// The same at QoS 0, as the packet it came in: that is shorter, and often goes on as it is.
    Packet {
        /// Identity of the publishing session; 0 for none.
        publisher: u64,
        /// Whether the packet is of 5.0.
        v5: bool,
        /// The packet, without RETAIN, alias and expiry.
        packet: &'a [u8],
    },
    /// A retained publish for the shard that owns its topic.
    Retain {
        /// To be answered with `Done`.
        ticket: Option<AggregateId>,
        /// Whether it may still be refused; then `Settle` follows.
        open: bool,
        /// The message.
        message: Rc<Message>,
    },
    /// A retained publish that was open stays, or was refused and is taken back.
    Settle {
        /// Its topic.
        topic: &'a str,
        /// Its stamp.
        stamp: u64,
        /// Whether it stays.
        kept: bool,
    },
    /// A message of a shared subscription for one member.
    Shared {
        /// To be answered with `Done`.
        ticket: Option<AggregateId>,
        /// Milliseconds a full queue may hold it.
        hold: u64,
        /// The group, at the sender.
        group: GroupId,
        /// The member.
        member: SessionId,
        /// Whether an offline member keeps it, because no other is there.
        keep: bool,
        /// The whole filter.
        filter: &'a str,
        /// The message.
        message: Rc<Message>,
    },
    /// A message of a shared subscription that its member could not complete, back to the owner.
    SharedBack {
        /// The publish it still belongs to.
        ticket: Option<AggregateId>,
        /// The group, at the receiver.
        group: GroupId,
        /// The member that had it.
        member: SessionId,
        /// The message.
        message: Rc<Message>,
    },
    /// A member has completed one QoS 1 or 2 message.
    SharedDone {
        /// The group, at the receiver.
        group: GroupId,
        /// The member.
        member: SessionId,
    },
    /// A session joins a group.
    Join {
        /// To be answered with `Done`.
        ticket: AggregateId,
        /// The whole filter.
        filter: &'a str,
        /// The member.
        member: SessionId,
        /// Its QoS.
        qos: Qos,
        /// Its window while it is connected, 0 otherwise.
        window: u16,
    },
    /// A session leaves a group.
    Leave {
        /// The whole filter.
        filter: &'a str,
        /// The member.
        member: SessionId,
    },
    /// A member came or went.
    Member {
        /// The whole filter.
        filter: &'a str,
        /// The member.
        member: SessionId,
        /// Its window while it is connected, 0 otherwise.
        window: u16,
    },
    /// What came of a part of a publish.
    Done {
        /// Which.
        ticket: AggregateId,
        /// What.
        tally: Tally,
    },
    /// A part of a publish waits for a full queue.
    Held {
        /// Which.
        ticket: AggregateId,
    },
    /// Retained messages are asked for.
    Query {
        /// Who asks.
        session: SessionId,
        /// Number of the question.
        serial: u64,
        /// The filter.
        filter: &'a str,
        /// Where to go on; empty for the beginning.
        after: &'a str,
        /// Most messages.
        messages: u32,
    },
    /// Retained messages.
    Page {
        /// Who asked.
        session: SessionId,
        /// Number of the question.
        serial: u64,
        /// Where to go on; `None` at the end.
        next: Option<&'a str>,
        /// The messages, in topic order.
        messages: Vec<Rc<Message>>,
    },
    /// A connection that stays at the sender has its session at the receiver.
    TunnelOpen {
        /// The connection, at the sender.
        conn: ConnId,
        /// Number of its listener.
        listener: u16,
        /// Its address.
        address: Option<SocketAddr>,
        /// The user name that the transport has proved.
        user_name: Option<&'a str>,
        /// When its CONNECT was complete, in the order of all shards.
        connect_stamp: u64,
        /// What the client sent so far.
        bytes: &'a [u8],
    },
    /// More bytes of the client.
    TunnelBytes {
        /// The connection, at the sender.
        conn: ConnId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The client is gone.
    TunnelEnded {
        /// The connection, at the sender.
        conn: ConnId,
    },
    /// Bytes of the client were used up.
    TunnelTaken {
        /// The connection, at the receiver.
        conn: ConnId,
        /// How many.
        bytes: u32,
    },
    /// Bytes for the client.
    TunnelOutput {
        /// The connection, at the receiver.
        conn: ConnId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes for the client were written.
    TunnelWritten {
        /// The connection, at the sender.
        conn: ConnId,
        /// How many.
        bytes: u32,
    },
    /// Flush and close.
    TunnelHearOut {
        /// The connection at the receiver, which sends what has arrived there and then `TunnelHeard`.
        conn: ConnId,
    },
    /// What had arrived was sent.
    TunnelHeard {
        /// The connection at the sender.
        conn: ConnId,
    },
    /// The connection is over.
    TunnelClose {
        /// The connection, at the receiver.
        conn: ConnId,
    },
}

const PAYLOAD_BESIDE: u8 = 0x80;

fn put_id(out: &mut Vec<u8>, id: impl SlotId) {
    out.put_u32(id.slot());
    out.put_u32(id.generation());
}

fn put_ticket(out: &mut Vec<u8>, id: Option<AggregateId>) {
    put_id(out, id.unwrap_or(AggregateId { slot: u32::MAX, generation: 0 }));
}

fn take_id<K: SlotId>(take: &mut Take<'_>) -> Option<K> {
    Some(K::from_parts(take.u32()?, take.u32()?))
}

fn take_ticket(take: &mut Take<'_>) -> Option<Option<AggregateId>> {
    let id: AggregateId = take_id(take)?;
    Some((id.slot != u32::MAX).then_some(id))
}

/// Writes a message; a payload that does not lie in the message's own block goes beside the bytes.
pub fn put_message(batch: &mut Batch, message: &Message) {
    let beside = !message.is_inline();
    let flags =
        message.qos() as u8 | u8::from(message.retain()) << 2 | if beside { PAYLOAD_BESIDE } else { 0 };
    let out = &mut batch.bytes;
    out.put_u8(flags);
    out.put_u64(message.expires_at().unwrap_or(u64::MAX));
    out.put_u64(message.publisher());
    out.put_u64(message.stamp());
    out.put_bytes(message.topic_raw());
    out.put_bytes(message.properties().raw());
    if beside {
        batch.payloads.push(message.payload_bytes());
    } else {
        out.put_bytes(message.payload());
    }
}

fn take_message(
    take: &mut Take<'_>,
    beside: &mut impl Iterator<Item = Bytes>,
    pool: &mut MessagePool,
) -> Option<Rc<Message>> {
    let flags = take.u8()?;
    let expires_at = take.u64().map(|at| (at != u64::MAX).then_some(at))?;
    let (publisher, stamp) = (take.u64()?, take.u64()?);
    let topic = take.text()?;
    let properties = Properties::parse(Place::Publish, take.bytes()?).ok()?;
    let payload = if flags & PAYLOAD_BESIDE == 0 {
        Payload::Copy(take.bytes()?)
    } else {
        Payload::Owned(beside.next()?)
    };
    Some(pool.message(MessageParts {
        topic,
        qos: Qos::from_u8(flags & 3)?,
        retain: flags & 4 != 0,
        properties,
        payload,
        expires_at,
        publisher,
        stamp,
    }))
}

fn put_address(out: &mut Vec<u8>, address: Option<SocketAddr>) {
    match address {
        None => out.put_u8(0),
        Some(SocketAddr::V4(a)) => {
            out.put_u8(4);
            out.put_u16(a.port());
            out.extend_from_slice(&a.ip().octets());
        }
        Some(SocketAddr::V6(a)) => {
            out.put_u8(6);
            out.put_u16(a.port());
            out.put_bytes(&a.ip().octets());
        }
    }
}

fn take_user_name<'a>(take: &mut Take<'a>) -> Option<Option<&'a str>> {
    let is_there = take.u8()? != 0;
    let name = take.text()?;
    Some(is_there.then_some(name))
}

fn take_address(take: &mut Take<'_>) -> Option<Option<SocketAddr>> {
    Some(match take.u8()? {
        0 => None,
        4 => {
            let port = take.u16()?;
            let octets = [take.u8()?, take.u8()?, take.u8()?, take.u8()?];
            Some(SocketAddr::new(IpAddr::from(octets), port))
        }
        _ => {
            let port = take.u16()?;
            let octets: [u8; 16] = take.bytes()?.try_into().ok()?;
            Some(SocketAddr::new(IpAddr::from(octets), port))
        }
    })
}

impl Frame<'_> {
    /// Appends the frame to a batch.
    pub fn put(&self, batch: &mut Batch) {
        match self {
            Self::Publish { ticket, hold, message } => {
                batch.bytes.put_u8(1);
                put_ticket(&mut batch.bytes, *ticket);
                batch.bytes.put_u64(*hold);
                put_message(batch, message);
            }
            Self::Packet { publisher, v5, packet } => {
                batch.bytes.put_u8(23);
                batch.bytes.put_u64(*publisher);
                batch.bytes.put_u8(u8::from(*v5));
                batch.bytes.put_bytes(packet);
            }
            Self::Retain { ticket, open, message } => {
                batch.bytes.put_u8(2);
                put_ticket(&mut batch.bytes, *ticket);
                batch.bytes.put_u8(u8::from(*open));
                put_message(batch, message);
            }
            Self::Shared { ticket, hold, group, member, keep, filter, message } => {
                batch.bytes.put_u8(3);
                put_ticket(&mut batch.bytes, *ticket);
                batch.bytes.put_u64(*hold);
                put_id(&mut batch.bytes, *group);
                put_id(&mut batch.bytes, *member);
                batch.bytes.put_u8(u8::from(*keep));
                batch.bytes.put_bytes(filter.as_bytes());
                put_message(batch, message);
            }
            Self::SharedBack { ticket, group, member, message } => {
                batch.bytes.put_u8(4);
                put_ticket(&mut batch.bytes, *ticket);
                put_id(&mut batch.bytes, *group);
                put_id(&mut batch.bytes, *member);
                put_message(batch, message);
            }
            Self::Page { session, serial, next, messages } => {
                batch.bytes.put_u8(12);
                put_id(&mut batch.bytes, *session);
                batch.bytes.put_u64(*serial);
                batch.bytes.put_u8(u8::from(next.is_some()));
                batch.bytes.put_bytes(next.unwrap_or("").as_bytes());
                batch.bytes.put_u32(messages.len() as u32);
                messages.iter().for_each(|m| put_message(batch, m));
            }
            plain => plain.put_plain(&mut batch.bytes),
        }
    }

    fn put_plain(&self, out: &mut Vec<u8>) {
        match self {
            Self::SharedDone { group, member } => {
                out.put_u8(5);
                put_id(out, *group);
                put_id(out, *member);
            }
            Self::Join { ticket, filter, member, qos, window } => {
                out.put_u8(6);
                put_id(out, *ticket);
                put_id(out, *member);
                out.put_u8(*qos as u8);
                out.put_u16(*window);
                out.put_bytes(filter.as_bytes());
            }
            Self::Leave { filter, member } => {
                out.put_u8(7);
                put_id(out, *member);
                out.put_bytes(filter.as_bytes());
            }
            Self::Member { filter, member, window } => {
                out.put_u8(8);
                put_id(out, *member);
                out.put_u16(*window);
                out.put_bytes(filter.as_bytes());
            }
            Self::Done { ticket, tally } => {
                out.put_u8(9);
                put_id(out, *ticket);
                let numbers = [tally.matched, tally.taken, tally.dropped, tally.refused, tally.unretained];
                numbers.iter().for_each(|n| out.put_u32(*n));
                out.put_bytes(tally.full.as_deref().unwrap_or("").as_bytes());
            }
            Self::Held { ticket } => {
                out.put_u8(10);
                put_id(out, *ticket);
            }
            Self::Settle { topic, stamp, kept } => {
                out.put_u8(20);
                out.put_bytes(topic.as_bytes());
                out.put_u64(*stamp);
                out.put_u8(u8::from(*kept));
            }
            Self::Query { session, serial, filter, after, messages } => {
                out.put_u8(11);
                put_id(out, *session);
                out.put_u64(*serial);
                out.put_bytes(filter.as_bytes());
                out.put_bytes(after.as_bytes());
                out.put_u32(*messages);
            }
            tunnel => tunnel.put_tunnel(out),
        }
    }

    fn put_tunnel(&self, out: &mut Vec<u8>) {
        let mut head = |kind: u8, conn: &ConnId| {
            out.put_u8(kind);
            put_id(out, *conn);
        };
        match self {
            Self::TunnelOpen { conn, listener, address, user_name, connect_stamp, bytes } => {
                head(13, conn);
                out.put_u16(*listener);
                put_address(out, *address);
                out.put_u8(u8::from(user_name.is_some()));
                out.put_bytes(user_name.unwrap_or_default().as_bytes());
                out.put_u64(*connect_stamp);
                out.put_bytes(bytes);
            }
            Self::TunnelBytes { conn, bytes } => {
                head(14, conn);
                out.put_bytes(bytes);
            }
            Self::TunnelEnded { conn } => head(15, conn),
            Self::TunnelTaken { conn, bytes } => {
                head(16, conn);
                out.put_u32(*bytes);
            }
            Self::TunnelOutput { conn, bytes } => {
                head(17, conn);
                out.put_bytes(bytes);
            }
            Self::TunnelWritten { conn, bytes } => {
                head(18, conn);
                out.put_u32(*bytes);
            }
            Self::TunnelClose { conn } => head(19, conn),
            Self::TunnelHearOut { conn } => head(21, conn),
            Self::TunnelHeard { conn } => head(22, conn),
            _ => unreachable!("all other kinds are written above"),
        }
    }

    /// Reads the next frame; nothing when the bytes are not a frame.
    pub fn take<'a>(
        take: &mut Take<'a>,
        beside: &mut impl Iterator<Item = Bytes>,
        pool: &mut MessagePool,
    ) -> Option<Frame<'a>> {
        let kind = take.u8()?;
        Some(match kind {
            1 => Frame::Publish {
                ticket: take_ticket(take)?,
                hold: take.u64()?,
                message: take_message(take, beside, pool)?,
            },
            23 => Frame::Packet { publisher: take.u64()?, v5: take.u8()? != 0, packet: take.bytes()? },
            2 => Frame::Retain {
                ticket: take_ticket(take)?,
                open: take.u8()? != 0,
                message: take_message(take, beside, pool)?,
            },
            3 => Frame::Shared {
                ticket: take_ticket(take)?,
                hold: take.u64()?,
                group: take_id(take)?,
                member: take_id(take)?,
                keep: take.u8()? != 0,
                filter: take.text()?,
                message: take_message(take, beside, pool)?,
            },
            4 => Frame::SharedBack {
                ticket: take_ticket(take)?,
                group: take_id(take)?,
                member: take_id(take)?,
                message: take_message(take, beside, pool)?,
            },
            12 => Self::take_page(take, beside, pool)?,
            5..=11 => Self::take_plain(kind, take)?,
            20 => Frame::Settle { topic: take.text()?, stamp: take.u64()?, kept: take.u8()? != 0 },
            _ => Self::take_tunnel(kind, take)?,
        })
    }

    fn take_page<'a>(
        take: &mut Take<'a>,
        beside: &mut impl Iterator<Item = Bytes>,
        pool: &mut MessagePool,
    ) -> Option<Frame<'a>> {
        let (session, serial) = (take_id(take)?, take.u64()?);
        let more = take.u8()? != 0;
        let next = take.text()?;
        let count = take.u32()?;
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.push(take_message(take, beside, pool)?);
        }
        Some(Frame::Page { session, serial, next: more.then_some(next), messages })
    }

    fn take_plain<'a>(kind: u8, take: &mut Take<'a>) -> Option<Frame<'a>> {
        Some(match kind {
            5 => Frame::SharedDone { group: take_id(take)?, member: take_id(take)? },
            6 => Frame::Join {
                ticket: take_id(take)?,
                member: take_id(take)?,
                qos: Qos::from_u8(take.u8()?)?,
                window: take.u16()?,
                filter: take.text()?,
            },
            7 => Frame::Leave { member: take_id(take)?, filter: take.text()? },
            8 => Frame::Member { member: take_id(take)?, window: take.u16()?, filter: take.text()? },
            9 => {
                let ticket = take_id(take)?;
                let (matched, taken, dropped) = (take.u32()?, take.u32()?, take.u32()?);
                let (refused, unretained) = (take.u32()?, take.u32()?);
                let full = take.text().map(|t| (!t.is_empty()).then(|| t.into()))?;
                Frame::Done { ticket, tally: Tally { matched, taken, dropped, refused, unretained, full } }
            }
            10 => Frame::Held { ticket: take_id(take)? },
            _ => Frame::Query {
                session: take_id(take)?,
                serial: take.u64()?,
                filter: take.text()?,
                after: take.text()?,
                messages: take.u32()?,
            },
        })
    }

    fn take_tunnel<'a>(kind: u8, take: &mut Take<'a>) -> Option<Frame<'a>> {
        let conn = take_id(take)?;
        Some(match kind {
            13 => Frame::TunnelOpen {
                conn,
                listener: take.u16()?,
                address: take_address(take)?,
                user_name: take_user_name(take)?,
                connect_stamp: take.u64()?,
                bytes: take.bytes()?,
            },
            14 => Frame::TunnelBytes { conn, bytes: take.bytes()? },
            15 => Frame::TunnelEnded { conn },
            16 => Frame::TunnelTaken { conn, bytes: take.u32()? },
            17 => Frame::TunnelOutput { conn, bytes: take.bytes()? },
            18 => Frame::TunnelWritten { conn, bytes: take.u32()? },
            19 => Frame::TunnelClose { conn },
            21 => Frame::TunnelHearOut { conn },
            22 => Frame::TunnelHeard { conn },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: usize) -> Rc<Message> {
        Rc::new(Message::new(MessageParts {
            topic: "a/b",
            qos: Qos::AtLeastOnce,
            retain: true,
            properties: Properties::EMPTY,
            payload: Payload::Owned(Bytes::from(vec![7; payload])),
            expires_at: Some(99),
            publisher: 3,
            stamp: 4,
        }))
    }

    fn frames() -> Vec<Frame<'static>> {
        let id = |n| AggregateId { slot: n, generation: n + 1 };
        let (conn, session) = (ConnId { slot: 1, generation: 2 }, SessionId { slot: 3, generation: 4 });
        let group = GroupId { slot: 5, generation: 6 };
        let tally =
            Tally { matched: 1, taken: 2, dropped: 3, refused: 4, unretained: 5, full: Some("x".into()) };
        let address = Some("[::1]:1883".parse().expect("an address"));
        let filter = "$share/g/f";
        vec![
            Frame::Publish { ticket: Some(id(1)), hold: 9, message: message(3) },
            Frame::Publish { ticket: None, hold: 0, message: message(5000) },
            Frame::Packet { publisher: 5, v5: true, packet: b"packet" },
            Frame::Retain { ticket: Some(id(2)), open: true, message: message(0) },
            Frame::Settle { topic: "a/b", stamp: 4, kept: true },
            Frame::Shared {
                ticket: None,
                hold: 1,
                group,
                member: session,
                keep: true,
                filter,
                message: message(1),
            },
            Frame::SharedBack { ticket: Some(id(3)), group, member: session, message: message(3000) },
            Frame::SharedDone { group, member: session },
            Frame::Join { ticket: id(4), filter, member: session, qos: Qos::ExactlyOnce, window: 7 },
            Frame::Leave { filter, member: session },
            Frame::Member { filter, member: session, window: 0 },
            Frame::Done { ticket: id(5), tally },
            Frame::Held { ticket: id(6) },
            Frame::Query { session, serial: 8, filter: "#", after: "a", messages: 64 },
            Frame::Page { session, serial: 8, next: Some("b"), messages: vec![message(1), message(9000)] },
            Frame::Page { session, serial: 8, next: None, messages: vec![] },
            Frame::TunnelOpen {
                conn,
                listener: 2,
                address,
                user_name: None,
                connect_stamp: 12,
                bytes: b"abc",
            },
            Frame::TunnelOpen {
                conn,
                listener: 2,
                address,
                user_name: Some("u"),
                connect_stamp: 12,
                bytes: b"",
            },
            Frame::TunnelBytes { conn, bytes: b"d" },
            Frame::TunnelEnded { conn },
            Frame::TunnelTaken { conn, bytes: 10 },
            Frame::TunnelOutput { conn, bytes: b"" },
            Frame::TunnelWritten { conn, bytes: 11 },
            Frame::TunnelClose { conn },
            Frame::TunnelHearOut { conn },
            Frame::TunnelHeard { conn },
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut batch = Batch::default();
        frames().iter().for_each(|f| f.put(&mut batch));
        let (mut take, mut beside) = (Take(&batch.bytes), batch.payloads.drain(..));
        for wanted in frames() {
            let found = Frame::take(&mut take, &mut beside, &mut MessagePool::new()).expect("a frame");
            assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
        }
        assert!(take.is_empty() && beside.next().is_none());
    }

    #[test]
    fn what_is_cut_short_is_no_frame() {
        for frame in frames() {
            let mut batch = Batch::default();
            frame.put(&mut batch);
            for cut in 0..batch.bytes.len() {
                let mut beside = batch.payloads.clone().into_iter();
                assert!(
                    Frame::take(&mut Take(&batch.bytes[..cut]), &mut beside, &mut MessagePool::new())
                        .is_none(),
                    "{frame:?} at {cut}"
                );
            }
        }
    }
}
