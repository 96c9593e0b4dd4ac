//! Waiting from Python: without the interpreter, never without a deadline, and signals are seen meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// How late Ctrl-C may be noticed.
const SLICE: Duration = Duration::from_millis(50);
/// What a wait may be at most; longer ones are taken for this.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Seconds as Python gives them.
///
/// # Errors
/// `ValueError` for what is no time to wait.
pub fn seconds(value: f64) -> PyResult<Duration> {
    if value.is_nan() || value < 0.0 {
        return Err(PyValueError::new_err(format!(
            "a timeout is a number of seconds from 0 on, not {value}"
        )));
    }
    Ok(Duration::try_from_secs_f64(value).unwrap_or(FAR).min(FAR))
}

/// Calls `look` with moments to wait until, without the interpreter, until it finds something or `timeout` has passed.
///
/// # Errors
/// What a signal handler raised.
pub fn until<T: Send>(
    py: Python<'_>,
    timeout: Duration,
    mut look: impl FnMut(Instant) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    let deadline = Instant::now() + timeout.min(FAR);
    loop {
        let now = Instant::now();
        let slice = deadline.min(now + SLICE);
        let found = py.detach(|| look(slice));
        if found.is_some() || now >= deadline {
            return Ok(found);
        }
        py.check_signals()?;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for `future` as [`until`] does; nothing when `timeout` has passed first.
///
/// # Errors
/// What a signal handler raised.
pub fn future<T: Send>(
    py: Python<'_>,
    timeout: Duration,
    future: impl Future<Output = T> + Send,
) -> PyResult<Option<T>> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    until(py, timeout, |until| {
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(value);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            thread::park_timeout(left);
        }
    })
}
