//! A descriptor that any event loop can wait for: readable while there may be something to take.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

use rustix::event::{EventfdFlags, eventfd};

use crate::error::{Failure, ringmq_status};

/// The descriptor of one object, once somebody has asked for it.
#[derive(Default)]
pub(crate) struct Ready(OnceLock<Arc<Bell>>);

pub(crate) struct Bell(OwnedFd);

impl Bell {
    fn ring(&self) {
        // Fails only when the counter is full, and then it is readable anyway.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl Ready {
    /// The descriptor. It is readable from the first time on, so that whoever waits first looks what is there.
    pub(crate) fn descriptor(&self) -> Result<i32, Failure> {
        if let Some(bell) = self.0.get() {
            return Ok(bell.0.as_raw_fd());
        }
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Failure::new(ringmq_status::RINGMQ_SYSTEM, format!("no eventfd: {error}")))?;
        let bell = self.0.get_or_init(|| Arc::new(Bell(descriptor)));
        bell.ring();
        Ok(bell.0.as_raw_fd())
    }

    /// Who is to be woken when something comes; nothing where nobody waits for the descriptor.
    pub(crate) fn waker(&self) -> Option<Waker> {
        self.0.get().map(|bell| Waker::from(Arc::clone(bell)))
    }

    /// It is not readable any more, until the next thing comes: to be called before looking.
    pub(crate) fn quiet(&self) {
        if let Some(bell) = self.0.get() {
            let mut counter = [0; 8];
            // Nothing to read means that nothing came.
            let _ = rustix::io::read(&bell.0, &mut counter);
        }
    }

    /// Something may be left.
    pub(crate) fn ring(&self) {
        if let Some(bell) = self.0.get() {
            bell.ring();
        }
    }
}
