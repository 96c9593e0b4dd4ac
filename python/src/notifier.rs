//! How a thread that may not touch the interpreter wakes an event loop: it writes to an eventfd that the loop reads.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};

/// Collects who is to be woken.
struct Inner {
    descriptor: OwnedFd,
    ready: Mutex<Vec<u64>>,
}

impl Inner {
    fn wake(&self, number: u64) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.push(number);
        if ready.len() == 1 {
            // Fails only when the counter is full, and then it is readable anyway.
            let _ = rustix::io::write(&self.descriptor, &1u64.to_ne_bytes());
        }
    }
}

struct Ring {
    inner: Arc<Inner>,
    number: u64,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.inner.wake(self.number);
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.inner.wake(self.number);
    }
}

/// Wakes one event loop. Its descriptor is readable while somebody is to be woken.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Notifier {
    inner: Arc<Inner>,
}

/// Has a notifier name a number. Who waits for the same thing again uses the same one, which is then remembered
/// once.
#[pyclass(frozen, module = "ringmq._ringmq", name = "Waker")]
pub struct NumberWaker {
    waker: Waker,
    number: u64,
}

impl NumberWaker {
    /// For whoever is to wake.
    pub fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

#[pymethods]
impl NumberWaker {
    /// The number that the notifier names.
    #[getter]
    fn number(&self) -> u64 {
        self.number
    }
}

#[pymethods]
impl Notifier {
    #[new]
    fn new() -> PyResult<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let descriptor = descriptor.map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self { inner: Arc::new(Inner { descriptor, ready: Mutex::default() }) })
    }
    /// What has this notifier name `number`.
    fn waker(&self, number: u64) -> NumberWaker {
        let waker = Waker::from(Arc::new(Ring { inner: Arc::clone(&self.inner), number }));
        NumberWaker { waker, number }
    }
    /// Names `number` now.
    fn wake(&self, number: u64) {
        self.inner.wake(number);
    }
    /// The descriptor, an eventfd, for the event loop to watch.
    fn fileno(&self) -> i32 {
        self.inner.descriptor.as_raw_fd()
    }
    /// The numbers to be woken, once each time they were.
    fn take(&self) -> Vec<u64> {
        let mut ready = self.inner.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counter = [0; 8];
        // Nothing to read means that nobody was woken.
        let _ = rustix::io::read(&self.inner.descriptor, &mut counter);
        std::mem::take(&mut *ready)
    }
}
