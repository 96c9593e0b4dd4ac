//! A process that forks: threads do not survive it, so what the parent made says so in the child instead of hanging.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

use crate::errors;

/// Forks that lie between this process and the one that loaded the module.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Called in the child of a fork, before anything else of this module.
#[pyfunction]
pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How many forks ago the module was loaded.
pub fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Something that lives by threads, and the process it was made in.
pub struct Owned<T> {
    /// Taken at the end, once.
    value: Option<T>,
    forks: u64,
}

impl<T> Owned<T> {
    /// It belongs to this process.
    pub fn new(value: T) -> Self {
        Self { value: Some(value), forks: forks() }
    }

    /// The value, in the process that made it.
    ///
    /// # Errors
    /// `ringmq.ForkError` in another.
    pub fn get(&self, py: Python<'_>) -> PyResult<&T> {
        self.value.as_ref().filter(|_| self.forks == forks()).ok_or_else(|| errors::forked(py))
    }
}

impl<T> Owned<T> {
    /// The value, where this process made it; for who needs no error.
    pub fn ours(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.forks == forks())
    }
}

impl<T> Drop for Owned<T> {
    /// What another process made would wait at its end for threads that are not here, so it is left alone.
    fn drop(&mut self) {
        if self.forks != forks() {
            std::mem::forget(self.value.take());
        }
    }
}
