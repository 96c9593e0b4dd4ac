//! What the application's threads and the context's thread share of one client: the machine, the received
//! messages, and who waits for what. Everybody works on it under one lock, briefly, and nobody calls the
//! application while holding it.

use crate::completion::Completion;
use crate::context::Context;
use crate::driver::Command;
use crate::options::Acknowledgement;
use crate::{ConnectError, ConnectionState, Error, Event, Message, Stopped};
use ringmq_proto::peer::{
    Connected, DisconnectCause, Event as PeerEvent, Incoming, Peer, RequestError, Token,
};
use ringmq_wire::{PropertiesBuffer, Property, ReasonCode};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

/// Events kept for an application that takes them itself; the oldest give way.
const EVENTS_MAX: usize = 256;

pub(crate) struct Shared {
    pub(crate) context: Context,
    pub(crate) key: u64,
    pub(crate) handles: AtomicUsize,
    state: Mutex<State>,
    /// Room in the queue of messages to send.
    room: Condvar,
    /// A message came.
    arrived: Condvar,
    /// The connection changed, an event came, or everything was sent.
    changed: Condvar,
}

/// What somebody waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Room,
    Arrived,
    Changed,
}

pub(crate) enum Waiting {
    Published(Arc<Completion<ReasonCode>>),
    Codes(Arc<Completion<Vec<ReasonCode>>>),
}

pub(crate) struct State {
    pub(crate) peer: Peer,
    pub(crate) connection: ConnectionState,
    pub(crate) connected: Option<Box<Connected>>,
    /// A transport has stood, so that CONNECT went out.
    pub(crate) opened: bool,
    /// The server has accepted this connection, which has not been taken down yet.
    pub(crate) connected_now: bool,
    /// Attempts and connections that failed so far, and how the last one did.
    pub(crate) failures: u64,
    pub(crate) last_error: Option<ConnectError>,
    pub(crate) stopped: Option<Stopped>,
    /// The application wants no connection any more.
    pub(crate) stop_asked: bool,
    /// How the machine says the connection ended, until the driver takes it.
    pub(crate) ended: Option<ConnectError>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) inbox: VecDeque<Incoming>,
    pub(crate) inbox_max: usize,
    pub(crate) acknowledgement: Acknowledgement,
    /// The socket is not read because the application is behind.
    pub(crate) paused: bool,
    /// Messages go to a callback, so there is always somebody to take them.
    pub(crate) has_callback: bool,
    /// The driver waits for the socket to take more, and needs no call.
    pub(crate) write_blocked: bool,
    /// The driver has been called and has not come yet.
    called: bool,
    waiting: HashMap<Token, Waiting>,
    waits: [usize; 3],
    wakers: [Vec<Waker>; 3],
    needs_driver: bool,
}

/// What to do once the lock is free.
struct Notices {
    news: [bool; 3],
    wakers: Vec<Waker>,
    call_driver: bool,
}

impl Shared {
    pub(crate) fn new(context: Context, state: State) -> Arc<Self> {
        let key = context.next_key();
        Arc::new(Self {
            context,
            key,
            handles: AtomicUsize::new(0),
            state: Mutex::new(state),
            room: Condvar::new(),
            arrived: Condvar::new(),
            changed: Condvar::new(),
        })
    }

    /// Does something with the state, tells those who wait, and calls the driver if there is work for it.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = work(&mut state);
        self.release(state, true);
        result
    }

    /// Like [`Self::with`] for the driver itself, which needs no call.
    pub(crate) fn with_driver<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        state.called = false;
        let result = work(&mut state);
        self.release(state, false);
        result
    }

    /// Waits until `work` gives something, at most until `until`; without one for as long as it takes.
    pub(crate) fn wait<R>(
        &self,
        news: News,
        until: Option<Instant>,
        mut work: impl FnMut(&mut State) -> Option<R>,
    ) -> Result<Option<R>, Error> {
        let mut state = self.lock();
        loop {
            if let Some(result) = work(&mut state) {
                self.release(state, true);
                return Ok(Some(result));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.context.check_may_wait()?;
            state.waits[news as usize] += 1;
            let condvar = self.condvar(news);
            state = match left {
                Some(left) => condvar.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => condvar.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.waits[news as usize] -= 1;
        }
    }

    /// Polls until `work` gives something; the task is woken when it is worth another look.
    pub(crate) fn poll<R>(
        &self,
        news: News,
        task: &mut std::task::Context<'_>,
        work: impl FnOnce(&mut State) -> Option<R>,
    ) -> Poll<R> {
        let mut state = self.lock();
        let result = work(&mut state);
        if result.is_none() {
            let wakers = &mut state.wakers[news as usize];
            if !wakers.iter().any(|waker| waker.will_wake(task.waker())) {
                wakers.push(task.waker().clone());
            }
            return Poll::Pending;
        }
        self.release(state, true);
        result.map_or(Poll::Pending, Poll::Ready)
    }

    /// One more handle of the application.
    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// One handle less; true for the last one.
    pub(crate) fn drop_handle(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::AcqRel) == 1
    }

    fn condvar(&self, news: News) -> &Condvar {
        match news {
            News::Room => &self.room,
            News::Arrived => &self.arrived,
            News::Changed => &self.changed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, mut state: MutexGuard<'_, State>, may_call: bool) {
        state.absorb(self.context.now());
        let notices = state.notices(may_call);
        drop(state);
        for news in [News::Room, News::Arrived, News::Changed] {
            if notices.news[news as usize] {
                self.condvar(news).notify_all();
            }
        }
        notices.wakers.into_iter().for_each(Waker::wake);
        if notices.call_driver {
            self.context.command(Command::Turn(self.key));
        }
    }
}

impl State {
    pub(crate) fn new(peer: Peer, inbox_max: usize, acknowledgement: Acknowledgement) -> Self {
        Self {
            peer,
            connection: ConnectionState::Connecting,
            connected: None,
            connected_now: false,
            opened: false,
            failures: 0,
            last_error: None,
            stopped: None,
            stop_asked: false,
            ended: None,
            events: VecDeque::new(),
            inbox: VecDeque::new(),
            inbox_max,
            acknowledgement,
            paused: false,
            has_callback: false,
            write_blocked: false,
            called: false,
            waiting: HashMap::new(),
            waits: [0; 3],
            wakers: [Vec::new(), Vec::new(), Vec::new()],
            needs_driver: false,
        }
    }

    /// The request's answer is to go there.
    pub(crate) fn await_answer(&mut self, token: Token, waiting: Waiting) {
        self.waiting.insert(token, waiting);
    }

    /// The driver has something to do that the output does not show.
    pub(crate) fn call_driver(&mut self) {
        self.needs_driver = true;
    }

    /// The next message, acknowledged if taking it does that.
    pub(crate) fn take_message(&mut self) -> Option<Message> {
        let message = Message { inner: self.inbox.pop_front()? };
        if self.acknowledgement == Acknowledgement::OnTake && !self.has_callback {
            self.acknowledge(&message, ReasonCode::SUCCESS);
        }
        if self.paused && self.inbox.len() <= self.inbox_max / 2 {
            self.needs_driver = true;
        }
        Some(message)
    }

    pub(crate) fn acknowledge(&mut self, message: &Message, reason: ReasonCode) -> bool {
        message.inner.ack.is_some_and(|token| self.peer.acknowledge(token, reason))
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Whether everything was sent and answered.
    pub(crate) fn is_flushed(&self) -> bool {
        self.peer.unfinished() == 0 && self.peer.output().is_empty()
    }

    /// Ends for good: every request that waits gets its answer.
    pub(crate) fn stop(&mut self, stopped: Stopped) {
        self.peer.transport_closed();
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            waiting.fail(&Error::Stopped);
        }
        self.peer.abandon(&RequestError::NotConnected);
        while self.peer.next_event().is_some() {}
        self.connection = ConnectionState::Stopped;
        self.stopped = Some(stopped.clone());
        self.push_event(Event::Stopped(stopped));
    }

    /// Takes what the machine has to tell.
    pub(crate) fn absorb(&mut self, now: ringmq_proto::time::Mono) {
        while let Some(event) = self.peer.next_event() {
            match event {
                PeerEvent::Connected(connected) => {
                    self.connection = ConnectionState::Connected;
                    self.connected_now = true;
                    self.connected = Some(connected.clone());
                    self.push_event(Event::Connected(connected));
                }
                PeerEvent::Message(message) => self.inbox.push_back(message),
                PeerEvent::Published { token, outcome } => {
                    if let Some(Waiting::Published(completion)) = self.waiting.remove(&token) {
                        completion.set(outcome.map_err(Error::Request).and_then(accepted));
                    }
                }
                PeerEvent::Subscribed { token, outcome } | PeerEvent::Unsubscribed { token, outcome } => {
                    if let Some(Waiting::Codes(completion)) = self.waiting.remove(&token) {
                        completion.set(outcome.map_err(Error::Request));
                    }
                }
                PeerEvent::ResubscribeRefused { filter, reason } => {
                    self.push_event(Event::ResubscribeRefused { filter, reason });
                }
                PeerEvent::Authentication { reason, properties } => {
                    self.push_event(Event::Authentication { reason, properties });
                }
                PeerEvent::Disconnected(cause) => {
                    self.ended = end_of(*cause);
                    self.needs_driver = true;
                    if self.connection == ConnectionState::Connected {
                        self.connection = ConnectionState::Connecting;
                    }
                }
            }
        }
        let behind = self.inbox.len() >= self.inbox_max && !self.has_callback;
        let caught_up = self.inbox.len() <= self.inbox_max / 2;
        if !self.paused && behind || self.paused && caught_up {
            self.paused = !self.paused;
            self.peer.pause_input(now, self.paused);
        }
    }

    fn notices(&mut self, may_call: bool) -> Notices {
        let room = self.is_of_interest(News::Room) && (self.peer.has_room(0) || self.stopped.is_some());
        let arrived =
            self.is_of_interest(News::Arrived) && (!self.inbox.is_empty() || self.stopped.is_some());
        let news = [room, arrived, self.is_of_interest(News::Changed)];
        let mut wakers = Vec::new();
        for (waiting, told) in self.wakers.iter_mut().zip(news) {
            if told {
                wakers.append(waiting);
            }
        }
        let output = !self.peer.output().is_empty() && !self.write_blocked;
        let work = std::mem::take(&mut self.needs_driver) || output;
        let call_driver = may_call && work && !self.called && self.stopped.is_none();
        self.called |= call_driver;
        Notices { news, wakers, call_driver }
    }

    fn is_of_interest(&self, news: News) -> bool {
        self.waits[news as usize] > 0 || !self.wakers[news as usize].is_empty()
    }
}

impl Waiting {
    fn fail(&self, error: &Error) {
        match self {
            Self::Published(completion) => completion.set(Err(error.clone())),
            Self::Codes(completion) => completion.set(Err(error.clone())),
        }
    }
}

fn accepted(reason: ReasonCode) -> Result<ReasonCode, Error> {
    if reason.is_error() { Err(Error::Refused(reason)) } else { Ok(reason) }
}

/// What the application is told about the end of a connection; nothing when it asked for it, and nothing
/// when the transport knows more.
fn end_of(cause: DisconnectCause) -> Option<ConnectError> {
    let text = |properties: &PropertiesBuffer, property| {
        properties.as_properties().str(property).map(ToOwned::to_owned)
    };
    Some(match cause {
        DisconnectCause::Requested | DisconnectCause::Transport => return None,
        DisconnectCause::Refused { reason, properties } => ConnectError::Refused {
            reason,
            reason_string: text(&properties, Property::ReasonString),
            server_reference: text(&properties, Property::ServerReference),
        },
        DisconnectCause::ByServer { reason, properties } => ConnectError::ByServer {
            reason,
            reason_string: text(&properties, Property::ReasonString),
            server_reference: text(&properties, Property::ServerReference),
        },
        DisconnectCause::Violation(violation) => ConnectError::Protocol(violation),
        DisconnectCause::ConnackTimeout | DisconnectCause::PingTimeout => ConnectError::Timeout,
    })
}
