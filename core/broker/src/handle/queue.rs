//! The bounded queue between a subscription's session and whoever reads it. The shard's side puts in and
//! never waits; a full queue makes the shard keep the messages by its own rules until there is room again.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use crossbeam_queue::SegQueue;
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
    extra: Option<Box<Extra>>,
    qos: Qos,
    retain: bool,
}

/// What most messages come without, so that they are short where they are moved.
#[derive(Clone, Debug, Default)]
struct Extra {
    properties: PropertiesBuffer,
    subscription_ids: Vec<u32>,
    expiry_left_seconds: Option<u32>,
    receipt: Option<Arc<Receipt>>,
}

impl Extra {
    fn new(delivery: &LocalDelivery<'_>, receipt: Option<Arc<Receipt>>) -> Option<Box<Self>> {
        let LocalDelivery { subscription_ids, expiry_left_seconds, .. } = *delivery;
        let has_none = delivery.properties.raw().is_empty()
            && subscription_ids.is_empty()
            && expiry_left_seconds.is_none()
            && receipt.is_none();
        if has_none {
            return None;
        }
        let mut properties = PropertiesBuffer::new();
        properties.push_raw(delivery.properties);
        let subscription_ids = subscription_ids.to_vec();
        Some(Box::new(Self { properties, subscription_ids, expiry_left_seconds, receipt }))
    }
}

impl ReceivedMessage {
    fn new(delivery: &LocalDelivery<'_>, receipt: Option<Arc<Receipt>>, blocks: &mut Blocks) -> Self {
        let (topic, large) = (delivery.topic.as_bytes(), delivery.shared_payload.cloned());
        let text = blocks.cut(topic, if large.is_some() { &[] } else { delivery.payload });
        Self {
            text,
            topic_bytes: topic.len(),
            large,
            extra: Extra::new(delivery, receipt),
            qos: delivery.qos,
            retain: delivery.retain,
        }
    }
    fn receipt(&self) -> Option<&Receipt> {
        self.extra.as_ref()?.receipt.as_deref()
    }
    /// Acknowledges it, where the subscription was made with
    /// [`SubscribeOptions::unacknowledged_max`](crate::SubscribeOptions::unacknowledged_max): there is room for one more.
    /// Whether there was something to acknowledge: it is not of QoS 0, neither it nor a copy of it was acknowledged before,
    /// and its subscription has not ended. Acknowledgements may come in any order.
    pub fn acknowledge(&self) -> bool {
        self.receipt().is_some_and(Receipt::give)
    }
    /// Whether it came to the subscription with these receipts.
    pub(super) fn is_of(&self, receipts: &Arc<Receipts>) -> bool {
        self.receipt().is_some_and(|receipt| receipt.is_of(receipts))
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
        self.extra.as_ref().map_or(Properties::EMPTY, |extra| extra.properties.as_properties())
    }
    /// Identifiers of the subscriptions it matched.
    #[must_use]
    pub fn subscription_ids(&self) -> &[u32] {
        self.extra.as_ref().map_or(&[], |extra| &extra.subscription_ids)
    }
    /// Seconds until it expires, as of its delivery.
    #[must_use]
    pub fn expiry_left_seconds(&self) -> Option<u32> {
        self.extra.as_ref()?.expiry_left_seconds
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

/// Who sleeps until something comes.
#[derive(Default)]
struct Sleepers {
    threads: usize,
    wakers: Vec<Waker>,
}

/// The queue itself, owned by both sides. Taking and putting in need no lock: a reader that the kernel has stopped while it
/// takes does not stop the shard. Whoever goes to sleep takes a short one, and so does the shard's side when somebody
/// sleeps.
pub(super) struct Queue {
    messages: SegQueue<ReceivedMessage>,
    messages_max: usize,
    /// Nothing more comes.
    ended: AtomicBool,
    /// Nobody reads any more.
    closed: AtomicBool,
    /// The shard was refused and waits to be told of room.
    refused: AtomicBool,
    /// Somebody may sleep.
    sleeps: AtomicBool,
    sleepers: Mutex<Sleepers>,
    arrived: Condvar,
}

impl Queue {
    /// An empty queue for `messages_max` messages, at least 1.
    pub fn new(messages_max: usize) -> Arc<Self> {
        Arc::new(Self {
            messages: SegQueue::new(),
            messages_max,
            ended: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            sleeps: AtomicBool::new(false),
            sleepers: Mutex::default(),
            arrived: Condvar::new(),
        })
    }
    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.messages.len()
    }
    /// Takes the next message without waiting.
    pub fn take(&self) -> Taken {
        if let Some(message) = self.pop() {
            return Taken::Message { message: Box::new(message), room: self.claim_room() };
        }
        if !self.ended.load(Ordering::Acquire) {
            return Taken::Nothing;
        }
        // The last messages may have come between the two looks.
        match self.pop() {
            Some(message) => Taken::Message { message: Box::new(message), room: false },
            None => Taken::Ended,
        }
    }
    /// Nobody wants more of it: what waits is dropped, and whoever reads is told that it has ended.
    pub fn close(&self) {
        self.ended.store(true, Ordering::Release);
        self.closed.store(true, Ordering::Release);
        while self.messages.pop().is_some() {}
        self.wake();
    }
    /// Gives the messages that are there, up to `max`, to `each`, without waiting; what comes meanwhile is left. Whether the
    /// session has ended and nothing is left. The caller claims the room.
    pub fn take_many(&self, max: usize, each: impl FnMut(ReceivedMessage)) -> bool {
        let max = max.min(self.messages.len());
        std::iter::from_fn(|| self.pop()).take(max).for_each(each);
        let ended = self.ended.load(Ordering::Acquire);
        ended && (self.messages.is_empty() || self.closed.load(Ordering::Acquire))
    }
    /// Takes the next message, waiting at most until `deadline`.
    pub fn take_until(&self, deadline: Instant) -> Taken {
        loop {
            let taken = self.take();
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(taken, Taken::Nothing) || left == Duration::ZERO {
                return taken;
            }
            let mut sleepers = self.about_to_sleep();
            if self.messages.is_empty() && !self.ended.load(Ordering::Acquire) {
                sleepers.threads += 1;
                sleepers =
                    self.arrived.wait_timeout(sleepers, left).unwrap_or_else(PoisonError::into_inner).0;
                sleepers.threads -= 1;
            }
        }
    }
    /// Takes the next message; with nothing there the context is woken when something comes.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Taken> {
        match self.take() {
            Taken::Nothing => {}
            taken => return Poll::Ready(taken),
        }
        {
            let mut sleepers = self.about_to_sleep();
            if !sleepers.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                sleepers.wakers.push(context.waker().clone());
            }
        }
        match self.take() {
            Taken::Nothing => Poll::Pending,
            taken => Poll::Ready(taken),
        }
    }

    fn pop(&self) -> Option<ReceivedMessage> {
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        self.messages.pop()
    }
    /// Whether the shard is to be told of room: once half of the queue is free, so that it is told once per half and not per
    /// message. To be asked behind everything that was taken.
    pub fn claim_room(&self) -> bool {
        // Either this sees that the shard was refused, or the shard sees the room.
        fence(Ordering::SeqCst);
        self.refused.load(Ordering::Relaxed)
            && self.half_is_free()
            && self.refused.swap(false, Ordering::SeqCst)
    }
    fn half_is_free(&self) -> bool {
        self.messages.len() <= self.messages_max / 2
    }
    /// From here on whoever puts something in and does not see that somebody sleeps has put it in before: the sleeper is
    /// to look once more.
    fn about_to_sleep(&self) -> MutexGuard<'_, Sleepers> {
        let sleepers = lock(&self.sleepers);
        self.sleeps.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        sleepers
    }
    fn wake(&self) {
        fence(Ordering::SeqCst);
        if !self.sleeps.load(Ordering::Relaxed) {
            return;
        }
        let wakers = {
            let mut sleepers = lock(&self.sleepers);
            self.sleeps.store(false, Ordering::Relaxed);
            if sleepers.threads > 0 {
                self.arrived.notify_all();
            }
            std::mem::take(&mut sleepers.wakers)
        };
        wakers.into_iter().for_each(wake);
    }
    /// How many messages more it takes. When there is no room its readers are to tell when there is some.
    fn ask_for_room(&self) -> usize {
        let room = || self.messages_max.saturating_sub(self.messages.len());
        let free = room();
        if free > 0 {
            return free;
        }
        self.refused.store(true, Ordering::Relaxed);
        // As in `claim_room`: whoever made the room did not know yet that somebody waits for it.
        fence(Ordering::SeqCst);
        if self.half_is_free() && self.refused.swap(false, Ordering::SeqCst) { room() } else { 0 }
    }
}

/// The shard's side.
pub(super) struct Sink {
    queue: Arc<Queue>,
    receipts: Option<Arc<Receipts>>,
    blocks: Blocks,
    /// Whether something arrived in this turn.
    arrived: bool,
    /// How much more the queue has room for in this turn; it was asked when the first came.
    room: usize,
}

impl Sink {
    /// The side that puts in; with receipts, what it put in is to be acknowledged.
    pub fn new(queue: Arc<Queue>, receipts: Option<Arc<Receipts>>) -> Self {
        Self { queue, receipts, blocks: Blocks::default(), arrived: false, room: 0 }
    }
    fn finish(&mut self) {
        if let Some(receipts) = &self.receipts {
            receipts.end();
        }
        self.queue.ended.store(true, Ordering::Release);
        self.queue.wake();
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
        // Behind the end, which its reader may have brought about, nothing is read any more: the session's end is under way.
        if self.queue.ended.load(Ordering::Acquire) {
            return true;
        }
        if self.room == 0 {
            self.room = self.queue.ask_for_room();
        }
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        self.arrived = true;
        let receipt = self.receipts.as_ref().zip(delivery.packet_id).map(|(all, id)| Receipt::new(all, id));
        self.queue.messages.push(ReceivedMessage::new(delivery, receipt, &mut self.blocks));
        true
    }
    fn flush(&mut self) {
        self.room = 0;
        if std::mem::take(&mut self.arrived) {
            self.queue.wake();
        }
    }
    fn end(&mut self) {
        self.finish();
    }
}

impl Drop for Sink {
    /// A shard that goes away without a word ends the session too.
    fn drop(&mut self) {
        self.finish();
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
    use ringmq_wire::message::{Message, MessageParts, Payload};

    use super::*;

    fn put(sink: &mut Sink, payload: &str) -> bool {
        let taken = push(sink, payload);
        sink.flush();
        taken
    }

    fn push(sink: &mut Sink, payload: &str) -> bool {
        let message = Message::new(MessageParts {
            topic: "a/b",
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: Properties::EMPTY,
            payload: Payload::Copy(payload.as_bytes()),
            expires_at: None,
            publisher: 0,
            stamp: 0,
        });
        sink.push(&LocalDelivery {
            qos: Qos::AtLeastOnce,
            subscription_ids: &[7],
            ..LocalDelivery::of(&message)
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
        assert_eq!((queue.len(), woken.0.load(Ordering::SeqCst)), (2, false), "the turn goes on");
        sink.flush();
        assert_eq!((queue.len(), woken.0.load(Ordering::SeqCst)), (2, true));
    }

    /// A queue of three, a shard that waits for word of room when it is refused, and two readers of different kinds: every
    /// message arrives once, each reader has them in order, and nobody is left waiting for what nobody tells.
    #[test]
    fn two_readers_and_a_refused_shard_never_wait_for_each_other() {
        const MESSAGES: u64 = 30_000;
        let far = || Instant::now() + Duration::from_secs(60);
        let queue = Queue::new(3);
        let (tell, told) = std::sync::mpsc::channel();
        let numbers: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let reader = |many: bool| {
                let (queue, tell) = (Arc::clone(&queue), tell.clone());
                scope.spawn(move || {
                    let mut numbers = Vec::new();
                    let number = |message: &ReceivedMessage| {
                        std::str::from_utf8(message.payload()).unwrap().parse().unwrap()
                    };
                    loop {
                        match queue.take_until(far()) {
                            Taken::Message { message, room } => {
                                numbers.push(number(&message));
                                room.then(|| tell.send(()).unwrap());
                            }
                            Taken::Ended => return numbers,
                            Taken::Nothing => panic!("nothing came for a minute"),
                        }
                        if many {
                            queue.take_many(2, |message| numbers.push(number(&message)));
                            queue.claim_room().then(|| tell.send(()).unwrap());
                        }
                    }
                })
            };
            let readers = [reader(false), reader(true)];
            let mut sink = Sink::new(Arc::clone(&queue), None);
            for number in 0..MESSAGES {
                while !push(&mut sink, &number.to_string()) {
                    sink.flush();
                    told.recv_timeout(Duration::from_secs(60)).expect("it was told of room");
                }
                if number % 5 == 0 {
                    sink.flush();
                }
            }
            drop(sink);
            readers.map(|reader| reader.join().unwrap()).into()
        });
        assert!(numbers.iter().all(|numbers| numbers.is_sorted()));
        let mut all = numbers.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..MESSAGES));
    }

    /// A shard that is as fast as its reader does not keep it for ever.
    #[test]
    fn taking_what_is_there_ends_though_more_comes() {
        let queue = Queue::new(4);
        let mut sink = Sink::new(Arc::clone(&queue), None);
        assert!(put(&mut sink, "1") && put(&mut sink, "2"));
        let mut count = 0;
        let ended = queue.take_many(usize::MAX, |_| {
            count += 1;
            assert!(put(&mut sink, "more"));
        });
        assert_eq!((ended, count, queue.len()), (false, 2, 2));
    }

    /// Each message is waited for before the next comes, and the last comes with the end.
    #[test]
    fn a_reader_sleeps_through_no_message_and_no_end() {
        const MESSAGES: usize = 20;
        for _ in 0..1_000 {
            let queue = Queue::new(3);
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let reader = Arc::clone(&queue);
                let reader = scope.spawn(move || {
                    let mut count = 0;
                    loop {
                        match reader.take_until(Instant::now() + Duration::from_secs(60)) {
                            Taken::Message { .. } => count += 1,
                            Taken::Ended => return count,
                            Taken::Nothing => panic!("nothing came for a minute"),
                        }
                        let _ = tell.send(());
                    }
                });
                let mut sink = Sink::new(queue, None);
                for _ in 1..MESSAGES {
                    assert!(put(&mut sink, "x"));
                    told.recv_timeout(Duration::from_secs(60)).expect("it came");
                }
                assert!(push(&mut sink, "last"));
                drop(sink);
                assert_eq!(reader.join().unwrap(), MESSAGES);
            });
        }
    }

    /// Threads that sleep over an empty queue wake at its end, whoever brings it about.
    #[test]
    fn the_end_wakes_all_who_sleep() {
        for by_reader in [false, true] {
            let queue = Queue::new(3);
            let sink = Sink::new(Arc::clone(&queue), None);
            std::thread::scope(|scope| {
                let sleep = || queue.take_until(Instant::now() + Duration::from_secs(60));
                let sleepers = [scope.spawn(sleep), scope.spawn(sleep)];
                while lock(&queue.sleepers).threads < 2 {
                    std::thread::yield_now();
                }
                if by_reader {
                    queue.close();
                }
                drop(sink);
                assert!(sleepers.into_iter().all(|sleeper| matches!(sleeper.join(), Ok(Taken::Ended))));
            });
        }
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
