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

/// A message that a client took for sending; the receipt tells what becomes of it.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Receipt {
    inner: Owned<InnerReceipt>,
}

#[pymethods]
impl Receipt {
    /// Whether the answer is there, good or bad.
    #[getter]
    fn done(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.inner.get(py)?.answer().is_some())
    }
    /// Whether the answer is there, and good: the server has the message; at QoS 0, it was sent.
    #[getter]
    fn succeeded(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.inner.get(py)?.answer().is_some_and(|answer| answer.is_ok()))
    }
    /// Waits until the server has acknowledged the message; at QoS 0 until it was sent.
    ///
    /// Args:
    ///     timeout: Seconds, from 0 on; default 30.
    ///
    /// Returns:
    ///     The reason code of PUBACK, or at QoS 2 of PUBREC or PUBCOMP (MQTT 5.0, 3.4.2.1, 3.5.2.1, 3.7.2.1), below
    ///     0x80; 0 at QoS 0 and in 3.x.
    ///
    /// Raises:
    ///     RequestError: The server refused the message (`reason` says why), or the session was lost.
    ///     Timeout: No answer in time; the message may still arrive.
    ///     StoppedError: The client was stopped before.
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
    /// For event loops: the reason code in a tuple, or `None`, and then the waker is called when there is news. Raises
    /// as `wait` does.
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
    /// Connects and waits until the server has accepted the connection.
    ///
    /// Raises:
    ///     ConnectError: It could not be made, or the server refused it; `reason` has its reason code.
    ///     Timeout: `timeout` seconds were not enough; default 30.
    #[pyo3(signature = (timeout = 30.0))]
    fn connect(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = wait::seconds(timeout)?;
        let client = self.begin(py)?;
        block(py, timeout, client.connected(), errors::connect).inspect_err(|_| self.forget(py))
    }
    /// Connects and waits until CONNECT has been sent, at most `timeout` seconds; the server's answer is an event.
    /// Raises as `connect` does.
    fn open(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = wait::seconds(timeout)?;
        let client = self.begin(py)?;
        block(py, timeout, client.opened(), errors::connect).inspect_err(|_| self.forget(py))
    }
    /// As `connect`, without waiting: gives the answer, which `ringmq.aio` waits for.
    fn connect_later(&self, py: Python<'_>) -> PyResult<Pending> {
        let client = self.begin(py)?;
        Ok(later(async move { client.connected().await }, errors::connect, nothing))
    }
    /// Begins to connect in the background, and goes on trying. What is asked of the client meanwhile waits.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.begin(py).map(|_| ())
    }
    /// `"connecting"`, `"connected"` or `"stopped"`; the last also before it was connected for the first time.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        let Ok(client) = self.client(py) else { return Ok("stopped") };
        Ok(match client.blocking().state() {
            ConnectionState::Connecting => "connecting",
            ConnectionState::Connected => "connected",
            ConnectionState::Stopped => "stopped",
        })
    }
    /// The ClientID in use: the one given, or the one the server assigned (MQTT 5.0, 3.2.2.3.7); empty until it has.
    ///
    /// Raises:
    ///     StoppedError: The client is not connected, nor connecting.
    #[getter]
    fn client_id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.client(py)?.blocking().client_id())
    }
    /// How many messages and requests are not sent or not answered yet.
    ///
    /// Raises:
    ///     StoppedError: The client is not connected, nor connecting.
    #[getter]
    fn unfinished(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.client(py)?.blocking().unfinished())
    }
    /// Whether the server had kept the session when it accepted the present or last connection (Session Present; MQTT
    /// 5.0, 3.2.2.1.1).
    ///
    /// Raises:
    ///     StoppedError: The client is not connected, nor connecting.
    #[getter]
    fn session_present(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.client(py)?.blocking().connection().is_some_and(|connected| connected.session_present))
    }
    /// Hands a message over for sending, and returns without waiting for the server: the receipt tells its answer.
    /// Without a connection the message waits for one, at QoS 0 only where the option `queue_qos0_offline` says so.
    ///
    /// Args:
    ///     topic: A topic name (MQTT 5.0, 4.7): no wildcards, 1 to 65,535 bytes of UTF-8.
    ///     payload: Text is sent as UTF-8.
    ///     qos: 0 (default), 1 or 2 (MQTT 5.0, 4.3).
    ///     retain: Whether it becomes the topic's retained message (MQTT 5.0, 3.3.1.3); an empty payload removes that.
    ///     timeout: Seconds to wait for room in the client's queue, from 0 (not at all) on; default 5.
    ///     **properties: Properties of the message (MQTT 5.0, 3.3.2.3); see `PublishProperties`. They need 5.0.
    ///
    /// Raises:
    ///     QueueFullError: No room in time; the bounds are the options `queue_messages_max` and `queue_bytes_max`.
    ///     RequestError: The message breaks a rule of MQTT, or is more than the server allows: its size, its QoS or its
    ///         RETAIN flag (MQTT 5.0, 3.2.2.3).
    ///     StoppedError: The client is not connected, nor connecting.
    ///     ValueError: `qos`, `timeout` or a property is out of range.
    ///     OverflowError: A number is greater than its field.
    ///     TypeError: A payload of another type, or a property of another name.
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
    /// As `publish`, without waiting: gives the answer, the receipt once there was room, which `ringmq.aio` waits for.
    /// Arguments and what it raises as for `publish`.
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
    /// Hands many messages over for sending, one after the other, as `publish` does each.
    ///
    /// Args:
    ///     messages: Pairs of topic and payload, from any iterable; no property goes with them.
    ///     qos, retain: As for `publish`, the same for all of them.
    ///     timeout: Seconds to wait for room, for each message.
    ///
    /// Returns:
    ///     A receipt for each message, in their order.
    ///
    /// Raises:
    ///     QueueFullError, RequestError, StoppedError, ValueError, TypeError: As `publish`; what came before has been
    ///         handed over, and there are no receipts.
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
    /// Subscribes: sends SUBSCRIBE (MQTT 5.0, 3.8) and waits for SUBACK. `subscribe` is the convenient form.
    ///
    /// Args:
    ///     filters: For each the filter, QoS, No Local, Retain As Published and Retain Handling.
    ///     identifier: Subscription Identifier, 1 to 268,435,455.
    ///     user_properties: User properties of SUBSCRIBE, names and values.
    ///     timeout: Seconds; default 30.
    ///
    /// Returns:
    ///     A reason code for each filter (MQTT 5.0, 3.9.3).
    ///
    /// Raises:
    ///     RequestError: The request is wrong, or more than the server allows.
    ///     Timeout: No answer in time.
    ///     StoppedError: The client is not connected, nor connecting.
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
    /// As `send_subscribe`, without waiting: gives the answer, which `ringmq.aio` waits for.
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
    /// Unsubscribes: sends UNSUBSCRIBE (MQTT 5.0, 3.10) and waits for UNSUBACK. `unsubscribe` is the convenient form.
    ///
    /// Args:
    ///     filters: Topic filters, as they were subscribed to.
    ///     user_properties: User properties of UNSUBSCRIBE, names and values.
    ///     timeout: Seconds; default 30.
    ///
    /// Returns:
    ///     A reason code for each filter (MQTT 5.0, 3.11.3).
    ///
    /// Raises:
    ///     RequestError, Timeout, StoppedError: As for `send_subscribe`.
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
    /// As `send_unsubscribe`, without waiting: gives the answer, which `ringmq.aio` waits for.
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
    /// Takes the next message out of the queue of received ones, waiting for it at most `timeout` seconds (from 0 on,
    /// default 5). That acknowledges it where the option `acknowledge` is `"take"`.
    ///
    /// Raises:
    ///     Timeout: None came in time.
    ///     StoppedError: The client is stopped, and all its messages were taken; or it was never connected.
    ///     ValueError: A `timeout` below 0.
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
        let client = self.client(py)?;
        while let Some(message) = (list.len() < max).then(|| client.blocking().try_recv()).flatten() {
            list.append(Message::client(message))?;
        }
        Ok(list)
    }
    /// For event loops: the next message in a tuple, or `None`, and then the waker is called when one comes.
    ///
    /// Raises:
    ///     StoppedError: The client is stopped, and all its messages were taken.
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
    /// The next event of the connection as a name and its fields, or `None` when none came within `timeout` seconds;
    /// default 0. `next_event` is the convenient form.
    ///
    /// Raises:
    ///     StoppedError: The client is not connected, nor connecting.
    #[pyo3(signature = (timeout = 0.0))]
    fn event<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let client = self.client(py)?;
        let look = |until: std::time::Instant| {
            client.blocking().recv_event(until.saturating_duration_since(std::time::Instant::now()))
        };
        wait::until(py, wait::seconds(timeout)?, look)?.map(|found| event(py, found)).transpose()
    }
    /// For event loops: the next event as `event` gives it, or `None`, and then the waker is called when one comes.
    ///
    /// Raises:
    ///     StoppedError: The client is stopped, and all events were taken.
    fn poll_event<'py>(&self, py: Python<'py>, waker: &NumberWaker) -> PyResult<Option<Bound<'py, PyTuple>>> {
        match self.client(py)?.poll_event(&mut waker.context()) {
            Poll::Ready(Some(found)) => event(py, found).map(Some),
            Poll::Ready(None) => Err(errors::plain(py, "StoppedError", "The client is stopped.")),
            Poll::Pending => Ok(None),
        }
    }
    /// Acknowledges a message of QoS 1 or 2, where the option `acknowledge` is `"manual"`. Acknowledgements leave in
    /// the order in which the messages came (MQTT 5.0, 4.6).
    ///
    /// Args:
    ///     message: One that this client received.
    ///     reason: The reason code of PUBACK or PUBREC (MQTT 5.0, 3.4.2.1 and 3.5.2.1); from 0x80 on it refuses the
    ///         message. Default 0, Success; only 5.0 sends another.
    ///
    /// Returns:
    ///     Whether there was something to acknowledge: false at QoS 0, for a message that was acknowledged before, and
    ///     when it is too late, because the connection it came by is gone and the server sends it again.
    ///
    /// Raises:
    ///     ValueError: A message that came to no client, or a number that is no reason code.
    ///     StoppedError: The client is not connected, nor connecting.
    #[pyo3(signature = (message, reason = 0))]
    fn acknowledge(&self, py: Python<'_>, message: &Message, reason: u8) -> PyResult<bool> {
        let message =
            message.as_client().ok_or_else(|| PyValueError::new_err("this message came to no client"))?;
        Ok(self.client(py)?.blocking().acknowledge_with(message, reason_code(reason)?))
    }
    /// Waits until everything was sent and answered.
    ///
    /// Raises:
    ///     Timeout: Something was not finished within `timeout` seconds; default 30.
    ///     StoppedError: The client is stopped.
    #[pyo3(signature = (timeout = 30.0))]
    fn flush(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let client = self.client(py)?;
        block(py, wait::seconds(timeout)?, client.flush(), errors::request)
    }
    /// As `flush`, without waiting: gives the answer, which `ringmq.aio` waits for.
    fn flush_later(&self, py: Python<'_>) -> PyResult<Pending> {
        let client = self.client(py)?;
        Ok(later(async move { client.flush().await }, errors::request, nothing))
    }
    /// Waits until everything was sent and answered, sends DISCONNECT and stops, within `timeout` seconds; default 30.
    /// What is not finished by then is dropped.
    ///
    /// Args:
    ///     reason: The reason code of DISCONNECT (MQTT 5.0, 3.14.2.1); 4 has the will published. Default 0.
    ///     session_expiry_interval: Seconds that the session outlives the connection from now on (MQTT 5.0,
    ///         3.14.2.2.2).
    ///     reason_string, user_properties: MQTT 5.0, 3.14.2.2.3 and 3.14.2.2.4.
    ///
    /// Raises:
    ///     RequestError: A DISCONNECT that MQTT does not allow.
    ///     Timeout: Something was not finished.
    ///     StoppedError: The client is stopped already.
    ///     ValueError: No reason code.
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
    /// As `disconnect`, without waiting: gives the answer, which `ringmq.aio` waits for.
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
    /// Closes the connection without waiting for anything; messages that were not sent are dropped.
    fn forget(&self, py: Python<'_>) {
        if let Ok(mut place) = self.running.write() {
            let running = place.take();
            drop(place);
            py.detach(|| end(running));
        }
    }
}
