//! The package's exceptions, which are classes of its Python part.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};
use ringmq::{AdminError, OpenError, PublishError, ReasonCode, RecvError, StartError, SubscribeError};
use ringmq_client::{ConnectError, Error, RequestError};

static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// An exception of this class with this text; `fields` fills its keyword arguments.
pub fn new(
    py: Python<'_>,
    class: &str,
    text: &str,
    fields: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>,
) -> PyErr {
    let make = || {
        let module = MODULE.get_or_try_init(py, || py.import("ringmq._errors").map(Bound::unbind))?;
        let keywords = PyDict::new(py);
        fields(&keywords)?;
        module.bind(py).getattr(class)?.call((text,), Some(&keywords))
    };
    match make() {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// One without fields.
pub fn plain(py: Python<'_>, class: &str, text: &str) -> PyErr {
    new(py, class, text, |_| Ok(()))
}

/// It was made before the fork.
pub fn forked(py: Python<'_>) -> PyErr {
    plain(
        py,
        "ForkError",
        "this object was made before the process forked, and its threads are in the parent: make a new one, or start \
         children by the `spawn` or `forkserver` method",
    )
}

/// It has stopped, or did not start yet.
pub fn stopped(py: Python<'_>) -> PyErr {
    plain(py, "StoppedError", "the broker is not running")
}

/// Why a broker did not start or reload.
pub fn start(py: Python<'_>, error: &StartError) -> PyErr {
    match error {
        StartError::Config(errors) => config(py, errors),
        StartError::Guard(error) => new(py, "ConfigError", &error.to_string(), |fields| {
            fields.set_item("errors", vec![error.to_string()])
        }),
        error => plain(py, "StartError", &error.to_string()),
    }
}

/// What is wrong with options.
pub fn config(py: Python<'_>, errors: &ringmq::ConfigErrors) -> PyErr {
    let each: Vec<_> = errors.all().iter().map(ToString::to_string).collect();
    new(py, "ConfigError", &errors.to_string(), |fields| fields.set_item("errors", each))
}

/// Why no session was opened.
pub fn open(py: Python<'_>, error: &OpenError) -> PyErr {
    let class = match error {
        OpenError::Stopped | OpenError::Failed => "StoppedError",
        OpenError::Busy => "Timeout",
        _ => "Error",
    };
    plain(py, class, &error.to_string())
}

/// Why a publish did not do all it should.
pub fn publish(py: Python<'_>, error: &PublishError) -> PyErr {
    let text = error.to_string();
    match error {
        PublishError::Full { subscription, matched, dropped } => new(py, "QueueFullError", &text, |fields| {
            fields.set_item("subscription", subscription)?;
            fields.set_item("matched", matched)?;
            fields.set_item("dropped", dropped)
        }),
        PublishError::Stopped | PublishError::Failed => plain(py, "StoppedError", &text),
        PublishError::Busy | PublishError::Timeout => plain(py, "Timeout", &text),
        PublishError::Invalid(violation) => refused(py, "PublishError", &text, violation.reason().value()),
        PublishError::TooLarge => refused(py, "PublishError", &text, 0x95),
        PublishError::QuotaExceeded => refused(py, "PublishError", &text, 0x97),
        PublishError::NotAuthorized => refused(py, "PublishError", &text, 0x87),
        PublishError::Refused(reason) => refused(py, "PublishError", &text, reason.value()),
        _ => plain(py, "PublishError", &text),
    }
}

fn refused(py: Python<'_>, class: &str, text: &str, reason: u8) -> PyErr {
    new(py, class, text, |fields| fields.set_item("reason", reason))
}

/// Why there is no subscription.
pub fn subscribe(py: Python<'_>, error: &SubscribeError) -> PyErr {
    let text = error.to_string();
    match error {
        SubscribeError::Invalid { filter, violation } => new(py, "SubscribeError", &text, |fields| {
            fields.set_item("filter", filter)?;
            fields.set_item("reason", violation.reason().value())
        }),
        SubscribeError::Refused { filter, reason } => new(py, "SubscribeError", &text, |fields| {
            fields.set_item("filter", filter)?;
            fields.set_item("reason", reason.value())
        }),
        SubscribeError::Stopped | SubscribeError::Failed => plain(py, "StoppedError", &text),
        SubscribeError::Busy | SubscribeError::Timeout => plain(py, "Timeout", &text),
        _ => plain(py, "SubscribeError", &text),
    }
}

/// Why a question about a broker has no answer.
pub fn admin(py: Python<'_>, error: &AdminError) -> PyErr {
    let text = error.to_string();
    match error {
        AdminError::Invalid(violation) => refused(py, "SubscribeError", &text, violation.reason().value()),
        AdminError::Stopped | AdminError::Failed => plain(py, "StoppedError", &text),
        _ => plain(py, "Timeout", &text),
    }
}

/// Why there is no message.
pub fn receive(py: Python<'_>, error: RecvError) -> PyErr {
    let class = match error {
        RecvError::Timeout => "Timeout",
        RecvError::Ended | RecvError::Failed => "StoppedError",
    };
    plain(py, class, &error.to_string())
}

/// Why a client did not connect, or its connection ended.
pub fn connect(py: Python<'_>, error: &ConnectError) -> PyErr {
    let text = error.to_string();
    let (words, reference) = match error {
        ConnectError::Refused { reason_string, server_reference, .. }
        | ConnectError::ByServer { reason_string, server_reference, .. } => {
            (reason_string.as_deref(), server_reference.as_deref())
        }
        ConnectError::Stopped => return plain(py, "StoppedError", &text),
        _ => (None, None),
    };
    let class = if matches!(error, ConnectError::Timeout) { "ConnectTimeout" } else { "ConnectError" };
    new(py, class, &text, |fields| {
        fields.set_item("reason", error.reason().map(ReasonCode::value))?;
        fields.set_item("reason_string", words)?;
        fields.set_item("server_reference", reference)?;
        fields.set_item("temporary", error.is_temporary())
    })
}

/// Why a client's request failed.
pub fn request(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Refused(reason) => refused(py, "RequestError", &text, reason.value()),
        Error::Request(RequestError::Invalid(violation)) => {
            refused(py, "RequestError", &text, violation.reason().value())
        }
        Error::Request(RequestError::QueueFull) => plain(py, "QueueFullError", &text),
        Error::Timeout => plain(py, "Timeout", &text),
        Error::Stopped => plain(py, "StoppedError", &text),
        _ => plain(py, "RequestError", &text),
    }
}

/// A lock that a panic left behind; nothing of ours panics while it holds one.
pub fn poisoned() -> PyErr {
    PyRuntimeError::new_err("a panic left this object in an unknown state")
}
