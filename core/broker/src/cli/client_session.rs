//! What `ringmq pub`, `sub` and `rr` do over a connection, on the client library: connects with the flags'
//! settings, prints the lines of `--debug`, and turns the library's errors into exit codes. Decides nothing
//! about messages.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmq_client::{
    Acknowledgement, Backoff, Client, ConnectError, Error, Event, Goodbye, Message, Options, Publish,
    Receipt, RecvError, Stopped, Subscribe, Unsubscribe, Will,
};
use ringmq_wire::{Properties, PropertiesBuffer, Property, Qos, ReasonCode, SubscriptionOptions, Version};

use super::client_failure::Failure;
use super::client_options::{Target, Tool};
use super::client_property::PropertyOptions;
use super::message_format::Received;

/// How long an answer is waited for: scripts are used to for ever, and end it by a signal.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often a wait looks whether a signal came.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// The pause before connecting again, the same each time, as scripts know it.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// The line of `--debug` about a connection that the server accepted.
const CONNACK: &str = "received CONNACK (0)";

/// A connection that stands, or is being made again.
pub struct Session {
    client: Client,
    talk: Talk,
    version: Version,
    properties: PropertyOptions,
    stop: Arc<AtomicBool>,
}

/// What a wait for a message gave.
pub enum Next {
    /// A message.
    Message(Message),
    /// A signal asks for the end.
    Stopped,
    /// The time is over.
    TimedOut,
}

impl Session {
    /// Connects and waits for the server's answer. A first attempt that fails is not repeated; a connection
    /// that is lost later is made again if `reconnect` says so.
    pub fn open(target: Target, tool: Tool, reconnect: bool) -> Result<Self, Failure> {
        let version = target.version;
        let name = if target.client_id.is_empty() { "null" } else { &target.client_id };
        let talk = Talk { debug: target.debug, name: name.to_owned() };
        let mut options = options_of(&target)
            .reconnect(reconnect.then_some(Backoff { min: RECONNECT_PAUSE, max: RECONNECT_PAUSE }));
        options = match tool {
            // A session kept from earlier may have messages for this client; nobody would take them.
            // Its goodbye waits until everything is out, however long a large message takes.
            Tool::Publish => options.on_message(|_, _| {}).request_timeout(PATIENCE),
            Tool::Subscribe | Tool::Request => options.acknowledgement(Acknowledgement::Manual),
        };
        let (listener, mut first) = (talk.clone(), true);
        options = options.on_event(move |_, event| {
            // The first connection is told where it was waited for, so that the lines keep their order.
            let told = matches!(event, Event::Connected(_)) && std::mem::take(&mut first);
            if !told {
                listener.event(&event);
            }
        });
        talk.say("sending CONNECT");
        let client = Client::connect(options).map_err(|error| connect_failure(version, &error))?;
        talk.say(CONNACK);
        Ok(Self { client, talk, version, properties: target.properties, stop: Arc::default() })
    }

    /// From now on SIGINT and SIGTERM end the waits of [`Session::next`]; the second one ends the process.
    pub fn stop_on_signals(&self) -> Result<(), Failure> {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let again =
                signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, self.stop.clone());
            again
                .and_then(|_| signal_hook::flag::register(signal, self.stop.clone()))
                .map_err(|error| Failure::Failed(format!("Cannot listen to signals: {error}.")))?;
        }
        Ok(())
    }

    /// Sends a message with the properties of `-D publish`; waits for room when too many are under way.
    pub fn publish(
        &self,
        topic: &str,
        payload: Bytes,
        qos: Qos,
        retain: bool,
    ) -> Result<Publication, Failure> {
        let message = Publish::new(topic, payload.clone()).qos(qos).retain(retain);
        let message = match self.version {
            Version::V5 => message.properties(without_alias(&self.properties.publish).as_properties()),
            _ => message,
        };
        self.talk.publish(topic, &payload, qos, retain);
        self.send(message, topic)
    }

    /// Sends the empty retained message that has the server forget its own.
    pub fn forget(&self, topic: &str) -> Result<Publication, Failure> {
        self.talk.publish(topic, &[], Qos::AtLeastOnce, true);
        self.send(Publish::new(topic, Bytes::new()).qos(Qos::AtLeastOnce).retain(true), topic)
    }

    fn send(&self, message: Publish, topic: &str) -> Result<Publication, Failure> {
        let receipt = self.client.publish(message);
        let receipt = receipt.map_err(|error| self.failure(error, || format!("Publishing to '{topic}'")))?;
        Ok(Publication { receipt, topic: topic.to_owned() })
    }

    /// Waits until the server has taken a message, or at QoS 0 until it has gone out.
    pub fn wait(&self, publication: Publication) -> Result<(), Failure> {
        let topic = publication.topic;
        let answer = publication.receipt.wait_timeout(PATIENCE);
        let reason = answer.map_err(|error| self.failure(error, || format!("Publishing to '{topic}'")))?;
        self.talk.say(&format!("published '{topic}' ({})", reason.name()));
        Ok(())
    }

    /// As [`Session::wait`], for a session that also gets messages: a full queue of them would stop the reading
    /// and the answer stand behind it, so they are taken meanwhile; unacknowledged, they stay with the server.
    pub fn wait_among_messages(&self, publication: Publication) -> Result<(), Failure> {
        while publication.receipt.answer().is_none() && !self.stop.load(Ordering::Relaxed) {
            if let Err(RecvError::Stopped) = self.client.recv_timeout(SIGNAL_CHECK) {
                break;
            }
        }
        if publication.receipt.answer().is_none() { Ok(()) } else { self.wait(publication) }
    }

    /// Subscribes to all filters at once and gives the server's answer to each.
    pub fn subscribe(
        &self,
        filters: &[String],
        options: SubscriptionOptions,
    ) -> Result<Vec<ReasonCode>, Failure> {
        let mut request = Subscribe::default();
        for filter in filters {
            self.talk.say(&format!("sending SUBSCRIBE (Topic: {filter}, Options: {:#04x})", options.to_u8()));
            request = request.filter(filter, options);
        }
        let properties = self.properties.subscribe.as_properties();
        if let Some(identifier) = properties.u32(Property::SubscriptionIdentifier) {
            request = request.identifier(identifier);
        }
        for (name, value) in properties.user_properties() {
            request = request.user_property(name, value);
        }
        let codes = self
            .client
            .subscribe(request)
            .map_err(|error| self.failure(error, || "Subscribing".to_owned()))?;
        self.talk.say("received SUBACK");
        let granted: Vec<_> = codes.iter().map(|code| code.value().to_string()).collect();
        self.talk.print(&format!("Subscribed: {}", granted.join(", ")));
        Ok(codes)
    }

    /// Unsubscribes from all filters at once.
    pub fn unsubscribe(&self, filters: &[String]) -> Result<(), Failure> {
        let mut request = Unsubscribe::default();
        for filter in filters {
            self.talk.say(&format!("sending UNSUBSCRIBE (Topic: {filter})"));
            request = request.filter(filter);
        }
        for (name, value) in self.properties.unsubscribe.as_properties().user_properties() {
            request = request.user_property(name, value);
        }
        self.client
            .unsubscribe(request)
            .map_err(|error| self.failure(error, || "Unsubscribing".to_owned()))?;
        self.talk.say("received UNSUBACK");
        Ok(())
    }

    /// Waits for the next message until `deadline`. Before it really waits, `idle` is called once.
    pub fn next(
        &self,
        deadline: Option<Instant>,
        mut idle: impl FnMut() -> io::Result<()>,
    ) -> Result<Next, Failure> {
        let mut wait = Duration::ZERO;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Next::Stopped);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Next::TimedOut);
            }
            match self.client.recv_timeout(wait.min(left.unwrap_or(wait))) {
                Ok(message) => {
                    self.talk.message(&message);
                    return Ok(Next::Message(message));
                }
                Err(RecvError::Stopped) => return Err(self.stopped()),
                Err(RecvError::Timeout) if wait.is_zero() => idle()?,
                Err(RecvError::Timeout) => {}
            }
            wait = SIGNAL_CHECK;
        }
    }

    /// Tells the server that a message was dealt with. Where the connection it came by is gone, the server
    /// sends it again.
    pub fn acknowledge(&self, message: &Message) {
        self.client.acknowledge(message);
    }

    /// Says goodbye and waits until it has gone out.
    pub fn close(self) -> Result<(), Failure> {
        let properties = self.properties.disconnect.as_properties();
        let goodbye = Goodbye {
            session_expiry_seconds: properties.u32(Property::SessionExpiryInterval),
            reason_string: properties.str(Property::ReasonString).map(str::to_owned),
            user_properties: owned_pairs(properties),
            ..Goodbye::default()
        };
        self.talk.say("sending DISCONNECT");
        match self.client.disconnect_with(&goodbye) {
            Ok(()) | Err(Error::Stopped) => Ok(()),
            Err(error) => Err(self.failure(error, || "Disconnecting".to_owned())),
        }
    }

    fn failure(&self, error: Error, request: impl FnOnce() -> String) -> Failure {
        match error {
            Error::Refused(reason) => Failure::Denied(request(), reason),
            Error::Stopped => self.stopped(),
            other => Failure::Failed(other.to_string()),
        }
    }

    /// Why the client stopped by itself.
    fn stopped(&self) -> Failure {
        match self.client.stopped() {
            // Once a connection stood, a broken one and a closed one are the same to the user.
            Some(Stopped::Failed(ConnectError::Transport(_))) => Failure::Lost,
            Some(Stopped::Failed(error)) => connect_failure(self.version, &error),
            _ => Failure::Lost,
        }
    }
}

/// A message on its way.
pub struct Publication {
    receipt: Receipt,
    topic: String,
}

impl Publication {
    /// Whether the server has taken it.
    pub fn is_done(&self) -> bool {
        self.receipt.answer().is_some_and(|answer| answer.is_ok())
    }
}

/// A message as the formats see it.
pub fn received(message: &Message) -> Received<'_> {
    Received {
        topic: message.topic(),
        payload: message.payload(),
        qos: message.qos().value(),
        retain: message.retain(),
        packet_id: message.packet_id(),
        properties: message.properties(),
    }
}

/// Why no connection could be made.
fn connect_failure(version: Version, error: &ConnectError) -> Failure {
    match error {
        ConnectError::Refused { reason, .. } => Failure::Refused(version, *reason),
        ConnectError::ByServer { reason, .. } => {
            Failure::Denied("Disconnected by the server".to_owned(), *reason)
        }
        ConnectError::Closed => Failure::Lost,
        ConnectError::Transport(error) => Failure::Failed(without_number(error)),
        ConnectError::Resolve(error) => {
            Failure::Failed(format!("Unable to connect (Lookup error: {}).", without_number(error)))
        }
        other => Failure::Failed(other.to_string()),
    }
}

/// The text of a system error without its number, which says nothing more.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Prints what happens, if `--debug` asks for it.
#[derive(Clone)]
struct Talk {
    debug: bool,
    name: String,
}

impl Talk {
    fn say(&self, text: &str) {
        if self.debug {
            self.print(&format!("Client {} {text}", self.name));
        }
    }

    fn print(&self, line: &str) {
        if self.debug {
            // Standard output may be closed; the messages themselves will find out.
            let _ = writeln!(io::stdout(), "{line}");
        }
    }

    fn publish(&self, topic: &str, payload: &[u8], qos: Qos, retain: bool) {
        if self.debug {
            let (qos, retain, bytes) = (qos.value(), u8::from(retain), payload.len());
            self.say(&format!("sending PUBLISH (d0, q{qos}, r{retain}, '{topic}', ... ({bytes} bytes))"));
        }
    }

    fn message(&self, message: &Message) {
        if self.debug {
            let (dup, qos, retain) =
                (u8::from(message.dup()), message.qos().value(), u8::from(message.retain()));
            let (mid, topic, bytes) = (message.packet_id(), message.topic(), message.payload().len());
            self.say(&format!(
                "received PUBLISH (d{dup}, q{qos}, r{retain}, m{mid}, '{topic}', ... ({bytes} bytes))"
            ));
        }
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Connected(_) => self.say(CONNACK),
            Event::Disconnected { error, retry_in: Some(pause), .. } => {
                self.say(&format!(
                    "lost the connection: {error} Connecting again in {} s",
                    pause.as_secs_f32()
                ));
            }
            Event::Disconnected { error, .. } => self.say(&format!("lost the connection: {error}")),
            Event::ResubscribeRefused { filter, reason } => {
                self.say(&format!("lost the subscription to {filter}: {}", reason.name()));
            }
            _ => {}
        }
    }
}

fn options_of(target: &Target) -> Options {
    let mut options = Options::new(&target.host, target.port)
        .version(target.version)
        .client_id(&target.client_id)
        .clean_start(target.clean_start)
        .session_expiry_seconds(target.session_expiry.unwrap_or(0))
        .keep_alive_seconds(target.keep_alive)
        .in_flight_max(target.inflight_max)
        .publish_timeout(PATIENCE);
    if let Some(path) = &target.unix {
        options = options.unix(path);
    }
    if let Some(tls) = &target.tls {
        options = options.tls(tls.clone());
    }
    if let Some(path) = target.websocket {
        options = options.websocket(path);
    }
    match (&target.user_name, &target.password) {
        (Some(name), Some(password)) if target.scram => options = options.scram(name, password.clone()),
        (name, password) => {
            if let Some(name) = name {
                options = options.user_name(name);
            }
            if let Some(password) = password {
                options = options.password(password.clone());
            }
        }
    }
    if let Some(address) = target.bind_address {
        options = options.bind(address);
    }
    if let Some(will) = &target.will {
        let message = Will::new(&will.topic, will.payload.clone()).qos(will.qos).retain(will.retain);
        options = options.will(message.properties(&target.properties.will));
    }
    with_connect_properties(options, target.properties.connect.as_properties())
}

/// The session expiry is among the settings already.
fn with_connect_properties(mut options: Options, properties: Properties<'_>) -> Options {
    if let Some(maximum) = properties.u16(Property::ReceiveMaximum) {
        options = options.receive_maximum(maximum);
    }
    if let Some(maximum) = properties.u32(Property::MaximumPacketSize) {
        options = options.packet_bytes_max(maximum);
    }
    if let Some(maximum) = properties.u16(Property::TopicAliasMaximum) {
        options = options.topic_alias_max(maximum);
    }
    if let Some(request) = properties.u8(Property::RequestResponseInformation) {
        options = options.request_response_information(request == 1);
    }
    if let Some(request) = properties.u8(Property::RequestProblemInformation) {
        options = options.request_problem_information(request == 1);
    }
    if let Some(method) = properties.str(Property::AuthenticationMethod) {
        let data = properties.bytes(Property::AuthenticationData).unwrap_or(b"").to_vec();
        options = options.authentication(method, data);
    }
    for (name, value) in properties.user_properties() {
        options = options.user_property(name, value);
    }
    options
}

fn owned_pairs(properties: Properties<'_>) -> Vec<(String, String)> {
    properties.user_properties().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The client sets topic aliases by itself where the server offers them, so one given by hand changes
/// nothing.
fn without_alias(given: &PropertiesBuffer) -> PropertiesBuffer {
    let mut kept = PropertiesBuffer::new();
    for (property, value) in given.as_properties().iter() {
        if property != Property::TopicAlias {
            kept.push(property, value);
        }
    }
    kept
}
