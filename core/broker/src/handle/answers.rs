//! Requests on their way to a shard, and those who wait for the answers. A shard's core takes one short lock
//! per answer; it never waits for a reader.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use ringmq_shard::{LocalOutcome, LocalTicket};

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The shard's word.
    Outcome(LocalOutcome),
    /// Nobody will answer any more.
    Ended(Ending),
}

/// Why nobody answers any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The broker was stopped.
    Stopped,
    /// A shard panicked.
    Failed,
}

/// Wakes a task. Wakers come from whatever executor awaits; one that panics must not take a shard with it.
pub(super) fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        tracing::error!("a waker of this program's own executor panicked; its task may never run again");
    }
}

/// Locks even when a thread panicked while it held the lock: the values here are whole between statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Slot {
    state: Mutex<SlotState>,
    ready: Condvar,
}

#[derive(Default)]
struct SlotState {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

impl Slot {
    fn fill(&self, answer: Answer) {
        let waker = {
            let mut state = lock(&self.state);
            state.answer.get_or_insert(answer);
            state.waker.take()
        };
        self.ready.notify_all();
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}

/// Requests are spread over this many tables, so that publishers on many threads seldom meet at one lock.
const STRIPES: usize = 16;

/// All requests of one broker that have no answer yet.
#[derive(Default)]
pub(crate) struct Answers {
    stripes: [Mutex<HashMap<u64, Arc<Slot>>>; STRIPES],
    next: AtomicU64,
    closed: AtomicBool,
    failed: AtomicBool,
}

impl Answers {
    /// A new request.
    pub(super) fn open(self: &Arc<Self>) -> Pending {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = Arc::new(Slot::default());
        lock(self.stripe(ticket)).insert(ticket, Arc::clone(&slot));
        // After the insertion, so that either `close` finds the slot or this finds it closed.
        if let Some(ending) = self.ending() {
            slot.fill(Answer::Ended(ending));
        }
        Pending { answers: Arc::clone(self), ticket, slot }
    }
    /// A shard's answer; one that came too late is nobody's.
    pub(crate) fn done(&self, ticket: LocalTicket, outcome: LocalOutcome) {
        let slot = lock(self.stripe(ticket.0)).remove(&ticket.0);
        if let Some(slot) = slot {
            slot.fill(Answer::Outcome(outcome));
        }
    }
    /// The broker has stopped: everybody is told, and later requests are refused.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let ending = self.ending().unwrap_or(Ending::Stopped);
        for stripe in &self.stripes {
            let waiting: Vec<_> = lock(stripe).drain().collect();
            for (_, slot) in waiting {
                slot.fill(Answer::Ended(ending));
            }
        }
    }
    /// The broker has failed: as `close`, and whoever asks is told that it was no stop.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.close();
    }
    /// Why nobody answers any more; nothing while somebody does.
    pub(super) fn ending(&self) -> Option<Ending> {
        let closed = self.closed.load(Ordering::SeqCst);
        let failed = self.failed.load(Ordering::SeqCst);
        closed.then_some(if failed { Ending::Failed } else { Ending::Stopped })
    }
    fn stripe(&self, ticket: u64) -> &Mutex<HashMap<u64, Arc<Slot>>> {
        &self.stripes[(ticket % STRIPES as u64) as usize]
    }
}

/// One request under way. Dropping it forgets the answer, not the request.
pub(super) struct Pending {
    answers: Arc<Answers>,
    ticket: u64,
    slot: Arc<Slot>,
}

impl Pending {
    /// The request's number.
    pub fn ticket(&self) -> LocalTicket {
        LocalTicket(self.ticket)
    }
    /// Waits; nothing when the deadline passed first.
    pub fn wait(&self, deadline: Instant) -> Option<Answer> {
        let mut state = lock(&self.slot.state);
        while state.answer.is_none() {
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.slot.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.answer.clone()
    }
    /// The answer, or the context is woken when it comes.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Answer> {
        let mut state = lock(&self.slot.state);
        match &state.answer {
            Some(answer) => Poll::Ready(answer.clone()),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        lock(self.answers.stripe(self.ticket)).remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome() -> LocalOutcome {
        LocalOutcome::Subscribed(Vec::new())
    }

    #[test]
    fn an_answer_reaches_the_one_who_asked() {
        let answers = Arc::new(Answers::default());
        let (first, second) = (answers.open(), answers.open());
        answers.done(second.ticket(), outcome());
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(first.wait(soon), None);
        assert_eq!(second.wait(soon), Some(Answer::Outcome(outcome())));
    }

    #[test]
    fn closing_tells_those_who_wait_and_those_who_come() {
        let answers = Arc::new(Answers::default());
        let before = answers.open();
        let waiting = std::thread::spawn(move || before.wait(Instant::now() + Duration::from_secs(10)));
        answers.close();
        assert_eq!(waiting.join().unwrap(), Some(Answer::Ended(Ending::Stopped)));
        assert_eq!(answers.open().wait(Instant::now()), Some(Answer::Ended(Ending::Stopped)));
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let answers = Arc::new(Answers::default());
        let ticket = answers.open().ticket();
        answers.done(ticket, outcome());
        assert!(answers.stripes.iter().all(|stripe| lock(stripe).is_empty()));
    }
}
