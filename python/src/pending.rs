//! Something that has been asked for and is not there yet.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::Poll;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors;
use crate::notifier::NumberWaker;

/// Makes the Python value, or raises.
pub type Made = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
type Waiting = Pin<Box<dyn Future<Output = Made> + Send>>;

/// An answer that is on its way; for an event loop, which polls it.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Pending {
    /// Nothing once it was given.
    future: Mutex<Option<Waiting>>,
}

impl Pending {
    /// What comes of this.
    pub fn new(future: impl Future<Output = Made> + Send + 'static) -> Self {
        Self { future: Mutex::new(Some(Box::pin(future))) }
    }
}

#[pymethods]
impl Pending {
    /// The value in a tuple, or `None`, and then the notifier names the number once it is worth looking again.
    fn poll<'py>(&self, py: Python<'py>, waker: &NumberWaker) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let mut future = self.future.lock().map_err(|_| errors::poisoned())?;
        let Some(waiting) = future.as_mut() else {
            return Err(PyRuntimeError::new_err("this answer was given already"));
        };
        match waiting.as_mut().poll(&mut waker.context()) {
            Poll::Pending => Ok(None),
            Poll::Ready(made) => {
                *future = None;
                drop(future);
                Ok(Some(PyTuple::new(py, [made(py)?])?))
            }
        }
    }
}
