//! What a publish waits for before it is acknowledged: one aggregate collects the answers of its parts
//! (own sessions whose queue is full, other shards, groups, the store), and the last one finishes it. The
//! same mechanism answers a remote shard, an in-process handle, and a SUBSCRIBE that joins groups.

use std::rc::Rc;

use ringmq_wire::message::Message;
use ringmq_wire::{PacketId, Qos, ReasonCode};

use crate::input::{ConnId, ShardId};
use crate::local::{LocalOutcome, LocalTicket};
use crate::mesh::frame::Frame;
use crate::sessions::SessionId;
use crate::slots::slot_id;
use crate::{Effect, Now, Shard};

/// One open aggregate of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AggregateId {
    /// Index in the shard's table.
    pub slot: u32,
    /// Tells users of the same slot apart.
    pub generation: u32,
}
slot_id!(AggregateId);

/// What became of a publish, in sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whose subscriptions matched.
    pub matched: u32,
    /// Who took it.
    pub taken: u32,
    /// Who did not get it, by the policy of a full queue.
    pub dropped: u32,
    /// Whose policy refuses it.
    pub refused: u32,
    /// Retained topics whose message was not kept because there is no room.
    pub unretained: u32,
    /// The ClientID of one that did not get it, the beginning of a long one.
    pub full: Option<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.matched += other.matched;
        self.taken += other.taken;
        self.dropped += other.dropped;
        self.refused += other.refused;
        self.unretained += other.unretained;
        if self.full.is_none() {
            self.full = other.full;
        }
    }

    /// Whether the publish as a whole is refused: nobody has taken it, and somebody's policy says so.
    pub const fn is_refused(&self) -> bool {
        self.refused > 0 && self.taken == 0
    }

    /// The reason code a publisher gets.
    pub fn reason(&self) -> ReasonCode {
        if self.is_refused() || self.unretained > 0 {
            ReasonCode::QUOTA_EXCEEDED
        } else if self.matched == 0 {
            ReasonCode::NO_MATCHING_SUBSCRIBERS
        } else {
            ReasonCode::SUCCESS
        }
    }
}

/// Who is waiting.
#[derive(Debug)]
pub enum Origin {
    /// Nobody: a will, a `$SYS` topic, a message going back to its group.
    Nobody,
    /// A client's publish.
    Publisher {
        /// Its connection.
        conn: ConnId,
        /// Its session.
        session: SessionId,
        /// Its packet id.
        packet_id: PacketId,
        /// QoS 1 or 2.
        qos: Qos,
    },
    /// Another shard.
    Remote {
        /// Which.
        shard: ShardId,
        /// Its aggregate.
        ticket: AggregateId,
    },
    /// An in-process publish.
    Local(LocalTicket),
    /// A client's SUBSCRIBE that joins groups owned elsewhere.
    Subscriber {
        /// Its connection.
        conn: ConnId,
        /// Its packet id.
        packet_id: PacketId,
        /// The codes of its SUBACK.
        codes: Vec<u8>,
    },
    /// An in-process subscribe that joins groups owned elsewhere.
    LocalSubscriber(LocalTicket, Vec<ReasonCode>),
}

/// The state of one.
#[derive(Debug)]
pub struct Aggregate {
    /// Who is waiting.
    pub origin: Origin,
    /// Parts not answered yet.
    pub remaining: u32,
    /// Whether the origin was told that a part waits: for a full queue, or for a long match.
    pub held: bool,
    /// The answers so far.
    pub tally: Tally,
    /// The message, when it was retained and may still be refused.
    pub retained: Option<Rc<Message>>,
}

impl Shard {
    /// Opens an aggregate with one part, which the opener answers when it has added all others.
    pub(crate) fn aggregate_open(&mut self, origin: Origin) -> AggregateId {
        let (held, tally, retained) = (false, Tally::default(), None);
        self.aggregates.insert(Aggregate { origin, remaining: 1, held, tally, retained })
    }

    /// The answers to an aggregate of which nothing is open but its opener's own part; then it may serve again.
    pub(crate) fn aggregate_again(&mut self, id: AggregateId) -> Option<Tally> {
        let aggregate = self.aggregates.at_mut(id)?;
        let alone = aggregate.remaining == 1 && !aggregate.held && aggregate.retained.is_none();
        alone.then(|| std::mem::take(&mut aggregate.tally))
    }

    /// One more part.
    pub(crate) fn aggregate_part(&mut self, id: AggregateId) {
        if let Some(aggregate) = self.aggregates.at_mut(id) {
            aggregate.remaining += 1;
        }
    }

    /// Adds to the answer without answering a part.
    pub(crate) fn aggregate_add(&mut self, id: Option<AggregateId>, tally: Tally) {
        if let Some(aggregate) = id.and_then(|id| self.aggregates.at_mut(id)) {
            aggregate.tally.add(tally);
        }
    }

    /// A part is answered; the last one finishes the aggregate.
    pub(crate) fn aggregate_answer(&mut self, now: Now, id: AggregateId, tally: Tally) {
        let Some(aggregate) = self.aggregates.at_mut(id) else { return };
        aggregate.tally.add(tally);
        aggregate.remaining -= 1;
        if aggregate.remaining == 0
            && let Some(aggregate) = self.aggregates.remove(id)
        {
            self.aggregate_finish(now, aggregate);
        }
    }

    /// A part waits for a full queue: whoever publishes is to publish no more until it is answered.
    pub(crate) fn aggregate_hold(&mut self, id: AggregateId) {
        if self.aggregate_wait(id) {
            self.counters().publish_held.add(1);
        }
    }

    /// As [`Shard::aggregate_hold`], for a part that waits for something else. True when a publisher of this shard
    /// was stopped by it.
    pub(crate) fn aggregate_wait(&mut self, id: AggregateId) -> bool {
        let Some(aggregate) = self.aggregates.at_mut(id) else { return false };
        if std::mem::replace(&mut aggregate.held, true) {
            return false;
        }
        match aggregate.origin {
            Origin::Publisher { conn, .. } => self.hold_publisher(conn),
            Origin::Remote { shard, ticket } => self.peers.send(shard, &Frame::Held { ticket }),
            _ => {}
        }
        matches!(self.aggregates.at(id).map(|a| &a.origin), Some(Origin::Publisher { .. }))
    }

    fn aggregate_finish(&mut self, now: Now, aggregate: Aggregate) {
        let tally = aggregate.tally;
        if let Some(message) = aggregate.retained {
            self.settle_at_owner(&message, !tally.is_refused());
        }
        match aggregate.origin {
            Origin::Nobody => {}
            Origin::Publisher { conn, session, packet_id, qos } => {
                self.publish_finished(now, conn, session, packet_id, qos, &tally);
                if aggregate.held {
                    self.release_publisher(now, conn);
                }
            }
            Origin::Remote { shard, ticket } => self.peers.send(shard, &Frame::Done { ticket, tally }),
            Origin::Local(ticket) => {
                let (reason, matched, dropped) =
                    (tally.reason(), tally.matched, tally.dropped + tally.refused);
                let outcome = LocalOutcome::Published { reason, matched, dropped, full: tally.full };
                self.local_done(ticket, outcome);
            }
            Origin::Subscriber { conn, packet_id, codes } => {
                self.subscribe_joined(now, conn, packet_id, &codes)
            }
            Origin::LocalSubscriber(ticket, codes) => {
                self.effects.push(Effect::LocalDone { ticket, outcome: LocalOutcome::Subscribed(codes) });
            }
        }
    }
}
