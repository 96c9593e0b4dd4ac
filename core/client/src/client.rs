//! The blocking face of a client.

use crate::completion::Completion;
use crate::driver::{Command, Entry};
use crate::scram::Scram;
use crate::security;
use crate::state::{News, Shared, State, Waiting};
use crate::{
    AsyncClient, ConnectError, ConnectionState, Context, Error, Event, Message, Options, Publish, Receipt,
    RecvError, Stopped, Subscribe, Unsubscribe,
};
use ringmq_proto::peer::{Authentication, Connected, Goodbye, Peer, RequestError};
use ringmq_wire::ReasonCode;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client. Cloning gives another handle of the same one; the last handle dropped says goodbye to the
/// server without waiting for it: use [`Client::disconnect`] where that matters.
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) publish_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

impl Client {
    /// Connects and waits until the server has accepted the connection. Later connections are made again by
    /// themselves; this first one is tried once.
    ///
    /// # Errors
    /// The options are wrong, no connection could be made, or the server refused it.
    pub fn connect(options: Options) -> Result<Self, ConnectError> {
        let client = Self::start(options)?;
        client.first_connection(None)?;
        Ok(client)
    }

    /// Starts to connect, and goes on trying while that may help. What is asked of the client meanwhile
    /// waits for the connection.
    ///
    /// # Errors
    /// The options are wrong, or the context's thread could not be started.
    pub fn start(mut options: Options) -> Result<Self, ConnectError> {
        let context = match options.context.take() {
            Some(context) => context,
            None => Context::shared().map_err(|error| ConnectError::Context(Arc::new(error)))?,
        };
        let mut peer = Peer::new(options.peer_options()).map_err(ConnectError::Options)?;
        if let Some((user_name, password)) = &options.scram {
            peer.set_authenticator(Box::new(Scram::new(user_name, password)));
        }
        let door = security::door(&options)?;
        let mut state = State::new(peer, options.receive_queue_messages_max, options.acknowledgement);
        state.has_callback = options.on_message.is_some();
        let shared = Shared::new(context.clone(), state);
        let client = Self {
            shared: Arc::clone(&shared),
            publish_timeout: options.publish_timeout,
            request_timeout: options.request_timeout,
        };
        shared.add_handle();
        context.command(Command::Add(Box::new(Entry::new(shared, options, door))));
        Ok(client)
    }

    /// The async face of the same client.
    #[must_use]
    pub fn asynchronous(&self) -> AsyncClient {
        AsyncClient::new(self.clone())
    }

    /// Takes a message for sending; waits for room in the queue, at most for the publish timeout of the
    /// options. The receipt tells the server's answer.
    ///
    /// # Errors
    /// The message is wrong or more than the server allows; no room in time ([`RequestError::QueueFull`]);
    /// the client is stopped; the call would wait in a callback.
    pub fn publish(&self, message: impl Into<Publish>) -> Result<Receipt, Error> {
        self.publish_timeout(message, self.publish_timeout)
    }

    /// Like [`Self::publish`], with a time of its own to wait for room.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub fn publish_timeout(&self, message: impl Into<Publish>, timeout: Duration) -> Result<Receipt, Error> {
        let mut message = Some(message.into());
        let until = Instant::now().checked_add(timeout);
        let taken = self.shared.wait(News::Room, until, |state| self.offer(state, &mut message))?;
        taken.unwrap_or(Err(Error::Request(RequestError::QueueFull)))
    }

    /// Takes a message for sending if there is room; never waits.
    ///
    /// # Errors
    /// As for [`Self::publish`].
    pub fn try_publish(&self, message: impl Into<Publish>) -> Result<Receipt, Error> {
        let mut message = Some(message.into());
        let taken = self.shared.with(|state| self.offer(state, &mut message));
        taken.unwrap_or(Err(Error::Request(RequestError::QueueFull)))
    }

    /// Subscribes and waits for the answer, at most for the request timeout: a code for each filter, which
    /// is the granted QoS or an error.
    ///
    /// # Errors
    /// The request is wrong or more than the server allows, no answer in time, or the client is stopped.
    pub fn subscribe(&self, request: impl Into<Subscribe>) -> Result<Vec<ReasonCode>, Error> {
        self.shared.context.check_may_wait()?;
        self.start_subscribe(request.into())?.wait(self.request_timeout)
    }

    /// Subscribes without waiting for the answer; for callbacks.
    ///
    /// # Errors
    /// The request is wrong or more than the server allows, or the client is stopped.
    pub fn try_subscribe(&self, request: impl Into<Subscribe>) -> Result<(), Error> {
        self.start_subscribe(request.into()).map(|_| ())
    }

    /// Unsubscribes and waits for the answer, at most for the request timeout: a code for each filter.
    ///
    /// # Errors
    /// As for [`Self::subscribe`].
    pub fn unsubscribe(&self, request: impl Into<Unsubscribe>) -> Result<Vec<ReasonCode>, Error> {
        self.shared.context.check_may_wait()?;
        self.start_unsubscribe(request.into())?.wait(self.request_timeout)
    }

    /// Unsubscribes without waiting for the answer; for callbacks.
    ///
    /// # Errors
    /// As for [`Self::try_subscribe`].
    pub fn try_unsubscribe(&self, request: impl Into<Unsubscribe>) -> Result<(), Error> {
        self.start_unsubscribe(request.into()).map(|_| ())
    }

    /// Waits for the next message, for as long as it takes. Nothing once the client is stopped and all
    /// messages have been taken, in a callback, or where messages go to one.
    #[must_use]
    pub fn recv(&self) -> Option<Message> {
        self.shared.wait(News::Arrived, None, take_or_end).ok().flatten().flatten()
    }

    /// Waits for the next message, at most this long.
    ///
    /// # Errors
    /// None came in time, or none will ever come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        let until = Instant::now().checked_add(timeout);
        match self.shared.wait(News::Arrived, until, take_or_end) {
            Ok(Some(Some(message))) => Ok(message),
            Ok(Some(None)) => Err(RecvError::Stopped),
            Ok(None) | Err(_) => Err(RecvError::Timeout),
        }
    }

    /// The next message, if one is there.
    #[must_use]
    pub fn try_recv(&self) -> Option<Message> {
        self.shared.with(State::take_message)
    }

    /// Messages until the client is stopped.
    #[must_use]
    pub fn messages(&self) -> Messages<'_> {
        Messages { client: self }
    }

    /// Acknowledges a message, where the options say that the application does. Acknowledgements leave in
    /// the order in which the messages came [MQTT-4.6.0-2]. False when it is too late: the connection it came
    /// by is gone, and the server sends it again.
    pub fn acknowledge(&self, message: &Message) -> bool {
        self.acknowledge_with(message, ReasonCode::SUCCESS)
    }

    /// Acknowledges with a reason code; 0x80 or above refuses the message (5.0).
    pub fn acknowledge_with(&self, message: &Message, reason: ReasonCode) -> bool {
        self.shared.with(|state| state.acknowledge(message, reason))
    }

    /// Waits for the next event of the connection, at most this long; nothing in time, in a callback, or
    /// where events go to one. The last 256 are kept.
    #[must_use]
    pub fn recv_event(&self, timeout: Duration) -> Option<Event> {
        let until = Instant::now().checked_add(timeout);
        self.shared.wait(News::Changed, until, |state| state.events.pop_front()).ok().flatten()
    }

    /// Where the client stands.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.shared.with(|state| state.connection)
    }

    /// Why the client stopped, if it has.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.shared.with(|state| state.stopped.clone())
    }

    /// What the server said when it accepted the present or last connection.
    #[must_use]
    pub fn connection(&self) -> Option<Connected> {
        self.shared.with(|state| state.connected.as_deref().cloned())
    }

    /// The client identifier in use: the one given, or the one the server assigned.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.shared.with(|state| state.peer.options().client_id.clone())
    }

    /// Waits until there is a connection, at most this long, through as many attempts as fit.
    ///
    /// # Errors
    /// The last failure when the time is up, or why the client stopped.
    pub fn wait_connected(&self, timeout: Duration) -> Result<(), ConnectError> {
        let until = Instant::now().checked_add(timeout);
        let waited = self.shared.wait(News::Changed, until, |state| match state.connection {
            ConnectionState::Connected => Some(Ok(())),
            ConnectionState::Stopped => Some(Err(stop_error(state))),
            ConnectionState::Connecting => None,
        });
        match waited {
            Ok(Some(result)) => result,
            _ => Err(self.last_error().unwrap_or(ConnectError::Timeout)),
        }
    }

    /// How the last failed attempt or broken connection failed.
    #[must_use]
    pub fn last_error(&self) -> Option<ConnectError> {
        self.shared.with(|state| state.last_error.clone())
    }

    /// Messages and requests that are not sent or not answered yet.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.shared.with(|state| state.peer.unfinished())
    }

    /// Waits until everything has been sent and answered, at most this long.
    ///
    /// # Errors
    /// The time is up, or the client is stopped.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let until = Instant::now().checked_add(timeout);
        let flushed = self.shared.wait(News::Changed, until, |state| {
            let stopped = state.stopped.is_some().then_some(Err(Error::Stopped));
            stopped.or_else(|| state.is_flushed().then_some(Ok(())))
        })?;
        flushed.unwrap_or(Err(Error::Timeout))
    }

    /// Waits until everything has been sent and answered (while there is a connection), says goodbye, and
    /// stops; at most for the request timeout. What is not finished by then is dropped.
    ///
    /// # Errors
    /// Called in a callback, where [`Self::stop`] does it.
    pub fn disconnect(&self) -> Result<(), Error> {
        self.disconnect_with(&Goodbye::default())
    }

    /// Like [`Self::disconnect`], with a reason and the properties of DISCONNECT.
    ///
    /// # Errors
    /// As for [`Self::disconnect`], and a goodbye that 5.0 does not allow.
    pub fn disconnect_with(&self, goodbye: &Goodbye) -> Result<(), Error> {
        let until = Instant::now().checked_add(self.request_timeout);
        self.shared.wait(News::Changed, until, |state| {
            let done = state.connection != ConnectionState::Connected || state.is_flushed();
            done.then_some(())
        })?;
        self.stop_and_wait(goodbye)
    }

    /// Like [`Self::stop`], and waits until the goodbye has gone out, so that the program may end; at most two
    /// seconds.
    ///
    /// # Errors
    /// As for [`Self::stop`], called in a callback, and [`Error::Timeout`] when it has not gone out by then.
    pub fn stop_and_wait(&self, goodbye: &Goodbye) -> Result<(), Error> {
        self.stop(goodbye)?;
        let grace = Some(Instant::now() + Duration::from_secs(2));
        self.shared
            .wait(News::Changed, grace, |state| state.stopped.is_some().then_some(()))?
            .ok_or(Error::Timeout)
    }

    /// Says goodbye at once, behind what has been sent already, and stops, without waiting for either.
    ///
    /// # Errors
    /// A goodbye that 5.0 does not allow.
    pub fn stop(&self, goodbye: &Goodbye) -> Result<(), Error> {
        self.shared.with(|state| {
            match state.peer.disconnect(goodbye) {
                Ok(()) | Err(RequestError::NotConnected) => {}
                Err(error) => return Err(Error::Request(error)),
            }
            state.stop_asked = true;
            state.call_driver();
            Ok(())
        })
    }

    /// Sends a step of an enhanced authentication (5.0): the answer to [`Event::Authentication`], or the
    /// start of a new one.
    ///
    /// # Errors
    /// No connection, or no authentication method in the options.
    pub fn authenticate(&self, step: &Authentication) -> Result<(), Error> {
        self.shared.with(|state| state.peer.authenticate(step)).map_err(Error::Request)
    }

    /// Waits for the first connection or its failure.
    fn first_connection(&self, until: Option<Instant>) -> Result<(), ConnectError> {
        let waited = self.shared.wait(News::Changed, until, first_result);
        waited.ok().flatten().unwrap_or(Err(ConnectError::Timeout))
    }

    pub(crate) fn offer(
        &self,
        state: &mut State,
        message: &mut Option<Publish>,
    ) -> Option<Result<Receipt, Error>> {
        if state.stopped.is_some() || state.stop_asked {
            return Some(Err(Error::Stopped));
        }
        if !state.peer.has_room(message.as_ref()?.inner.bytes()) {
            return None;
        }
        let token = match state.peer.publish(message.take()?.inner) {
            Ok(token) => token,
            Err(error) => return Some(Err(Error::Request(error))),
        };
        let completion = Completion::new();
        state.await_answer(token, Waiting::Published(Arc::clone(&completion)));
        let thread = self.shared.context.thread();
        Some(Ok(Receipt { completion, thread, timeout: self.request_timeout }))
    }

    pub(crate) fn start_subscribe(
        &self,
        request: Subscribe,
    ) -> Result<Arc<Completion<Vec<ReasonCode>>>, Error> {
        self.start_request(|peer| peer.subscribe(request.inner))
    }

    pub(crate) fn start_unsubscribe(
        &self,
        request: Unsubscribe,
    ) -> Result<Arc<Completion<Vec<ReasonCode>>>, Error> {
        self.start_request(|peer| peer.unsubscribe(request.inner))
    }

    fn start_request(
        &self,
        request: impl FnOnce(&mut Peer) -> Result<ringmq_proto::peer::Token, RequestError>,
    ) -> Result<Arc<Completion<Vec<ReasonCode>>>, Error> {
        self.shared.with(|state| {
            if state.stopped.is_some() || state.stop_asked {
                return Err(Error::Stopped);
            }
            let token = request(&mut state.peer)?;
            let completion = Completion::new();
            state.await_answer(token, Waiting::Codes(Arc::clone(&completion)));
            Ok(completion)
        })
    }
}

/// Whether the first attempt has an end, and which. A connection that was accepted counts, even if it has
/// ended since: what becomes of it is told by events.
pub(crate) fn first_result(state: &mut State) -> Option<Result<(), ConnectError>> {
    match state.connection {
        _ if state.connected.is_some() => Some(Ok(())),
        ConnectionState::Connected => Some(Ok(())),
        ConnectionState::Stopped => Some(Err(stop_error(state))),
        ConnectionState::Connecting if state.failures > 0 => {
            Some(Err(state.last_error.clone().unwrap_or(ConnectError::Closed)))
        }
        ConnectionState::Connecting => None,
    }
}

/// The next message, or that there will be none.
pub(crate) fn take_or_end(state: &mut State) -> Option<Option<Message>> {
    if state.has_callback {
        return Some(None);
    }
    match state.take_message() {
        Some(message) => Some(Some(message)),
        None => state.stopped.is_some().then_some(None),
    }
}

fn stop_error(state: &State) -> ConnectError {
    match &state.stopped {
        Some(Stopped::Failed(error)) => error.clone(),
        _ => ConnectError::Stopped,
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        self.shared.add_handle();
        Self {
            shared: Arc::clone(&self.shared),
            publish_timeout: self.publish_timeout,
            request_timeout: self.request_timeout,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.shared.drop_handle() {
            // Nobody is left to hear about an error.
            let _ = self.stop(&Goodbye::default());
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("key", &self.shared.key).finish_non_exhaustive()
    }
}

/// Messages as they come, until the client is stopped.
#[derive(Debug)]
pub struct Messages<'a> {
    client: &'a Client,
}

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.client.recv()
    }
}
