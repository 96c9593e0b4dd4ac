//! Messages, as the application sends and receives them.

use bytes::Bytes;
use ringmq_proto::peer::{Incoming, Outgoing};
use ringmq_wire::{Properties, Property, Qos};
use std::fmt;

/// A message to publish. Properties are for 5.0 only.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Publish {
    pub(crate) inner: Outgoing,
}

impl Publish {
    /// A message of QoS 0 that is not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { inner: Outgoing { topic: topic.into(), payload: payload.into(), ..Outgoing::default() } }
    }

    /// Sets the quality of service.
    pub fn qos(mut self, qos: Qos) -> Self {
        self.inner.qos = qos;
        self
    }

    /// Asks the server to keep it as the topic's retained message; with an empty payload, to remove that.
    pub fn retain(mut self, retain: bool) -> Self {
        self.inner.retain = retain;
        self
    }

    /// Says that the payload is UTF-8 text.
    pub fn utf8_payload(mut self) -> Self {
        self.inner.properties.push_u8(Property::PayloadFormatIndicator, 1);
        self
    }

    /// After this many seconds the server no longer delivers it.
    pub fn message_expiry_seconds(mut self, seconds: u32) -> Self {
        self.inner.properties.push_u32(Property::MessageExpiryInterval, seconds);
        self
    }

    /// What the payload is, usually a MIME type; at most 65,535 bytes.
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.inner.properties.push_str(Property::ContentType, content_type);
        self
    }

    /// Where an answer is expected; a topic name of at most 65,535 bytes.
    pub fn response_topic(mut self, topic: &str) -> Self {
        self.inner.properties.push_str(Property::ResponseTopic, topic);
        self
    }

    /// What an answer is to carry, so that it is recognised; at most 65,535 bytes.
    pub fn correlation_data(mut self, data: &[u8]) -> Self {
        self.inner.properties.push_bytes(Property::CorrelationData, data);
        self
    }

    /// Adds a user property; name and value have at most 65,535 bytes each.
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        self.inner.properties.push_user(name, value);
        self
    }

    /// Adds all of these, as they are.
    pub fn properties(mut self, properties: Properties<'_>) -> Self {
        self.inner.properties.push_raw(properties);
        self
    }
}

impl<T: Into<String>, P: Into<Bytes>> From<(T, P)> for Publish {
    fn from((topic, payload): (T, P)) -> Self {
        Self::new(topic, payload)
    }
}

/// A message that came from the server.
#[derive(Clone)]
pub struct Message {
    pub(crate) inner: Incoming,
}

impl Message {
    /// Topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.inner.topic
    }

    /// Payload; cloning shares it.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.inner.payload
    }

    /// Quality of service it was delivered with.
    #[must_use]
    pub fn qos(&self) -> Qos {
        self.inner.qos
    }

    /// Whether it is a retained message (or carries the flag because the subscription asked for it).
    #[must_use]
    pub fn retain(&self) -> bool {
        self.inner.retain
    }

    /// Whether the server says that it may have sent it before.
    #[must_use]
    pub fn dup(&self) -> bool {
        self.inner.dup
    }

    /// Packet identifier, 0 at QoS 0.
    #[must_use]
    pub fn packet_id(&self) -> u16 {
        self.inner.packet_id.map_or(0, |packet_id| packet_id.value())
    }

    /// All properties, in the order in which they came.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        self.inner.properties.as_properties()
    }

    /// Whether the sender says that the payload is UTF-8 text.
    #[must_use]
    pub fn is_utf8_payload(&self) -> bool {
        self.properties().u8(Property::PayloadFormatIndicator) == Some(1)
    }

    /// Seconds left until it expires.
    #[must_use]
    pub fn message_expiry_seconds(&self) -> Option<u32> {
        self.properties().u32(Property::MessageExpiryInterval)
    }

    /// What the payload is.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.properties().str(Property::ContentType)
    }

    /// Where the sender expects an answer.
    #[must_use]
    pub fn response_topic(&self) -> Option<&str> {
        self.properties().str(Property::ResponseTopic)
    }

    /// What an answer is to carry.
    #[must_use]
    pub fn correlation_data(&self) -> Option<&[u8]> {
        self.properties().bytes(Property::CorrelationData)
    }

    /// User properties, in order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties().user_properties()
    }

    /// Identifiers of the subscriptions it matched.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
        self.properties().subscription_identifiers()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}
