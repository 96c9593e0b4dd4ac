//! How to connect, and the bounds a client keeps.

use crate::{Backoff, Client, Context, Event, Message, Tls};
use bytes::Bytes;
use ringmq_auth::scram::METHOD;
use ringmq_proto::peer::{Acknowledge, Options as PeerOptions, PeerWill};
use ringmq_wire::{PropertiesBuffer, Property, Qos, Version};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// When a received message of QoS 1 or 2 is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledgement {
    /// When the application takes it, or its callback returns: what the program has not seen when it ends
    /// comes again.
    #[default]
    OnTake,
    /// When it arrives.
    OnReceipt,
    /// By [`Client::acknowledge`].
    Manual,
}

pub(crate) type MessageCallback = Box<dyn FnMut(&Client, Message) + Send>;
pub(crate) type EventCallback = Box<dyn FnMut(&Client, Event) + Send>;

/// How to connect. Everything but the address has a default.
#[must_use]
pub struct Options {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) unix: Option<PathBuf>,
    pub(crate) tls: Option<Tls>,
    pub(crate) websocket: Option<String>,
    pub(crate) peer: PeerOptions,
    pub(crate) scram: Option<(String, Bytes)>,
    pub(crate) acknowledgement: Acknowledgement,
    pub(crate) reconnect: Option<Backoff>,
    pub(crate) connect_timeout: Duration,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) publish_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) receive_queue_messages_max: usize,
    pub(crate) on_message: Option<MessageCallback>,
    pub(crate) on_event: Option<EventCallback>,
    pub(crate) context: Option<Context>,
}

impl Options {
    /// Connects to this host (a name or an address) and port by MQTT 5.0, with a client identifier that the
    /// server assigns, a clean start and a keep alive of 60 s.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            unix: None,
            tls: None,
            websocket: None,
            peer: PeerOptions::default(),
            scram: None,
            acknowledgement: Acknowledgement::default(),
            reconnect: Some(Backoff::default()),
            connect_timeout: Duration::from_secs(10),
            bind: None,
            publish_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            receive_queue_messages_max: 1000,
            on_message: None,
            on_event: None,
            context: None,
        }
    }

    /// Connects to the Unix socket of this path, and not to the host and port.
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix = Some(path.into());
        self
    }

    /// Uses TLS. The port stays as it is; servers mostly have 8883 for it.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Uses WebSocket, asking for this path with its query; mostly it is `/mqtt`.
    pub fn websocket(mut self, path: impl Into<String>) -> Self {
        self.websocket = Some(path.into());
        self
    }

    /// Protocol version; default 5.0.
    pub fn version(mut self, version: Version) -> Self {
        self.peer.version = version;
        self
    }

    /// Client identifier; default empty, so that the server assigns one. 3.1 needs one.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.peer.client_id = client_id.into();
        self
    }

    /// Whether the first connection begins a new session (in 3.x each connection: clean session); default
    /// true.
    pub fn clean_start(mut self, clean_start: bool) -> Self {
        self.peer.clean_start = clean_start;
        self
    }

    /// How many seconds the session outlives the connection (5.0); default 0, `u32::MAX` is for ever.
    pub fn session_expiry_seconds(mut self, seconds: u32) -> Self {
        self.peer.session_expiry_seconds = seconds;
        self
    }

    /// Keep alive in seconds, 0 to turn it off; default 60.
    pub fn keep_alive_seconds(mut self, seconds: u16) -> Self {
        self.peer.keep_alive_seconds = seconds;
        self
    }

    /// User name and password.
    pub fn credentials(mut self, user_name: impl Into<String>, password: impl Into<Bytes>) -> Self {
        self.peer.user_name = Some(user_name.into());
        self.peer.password = Some(password.into());
        self
    }

    /// User name without a password.
    pub fn user_name(mut self, user_name: impl Into<String>) -> Self {
        self.peer.user_name = Some(user_name.into());
        self
    }

    /// Password; only 5.0 allows it without a user name.
    pub fn password(mut self, password: impl Into<Bytes>) -> Self {
        self.peer.password = Some(password.into());
        self
    }

    /// What the server publishes when the connection ends without a goodbye.
    pub fn will(mut self, will: Will) -> Self {
        self.peer.will = Some(will.inner);
        self
    }

    /// How many messages of QoS 1 and 2 the server may have unacknowledged towards this client (5.0).
    /// Default 65,535.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.peer.receive_maximum = messages.max(1);
        self
    }

    /// The greatest packet accepted, in bytes; the server is told (5.0). Default the protocol's maximum.
    pub fn packet_bytes_max(mut self, bytes: u32) -> Self {
        self.peer.packet_bytes_max = bytes.max(1);
        self
    }

    /// How many topic aliases the server may use (5.0); default 0.
    pub fn topic_alias_max(mut self, aliases: u16) -> Self {
        self.peer.topic_alias_max = aliases;
        self
    }

    /// Whether topic aliases are used towards a server that offers them (5.0); default true.
    pub fn topic_alias_send(mut self, send: bool) -> Self {
        self.peer.topic_alias_send = send;
        self
    }

    /// Asks for response information (5.0); default false.
    pub fn request_response_information(mut self, request: bool) -> Self {
        self.peer.request_response_information = request;
        self
    }

    /// Whether the server may explain errors (5.0); default true.
    pub fn request_problem_information(mut self, request: bool) -> Self {
        self.peer.request_problem_information = request;
        self
    }

    /// Method and first data of an enhanced authentication (5.0).
    pub fn authentication(mut self, method: impl Into<String>, data: impl Into<Bytes>) -> Self {
        self.peer.authentication = Some((method.into(), data.into()));
        self
    }

    /// Proves the password of this user by SCRAM-SHA-256 (5.0; RFC 7677) instead of sending it, and believes no server
    /// that does not know it. Each connection takes some thousand digests, as the server says, on the context's thread.
    pub fn scram(mut self, user_name: impl Into<String>, password: impl Into<Bytes>) -> Self {
        self.scram = Some((user_name.into(), password.into()));
        self.authentication(METHOD, Bytes::new())
    }

    /// Adds a user property to CONNECT (5.0).
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.peer.user_properties.push((name.into(), value.into()));
        self
    }

    /// Sets the bridge bit of CONNECT (3.x): a server that knows it does not echo and keeps retain flags.
    pub fn bridge(mut self, bridge: bool) -> Self {
        self.peer.bridge = bridge;
        self
    }

    /// The local address to connect from; default whichever the system takes.
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.bind = Some(address);
        self
    }

    /// How long an attempt to connect may take until the transport stands, all addresses, TLS and WebSocket
    /// together; default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long to wait for CONNACK and PINGRESP; default 10 s.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.peer.response_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        self
    }

    /// How to connect again after a connection has ended; none to stop then. Default 0.5 s to 30 s.
    pub fn reconnect(mut self, backoff: Option<Backoff>) -> Self {
        self.reconnect = backoff;
        self
    }

    /// Whether messages the server had not confirmed are published as new when it has lost the session;
    /// default true. See [`ringmq_proto::peer::Options::republish`].
    pub fn republish(mut self, republish: bool) -> Self {
        self.peer.republish = republish;
        self
    }

    /// Whether subscriptions are made again when the server has lost the session; default true.
    pub fn resubscribe(mut self, resubscribe: bool) -> Self {
        self.peer.resubscribe = resubscribe;
        self
    }

    /// How many messages of QoS 1 and 2 may be unfinished towards the server; default 1000 in 5.0, where the
    /// server's receive maximum bounds it further, and 20 in 3.x, where servers cannot name their limit.
    pub fn in_flight_max(mut self, messages: u16) -> Self {
        self.peer.in_flight_max = Some(messages.max(1));
        self
    }

    /// How many messages may wait to be sent; default 10,000.
    pub fn queue_messages_max(mut self, messages: usize) -> Self {
        self.peer.queue_messages_max = messages.max(1);
        self
    }

    /// How many bytes of messages may wait to be sent or be unfinished; default 64 MiB. A single message may
    /// be larger when no other is there.
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.peer.queue_bytes_max = bytes;
        self
    }

    /// Whether messages of QoS 0 wait for a connection when there is none; else they are refused. Default
    /// true.
    pub fn queue_qos0_offline(mut self, queue: bool) -> Self {
        self.peer.queue_qos0_offline = queue;
        self
    }

    /// How many received messages may wait for the application before the socket is no longer read; default
    /// 1000. What one read of at most 64 KiB brings may come on top.
    pub fn receive_queue_messages_max(mut self, messages: usize) -> Self {
        self.receive_queue_messages_max = messages.max(1);
        self
    }

    /// When received messages are acknowledged; default when the application takes them.
    pub fn acknowledgement(mut self, acknowledgement: Acknowledgement) -> Self {
        self.acknowledgement = acknowledgement;
        self.peer.acknowledge = match acknowledgement {
            Acknowledgement::OnReceipt => Acknowledge::OnReceipt,
            Acknowledgement::OnTake | Acknowledgement::Manual => Acknowledge::ByApplication,
        };
        self
    }

    /// How long [`Client::publish`] waits for room in the queue; default 5 s.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How long to wait for answers to SUBSCRIBE, UNSUBSCRIBE and PUBLISH, and for the last bytes when
    /// disconnecting; default 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Called for every message, on the context's thread, instead of queueing it. It must not wait: calls
    /// that would return [`crate::Error::InCallback`].
    pub fn on_message(mut self, callback: impl FnMut(&Client, Message) + Send + 'static) -> Self {
        self.on_message = Some(Box::new(callback));
        self
    }

    /// Called for every event of the connection, on the context's thread. It must not wait.
    pub fn on_event(mut self, callback: impl FnMut(&Client, Event) + Send + 'static) -> Self {
        self.on_event = Some(Box::new(callback));
        self
    }

    /// The context whose thread does the work; default the process's shared one.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// The peer options as they go into the machine.
    pub(crate) fn peer_options(&self) -> PeerOptions {
        let mut peer = self.peer.clone();
        if self.acknowledgement == Acknowledgement::OnTake {
            peer.acknowledge = Acknowledge::ByApplication;
        }
        peer
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password stays out of logs.
        formatter
            .debug_struct("Options")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("version", &self.peer.version)
            .field("client_id", &self.peer.client_id)
            .field("clean_start", &self.peer.clean_start)
            .finish_non_exhaustive()
    }
}

/// The message a server publishes when a connection ends without a goodbye.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Will {
    inner: PeerWill,
}

impl Will {
    /// A will of QoS 0 that is not retained; the payload has at most 65,535 bytes.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { inner: PeerWill { topic: topic.into(), payload: payload.into(), ..PeerWill::default() } }
    }

    /// Sets the quality of service.
    pub fn qos(mut self, qos: Qos) -> Self {
        self.inner.qos = qos;
        self
    }

    /// Whether it becomes the topic's retained message.
    pub fn retain(mut self, retain: bool) -> Self {
        self.inner.retain = retain;
        self
    }

    /// Seconds between the end of the connection and the will; a client that is back by then prevents it
    /// (5.0).
    pub fn delay_seconds(mut self, seconds: u32) -> Self {
        self.inner.properties.push_u32(Property::WillDelayInterval, seconds);
        self
    }

    /// Says that the payload is UTF-8 text (5.0).
    pub fn utf8_payload(mut self) -> Self {
        self.inner.properties.push_u8(Property::PayloadFormatIndicator, 1);
        self
    }

    /// After this many seconds the server no longer delivers it (5.0).
    pub fn message_expiry_seconds(mut self, seconds: u32) -> Self {
        self.inner.properties.push_u32(Property::MessageExpiryInterval, seconds);
        self
    }

    /// What the payload is (5.0).
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.inner.properties.push_str(Property::ContentType, content_type);
        self
    }

    /// Where an answer is expected (5.0).
    pub fn response_topic(mut self, topic: &str) -> Self {
        self.inner.properties.push_str(Property::ResponseTopic, topic);
        self
    }

    /// What an answer is to carry (5.0).
    pub fn correlation_data(mut self, data: &[u8]) -> Self {
        self.inner.properties.push_bytes(Property::CorrelationData, data);
        self
    }

    /// Adds a user property (5.0).
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        self.inner.properties.push_user(name, value);
        self
    }

    /// Adds all of these (5.0).
    pub fn properties(mut self, properties: &PropertiesBuffer) -> Self {
        self.inner.properties.push_raw(properties.as_properties());
        self
    }
}
