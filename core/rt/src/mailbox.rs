//! One shard's mailbox: what other threads bring in that does not come through a lane. Requests of
//! in-process handles, late decisions, connections on the move, and orders of whoever runs the broker.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringmq_net::Layers;
use ringmq_shard::{LocalInput, Parcel, ShardId, Ticket, Verdict};

use crate::adopt::{AdoptError, Adopted};
use crate::change::Changed;
use crate::doorbell::Doorbell;
use crate::limits::{INLET_BYTES_MAX, INLET_REQUESTS_MAX};
use crate::shared::Shared;

/// What a shard is told to do by whoever runs the broker.
#[derive(Clone)]
pub(crate) enum Order {
    /// Go on with other settings, doors or listeners.
    Change(Arc<Changed>),
    /// Close the listeners.
    StopListening,
    /// First half of the stop.
    StopWork,
    /// Say when everything that has been sent so far was taken in.
    Settle,
    /// Second half of the stop.
    StopConnections,
    /// Close everything and end.
    Leave,
}

/// A connection that comes over from another shard.
pub(crate) struct Arrival {
    pub(crate) fd: OwnedFd,
    pub(crate) layers: Layers,
    pub(crate) parcel: Box<Parcel>,
}

/// What lies in a mailbox. The arrivals are bounded by the connections there are, the decisions by the
/// questions asked, the orders by the steps of a stop; requests and adopted sockets have bounds of their own.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) requests: VecDeque<LocalInput>,
    pub(crate) decided: Vec<(Ticket, Verdict)>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) adopted: Vec<Adopted>,
    pub(crate) orders: Vec<Order>,
    request_bytes: usize,
    /// Messages and other requests in `requests`.
    request_count: usize,
    closed: bool,
}

impl Mail {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// One shard's mailbox with its bell.
pub(crate) struct Mailbox {
    filled: AtomicBool,
    mail: Mutex<Mail>,
    pub(crate) doorbell: Doorbell,
}

impl Mailbox {
    pub(crate) fn new(doorbell: Doorbell) -> Self {
        Self { filled: AtomicBool::new(false), mail: Mutex::default(), doorbell }
    }

    /// Whether something lies in it.
    #[inline]
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Swaps everything that lies in it for `empty`, whose memory is used again.
    pub(crate) fn take(&self, empty: &mut Mail) {
        if !self.is_filled() {
            return;
        }
        let mut mail = self.lock();
        self.filled.store(false, Ordering::Relaxed);
        empty.closed = mail.closed;
        (empty.request_bytes, empty.request_count) = (0, 0);
        std::mem::swap(&mut *mail, empty);
    }

    /// Takes nothing more in, and gives back what was left.
    pub(crate) fn close(&self) -> Mail {
        self.doorbell.take_down();
        let mut mail = self.lock();
        self.filled.store(false, Ordering::Relaxed);
        std::mem::replace(&mut *mail, Mail { closed: true, ..Mail::default() })
    }

    pub(crate) fn order(&self, order: Order) {
        self.put(|mail| mail.orders.push(order));
    }

    /// Brings in a connection; it is closed when the shard is gone. Whoever brought it rings the bell.
    pub(crate) fn arrive(&self, arrival: Arrival) {
        self.put_silently(|mail| {
            if !mail.closed {
                mail.arrivals.push(arrival);
            }
        });
    }

    /// Brings in a socket that the program has connected.
    pub(crate) fn adopt(&self, adopted: Adopted) -> Result<(), AdoptError> {
        self.put(|mail| mail.adopt(adopted))
    }

    fn decide(&self, ticket: Ticket, verdict: Verdict) {
        self.put(|mail| {
            if !mail.closed {
                mail.decided.push((ticket, verdict));
            }
        });
    }

    fn request(&self, input: LocalInput) -> Result<(), InletError> {
        let (count, bytes) = size(&input);
        self.put(|mail| {
            if mail.closed {
                return Err(InletError::Stopped(input));
            }
            let full = mail.request_count >= INLET_REQUESTS_MAX
                || (mail.request_bytes + bytes > INLET_BYTES_MAX && !mail.requests.is_empty());
            if full && !has_reserved_room(&input) {
                return Err(InletError::Full(input));
            }
            mail.request_bytes += bytes;
            mail.request_count += count;
            mail.requests.push_back(input);
            Ok(())
        })
    }

    fn put<R>(&self, put: impl FnOnce(&mut Mail) -> R) -> R {
        let result = self.put_silently(put);
        self.doorbell.ring_if_asleep();
        result
    }

    fn put_silently<R>(&self, put: impl FnOnce(&mut Mail) -> R) -> R {
        let mut mail = self.lock();
        let result = put(&mut mail);
        self.filled.store(true, Ordering::Release);
        result
    }

    /// Nothing that holds the lock can leave it half done, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many requests one is worth, and how many bytes it brings: a message of a batch counts like one by itself.
fn size(input: &LocalInput) -> (usize, usize) {
    match input {
        LocalInput::Publish { topic, payload, properties, .. } => {
            (1, topic.len() + payload.len() + properties.len())
        }
        LocalInput::PublishMany { messages, properties, .. } => {
            let bytes = messages.iter().map(|message| message.topic.len() + message.payload.len());
            (messages.len(), bytes.sum::<usize>() + properties.len())
        }
        _ => (1, 0),
    }
}

/// What frees memory or lets a stream go on must not be refused; each handle has few of these under way.
fn has_reserved_room(input: &LocalInput) -> bool {
    matches!(input, LocalInput::Room { .. } | LocalInput::Close { .. })
}

/// The door for in-process handles of one shard, usable from any thread. It holds at most some 4096 messages or
/// other requests and 16 MiB of messages, one turn's burst; a single larger request is taken when nothing else waits.
#[derive(Clone)]
pub struct Inlet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: ShardId,
}

impl Inlet {
    /// Hands a request to the shard and wakes it if it sleeps. Never waits.
    ///
    /// # Errors
    /// [`InletError::Full`] when there is no room: try again after a while. [`InletError::Stopped`] when the
    /// shard is gone. `Room` and `Close` always find room.
    pub fn push(&self, input: LocalInput) -> Result<(), InletError> {
        self.shared.mailbox(self.shard).request(input)
    }

    /// Which shard it leads to.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }
}

/// Why a request was not taken, with the request.
#[derive(Debug)]
pub enum InletError {
    /// The inlet is full for now.
    Full(LocalInput),
    /// The broker has stopped.
    Stopped(LocalInput),
}

impl fmt::Display for InletError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "too many requests wait for the broker",
            Self::Stopped(_) => "the broker has stopped",
        })
    }
}

impl std::error::Error for InletError {}

/// Brings late answers to one shard's questions, from any thread.
#[derive(Clone)]
pub struct Decisions {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: ShardId,
}

impl Decisions {
    /// Answers the question that `ticket` names. Never waits. An answer that nobody waits for any more is
    /// ignored by the shard.
    pub fn answer(&self, ticket: Ticket, verdict: Verdict) {
        self.shared.mailbox(self.shard).decide(ticket, verdict);
    }
}

impl std::fmt::Debug for Decisions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decisions").field("shard", &self.shard).finish_non_exhaustive()
    }
}
