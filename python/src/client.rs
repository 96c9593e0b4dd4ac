//! A client.

use std::future::Future;
use std::sync::{Arc, RwLock};
use std::task::Poll;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use ringmq_client::{
    AsyncClient, Client as Inner, ConnectionState, Error, Event, Goodbye, Properties, PropertyValue, Publish,
    ReasonCode, Receipt as InnerReceipt, RecvError, RequestError, Stopped, Subscribe, SubscriptionOptions,
    Unsubscribe,
};

use crate::client_options;
use crate::errors;
use crate::fork::Owned;
use crate::logging::Speaking;
use crate::message::Message;
use crate::notifier::NumberWaker;
use crate::payload::Payload;
use crate::pending::{Made, Pending};
use crate::properties::{Quality, publish_properties};
use crate::wait;

/// A message that was taken for sending.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Receipt {
    inner: Owned<InnerReceipt>,
}

#[pymethods]
impl Receipt {
    #[getter]
    fn done(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.inner.get(py)?.answer().is_some())
    }
    /// Whether the answer is there, and good.
    #[getter]
    fn succeeded(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.inner.get(py)?.answer().is_some_and(|answer| answer.is_ok()))
    }
    #[pyo3(signature = (timeout = 30.0))]
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<u8> {
        let receipt = self.inner.get(py)?;
        if let Some(answer) = receipt.answer() {
            return reason(py, answer);
        }
        let look = |until: std::time::Instant| {
            let left = until.saturating_duration_since(std::time::Instant::now());
            match receipt.wait_timeout(left) {
                Err(Error::Timeout) if receipt.answer().is_none() => None,
                answer => Some(answer),
            }
        };
        let answer = wait::until(py, wait::seconds(timeout)?, look)?;
        reason(py, answer.unwrap_or(Err(Error::Timeout)))
    }
    fn poll<'py>(&self, py: Python<'py>, waker: &NumberWaker) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.inner.get(py)?.poll_answer(&mut waker.context()) {
            Poll::Pending => Ok(None),
            Poll::Ready(answer) => Ok(Some(PyTuple::new(py, [reason(py, answer)?])?)),
        }
    }
}

fn reason(py: Python<'_>, answer: Result<ReasonCode, Error>) -> PyResult<u8> {
    answer.map(ReasonCode::value).map_err(|error| errors::request(py, &error))
}

/// A client that was started.
struct Running {
    client: AsyncClient,
    _speaking: Speaking,
}

/// A client: made with its options, then connected, and perhaps disconnected and connected again.
#[pyclass(frozen, subclass, module = "ringmq._ringmq")]
pub struct Client {
    url: String,
    options: Py<PyDict>,
    running: RwLock<Option<Arc<Owned<Running>>>>,
}

impl Client {
    fn running(&self, py: Python<'_>) -> PyResult<Arc<Owned<Running>>> {
        let running = self.running.read().map_err(|_| errors::poisoned())?;
        running.clone().ok_or_else(|| errors::plain(py, "StoppedError", "the client is not connected"))
    }
    fn client(&self, py: Python<'_>) -> PyResult<AsyncClient> {
        Ok(self.running(py)?.get(py)?.client.clone())
    }
    /// Starts one in place of the one before.
    fn begin(&self, py: Python<'_>) -> PyResult<AsyncClient> {
        let options = client_options::from_keywords(&self.url, self.options.bind(py))?;
        let client = Inner::start(options).map_err(|error| errors::connect(py, &error))?.asynchronous();
        let running = Running { client: client.clone(), _speaking: Speaking::begin(py)? };
        let mut place = self.running.write().map_err(|_| errors::poisoned())?;
        let former = place.replace(Arc::new(Owned::new(running)));
        drop(place);
        py.detach(|| end(former));
        Ok(client)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let running = self.running.get_mut().map(Option::take).unwrap_or_default();
        // Where the interpreter is ending, this drops it as well.
        let _ = Python::try_attach(|py| py.detach(move || end(running)));
    }
}

/// Ends a client at once, though calls of other threads hold it still.
fn end(running: Option<Arc<Owned<Running>>>) {
    if let Some(running) = running.as_ref().and_then(|running| running.ours()) {
        // A goodbye that 5.0 does not allow it is not.
        let _ = running.client.blocking().stop(&Goodbye::default());
    }
}

/// Waits for `future`, and raises what it came to.
fn block<T: Send, E: Send>(
    py: Python<'_>,
    timeout: Duration,
    future: impl Future<Output = Result<T, E>> + Send,
    raise: impl FnOnce(Python<'_>, &E) -> PyErr,
) -> PyResult<T> {
    match wait::future(py, timeout, future)? {
        Some(answer) => answer.map_err(|error| raise(py, &error)),
        None => Err(errors::plain(py, "Timeout", "no answer in time")),
    }
}

/// The same for an event loop.
fn later<T: Send + 'static, E: Send + 'static>(
    future: impl Future<Output = Result<T, E>> + Send + 'static,
    raise: impl FnOnce(Python<'_>, &E) -> PyErr + Send + 'static,
    make: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Pending {
    Pending::new(async move {
        let answer = future.await;
        Box::new(move |py: Python<'_>| match answer {
            Ok(value) => make(py, value),
            Err(error) => Err(raise(py, &error)),
        }) as Made
    })
}

fn nothing(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
    Ok(py.None())
}

fn codes(py: Python<'_>, codes: Vec<ReasonCode>) -> PyResult<Py<PyAny>> {
    Ok(values(&codes).into_pyobject(py)?.into_any().unbind())
}

/// A list in Python, where numbers of eight bits would be `bytes`.
fn values(codes: &[ReasonCode]) -> Vec<u16> {
    codes.iter().map(|code| code.value().into()).collect()
}

/// A filter with its options: QoS, no local, retain as published, retain handling.
type Filter = (String, Quality, bool, bool, u8);

fn subscribe_request(
    filters: Vec<Filter>,
    identifier: Option<u32>,
    user_properties: Option<&Bound<'_, PyAny>>,
) -> PyResult<Subscribe> {
    let mut request = Subscribe::default();
    for (filter, qos, no_local, retain_as_published, handling) in filters {
        let retain_handling = crate::properties::retain_handling(handling)?;
        let options = SubscriptionOptions { qos: qos.0, no_local, retain_as_published, retain_handling };
        request = request.filter(filter, options);
    }
    if let Some(identifier) = identifier {
        request = request.identifier(identifier);
    }
    for (name, value) in user_properties.map(crate::properties::pairs).transpose()?.unwrap_or_default() {
        request = request.user_property(name, value);
    }
    Ok(request)
}

fn unsubscribe_request(
    filters: Vec<String>,
    user_properties: Option<&Bound<'_, PyAny>>,
) -> PyResult<Unsubscribe> {
    let request = filters.into_iter().fold(Unsubscribe::default(), Unsubscribe::filter);
    let pairs = user_properties.map(crate::properties::pairs).transpose()?.unwrap_or_default();
    Ok(pairs.into_iter().fold(request, |request, (name, value)| request.user_property(name, value)))
}

fn message(
    topic: String,
    payload: Payload,
    qos: Quality,
    retain: bool,
    properties: Option<&Bound<'_, PyDict>>,
) -> PyResult<Publish> {
    let message = Publish::new(topic, payload.0).qos(qos.0).retain(retain);
    Ok(message.properties(publish_properties(properties)?.as_properties()))
}

/// Hands a message over, waiting for room at most until `timeout`.
fn offer(py: Python<'_>, client: &Inner, message: Publish, timeout: Duration) -> PyResult<Receipt> {
    let taken = match client.try_publish(message.clone()) {
        Err(Error::Request(RequestError::QueueFull)) if !timeout.is_zero() => {
            wait::until(py, timeout, |until| {
                let left = until.saturating_duration_since(std::time::Instant::now());
                match client.publish_timeout(message.clone(), left) {
                    Err(Error::Request(RequestError::QueueFull)) => None,
                    taken => Some(taken),
                }
            })?
            .unwrap_or(Err(Error::Request(RequestError::QueueFull)))
        }
        taken => taken,
    };
    taken.map(|inner| Receipt { inner: Owned::new(inner) }).map_err(|error| errors::request(py, &error))
}

fn reason_code(value: u8) -> PyResult<ReasonCode> {
    ReasonCode::from_u8(value)
        .ok_or_else(|| PyValueError::new_err(format!("MQTT has no reason code {value:#04x}")))
}

fn goodbye(
    reason: u8,
    session_expiry_interval: Option<u32>,
    reason_string: Option<String>,
    user_properties: Option<&Bound<'_, PyAny>>,
) -> PyResult<Goodbye> {
    let user_properties = user_properties.map(crate::properties::pairs).transpose()?.unwrap_or_default();
    let reason = reason_code(reason)?;
    Ok(Goodbye { reason, session_expiry_seconds: session_expiry_interval, reason_string, user_properties })
}

/// Properties as pairs of the specification's name and a value, in their order.
pub fn property_list<'py>(py: Python<'py>, properties: Properties<'_>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (property, value) in properties.iter() {
        let value = match value {
            PropertyValue::U8(number) => number.into_pyobject(py)?.into_any(),
            PropertyValue::U16(number) => number.into_pyobject(py)?.into_any(),
            PropertyValue::U32(number) | PropertyValue::Variable(number) => {
                number.into_pyobject(py)?.into_any()
            }
            PropertyValue::Str(text) => text.into_pyobject(py)?.into_any(),
            PropertyValue::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
            PropertyValue::Pair(name, value) => (name, value).into_pyobject(py)?.into_any(),
        };
        list.append((property.name(), value))?;
    }
    Ok(list)
}

/// An event as a name and its fields.
fn event<'py>(py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyTuple>> {
    let fields = PyDict::new(py);
    let name = match event {
        Event::Connected(connected) => {
            fields.set_item("session_present", connected.session_present)?;
            fields.set_item("assigned_client_id", connected.assigned_client_id.as_deref())?;
            fields.set_item("properties", property_list(py, connected.properties.as_properties())?)?;
            "connected"
        }
        Event::Disconnected { error, was_connected, retry_in } => {
            fields.set_item("error", errors::connect(py, &error).into_value(py))?;
            fields.set_item("was_connected", was_connected)?;
            fields.set_item("retry_in", retry_in.map(|wait| wait.as_secs_f64()))?;
            "disconnected"
        }
        Event::ResubscribeRefused { filter, reason } => {
            fields.set_item("filter", filter)?;
            fields.set_item("reason", reason.value())?;
            "resubscribe_refused"
        }
        Event::Stopped(Stopped::Failed(error)) => {
            fields.set_item("error", errors::connect(py, &error).into_value(py))?;
            "stopped"
        }
        Event::Stopped(_) => "stopped",
        _ => "other",
    };
    PyTuple::new(py, [name.into_pyobject(py)?.into_any(), fields.into_any()])
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (url, /, **options))]
    fn new(py: Python<'_>, url: String, options: Option<Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = options.unwrap_or_else(|| PyDict::new(py));
        // What is wrong is said here and not when it connects.
        let _ = client_options::from_keywords(&url, &options)?;
        Ok(Self { url, options: options.unbind(), running: RwLock::new(None) })
    }
    #[pyo3(signature = (timeout = 30.0))]
    fn connect(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = wait::seconds(timeout)?;
        let client = self.begin(py)?;
        block(py, timeout, client.connected(), errors::connect).inspect_err(|_| self.forget(py))
    }
    /// Connects and waits until CONNECT has been sent; the server's answer is an event.
    fn open(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = wait::seconds(timeout)?;
        let client = self.begin(py)?;
        block(py, timeout, client.opened(), errors::connect).inspect_err(|_| self.forget(py))
    }
    fn connect_later(&self, py: Python<'_>) -> PyResult<Pending> {
        let client = self.begin(py)?;
        Ok(later(async move { client.connected().await }, errors::connect, nothing))
    }
    /// Begins to connect, and goes on trying.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.begin(py).map(|_| ())
    }
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        let Ok(client) = self.client(py) else { return Ok("stopped") };
        Ok(match client.blocking().state() {
            ConnectionState::Connecting => "connecting",
            ConnectionState::Connected => "connected",
            ConnectionState::Stopped => "stopped",
        })
    }
    #[getter]
    fn client_id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.client(py)?.blocking().client_id())
    }
    #[getter]
    fn unfinished(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.client(py)?.blocking().unfinished())
    }
    #[getter]
    fn session_present(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.client(py)?.blocking().connection().is_some_and(|connected| connected.session_present))
    }
    #[pyo3(signature = (topic, payload = Payload::default(), *, qos = Quality::default(), retain = false, timeout = 5.0, **properties), text_signature = "($self, topic, payload=b'', *, qos=0, retain=False, timeout=5.0, **properties)")]
    fn publish(
        &self,
        py: Python<'_>,
        topic: String,
        payload: Payload,
        qos: Quality,
        retain: bool,
        timeout: f64,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Receipt> {
        let message = message(topic, payload, qos, retain, properties)?;
        offer(py, self.client(py)?.blocking(), message, wait::seconds(timeout)?)
    }
    #[pyo3(signature = (topic, payload = Payload::default(), *, qos = Quality::default(), retain = false, **properties), text_signature = "($self, topic, payload=b'', *, qos=0, retain=False, **properties)")]
    fn publish_later(
        &self,
        py: Python<'_>,
        topic: String,
        payload: Payload,
        qos: Quality,
        retain: bool,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Pending> {
        let client = self.client(py)?;
        let message = message(topic, payload, qos, retain, properties)?;
        let future = async move { client.publish(message).await };
        Ok(later(future, errors::request, |py, inner| {
            Ok(Py::new(py, Receipt { inner: Owned::new(inner) })?.into_any())
        }))
    }
    #[pyo3(signature = (messages, *, qos = Quality::default(), retain = false, timeout = 5.0), text_signature = "($self, messages, *, qos=0, retain=False, timeout=5.0)")]
    fn publish_many<'py>(
        &self,
        py: Python<'py>,
        messages: &Bound<'py, PyAny>,
        qos: Quality,
        retain: bool,
        timeout: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let (client, timeout) = (self.client(py)?, wait::seconds(timeout)?);
        let receipts = PyList::empty(py);
        for pair in messages.try_iter()? {
            let (topic, payload): (String, Payload) = pair?.extract()?;
            let message = message(topic, payload, qos, retain, None)?;
            receipts.append(offer(py, client.blocking(), message, timeout)?)?;
        }
        Ok(receipts)
    }
    #[pyo3(signature = (filters, identifier = None, user_properties = None, timeout = 30.0))]
    fn send_subscribe(
        &self,
        py: Python<'_>,
        filters: Vec<Filter>,
        identifier: Option<u32>,
        user_properties: Option<&Bound<'_, PyAny>>,
        timeout: f64,
    ) -> PyResult<Vec<u16>> {
        let client = self.client(py)?;
        let request = subscribe_request(filters, identifier, user_properties)?;
        let answer = block(py, wait::seconds(timeout)?, client.subscribe(request), errors::request)?;
        Ok(values(&answer))
    }
    #[pyo3(signature = (filters, identifier = None, user_properties = None))]
    fn subscribe_later(
        &self,
        py: Python<'_>,
        filters: Vec<Filter>,
        identifier: Option<u32>,
        user_properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Pending> {
        let client = self.client(py)?;
        let request = subscribe_request(filters, identifier, user_properties)?;
        Ok(later(async move { client.subscribe(request).await }, errors::request, codes))
    }
    #[pyo3(signature = (filters, user_properties = None, timeout = 30.0))]
    fn send_unsubscribe(
        &self,
        py: Python<'_>,
        filters: Vec<String>,
        user_properties: Option<&Bound<'_, PyAny>>,
        timeout: f64,
    ) -> PyResult<Vec<u16>> {
        let client = self.client(py)?;
        let request = unsubscribe_request(filters, user_properties)?;
        let answer = block(py, wait::seconds(timeout)?, client.unsubscribe(request), errors::request)?;
        Ok(values(&answer))
    }
    #[pyo3(signature = (filters, user_properties = None))]
    fn unsubscribe_later(
        &self,
        py: Python<'_>,
        filters: Vec<String>,
        user_properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Pending> {
        let client = self.client(py)?;
        let request = unsubscribe_request(filters, user_properties)?;
        Ok(later(async move { client.unsubscribe(request).await }, errors::request, codes))
    }
    #[pyo3(signature = (timeout = 5.0))]
    fn get(&self, py: Python<'_>, timeout: f64) -> PyResult<Message> {
        let client = self.client(py)?;
        let client = client.blocking();
        if let Some(message) = client.try_recv() {
            return Ok(Message::client(message));
        }
        let look = |until: std::time::Instant| {
            let left = until.saturating_duration_since(std::time::Instant::now());
            match client.recv_timeout(left) {
                Err(RecvError::Timeout) => None,
                found => Some(found),
            }
        };
        match wait::until(py, wait::seconds(timeout)?, look)? {
            Some(Ok(message)) => Ok(Message::client(message)),
            Some(Err(RecvError::Stopped)) => Err(errors::plain(py, "StoppedError", "The client is stopped.")),
            _ => Err(errors::plain(py, "Timeout", "no message in time")),
        }
    }
    #[pyo3(signature = (max = 1000, timeout = 5.0))]
    fn get_many<'py>(&self, py: Python<'py>, max: usize, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        if max == 0 {
            return Ok(list);
        }
        list.append(self.get(py, timeout)?)?;
        let client = self.client(py)?;
        while let Some(message) = (list.len() < max).then(|| client.blocking().try_recv()).flatten() {
            list.append(Message::client(message))?;
        }
        Ok(list)
    }
    fn poll<'py>(&self, py: Python<'py>, waker: &NumberWaker) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let client = self.client(py)?;
        if let Some(message) = client.blocking().try_recv() {
            return PyTuple::new(py, [Bound::new(py, Message::client(message))?]).map(Some);
        }
        match client.poll_recv(&mut waker.context()) {
            Poll::Ready(Some(message)) => {
                PyTuple::new(py, [Bound::new(py, Message::client(message))?]).map(Some)
            }
            Poll::Ready(None) => Err(errors::plain(py, "StoppedError", "The client is stopped.")),
            Poll::Pending => Ok(None),
        }
    }
    /// The next event of the connection as a name and its fields, or `None` in time.
    #[pyo3(signature = (timeout = 0.0))]
    fn event<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let client = self.client(py)?;
        let look = |until: std::time::Instant| {
            client.blocking().recv_event(until.saturating_duration_since(std::time::Instant::now()))
        };
        wait::until(py, wait::seconds(timeout)?, look)?.map(|found| event(py, found)).transpose()
    }
    fn poll_event<'py>(&self, py: Python<'py>, waker: &NumberWaker) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.client(py)?.poll_event(&mut waker.context()) {
            Poll::Ready(Some(found)) => event(py, found).map(Some),
            Poll::Ready(None) => Err(errors::plain(py, "StoppedError", "The client is stopped.")),
            Poll::Pending => Ok(None),
        }
    }
    #[pyo3(signature = (message, reason = 0))]
    fn acknowledge(&self, py: Python<'_>, message: &Message, reason: u8) -> PyResult<bool> {
        let message =
            message.as_client().ok_or_else(|| PyValueError::new_err("this message came to no client"))?;
        Ok(self.client(py)?.blocking().acknowledge_with(message, reason_code(reason)?))
    }
    #[pyo3(signature = (timeout = 30.0))]
    fn flush(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let client = self.client(py)?;
        block(py, wait::seconds(timeout)?, client.flush(), errors::request)
    }
    fn flush_later(&self, py: Python<'_>) -> PyResult<Pending> {
        let client = self.client(py)?;
        Ok(later(async move { client.flush().await }, errors::request, nothing))
    }
    #[pyo3(signature = (*, reason = 0, session_expiry_interval = None, reason_string = None, user_properties = None, timeout = 30.0))]
    fn disconnect(
        &self,
        py: Python<'_>,
        reason: u8,
        session_expiry_interval: Option<u32>,
        reason_string: Option<String>,
        user_properties: Option<&Bound<'_, PyAny>>,
        timeout: f64,
    ) -> PyResult<()> {
        let client = self.client(py)?;
        let goodbye = goodbye(reason, session_expiry_interval, reason_string, user_properties)?;
        let done = block(py, wait::seconds(timeout)?, client.disconnect(&goodbye), errors::request);
        if done.is_err() {
            // Whoever waited long enough wants it to be over.
            let _ = client.blocking().stop(&goodbye);
        }
        done
    }
    #[pyo3(signature = (*, reason = 0, session_expiry_interval = None, reason_string = None, user_properties = None))]
    fn disconnect_later(
        &self,
        py: Python<'_>,
        reason: u8,
        session_expiry_interval: Option<u32>,
        reason_string: Option<String>,
        user_properties: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Pending> {
        let client = self.client(py)?;
        let goodbye = goodbye(reason, session_expiry_interval, reason_string, user_properties)?;
        Ok(later(async move { client.disconnect(&goodbye).await }, errors::request, nothing))
    }
    /// Lets go of the connection without waiting for anything.
    fn forget(&self, py: Python<'_>) {
        if let Ok(mut place) = self.running.write() {
            let running = place.take();
            drop(place);
            py.detach(|| end(running));
        }
    }
}
