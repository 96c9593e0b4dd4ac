//! The short way of a message: straight into the output of a client that has nothing queued, in the place where
//! the end of the turn would have put it. What it may not do, the queue does.

use std::rc::Rc;

use ringmq_proto::conn::Phase;
use ringmq_proto::session::{Entry, SubscriptionIds};
use ringmq_proto::time::Now;
use ringmq_wire::message::{Delivery, Message};
use ringmq_wire::{Qos, Version, encode_publish, encode_publish_head, encoded_publish_bytes};

use crate::Shard;
use crate::budget::{LEAN_BYTES, Rung};
use crate::buffer_pool::BufferPool;
use crate::deliver::RELIEF_FACTOR;
use crate::fill::seconds_left;
use crate::input::ConnId;
use crate::limits::Settings;
use crate::links::Link;
use crate::output::REFERENCE_BYTES_MIN;
use crate::publication::Publication;
use crate::sessions::{Attached, Home, SessionId};

/// The bytes of one message as its subscribers last got it, for those who get the same.
#[derive(Default)]
pub struct Image {
    bytes: Vec<u8>,
    /// Whether they are of 5.0; `None` before there are any.
    v5: Option<bool>,
}

impl Image {
    /// The next message has nothing in common with the last.
    pub fn forget(&mut self) {
        self.v5 = None;
    }

    /// The bytes of this delivery, which has no identifiers and no alias.
    fn of(&mut self, version: Version, delivery: &Delivery<'_>) -> &[u8] {
        let v5 = Some(version == Version::V5);
        if self.v5 != v5 {
            self.bytes.clear();
            encode_publish(version, &mut self.bytes, delivery);
            self.v5 = v5;
        }
        &self.bytes
    }
}

fn delivery_of<'a>(now: Now, message: &'a Message, qos: Qos, ids: &'a [u32]) -> Delivery<'a> {
    Delivery {
        message,
        qos,
        dup: false,
        retain: false,
        packet_id: None,
        topic_alias: None,
        expiry_left_seconds: message.expires_at().map(|at| seconds_left(at, now.wall.0)),
        subscription_ids: ids,
    }
}

impl Publication<'_> {
    /// Whether it may leave without a look at the queue: retained ones are compared with copies on their way,
    /// and expired ones are dropped and counted.
    pub fn may_go_straight(&self, now: Now) -> bool {
        !self.retain && self.expires_at.is_none_or(|at| at > now.wall.0)
    }
}

impl Home {
    /// Its connection, while nothing waits for it.
    pub fn idle_link(&self) -> Option<ConnId> {
        match self.attached {
            Attached::Link(conn) if self.session.is_idle() => Some(conn),
            _ => None,
        }
    }
}

impl Link {
    /// The largest packet its client takes, in bytes.
    pub fn packet_bytes_max(&self) -> usize {
        self.conn.limits.packet_bytes_max.min(Settings::PACKET_BYTES_PROTOCOL_MAX) as usize
    }

    /// Encodes a delivery of `bytes` without an alias, with one where that pays.
    pub fn write_publish(
        &mut self,
        pool: &mut BufferPool,
        message: &Rc<Message>,
        delivery: &mut Delivery<'_>,
        mut bytes: usize,
    ) {
        let version = self.conn.version;
        if self.conn.aliases_out.is_used() && bytes + 3 <= self.packet_bytes_max() {
            delivery.topic_alias = self.conn.aliases_out.assign(message.topic());
            bytes = encoded_publish_bytes(version, delivery);
        }
        let payload_bytes = message.payload().len();
        if payload_bytes < REFERENCE_BYTES_MIN {
            return self.out.write(pool, bytes, |out| encode_publish(version, out, delivery));
        }
        self.out.write(pool, bytes - payload_bytes, |out| encode_publish_head(version, out, delivery));
        self.out.payload(Rc::clone(message));
    }

    /// As [`Link::write_publish`], with the bytes of an image where one is given and the payload is copied anyway;
    /// false, with nothing written, when the packet is larger than the client takes.
    fn write_straight(
        &mut self,
        pool: &mut BufferPool,
        message: &Rc<Message>,
        delivery: &mut Delivery<'_>,
        image: Option<&mut Image>,
    ) -> bool {
        let (version, bytes_max) = (self.conn.version, self.packet_bytes_max());
        if let Some(image) = image.filter(|_| message.payload().len() < REFERENCE_BYTES_MIN) {
            let bytes = image.of(version, delivery);
            if bytes.len() <= bytes_max {
                self.out.extend(pool, bytes);
            }
            return bytes.len() <= bytes_max;
        }
        let bytes = encoded_publish_bytes(version, delivery);
        if bytes <= bytes_max {
            self.write_publish(pool, message, delivery, bytes);
        }
        bytes <= bytes_max
    }
}

impl Shard {
    /// The connection of a session that has nothing queued.
    pub(crate) fn link_of_idle(&self, id: SessionId) -> Option<ConnId> {
        self.sessions.at(id).and_then(Home::idle_link)
    }

    /// Writes a packet as it came, at QoS 0, to the connection of a session that has nothing queued; false, with
    /// nothing done, when that connection gets it in another way.
    ///
    /// This is what each of many subscribers of one publish costs: it looks at the connection, and at nothing else. Output
    /// that comes to the high-water mark by it is written before more is taken in; where the client does not take it,
    /// there is room for what one input brings, and for the rest there is the queue.
    #[inline]
    pub(crate) fn send_as_it_came(&mut self, conn: ConnId, packet: &[u8], v5: bool) -> bool {
        let high = self.settings.output_high_water_bytes;
        let Some(link) = self.links.at_mut(conn) else { return false };
        let before = link.out.len();
        if link.conn.phase != Phase::Connected
            || link.conn.aliases_out.is_used()
            || (link.conn.version == Version::V5) != v5
            || before >= high * RELIEF_FACTOR
            || packet.len() > link.packet_bytes_max()
        {
            return false;
        }
        link.out.extend(&mut self.buffers, packet);
        self.pressed |= before < high && link.out.len() >= high;
        if !std::mem::replace(&mut link.dirty, true) {
            self.dirty.push(conn);
        }
        true
    }

    /// Writes a message at QoS 0 to the connection of a session that has nothing queued; false when it has to go
    /// into the queue. With an image, those who get the same bytes share them.
    pub(crate) fn send_straight(
        &mut self,
        now: Now,
        conn: ConnId,
        publication: &mut Publication<'_>,
        ids: &[u32],
        image: Option<&mut Image>,
    ) -> bool {
        let high = self.settings.output_high_water_bytes;
        let Some(link) = self.links.at_mut(conn) else { return false };
        let before = link.out.len();
        if link.conn.phase != Phase::Connected || before >= high * RELIEF_FACTOR {
            return false;
        }
        let plain = ids.is_empty() && !link.conn.aliases_out.is_used();
        let message = publication.message(&mut self.messages);
        let mut delivery = delivery_of(now, message, Qos::AtMostOnce, ids);
        if !link.write_straight(&mut self.buffers, message, &mut delivery, image.filter(|_| plain)) {
            return false;
        }
        self.pressed |= before < high && link.out.len() >= high;
        self.log_delivery(conn, &delivery);
        self.mark_link_dirty(conn);
        true
    }

    /// Writes a message at QoS 1 or 2 to a client that has nothing queued and room in its window, and whose
    /// session dies with its connection; false when it has to go into the queue.
    pub(crate) fn send_straight_with_ack(
        &mut self,
        now: Now,
        id: SessionId,
        publication: &mut Publication<'_>,
        qos: Qos,
        ids: &[u32],
    ) -> bool {
        let Some(home) = self.sessions.at_mut(id) else { return false };
        let holds = home.holds();
        let (session, high) = (&mut home.session, self.settings.output_high_water_bytes);
        let may_send = !session.is_durable() && session.is_idle() && session.window_open() && !holds;
        let Attached::Link(conn) = home.attached else { return false };
        let Some(link) = self.links.at_mut(conn) else { return false };
        if !may_send || link.conn.phase != Phase::Connected || link.out.len() >= high {
            return false;
        }
        let Some(packet_id) = session.inflight.vacant(self.settings.inflight_messages_max) else {
            return false;
        };
        let message = publication.message(&mut self.messages);
        let in_flight = session.inflight_bytes + message.bytes() as u64;
        let lean = self.rung >= Rung::Hold;
        let in_flight_max = if lean { LEAN_BYTES } else { self.settings.queue_bytes_max };
        if session.inflight_bytes > 0 && in_flight > in_flight_max {
            return false;
        }
        let mut delivery = delivery_of(now, message, qos, ids);
        delivery.packet_id = Some(packet_id);
        let bytes = encoded_publish_bytes(link.conn.version, &delivery);
        if bytes > link.packet_bytes_max() {
            return false;
        }
        let ids = ids.first().map_or(SubscriptionIds::None, |id| SubscriptionIds::One([*id]));
        session.send(packet_id, Entry { message: Rc::clone(message), qos, retain: false, ids, shared: None });
        session.window_take();
        self.common.counters.shard(self.id.index()).inflight.add(1);
        link.write_publish(&mut self.buffers, message, &mut delivery, bytes);
        self.log_delivery(conn, &delivery);
        self.mark_link_dirty(conn);
        true
    }
}
