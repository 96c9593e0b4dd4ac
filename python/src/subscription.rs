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

/// A session of this program with subscriptions.
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
    #[getter]
    fn filters(&self) -> Vec<String> {
        self.filters.clone()
    }
    #[getter]
    fn granted(&self, py: Python<'_>) -> PyResult<Vec<u16>> {
        // Not of `u8`, which Python would have as `bytes`.
        Ok(self.open(py)?.get(py)?.granted().iter().map(|qos| *qos as u16).collect())
    }
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.open(py)?.get(py)?.name())
    }
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
        let _ = inner.try_recv_many(max - 1, &mut more);
        for message in more {
            list.append(Message::local(message))?;
        }
        Ok(list)
    }
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
    fn acknowledge(&self, message: &Message) -> bool {
        message.as_local().is_some_and(ringmq::ReceivedMessage::acknowledge)
    }
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
