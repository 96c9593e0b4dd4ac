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

/// A message that arrived.
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
    #[getter]
    fn topic(&self) -> &str {
        match &self.source {
            Source::Local(message) => message.topic(),
            Source::Client(message) => message.topic(),
            Source::Retained(message) => &message.topic,
            Source::Offered(topic, _) => topic,
        }
    }
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.slice())
    }
    #[getter]
    fn payload_view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        payload::view(py, self.bytes())
    }
    #[getter]
    fn text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyBytes::new(py, self.slice()).call_method0("decode")?.cast_into().map_err(Into::into)
    }
    #[getter]
    fn qos(&self) -> u8 {
        match &self.source {
            Source::Local(message) => message.qos() as u8,
            Source::Client(message) => message.qos() as u8,
            Source::Retained(message) => message.qos as u8,
            Source::Offered(_, message) => message.qos as u8,
        }
    }
    #[getter]
    fn retain(&self) -> bool {
        match &self.source {
            Source::Local(message) => message.retain(),
            Source::Client(message) => message.retain(),
            Source::Retained(_) => true,
            Source::Offered(_, message) => message.retain,
        }
    }
    #[getter]
    fn dup(&self) -> bool {
        self.as_client().is_some_and(ringmq_client::Message::dup)
    }
    #[getter]
    fn packet_id(&self) -> u16 {
        self.as_client().map_or(0, ringmq_client::Message::packet_id)
    }
    #[getter]
    fn payload_format_indicator(&self) -> Option<u8> {
        self.properties().u8(Property::PayloadFormatIndicator)
    }
    #[getter]
    fn message_expiry_interval(&self) -> Option<u32> {
        match &self.source {
            Source::Local(message) => message.expiry_left_seconds(),
            Source::Client(message) => message.message_expiry_seconds(),
            Source::Retained(message) => message.expiry_left_seconds,
            Source::Offered(..) => self.properties().u32(Property::MessageExpiryInterval),
        }
    }
    #[getter]
    fn content_type(&self) -> Option<&str> {
        self.properties().str(Property::ContentType)
    }
    #[getter]
    fn response_topic(&self) -> Option<&str> {
        self.properties().str(Property::ResponseTopic)
    }
    #[getter]
    fn correlation_data<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.properties().bytes(Property::CorrelationData).map(|data| PyBytes::new(py, data))
    }
    #[getter]
    fn user_properties(&self) -> Vec<(&str, &str)> {
        self.properties().user_properties().collect()
    }
    #[getter]
    fn subscription_identifiers(&self) -> Vec<u32> {
        match &self.source {
            Source::Local(message) => message.subscription_ids().to_vec(),
            Source::Client(message) => message.subscription_identifiers().collect(),
            Source::Retained(_) | Source::Offered(..) => Vec::new(),
        }
    }
    /// All properties as pairs of the specification's name and a value, in the order in which they came.
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
