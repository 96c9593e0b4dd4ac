//! The bounded queue between a subscription's session and whoever reads it. The shard's side puts in and
//! never waits; a full queue makes the shard keep the messages by its own rules until there is room again.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ringmq_shard::{LocalDelivery, LocalSink};
use ringmq_wire::{PacketId, Properties, PropertiesBuffer, Qos};

use super::answers::{Answers, lock, wake};
use super::receipts::{Receipt, Receipts};

/// A message that arrived at a subscription.
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    /// The topic name, and behind it a payload that is small.
    text: Bytes,
    topic_bytes: usize,
    /// A payload that is not.
    large: Option<Bytes>,
    properties: PropertiesBuffer,
    subscription_ids: Vec<u32>,
    expiry_left_seconds: Option<u32>,
    qos: Qos,
    retain: bool,
    receipt: Option<Arc<Receipt>>,
}

impl ReceivedMessage {
    fn new(delivery: &LocalDelivery<'_>, receipt: Option<Arc<Receipt>>, blocks: &mut Blocks) -> Self {
        let message = delivery.message;
        let mut properties = PropertiesBuffer::new();
        properties.push_raw(message.properties());
        let (topic, large) = (message.topic().as_bytes(), message.large_payload());
        let text = blocks.cut(topic, if large.is_some() { &[] } else { message.payload() });
        Self {
            text,
            topic_bytes: topic.len(),
            large,
            properties,
            subscription_ids: delivery.subscription_ids.to_vec(),
            expiry_left_seconds: delivery.expiry_left_seconds,
            qos: delivery.qos,
            retain: delivery.retain,
            receipt,
        }
    }
    /// Acknowledges it, where the subscription was made with
    /// [`SubscribeOptions::unacknowledged_max`](crate::SubscribeOptions::unacknowledged_max): there is room for one more.
    /// Whether there was something to acknowledge: it is not of QoS 0, neither it nor a copy of it was acknowledged before,
    /// and its subscription has not ended. Acknowledgements may come in any order.
    pub fn acknowledge(&self) -> bool {
        self.receipt.as_ref().is_some_and(|receipt| receipt.give())
    }
    /// Whether it came to the subscription with these receipts.
    pub(super) fn is_of(&self, receipts: &Arc<Receipts>) -> bool {
        self.receipt.as_ref().is_some_and(|receipt| receipt.is_of(receipts))
    }
    /// Its topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        std::str::from_utf8(&self.text[..self.topic_bytes]).unwrap_or_default()
    }
    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.large.as_ref().map_or(&self.text[self.topic_bytes..], |large| large)
    }
    /// What it says, to be kept; large payloads are shared with the broker, not copied.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.large.clone().unwrap_or_else(|| self.text.slice(self.topic_bytes..))
    }
    /// The properties the publisher gave it, in the publisher's order.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        self.properties.as_properties()
    }
    /// Identifiers of the subscriptions it matched.
    #[must_use]
    pub fn subscription_ids(&self) -> &[u32] {
        &self.subscription_ids
    }
    /// Seconds until it expires, as of its delivery.
    #[must_use]
    pub fn expiry_left_seconds(&self) -> Option<u32> {
        self.expiry_left_seconds
    }
    /// The quality it was delivered with.
    #[must_use]
    pub fn qos(&self) -> Qos {
        self.qos
    }
    /// Whether it is a retained message sent because of the subscription, or as published where that was asked.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.retain
    }
}

/// Bytes of a block that small messages share. Who keeps one message keeps its block, so it is not larger.
const BLOCK_BYTES: usize = 1 << 10;
/// Bytes of topic and payload from which a message has its own.
const SHARING_BYTES_MAX: usize = BLOCK_BYTES / 4;

/// Where topics and small payloads are copied to: memory is taken once for many of them.
#[derive(Default)]
struct Blocks(BytesMut);

impl Blocks {
    fn cut(&mut self, topic: &[u8], payload: &[u8]) -> Bytes {
        let bytes = topic.len() + payload.len();
        if bytes > SHARING_BYTES_MAX {
            return Bytes::from([topic, payload].concat());
        }
        if self.0.capacity() < bytes {
            self.0 = BytesMut::with_capacity(BLOCK_BYTES);
        }
        self.0.extend_from_slice(topic);
        self.0.extend_from_slice(payload);
        self.0.split().freeze()
    }
}

/// What reading came to.
pub(super) enum Taken {
    /// A message; `room` says that the shard waits to hear of the room it made.
    Message { message: Box<ReceivedMessage>, room: bool },
    /// Nothing there yet.
    Nothing,
    /// The session has ended and everything was read.
    Ended,
}

#[derive(Default)]
struct State {
    messages: VecDeque<ReceivedMessage>,
    ended: bool,
    /// The shard was refused and waits to be told of room.
    refused: bool,
    wakers: Vec<Waker>,
}

/// The queue itself, owned by both sides.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    messages_max: usize,
}

impl Queue {
    /// An empty queue for `messages_max` messages, at least 1.
    pub fn new(messages_max: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrived: Condvar::new(), messages_max })
    }
    /// Messages waiting.
    pub fn len(&self) -> usize {
        lock(&self.state).messages.len()
    }
    /// Takes the next message without waiting.
    pub fn take(&self) -> Taken {
        self.take_from(&mut lock(&self.state))
    }
    /// Nobody wants more of it: what waits is dropped, and whoever reads is told that it has ended.
    pub fn close(&self) {
        let wakers = {
            let mut state = lock(&self.state);
            state.messages.clear();
            state.ended = true;
            self.wake(&mut state)
        };
        wakers.into_iter().for_each(wake);
    }
    /// Takes up to `max` messages without waiting, behind what `into` has. Whether the session has ended and nothing is
    /// left, and whether the shard waits to hear of the room that was made.
    pub fn take_many(&self, max: usize, into: &mut Vec<ReceivedMessage>) -> (bool, bool) {
        let mut state = lock(&self.state);
        let count = max.min(state.messages.len());
        into.extend(state.messages.drain(..count));
        (state.ended && state.messages.is_empty(), self.claim_room_in(&mut state))
    }
    /// Takes the next message, waiting at most until `deadline`.
    pub fn take_until(&self, deadline: Instant) -> Taken {
        let mut state = lock(&self.state);
        loop {
            let taken = self.take_from(&mut state);
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(taken, Taken::Nothing) || left == Duration::ZERO {
                return taken;
            }
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    /// Takes the next message; with nothing there the context is woken when something comes.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Taken> {
        let mut state = lock(&self.state);
        match self.take_from(&mut state) {
            Taken::Nothing => {
                if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
            taken => Poll::Ready(taken),
        }
    }

    fn take_from(&self, state: &mut State) -> Taken {
        match state.messages.pop_front() {
            Some(message) => {
                let room = self.claim_room_in(state);
                Taken::Message { message: Box::new(message), room }
            }
            None if state.ended => Taken::Ended,
            None => Taken::Nothing,
        }
    }
    /// The shard is told once half of the queue is free, so that it is told once per half and not per message.
    fn claim_room_in(&self, state: &mut State) -> bool {
        let claimed = state.refused && state.messages.len() <= self.messages_max / 2;
        state.refused &= !claimed;
        claimed
    }
    fn wake(&self, state: &mut State) -> Vec<Waker> {
        self.arrived.notify_all();
        std::mem::take(&mut state.wakers)
    }
}

/// The shard's side.
pub(super) struct Sink {
    queue: Arc<Queue>,
    receipts: Option<Arc<Receipts>>,
    blocks: Blocks,
    /// What arrived in this turn and is not in the queue yet: one lock for all of it.
    arrived: Vec<ReceivedMessage>,
    /// How much more of it the queue has room for; it was asked when the first came.
    room: usize,
}

impl Sink {
    /// The side that puts in; with receipts, what it put in is to be acknowledged.
    pub fn new(queue: Arc<Queue>, receipts: Option<Arc<Receipts>>) -> Self {
        Self { queue, receipts, blocks: Blocks::default(), arrived: Vec::new(), room: 0 }
    }
    /// How much the queue takes in this turn; false when that is nothing.
    fn ask_for_room(&mut self) -> bool {
        let mut state = lock(&self.queue.state);
        if state.ended {
            // The session's end is under way.
            self.room = usize::MAX;
            return true;
        }
        self.room = self.queue.messages_max.saturating_sub(state.messages.len() + self.arrived.len());
        state.refused |= self.room == 0;
        self.room > 0
    }
    fn wake(&mut self, ended: bool) {
        self.room = 0;
        if let Some(receipts) = self.receipts.as_ref().filter(|_| ended) {
            receipts.end();
        }
        let wakers = {
            let mut state = lock(&self.queue.state);
            hand_over(&mut state, &mut self.arrived);
            state.ended |= ended;
            self.queue.wake(&mut state)
        };
        wakers.into_iter().for_each(wake);
    }
}

/// Behind the end, which its reader may have brought about, nothing is read any more.
fn hand_over(state: &mut State, arrived: &mut Vec<ReceivedMessage>) {
    match state.ended {
        true => arrived.clear(),
        false => state.messages.extend(arrived.drain(..)),
    }
}

impl LocalSink for Sink {
    fn unacknowledged_max(&self) -> Option<NonZeroU16> {
        self.receipts.as_ref().map(|receipts| receipts.unacknowledged_max())
    }
    fn acknowledged(&mut self, into: &mut Vec<PacketId>) {
        if let Some(receipts) = &self.receipts {
            receipts.take(into);
        }
    }
    fn push(&mut self, delivery: &LocalDelivery<'_>) -> bool {
        if self.room == 0 && !self.ask_for_room() {
            return false;
        }
        self.room -= 1;
        let receipt = self.receipts.as_ref().zip(delivery.packet_id).map(|(all, id)| Receipt::new(all, id));
        self.arrived.push(ReceivedMessage::new(delivery, receipt, &mut self.blocks));
        true
    }
    fn flush(&mut self) {
        if !self.arrived.is_empty() {
            self.wake(false);
        }
        self.room = 0;
    }
    fn end(&mut self) {
        self.wake(true);
    }
}

impl Drop for Sink {
    /// A shard that goes away without a word ends the session too.
    fn drop(&mut self) {
        self.wake(true);
    }
}

/// The sink of a handle that subscribes to nothing. Its session ends when the handle leaves; any other end
/// means that the shard is gone, and then nobody will answer those who wait.
pub(super) struct Watch {
    answers: Arc<Answers>,
    left: Arc<AtomicBool>,
}

impl Watch {
    /// Watches the session of a handle that sets `left` before it leaves.
    pub fn new(answers: Arc<Answers>, left: Arc<AtomicBool>) -> Self {
        Self { answers, left }
    }
}

impl LocalSink for Watch {
    fn push(&mut self, _: &LocalDelivery<'_>) -> bool {
        true
    }
    fn flush(&mut self) {}
    fn end(&mut self) {}
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.left.load(Ordering::SeqCst) {
            self.answers.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use ringmq_wire::message::{Message, MessageParts, Payload};

    use super::*;

    fn put(sink: &mut Sink, payload: &str) -> bool {
        let taken = push(sink, payload);
        sink.flush();
        taken
    }

    fn push(sink: &mut Sink, payload: &str) -> bool {
        let message = Rc::new(Message::new(MessageParts {
            topic: "a/b",
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: Properties::EMPTY,
            payload: Payload::Copy(payload.as_bytes()),
            expires_at: None,
            publisher: 0,
            stamp: 0,
        }));
        sink.push(&LocalDelivery {
            message: &message,
            qos: Qos::AtLeastOnce,
            packet_id: None,
            retain: false,
            subscription_ids: &[7],
            expiry_left_seconds: None,
        })
    }

    fn taken(queue: &Queue) -> (String, bool) {
        match queue.take() {
            Taken::Message { message, room } => {
                (String::from_utf8(message.payload().to_vec()).unwrap(), room)
            }
            Taken::Nothing => (String::from("nothing"), false),
            Taken::Ended => (String::from("ended"), false),
        }
    }

    #[test]
    fn a_full_queue_refuses_and_says_once_that_half_of_it_is_free() {
        let queue = Queue::new(4);
        let mut sink = Sink::new(Arc::clone(&queue), None);
        assert!(["1", "2", "3", "4"].iter().all(|payload| put(&mut sink, payload)));
        assert!(!put(&mut sink, "5"));
        assert_eq!(taken(&queue), (String::from("1"), false));
        assert_eq!(taken(&queue), (String::from("2"), true));
        assert_eq!(taken(&queue), (String::from("3"), false));
        assert_eq!(queue.len(), 1);
    }

    /// A turn that fills the queue wakes its reader: what it put in before it was refused is there.
    #[test]
    fn a_reader_is_woken_by_a_turn_that_was_refused() {
        let queue = Queue::new(2);
        let mut sink = Sink::new(Arc::clone(&queue), None);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(queue.poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(push(&mut sink, "1") && push(&mut sink, "2") && !push(&mut sink, "3"));
        assert_eq!((queue.len(), woken.0.load(Ordering::SeqCst)), (0, false), "the turn goes on");
        sink.flush();
        assert_eq!((queue.len(), woken.0.load(Ordering::SeqCst)), (2, true));
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_arrived_before_the_end_is_still_read() {
        let queue = Queue::new(1);
        let mut sink = Sink::new(Arc::clone(&queue), None);
        put(&mut sink, "last");
        drop(sink);
        assert_eq!(taken(&queue).0, "last");
        assert_eq!(taken(&queue).0, "ended");
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let queue = Queue::new(1);
        let reader = Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            matches!(reader.take_until(Instant::now() + Duration::from_secs(10)), Taken::Message { .. })
        });
        put(&mut Sink::new(queue, None), "x");
        assert!(thread.join().unwrap());
    }

    #[test]
    fn a_shard_that_goes_away_stops_all_waiting_and_a_handle_that_leaves_does_not() {
        for left in [true, false] {
            let answers = Arc::new(Answers::default());
            drop(Watch::new(Arc::clone(&answers), Arc::new(AtomicBool::new(left))));
            assert_eq!(answers.ending().is_some(), !left);
        }
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let queue = Queue::new(1);
        assert!(matches!(queue.take_until(Instant::now() + Duration::from_millis(3)), Taken::Nothing));
    }
}
