//! The way of foreign threads into the shards: one bounded inlet each. What finds no room waits outside,
//! until a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ringmq_rt::{Inlet, InletError};
use ringmq_shard::{LocalId, LocalInput, ShardId};

use super::Answers;

/// The first pause of a thread that found an inlet full; it doubles up to `PAUSE_MAX`.
const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// The doors of one broker, shared by its handles and subscriptions.
pub(crate) struct Entrance {
    inlets: Vec<Inlet>,
    packet_bytes_max: AtomicU32,
    answers: Arc<Answers>,
    next_local: AtomicU64,
    next_shard: AtomicUsize,
}

impl Entrance {
    /// The doors of shards 0, 1, …, for messages that make packets of at most `packet_bytes_max`.
    pub(crate) fn new(inlets: Vec<Inlet>, packet_bytes_max: u32, answers: Arc<Answers>) -> Self {
        Self {
            inlets,
            packet_bytes_max: AtomicU32::new(packet_bytes_max),
            answers,
            next_local: AtomicU64::new(1),
            next_shard: AtomicUsize::new(0),
        }
    }
    /// Whether a message is small enough to be published here: by the size of the largest packet it can make.
    pub(super) fn takes(&self, topic: &str, properties_bytes: usize, payload_bytes: usize) -> bool {
        /// Fixed header, length of the topic, packet identifier, length of the properties.
        const FRAME_BYTES_MAX: usize = 5 + 2 + 2 + 4;
        let bytes = payload_bytes.saturating_add(topic.len() + properties_bytes + FRAME_BYTES_MAX);
        bytes <= self.packet_bytes_max.load(Ordering::Relaxed) as usize
    }
    /// Messages may from now on make packets of at most so many bytes.
    pub(crate) fn set_packet_bytes_max(&self, packet_bytes_max: u32) {
        self.packet_bytes_max.store(packet_bytes_max, Ordering::Relaxed);
    }
    /// Those who wait for answers.
    pub(super) fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }
    /// A number that no other session of this broker has.
    pub(super) fn new_local(&self) -> LocalId {
        LocalId(self.next_local.fetch_add(1, Ordering::Relaxed))
    }
    /// The chosen shard, or each in turn; nothing when there is no such shard.
    pub(crate) fn home(&self, chosen: Option<usize>) -> Option<ShardId> {
        let index =
            chosen.unwrap_or_else(|| self.next_shard.fetch_add(1, Ordering::Relaxed) % self.inlets.len());
        (index < self.inlets.len()).then_some(ShardId(index as u16))
    }
    /// Hands `input` in, or gives it back when there is no room.
    pub(super) fn try_enter(&self, shard: ShardId, input: LocalInput) -> Result<(), LocalInput> {
        self.inlets[shard.index()].push(input).map_err(|error| match error {
            InletError::Full(input) => input,
            // One shard is gone, so all are going: nobody will answer anybody any more.
            InletError::Stopped(input) => {
                self.answers.close();
                input
            }
        })
    }
    /// Hands `input` in, waiting for room until `deadline`.
    ///
    /// # Errors
    /// The input, when the inlet stayed full until then or the broker has stopped.
    pub(super) fn enter(
        &self,
        shard: ShardId,
        mut input: LocalInput,
        deadline: Instant,
    ) -> Result<(), LocalInput> {
        let mut pause = PAUSE_MIN;
        loop {
            input = match self.try_enter(shard, input) {
                Ok(()) => return Ok(()),
                Err(input) => input,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.answers.ending().is_some() {
                return Err(input);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    /// Hands in the end of a session or word of room: both always find room, and a stopped broker needs
    /// neither.
    pub(super) fn push_reserved(&self, shard: ShardId, input: LocalInput) {
        let _ = self.inlets[shard.index()].push(input);
    }
}

/// The moment so far ahead; one beyond the clock's reach is thirty years ahead.
pub(super) fn moment_in(wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    Instant::now() + wait.min(FAR)
}
