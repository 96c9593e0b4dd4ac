//! A subscription of this program's own.

use std::task::Poll;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use ringmq::{RecvError, Subscription as Inner};

use crate::errors;
use crate::fork::Owned;
use crate::message::Message;
use crate::notifier::NumberWaker;
use crate::wait;

/// A session of this program in a broker, with its subscriptions: made by `Broker.subscribe`.
///
/// Iterate over it for messages, each as long as it takes. The iteration ends when the broker has stopped or the
/// option `queue_policy` has ended the session; it raises `StoppedError` when the broker has failed, and for a
/// subscription that was closed before. Several threads may read; each message goes to one of them. A `with` closes
/// it at its end. `len` is how many messages were handed over and wait to be read, at most 1024; a subscription is
/// true even when that is 0. What waits for messages raises `ForkError` in a child of a fork.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Subscription {
    /// Nothing once it was closed.
    inner: std::sync::RwLock<Option<std::sync::Arc<Owned<Inner>>>>,
    filters: Vec<String>,
}

impl Subscription {
    /// Wraps one that is open.
    pub fn new(inner: Inner, filters: Vec<String>) -> Self {
        Self { inner: std::sync::RwLock::new(Some(std::sync::Arc::new(Owned::new(inner)))), filters }
    }

    fn open(&self, py: Python<'_>) -> PyResult<std::sync::Arc<Owned<Inner>>> {
        let inner = self.inner.read().map_err(|_| errors::poisoned())?;
        inner.clone().ok_or_else(|| errors::plain(py, "StoppedError", "the subscription is closed"))
    }
}

#[pymethods]
impl Subscription {
    /// The topic filters, as they were given.
    #[getter]
    fn filters(&self) -> Vec<String> {
        self.filters.clone()
    }
    /// The QoS granted to each filter, 0 to 2, in the order of `filters` (MQTT 5.0, 3.9.3).
    ///
    /// Raises:
    ///     StoppedError: It is closed.
    #[getter]
    fn granted(&self, py: Python<'_>) -> PyResult<Vec<u16>> {
        // Not of `u8`, which Python would have as `bytes`.
        Ok(self.open(py)?.get(py)?.granted().iter().map(|qos| *qos as u16).collect())
    }
    /// The ClientID of its session, as `QueueFullError.subscription` and the log tell of it.
    ///
    /// Raises:
    ///     StoppedError: It is closed.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.open(py)?.get(py)?.name())
    }
    /// Whether it was closed here. Of one that has ended with its broker, `get` says so.
    #[getter]
    fn closed(&self) -> PyResult<bool> {
        Ok(self.inner.read().map_err(|_| errors::poisoned())?.is_none())
    }
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.open(py)?.get(py)?.waiting())
    }
    /// Never false: what `len` says must not decide whether there is a subscription.
    fn __bool__(&self) -> bool {
        true
    }
    /// Takes the next message, waiting for it at most `timeout` seconds (from 0 on, default 5). That acknowledges it,
    /// unless `unacknowledged_max` was given.
    ///
    /// Raises:
    ///     Timeout: None came in time.
    ///     StoppedError: It is closed, or has ended and everything was read: the broker has stopped or failed, or the
    ///         option `queue_policy` has ended the session.
    ///     ValueError: A `timeout` below 0.
    #[pyo3(signature = (timeout = 5.0))]
    fn get(&self, py: Python<'_>, timeout: f64) -> PyResult<Message> {
        let inner = self.open(py)?;
        let inner = inner.get(py)?;
        let received = match inner.try_recv() {
            Err(RecvError::Timeout) => {
                let look = |until: std::time::Instant| {
                    let left = until.saturating_duration_since(std::time::Instant::now());
                    Some(inner.recv(left)).filter(|found| {
                        *found.as_ref().err().unwrap_or(&RecvError::Ended) != RecvError::Timeout
                    })
                };
                wait::until(py, wait::seconds(timeout)?, look)?.unwrap_or(Err(RecvError::Timeout))
            }
            found => found,
        };
        received.map(Message::local).map_err(|error| errors::receive(py, error))
    }
    /// Takes the messages that are there: waits for the first as `get` does, and does not wait for more.
    ///
    /// Args:
    ///     max: The most to take, default 1,000; with 0 it takes none and does not wait.
    ///     timeout: Seconds to wait for the first, from 0 on; default 5.
    ///
    /// Returns:
    ///     1 to `max` messages, in the order in which they came.
    ///
    /// Raises:
    ///     Timeout, StoppedError, ValueError: As for `get`.
    #[pyo3(signature = (max = 1000, timeout = 5.0))]
    fn get_many<'py>(&self, py: Python<'py>, max: usize, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        if max == 0 {
            return Ok(list);
        }
        list.append(self.get(py, timeout)?)?;
        let inner = self.open(py)?;
        let inner = inner.get(py)?;
        let mut more = Vec::new();
        // That there is no more, or that it has ended, is told by the next call.
        let _ = inner.try_recv_many(max - 1, |message| more.push(message));
        for message in more {
            list.append(Message::local(message))?;
        }
        Ok(list)
    }
    /// For event loops: the next message in a tuple, or `None`, and then the waker is called when one comes.
    ///
    /// Raises:
    ///     StoppedError: As for `get`.
    fn poll<'py>(&self, py: Python<'py>, waker: &NumberWaker) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let inner = self.open(py)?;
        let inner = inner.get(py)?;
        match inner.try_recv() {
            Ok(message) => return PyTuple::new(py, [Bound::new(py, Message::local(message))?]).map(Some),
            Err(RecvError::Timeout) => {}
            Err(error) => return Err(errors::receive(py, error)),
        }
        match inner.poll_next(&mut waker.context()) {
            Poll::Ready(Some(message)) => {
                PyTuple::new(py, [Bound::new(py, Message::local(message))?]).map(Some)
            }
            Poll::Ready(None) => Err(errors::receive(py, RecvError::Ended)),
            Poll::Pending => Ok(None),
        }
    }
    /// Acknowledges a message that was taken, where `unacknowledged_max` was given: there is room for one more.
    /// Acknowledgements may come in any order. What a shared subscription has not acknowledged at QoS 1 when it ends goes
    /// to another of its group.
    ///
    /// Returns:
    ///     Whether there was something to acknowledge: false at QoS 0, for a message that was acknowledged before or is
    ///     another subscription's, where taking it has done so, and when the subscription has ended.
    ///
    /// Raises:
    ///     ForkError: In a child of a fork.
    fn acknowledge(&self, py: Python<'_>, message: &Message) -> PyResult<bool> {
        let Some(message) = message.as_local() else { return Ok(false) };
        let inner = self.inner.read().map_err(|_| errors::poisoned())?.clone();
        Ok(match &inner {
            Some(inner) => inner.get(py)?.acknowledge(message),
            None => false,
        })
    }
    /// Ends the session; messages that were not read are dropped, and who waits for one gets `StoppedError`. Without
    /// effect when it is closed.
    fn close(&self) -> PyResult<()> {
        let inner = self.inner.write().map_err(|_| errors::poisoned())?.take();
        // Whoever waits for a message holds it still, and is told.
        inner.iter().filter_map(|inner| inner.ours()).for_each(Inner::close);
        Ok(())
    }
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }
    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close()
    }
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }
    /// The next message, as long as it takes; ends with the session.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        let inner = self.open(py)?;
        let inner = inner.get(py)?;
        loop {
            let step = std::time::Duration::from_secs(3600);
            let look = |until: std::time::Instant| {
                let left = until.saturating_duration_since(std::time::Instant::now());
                match inner.recv(left) {
                    Err(RecvError::Timeout) => None,
                    found => Some(found),
                }
            };
            match wait::until(py, step, look)? {
                Some(Ok(message)) => return Ok(Some(Message::local(message))),
                Some(Err(RecvError::Ended)) => return Ok(None),
                Some(Err(error)) => return Err(errors::receive(py, error)),
                None => {}
            }
        }
    }
    fn __repr__(&self) -> String {
        format!("Subscription({:?})", self.filters)
    }
}
