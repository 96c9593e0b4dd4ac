//! Payloads on their way in and out of Python.
#![allow(unsafe_code)]

use std::ffi::c_int;

use bytes::Bytes;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

/// A payload that Python gave: `bytes` or another buffer, or text, which is sent as UTF-8. Copied once.
#[derive(Default)]
pub struct Payload(pub Bytes);

impl<'py> FromPyObject<'_, 'py> for Payload {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(Self(Bytes::copy_from_slice(bytes.as_bytes())));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self(Bytes::copy_from_slice(text.to_cow()?.as_bytes())));
        }
        let buffer = PyBuffer::<u8>::get(&value).map_err(|_| {
            PyTypeError::new_err("a payload is bytes, bytearray, a memoryview of bytes or str")
        })?;
        Ok(Self(Bytes::from(buffer.to_vec(value.py())?)))
    }
}

/// Bytes that Python reads without a copy, through a memoryview.
#[pyclass(frozen, module = "ringmq._ringmq")]
struct Shared(Bytes);

#[pymethods]
impl Shared {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no view to fill"));
        }
        let bytes = slf.get().0.clone();
        let length = bytes.len() as ffi::Py_ssize_t;
        let start = bytes.as_ptr().cast_mut().cast();
        // SAFETY: `view` is the interpreter's and not null; the bytes are immutable, the view is read-only (1) and
        // takes a reference to `slf`, which keeps them where they are.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, length, 1, flags) };
        match filled {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}

/// A read-only view of bytes that the broker or a client holds as well.
///
/// # Errors
/// No memory.
pub fn view(py: Python<'_>, bytes: Bytes) -> PyResult<Bound<'_, PyMemoryView>> {
    PyMemoryView::from(Bound::new(py, Shared(bytes))?.as_any())
}
