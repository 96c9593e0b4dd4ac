//! What can happen to the durable part of a session: values that `apply` carries out, the same way on any
//! node, without clock, dice or socket.

use alloc::boxed::Box;
use alloc::rc::Rc;

use ringmq_wire::PacketId;
use ringmq_wire::message::Message;

use super::{Entry, RetainedRead, Sent, SentState, Session, Subscription, Will};
use crate::time::Wall;

/// One change of a session.
#[derive(Clone, Debug)]
pub enum Change {
    /// A client is there: the session has this epoch, expiry and will from now on.
    Attached {
        /// The new epoch.
        epoch: u64,
        /// Seconds the session outlives its connection.
        expiry_seconds: u32,
        /// The will of this connection.
        will: Option<Will>,
    },
    /// The client changed the expiry in its DISCONNECT.
    ExpirySet {
        /// Seconds the session outlives its connection.
        expiry_seconds: u32,
    },
    /// The client is gone.
    Detached {
        /// When the session ends.
        expires_at: Option<Wall>,
        /// When the will is due.
        will_due: Option<Wall>,
    },
    /// The will was published or withdrawn.
    WillCleared,
    /// A subscription was made or replaced.
    Subscribed {
        /// The whole filter.
        filter: Box<str>,
        /// Its options and identifier.
        subscription: Subscription,
    },
    /// A subscription was removed.
    Unsubscribed {
        /// The whole filter.
        filter: Box<str>,
    },
    /// A message was queued.
    Queued {
        /// The message.
        entry: Entry,
    },
    /// The oldest QoS 1 or 2 message was sent under this id.
    Sent {
        /// Its packet id.
        packet_id: PacketId,
    },
    /// The oldest QoS 1 or 2 message was given up (expired, too large).
    GivenUp,
    /// The client owns the message: PUBREC.
    Received {
        /// Its packet id.
        packet_id: PacketId,
    },
    /// The exchange is complete.
    Completed {
        /// Its packet id.
        packet_id: PacketId,
    },
    /// A QoS 2 publish of the client was received.
    IncomingReceived {
        /// Its packet id.
        packet_id: PacketId,
    },
    /// It was released, or refused.
    IncomingReleased {
        /// Its packet id.
        packet_id: PacketId,
    },
    /// Retained messages are to be read for a new subscription.
    ReadStarted {
        /// From the beginning.
        read: RetainedRead,
    },
    /// The oldest read goes on from here, or is done.
    ReadMoved {
        /// Where to go on; `None` when done.
        read: Option<RetainedRead>,
    },
    /// The reads of a filter were given up.
    ReadsCancelled {
        /// The filter without `$share`.
        filter: Box<str>,
    },
}

impl Session {
    /// Carries out one change. The same changes in the same order give the same session anywhere. Returns the
    /// message that the session does not need any more, if one is over, for whoever can use its memory.
    pub fn apply(&mut self, change: Change) -> Option<Rc<Message>> {
        match change {
            Change::Attached { epoch, expiry_seconds, will } => {
                (self.epoch, self.expiry_seconds, self.will) = (epoch, expiry_seconds, will);
                (self.expires_at, self.will_due) = (None, None);
            }
            Change::ExpirySet { expiry_seconds } => self.expiry_seconds = expiry_seconds,
            Change::Detached { expires_at, will_due } => {
                (self.expires_at, self.will_due) = (expires_at, will_due);
            }
            Change::WillCleared => (self.will, self.will_due) = (None, None),
            Change::Subscribed { filter, subscription } => {
                self.subscriptions.insert(filter, subscription);
            }
            Change::Unsubscribed { filter } => {
                self.subscriptions.remove(&filter);
            }
            Change::IncomingReceived { packet_id } => {
                self.incoming.insert(packet_id);
            }
            Change::IncomingReleased { packet_id } => {
                self.incoming.remove(packet_id);
            }
            Change::ReadStarted { read } => self.reads.push_back(read),
            Change::ReadMoved { read } => match (self.reads.front_mut(), read) {
                (Some(front), Some(read)) => *front = read,
                _ => drop(self.reads.pop_front()),
            },
            Change::ReadsCancelled { filter } => self.reads.retain(|r| r.filter != filter),
            delivery => return self.apply_delivery(delivery),
        }
        None
    }

    fn apply_delivery(&mut self, change: Change) -> Option<Rc<Message>> {
        match change {
            Change::Queued { entry } => self.queue.push(entry),
            Change::Sent { packet_id } => {
                if let Some(entry) = self.queue.pop_with_ack() {
                    self.send(packet_id, entry);
                }
            }
            Change::GivenUp => return self.queue.pop_with_ack().map(|entry| entry.message),
            Change::Received { packet_id } => {
                if let Some(sent) = self.inflight.get_mut(packet_id) {
                    sent.state = SentState::AwaitPubcomp;
                    let entry = sent.entry.take();
                    return self.sent_over(entry);
                }
            }
            Change::Completed { packet_id } => {
                let entry = self.inflight.remove(packet_id).and_then(|sent| sent.entry);
                return self.sent_over(entry);
            }
            _ => {}
        }
        None
    }

    /// Notes a QoS 1 or 2 message as sent under this id: what [`Change::Queued`] and [`Change::Sent`] come to for
    /// a session that has nothing queued and dies with its connection.
    pub fn send(&mut self, packet_id: PacketId, entry: Entry) {
        let bytes = entry.bytes();
        if self.inflight.insert_at(packet_id, sent(entry)) {
            self.inflight_bytes += bytes;
        }
    }

    fn sent_over(&mut self, entry: Option<Entry>) -> Option<Rc<Message>> {
        let entry = entry?;
        self.inflight_bytes -= entry.bytes();
        Some(entry.message)
    }
}

fn sent(entry: Entry) -> Sent {
    let state = if entry.qos == ringmq_wire::Qos::ExactlyOnce {
        SentState::AwaitPubrec
    } else {
        SentState::AwaitPuback
    };
    let shared = entry.shared;
    Sent { state, entry: Some(entry), shared, on_this_connection: true }
}
