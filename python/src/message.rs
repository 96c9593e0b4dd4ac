//! A message that arrived, as Python sees it. Its parts become Python's when they are asked for.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PyString};
use ringmq::questions::Content;
use ringmq::{Bytes, Properties, Property, ReceivedMessage, RetainedReport};

use crate::client::property_list;
use crate::payload;

enum Source {
    /// From a broker of this process.
    Local(ReceivedMessage),
    /// From a client's connection.
    Client(ringmq_client::Message),
    /// Kept by a broker of this process.
    Retained(RetainedReport),
    /// Published by a client of a broker of this process, and not yet let pass.
    Offered(String, Content),
}

/// A message that arrived (PUBLISH; MQTT 5.0, 3.3), or that a broker keeps or is about to let pass. Its attributes
/// are read-only, and become Python objects each time they are asked for.
#[pyclass(frozen, module = "ringmq._ringmq", freelist = 256)]
pub struct Message {
    source: Source,
}

impl Message {
    /// One of a subscription in this process.
    pub fn local(message: ReceivedMessage) -> Self {
        Self { source: Source::Local(message) }
    }
    /// One of a client.
    pub fn client(message: ringmq_client::Message) -> Self {
        Self { source: Source::Client(message) }
    }
    /// One that a broker keeps for its topic.
    pub fn retained(message: RetainedReport) -> Self {
        Self { source: Source::Retained(message) }
    }
    /// One that a client of a broker wants to publish.
    pub fn offered(topic: &str, content: Content) -> Self {
        Self { source: Source::Offered(topic.to_owned(), content) }
    }
    /// What a subscription acknowledges.
    pub fn as_local(&self) -> Option<&ReceivedMessage> {
        match &self.source {
            Source::Local(message) => Some(message),
            Source::Client(_) | Source::Retained(_) | Source::Offered(..) => None,
        }
    }
    /// What a client acknowledges.
    pub fn as_client(&self) -> Option<&ringmq_client::Message> {
        match &self.source {
            Source::Client(message) => Some(message),
            Source::Local(_) | Source::Retained(_) | Source::Offered(..) => None,
        }
    }
    fn properties(&self) -> Properties<'_> {
        match &self.source {
            Source::Local(message) => message.properties(),
            Source::Client(message) => message.properties(),
            Source::Retained(message) => message.properties.as_properties(),
            Source::Offered(_, message) => message.properties.as_properties(),
        }
    }
    fn bytes(&self) -> Bytes {
        match &self.source {
            Source::Local(message) => message.payload_bytes(),
            Source::Client(message) => message.payload().clone(),
            Source::Retained(message) => message.payload.clone(),
            Source::Offered(_, message) => message.payload.clone(),
        }
    }
    fn slice(&self) -> &[u8] {
        match &self.source {
            Source::Local(message) => message.payload(),
            Source::Client(message) => message.payload(),
            Source::Retained(message) => &message.payload,
            Source::Offered(_, message) => &message.payload,
        }
    }
}

#[pymethods]
impl Message {
    /// The topic name (MQTT 5.0, 3.3.2.1), without a topic alias.
    #[getter]
    fn topic(&self) -> &str {
        match &self.source {
            Source::Local(message) => message.topic(),
            Source::Client(message) => message.topic(),
            Source::Retained(message) => &message.topic,
            Source::Offered(topic, _) => topic,
        }
    }
    /// The payload as bytes of its own, copied each time. Payload and rest of the packet have at most 268,435,455 bytes
    /// (MQTT 5.0, 2.1.4).
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.slice())
    }
    /// The payload as a read-only `memoryview` of bytes, without a copy of its own. It may outlive the message.
    #[getter]
    fn payload_view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        payload::view(py, self.bytes())
    }
    /// The payload as text.
    ///
    /// Raises:
    ///     UnicodeDecodeError: It is not UTF-8.
    #[getter]
    fn text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyBytes::new(py, self.slice()).call_method0("decode")?.cast_into().map_err(Into::into)
    }
    /// The QoS it was delivered with, 0, 1 or 2 (MQTT 5.0, 4.3); in `Broker.retained` and `on_publish`, the QoS it was
    /// published with.
    #[getter]
    fn qos(&self) -> u8 {
        match &self.source {
            Source::Local(message) => message.qos() as u8,
            Source::Client(message) => message.qos() as u8,
            Source::Retained(message) => message.qos as u8,
            Source::Offered(_, message) => message.qos as u8,
        }
    }
    /// The RETAIN flag (MQTT 5.0, 3.3.1.3): a retained message that a subscription brought, or as published where
    /// Retain As Published was asked for. Always true in `Broker.retained`; in `on_publish` as the client gave it.
    #[getter]
    fn retain(&self) -> bool {
        match &self.source {
            Source::Local(message) => message.retain(),
            Source::Client(message) => message.retain(),
            Source::Retained(_) => true,
            Source::Offered(_, message) => message.retain,
        }
    }
    /// The DUP flag (MQTT 5.0, 3.3.1.1): a client's server may have sent it before. False for all that came to no
    /// client.
    #[getter]
    fn dup(&self) -> bool {
        self.as_client().is_some_and(ringmq_client::Message::dup)
    }
    /// The Packet Identifier (MQTT 5.0, 2.2.1) by which it came to a client, 1 to 65,535; 0 at QoS 0 and for all that
    /// came to no client.
    #[getter]
    fn packet_id(&self) -> u16 {
        self.as_client().map_or(0, ringmq_client::Message::packet_id)
    }
    /// 1 says that the payload is UTF-8 text, 0 that it is bytes; `None` where the publisher says nothing (MQTT 5.0,
    /// 3.3.2.3.2).
    #[getter]
    fn payload_format_indicator(&self) -> Option<u8> {
        self.properties().u8(Property::PayloadFormatIndicator)
    }
    /// Seconds until it expires, as of its delivery; in `Broker.retained`, as of that call; in `on_publish`, as the
    /// client gave it. `None`: never (MQTT 5.0, 3.3.2.3.3).
    #[getter]
    fn message_expiry_interval(&self) -> Option<u32> {
        match &self.source {
            Source::Local(message) => message.expiry_left_seconds(),
            Source::Client(message) => message.message_expiry_seconds(),
            Source::Retained(message) => message.expiry_left_seconds,
            Source::Offered(..) => self.properties().u32(Property::MessageExpiryInterval),
        }
    }
    /// What the payload is, usually a MIME type (MQTT 5.0, 3.3.2.3.9); `None` where the publisher does not say.
    #[getter]
    fn content_type(&self) -> Option<&str> {
        self.properties().str(Property::ContentType)
    }
    /// The topic name where a response is expected (MQTT 5.0, 3.3.2.3.5); `None` where none is.
    #[getter]
    fn response_topic(&self) -> Option<&str> {
        self.properties().str(Property::ResponseTopic)
    }
    /// What a response is to carry, so that it is recognised (MQTT 5.0, 3.3.2.3.6); `None` where there is none.
    #[getter]
    fn correlation_data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.properties().bytes(Property::CorrelationData).map(|data| PyBytes::new(py, data))
    }
    /// Names and values of the application's own, in their order; a name may come twice (MQTT 5.0, 3.3.2.3.7).
    #[getter]
    fn user_properties(&self) -> Vec<(&str, &str)> {
        self.properties().user_properties().collect()
    }
    /// Identifiers of the subscriptions it matched, 1 to 268,435,455 each (MQTT 5.0, 3.3.2.3.8); empty where they have
    /// none.
    #[getter]
    fn subscription_identifiers(&self) -> Vec<u32> {
        match &self.source {
            Source::Local(message) => message.subscription_ids().to_vec(),
            Source::Client(message) => message.subscription_identifiers().collect(),
            Source::Retained(_) | Source::Offered(..) => Vec::new(),
        }
    }
    /// All properties as pairs of the specification's name and a value, in the order in which they came (MQTT 5.0,
    /// 3.3.2.3).
    fn properties_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        property_list(py, self.properties())
    }
    fn __repr__(&self) -> String {
        /// Bytes of a payload that are shown.
        const SHOWN_MAX: usize = 64;
        let payload = self.slice();
        let shown = payload[..payload.len().min(SHOWN_MAX)].escape_ascii();
        let more = if payload.len() > SHOWN_MAX { "..." } else { "" };
        let retain = if self.retain() { ", retain=True" } else { "" };
        format!("Message(topic={:?}, payload=b'{shown}'{more}, qos={}{retain})", self.topic(), self.qos())
    }
}
