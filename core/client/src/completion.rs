//! The answer to one request: set once by the context's thread, awaited by whoever asked.

use crate::context::Thread;
use crate::{Error, ReasonCode};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) struct Completion<T> {
    slot: Mutex<Slot<T>>,
    done: Condvar,
}

struct Slot<T> {
    value: Option<Result<T, Error>>,
    waker: Option<Waker>,
}

impl<T: Clone> Completion<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { slot: Mutex::new(Slot { value: None, waker: None }), done: Condvar::new() })
    }

    pub(crate) fn set(&self, value: Result<T, Error>) {
        let mut slot = self.lock();
        slot.value.get_or_insert(value);
        let waker = slot.waker.take();
        drop(slot);
        self.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn value(&self) -> Option<Result<T, Error>> {
        self.lock().value.clone()
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Result<T, Error> {
        let until = Instant::now().checked_add(timeout);
        let mut slot = self.lock();
        loop {
            if let Some(value) = &slot.value {
                return value.clone();
            }
            let Some(left) =
                until.map_or(Some(timeout), |until| until.checked_duration_since(Instant::now()))
            else {
                return Err(Error::Timeout);
            };
            slot = self.done.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn poll(&self, task: &mut std::task::Context<'_>) -> Poll<Result<T, Error>> {
        let mut slot = self.lock();
        match &slot.value {
            Some(value) => Poll::Ready(value.clone()),
            None => {
                slot.waker = Some(task.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that was taken for sending. It is sent whether or not anybody waits for the answer.
///
/// As a future it gives the answer too.
pub struct Receipt {
    pub(crate) completion: Arc<Completion<ReasonCode>>,
    /// The thread that would end a wait; a receipt keeps nothing else of it.
    pub(crate) thread: Arc<Thread>,
    pub(crate) timeout: Duration,
}

impl Receipt {
    /// Waits for the server's answer, at most for the request timeout of the options: success, or no
    /// matching subscribers. At QoS 0 there is no answer; then this waits until the message has gone out.
    ///
    /// # Errors
    /// The server refused it, it cannot be sent, the client stopped, or the time was up.
    pub fn wait(&self) -> Result<ReasonCode, Error> {
        self.wait_timeout(self.timeout)
    }

    /// Like [`Self::wait`], with a time of its own.
    ///
    /// # Errors
    /// As for [`Self::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<ReasonCode, Error> {
        if let Some(value) = self.completion.value() {
            return value;
        }
        self.thread.check_may_wait()?;
        self.completion.wait(timeout)
    }

    /// The answer, or the task is woken when it comes.
    pub fn poll_answer(&self, task: &mut std::task::Context<'_>) -> Poll<Result<ReasonCode, Error>> {
        self.completion.poll(task)
    }

    /// The answer, if it is there.
    #[must_use]
    pub fn answer(&self) -> Option<Result<ReasonCode, Error>> {
        self.completion.value()
    }
}

impl Future for Receipt {
    type Output = Result<ReasonCode, Error>;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        self.poll_answer(task)
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Receipt").field("answer", &self.answer()).finish()
    }
}
