//! The loop of a context's thread: waits for sockets, timers and calls, and gives each client that has work
//! a turn. All decisions about the protocol are the machine's.

use crate::backoff::dice;
use crate::context::ContextShared;
use crate::link::{Connecting, Link};
use crate::options::{Acknowledgement, EventCallback, MessageCallback};
use crate::readiness::{Interest, Readiness, Ready};
use crate::resolve;
use crate::state::{Shared, State};
use crate::{Client, ConnectError, ConnectionState, Event, Message, Options, Stopped};
use ringmq_net::{Broken, ClientDoor, Layer, Layers};
use ringmq_proto::peer::Goodbye;
use ringmq_proto::time::Mono;
use ringmq_wire::ReasonCode;
use rustix::net::SendFlags;
use socket2::Socket;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The bell's key; clients count up from 0.
const BELL: u64 = u64::MAX;

/// Bytes of one read, for all clients of the context.
const READ_BYTES: usize = 64 << 10;

/// Reads of one client in one turn; others wait meanwhile.
const READS_MAX: usize = 4;

/// How long to wait for the last bytes to leave and for the server to close, in milliseconds.
const CLOSE_MS: u64 = 1000;

/// Rounds of input and callbacks in one turn before the others have theirs.
const ROUNDS_MAX: usize = 4;

/// What others tell the thread.
pub(crate) enum Command {
    /// A new client.
    Add(Box<Entry>),
    /// A client has work.
    Turn(u64),
    /// A name has been resolved.
    Resolved { key: u64, attempt: u64, addresses: io::Result<Vec<SocketAddr>> },
}

/// What the thread keeps of one client.
pub(crate) struct Entry {
    shared: Arc<Shared>,
    options: Options,
    door: ClientDoor,
    /// What lies between the socket and the machine, anew for each connection.
    layers: Layers,
    on_message: Option<MessageCallback>,
    on_event: Option<EventCallback>,
    link: Link,
    /// What the socket is registered for; none when it is not.
    registered: Option<Interest>,
    /// The timer that stands.
    armed: Option<Mono>,
    /// Failures in a row, for the wait between attempts.
    failures: u32,
    /// When the connection that stands, or stood last, was made.
    opened: Mono,
    attempt: u64,
}

pub(crate) struct Driver {
    context: Arc<ContextShared>,
    readiness: Readiness,
    entries: HashMap<u64, Box<Entry>>,
    timers: BTreeSet<(Mono, u64)>,
    buffer: Box<[u8]>,
}

impl Driver {
    pub(crate) fn new(context: Arc<ContextShared>) -> io::Result<Self> {
        let readiness = Readiness::new()?;
        readiness.add(&context.bell, BELL, Interest { read: true, write: false })?;
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self { context, readiness, entries: HashMap::new(), timers: BTreeSet::new(), buffer })
    }

    /// Runs until the context is closed and its last client is gone.
    pub(crate) fn run(mut self) {
        self.context.set_thread();
        let (mut events, mut ready, mut commands) = (Readiness::events(), Vec::new(), Vec::new());
        while !(self.context.is_closed() && self.entries.is_empty()) {
            ready.clear();
            if self.readiness.wait(self.timeout(), &mut events, &mut ready).is_err() {
                // Only a broken descriptor gets here; without a pause this would burn a core.
                std::thread::sleep(Duration::from_millis(10));
            }
            let bell_rang = ready.iter().any(|(key, _)| *key == BELL);
            for (key, ready) in &ready {
                self.turn(*key, *ready);
            }
            self.context.take_commands(bell_rang, &mut commands);
            commands.drain(..).for_each(|command| self.command(command));
            self.run_timers();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let (at, _) = self.timers.first()?;
        Some(Duration::from_millis(at.since(self.context.now())))
    }

    fn run_timers(&mut self) {
        let now = self.context.now();
        // A turn may set a timer that is due at once; those wait for the next round.
        let due: Vec<u64> =
            self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect();
        for key in due {
            self.turn(key, Ready::default());
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Add(entry) => {
                let key = entry.shared.key;
                self.entries.insert(key, entry);
                self.turn(key, Ready::default());
            }
            Command::Turn(key) => self.turn(key, Ready::default()),
            Command::Resolved { key, attempt, addresses } => {
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.resolved(attempt, addresses, self.context.now());
                }
                self.turn(key, Ready::default());
            }
        }
    }

    /// Gives one client its turn: input, callbacks, output, timers.
    fn turn(&mut self, key: u64, mut ready: Ready) {
        let Some(mut entry) = self.entries.remove(&key) else { return };
        for round in 1.. {
            entry.advance(&mut ready, self.context.now(), &mut self.buffer);
            if !entry.call_back() {
                break;
            }
            if round == ROUNDS_MAX {
                self.context.command(Command::Turn(key));
                break;
            }
        }
        self.register(&mut entry, ready);
        self.arm(&mut entry);
        if !matches!(entry.link, Link::Ended) {
            self.entries.insert(key, entry);
        }
    }

    fn register(&mut self, entry: &mut Entry, ready: Ready) {
        let Some(stream) = entry.link.stream() else { return };
        let (reads, writes) = entry.shared.with_driver(|state| (!state.paused, state.write_blocked));
        let wanted = entry.link.interest(reads, writes);
        // A socket that hung up says so for ever; nobody reads it now, so it must be out of the set.
        let parked = ready.hung_up && !wanted.read && !wanted.write;
        let done = match entry.registered {
            Some(_) if parked => {
                self.readiness.remove(stream);
                entry.registered = None;
                Ok(())
            }
            None if parked => Ok(()),
            Some(registered) if registered == wanted => Ok(()),
            Some(_) => self.readiness.modify(stream, entry.shared.key, wanted),
            None => self.readiness.add(stream, entry.shared.key, wanted),
        };
        match done {
            Ok(()) if !parked => entry.registered = Some(wanted),
            Ok(()) => {}
            Err(error) => entry.fail(ConnectError::transport(error), self.context.now()),
        }
    }

    fn arm(&mut self, entry: &mut Entry) {
        let key = entry.shared.key;
        let machine = match entry.link {
            Link::Open { .. } => entry.shared.with_driver(|state| state.peer.deadline()),
            _ => None,
        };
        let wanted = entry.link.deadline().into_iter().chain(machine).min();
        if wanted == entry.armed {
            return;
        }
        if let Some(at) = entry.armed {
            self.timers.remove(&(at, key));
        }
        if let Some(at) = wanted {
            self.timers.insert((at, key));
        }
        entry.armed = wanted;
    }
}

impl Entry {
    pub(crate) fn new(shared: Arc<Shared>, mut options: Options, door: ClientDoor) -> Self {
        Self {
            on_message: options.on_message.take(),
            on_event: options.on_event.take(),
            shared,
            options,
            door,
            layers: Layers::Plain,
            link: Link::Idle,
            registered: None,
            armed: None,
            failures: 0,
            opened: Mono(0),
            attempt: 0,
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self, ready: &mut Ready, now: Mono, buffer: &mut [u8]) {
        loop {
            let stop_asked = self.shared.with_driver(|state| state.stop_asked);
            let link = std::mem::replace(&mut self.link, Link::Idle);
            match link {
                Link::Open { stream, close_until } => {
                    self.link = Link::Open { stream, close_until };
                    if !self.run_open(ready, now, buffer) {
                        return;
                    }
                }
                Link::Lingering { stream, until } => {
                    if now < until && !has_ended(&stream, buffer) {
                        self.link = Link::Lingering { stream, until };
                    } else {
                        self.finish(Stopped::Requested);
                    }
                    return;
                }
                Link::Ended => {
                    self.link = Link::Ended;
                    return;
                }
                _ if stop_asked => return self.finish(Stopped::Requested),
                Link::Idle => self.start_attempt(now),
                Link::Waiting { until } if until <= now => self.link = Link::Idle,
                Link::Resolving { until, .. } if until <= now => self.fail(ConnectError::Timeout, now),
                Link::Greeting { stream, until } => {
                    if !self.run_greeting(stream, until, ready, now, buffer) {
                        return;
                    }
                }
                Link::Connecting(connecting) => {
                    if !self.run_connecting(connecting, ready, now) {
                        return;
                    }
                }
                waits @ (Link::Waiting { .. } | Link::Resolving { .. }) => {
                    self.link = waits;
                    return;
                }
            }
            if matches!(self.link, Link::Waiting { .. } | Link::Resolving { .. }) {
                return;
            }
        }
    }

    fn start_attempt(&mut self, now: Mono) {
        let timeout_ms = u64::try_from(self.options.connect_timeout.as_millis()).unwrap_or(u64::MAX);
        let until = now.plus(timeout_ms);
        self.attempt += 1;
        let (host, port) = (&self.options.host, self.options.port);
        if let Some(path) = &self.options.unix {
            let connecting = Connecting::local(path, now, until);
            return self.connecting(connecting, now);
        }
        if let Some(address) = resolve::literal(host, port) {
            return self.connect(vec![address], now, until);
        }
        let (attempt, key, context) = (self.attempt, self.shared.key, self.shared.context.clone());
        let done = move |addresses| context.command(Command::Resolved { key, attempt, addresses });
        match resolve::start(host.clone(), port, done) {
            Ok(()) => self.link = Link::Resolving { attempt, until },
            Err(error) => self.fail(ConnectError::Resolve(Arc::new(error)), now),
        }
    }

    fn resolved(&mut self, attempt: u64, addresses: io::Result<Vec<SocketAddr>>, now: Mono) {
        match self.link {
            Link::Resolving { attempt: asked, until } if asked == attempt => match addresses {
                Ok(addresses) => self.connect(addresses, now, until),
                Err(error) => self.fail(ConnectError::Resolve(Arc::new(error)), now),
            },
            // An answer that came after its attempt was given up.
            _ => {}
        }
    }

    fn connect(&mut self, addresses: Vec<SocketAddr>, now: Mono, until: Mono) {
        let connecting = Connecting::start(addresses, self.options.bind, now, until);
        self.connecting(connecting, now);
    }

    fn connecting(&mut self, connecting: io::Result<Connecting>, now: Mono) {
        self.registered = None;
        match connecting {
            Ok(connecting) => self.link = Link::Connecting(connecting),
            Err(error) => self.fail(ConnectError::transport(error), now),
        }
    }

    /// False when there is nothing to do but wait for the socket.
    fn run_connecting(&mut self, connecting: Connecting, ready: &mut Ready, now: Mono) -> bool {
        let is_writable = std::mem::take(&mut ready.write);
        let outcome = match is_writable {
            true => connecting.outcome(),
            false if connecting.until <= now => Err(io::ErrorKind::TimedOut.into()),
            false => {
                self.link = Link::Connecting(connecting);
                return false;
            }
        };
        match outcome {
            Ok(()) => self.greet(connecting, now),
            Err(error) => {
                self.registered = None;
                *ready = Ready::default();
                match connecting.next(now, error) {
                    Ok(next) => self.link = Link::Connecting(next),
                    Err(error) => self.fail(ConnectError::transport(error), now),
                }
            }
        }
        true
    }

    /// The transport stands: begins what comes before MQTT.
    fn greet(&mut self, connecting: Connecting, now: Mono) {
        match self.door.open(random()) {
            Ok(layers) => self.layers = layers,
            Err(broken) => return self.fail(ConnectError::Layer(broken.0), now),
        }
        let (stream, until) = (connecting.stream, connecting.all_until);
        match self.layers.is_established() {
            true => self.open(stream, now),
            false => self.link = Link::Greeting { stream, until },
        }
    }

    /// Everything below MQTT stands.
    fn open(&mut self, stream: Socket, now: Mono) {
        self.link = Link::Open { stream, close_until: None };
        self.opened = now;
        self.shared.with_driver(|state| {
            state.opened = true;
            state.peer.connect(now);
        });
    }

    /// False when there is nothing to do but wait for the socket.
    fn run_greeting(
        &mut self,
        mut stream: Socket,
        until: Mono,
        ready: &mut Ready,
        now: Mono,
        buffer: &mut [u8],
    ) -> bool {
        let is_readable = std::mem::take(&mut ready.read);
        ready.write = false;
        let layers = &mut self.layers;
        let greeted = self.shared.with_driver(|state| {
            let mut read = if is_readable { greet(layers, &mut stream, buffer) } else { Ok(()) };
            // What the layers have to say of an error goes out before it counts.
            let sent = send(state, layers, &mut stream, now).map(|_| ());
            if read.is_ok() {
                read = sent;
            }
            read
        });
        match greeted {
            Err(error) => self.fail(error, now),
            Ok(()) if self.layers.is_established() => {
                self.open(stream, now);
                return self.take_held(now);
            }
            Ok(()) if until <= now => self.fail(ConnectError::Timeout, now),
            Ok(()) => {
                self.link = Link::Greeting { stream, until };
                return false;
            }
        }
        true
    }

    /// Takes what came together with the end of the greeting.
    fn take_held(&mut self, now: Mono) -> bool {
        let layers = &mut self.layers;
        layers.introduction();
        let opened = self.shared.with_driver(|state| {
            let opened = layers.open(&mut [], &mut |plain| state.peer.handle(now, plain));
            state.absorb(now);
            opened
        });
        if let Err(broken) = opened {
            self.fail(broken_error(broken), now);
        }
        true
    }

    /// Reads, lets the machine work, writes. False when the connection goes on and waits.
    fn run_open(&mut self, ready: &mut Ready, now: Mono, buffer: &mut [u8]) -> bool {
        let Link::Open { stream, close_until } = &mut self.link else { return true };
        let is_readable = std::mem::take(&mut ready.read);
        ready.write = false;
        let layers = &mut self.layers;
        let (result, closing) = self.shared.with_driver(|state| {
            let result = exchange(state, layers, stream, is_readable, now, buffer);
            (result, state.peer.is_closing())
        });
        let is_empty = match result {
            Ok(is_empty) => is_empty,
            Err(error) => {
                self.fail(error, now);
                return true;
            }
        };
        if !closing {
            return false;
        }
        let until = *close_until.get_or_insert(now.plus(CLOSE_MS));
        if !is_empty && now < until {
            return false;
        }
        self.close(now);
        true
    }

    /// The machine has closed and its last bytes are written, or their time is up.
    fn close(&mut self, now: Mono) {
        let stop_asked = self.shared.with_driver(|state| state.stop_asked);
        let link = std::mem::replace(&mut self.link, Link::Idle);
        match link {
            Link::Open { stream, .. } if stop_asked => {
                let _ = stream.shutdown(Shutdown::Write);
                self.link = Link::Lingering { stream, until: now.plus(CLOSE_MS) };
            }
            _ => self.fail(ConnectError::Closed, now),
        }
    }

    /// An attempt failed or a connection ended: waits for the next one, or stops. The machine may know
    /// better than the transport what happened.
    fn fail(&mut self, error: ConnectError, now: Mono) {
        self.registered = None;
        let (error, was_connected, stop_asked) = self.shared.with_driver(|state| {
            let was_connected = std::mem::take(&mut state.connected_now);
            state.peer.transport_closed();
            state.absorb(now);
            state.write_blocked = false;
            if state.connection == ConnectionState::Connected {
                state.connection = ConnectionState::Connecting;
            }
            let error = state.ended.take().unwrap_or(error);
            (error, was_connected, state.stop_asked)
        });
        if stop_asked {
            return self.finish(Stopped::Requested);
        }
        // A connection that did not stand longer than the longest wait is one more failure: two clients with
        // one ClientID would else take each other's place several times a second.
        let wait_max = self.options.reconnect.map_or(Duration::ZERO, |backoff| backoff.max);
        let stood = was_connected && Duration::from_millis(now.since(self.opened)) >= wait_max;
        self.failures = if stood { 1 } else { self.failures.saturating_add(1) };
        let backoff = self.options.reconnect.filter(|_| error.is_temporary());
        let retry_in = backoff.map(|backoff| backoff.delay(self.failures, dice()));
        self.shared.with_driver(|state| {
            state.failures += 1;
            state.last_error = Some(error.clone());
            state.push_event(Event::Disconnected { error: error.clone(), was_connected, retry_in });
        });
        match retry_in {
            Some(delay) => {
                let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                self.link = Link::Waiting { until: now.plus(delay_ms.max(1)) };
            }
            None => self.finish(Stopped::Failed(error)),
        }
    }

    /// Ends for good; the socket closes last, so that whoever sees it closed finds the client stopped.
    fn finish(&mut self, stopped: Stopped) {
        self.shared.with_driver(|state| {
            if state.stopped.is_none() {
                state.stop(stopped);
            }
        });
        self.link = Link::Ended;
    }

    /// Hands events and messages to the callbacks; whether there were any.
    fn call_back(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.next_event() {
            any = true;
            let Some(callback) = &mut self.on_event else { continue };
            let client = handle(&self.shared, &self.options);
            if catch_unwind(AssertUnwindSafe(|| callback(&client, event))).is_err() {
                self.on_event = None;
                self.panicked();
            }
        }
        while let Some(message) = self.next_message() {
            any = true;
            let Some(callback) = &mut self.on_message else { continue };
            let client = handle(&self.shared, &self.options);
            let copy = message.inner.ack;
            if catch_unwind(AssertUnwindSafe(|| callback(&client, message))).is_err() {
                self.on_message = None;
                self.panicked();
            } else if let Some(token) = copy.filter(|_| self.acknowledges()) {
                self.shared.with_driver(|state| state.peer.acknowledge(token, ReasonCode::SUCCESS));
            }
        }
        any
    }

    fn next_event(&self) -> Option<Event> {
        self.on_event.as_ref()?;
        self.shared.with_driver(|state| state.events.pop_front())
    }

    fn next_message(&self) -> Option<Message> {
        self.on_message.as_ref()?;
        self.shared.with_driver(State::take_message)
    }

    fn acknowledges(&self) -> bool {
        self.options.acknowledgement == Acknowledgement::OnTake
    }

    /// A callback panicked: its client ends without a goodbye, the others of the context go on.
    fn panicked(&mut self) {
        self.finish(Stopped::CallbackPanicked);
    }
}

/// A handle for a callback; it does not outlive the call unless the callback clones it.
fn handle(shared: &Arc<Shared>, options: &Options) -> Client {
    shared.add_handle();
    Client {
        shared: Arc::clone(shared),
        publish_timeout: options.publish_timeout,
        request_timeout: options.request_timeout,
    }
}

/// Reads what there is, lets the machine do what is due, and writes what it can. Whether the output is empty.
fn exchange(
    state: &mut State,
    layers: &mut Layers,
    stream: &mut Socket,
    is_readable: bool,
    now: Mono,
    buffer: &mut [u8],
) -> Result<bool, ConnectError> {
    if state.stop_asked && !state.peer.is_closing() {
        // Asked before there was anybody to say goodbye to.
        let _ = state.peer.disconnect(&Goodbye::default());
    }
    let mut ended = None;
    if is_readable {
        ended = receive(state, layers, stream, now, buffer).err();
    }
    state.peer.handle_timeout(now);
    let sent = send(state, layers, stream, now);
    match (ended, sent) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(is_empty)) => Ok(is_empty),
    }
}

fn receive(
    state: &mut State,
    layers: &mut Layers,
    stream: &mut Socket,
    now: Mono,
    buffer: &mut [u8],
) -> Result<(), ConnectError> {
    for _ in 0..READS_MAX {
        if state.paused {
            return Ok(());
        }
        let Some(bytes) = read(stream, buffer)? else { return Ok(()) };
        let opened = layers.open(&mut buffer[..bytes], &mut |plain| state.peer.handle(now, plain));
        state.absorb(now);
        opened.map_err(broken_error)?;
        if bytes < buffer.len() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads what belongs to the greeting.
fn greet(layers: &mut Layers, stream: &mut Socket, buffer: &mut [u8]) -> Result<(), ConnectError> {
    let Some(bytes) = read(stream, buffer)? else { return Ok(()) };
    // Plaintext is held back until the introduction is taken.
    layers.open(&mut buffer[..bytes], &mut |_| ()).map_err(broken_error)
}

/// Reads once; none when there is nothing for now.
fn read(stream: &mut Socket, buffer: &mut [u8]) -> Result<Option<usize>, ConnectError> {
    loop {
        return match stream.read(buffer) {
            Ok(0) => Err(ConnectError::Closed),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(ConnectError::transport(error)),
        };
    }
}

/// Writes what the machine and the layers have, and a goodbye of the layers behind the machine's last word.
/// Whether nothing is left.
fn send(
    state: &mut State,
    layers: &mut Layers,
    stream: &mut Socket,
    now: Mono,
) -> Result<bool, ConnectError> {
    state.write_blocked = false;
    loop {
        let is_empty = state.peer.output().is_empty();
        if is_empty && state.peer.is_closing() {
            layers.goodbye();
        }
        if is_empty && !layers.has_own_output() {
            return Ok(true);
        }
        let output = [IoSlice::new(state.peer.output())];
        let sealed = layers.seal(&output);
        // Before the greeting is over there may be nothing to send although the machine has something.
        let Some(piece) = sealed.pieces().next() else { return Ok(is_empty) };
        match write(stream, piece) {
            Ok(bytes) => match layers.sent(bytes) {
                0 => {}
                done => state.peer.output_taken(now, done),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.write_blocked = true;
                return Ok(false);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ConnectError::transport(error)),
        }
    }
}

/// Writes once. A program that is not Rust's own has no reason to ignore SIGPIPE, and must not end by it.
fn write(stream: &Socket, piece: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, piece, SendFlags::NOSIGNAL)?)
}

fn broken_error(broken: Broken) -> ConnectError {
    if broken.is_goodbye() { ConnectError::Closed } else { ConnectError::Layer(broken.0) }
}

/// Bytes that nobody can guess.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    // The system has no reason to refuse; were it to, the masks of WebSocket would be known, and no more.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes
}

/// Whether the server has closed; what it still sends is of no interest.
fn has_ended(mut stream: &Socket, buffer: &mut [u8]) -> bool {
    for _ in 0..READS_MAX {
        match stream.read(buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    false
}
