//! Rules of the program's own: questions of the broker on their way to Python functions, and their answers; and what they
//! are told of without a question. A shard puts it into a bounded queue and goes on; threads of the program take it out.
//! What is not answered by the broker's own deadline is denied there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use ringmq::config::{DeciderFactory, HooksFactory};
use ringmq::{
    Answer, Bytes, Decider, Decisions, Identity, Offered, PeerAddress, PropertiesBuffer, Property,
    Question as Asked, Reader, ReasonCode, Rewritten, ShardId, Ticket, Verdict,
};

use crate::message::Message;
use crate::payload::Payload;
use crate::properties::publish_properties;
use crate::wait;

/// Questions that may wait; beyond it clients are told that the server is busy, and publishes are denied.
const WAITING_MAX: usize = 10_000;
/// Bytes of messages that may wait; beyond it publishes are refused.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Decisions that are remembered; a full table is emptied.
const REMEMBERED_MAX: usize = 10_000;

/// What a client wants to do, with whom it is.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Wish {
    client_id: String,
    user_name: Option<String>,
    action: &'static str,
    topic: String,
}

/// What the shards and the program share.
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    remembered: Mutex<HashMap<Wish, (Instant, bool)>>,
    /// How long a decision holds; not at all when zero.
    holds: Duration,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    /// Bytes of messages among them.
    bytes: usize,
    /// Clients that came or went while there was no room.
    missed: u64,
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Hands a question over, or gives it back when too many wait.
    fn put(&self, question: Question) -> Option<Question> {
        let mut waiting = lock(&self.waiting);
        let bytes = waiting.bytes + question.bytes();
        if waiting.closed || waiting.questions.len() >= WAITING_MAX || bytes > WAITING_BYTES_MAX {
            waiting.missed += u64::from(question.is_told());
            return Some(question);
        }
        waiting.bytes = bytes;
        waiting.questions.push_back(question);
        drop(waiting);
        self.arrived.notify_one();
        None
    }
    fn remembers(&self, wish: &Wish) -> Option<bool> {
        let remembered = lock(&self.remembered);
        remembered.get(wish).filter(|(until, _)| Instant::now() < *until).map(|(_, allowed)| *allowed)
    }
    fn remember(&self, wish: Wish, allowed: bool) {
        if self.holds.is_zero() {
            return;
        }
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(wish, (Instant::now() + self.holds, allowed));
    }
}

/// A message that a client publishes.
struct Content {
    qos: ringmq::Qos,
    retain: bool,
    is_will: bool,
    properties: PropertiesBuffer,
    payload: Bytes,
}

/// A question that waits for its answer. One that is dropped without is denied when its time is up.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Question {
    decisions: Decisions,
    /// Nothing where no answer is wanted.
    ticket: Option<Ticket>,
    wish: Wish,
    password: Option<Vec<u8>>,
    address: Option<String>,
    reason: Option<ReasonCode>,
    content: Option<Content>,
    shared: Arc<Shared>,
}

impl Question {
    /// Whether the program is told something and not asked.
    const fn is_told(&self) -> bool {
        self.ticket.is_none()
    }
    fn bytes(&self) -> usize {
        self.content.as_ref().map_or(0, |content| content.payload.len() + content.properties.len())
    }
    fn give(&self, verdict: Verdict) {
        if let Some(ticket) = self.ticket {
            self.decisions.answer(ticket, verdict);
        }
    }
}

#[pymethods]
impl Question {
    #[getter]
    fn action(&self) -> &'static str {
        self.wish.action
    }
    #[getter]
    fn client_id(&self) -> &str {
        &self.wish.client_id
    }
    #[getter]
    fn username(&self) -> Option<&str> {
        self.wish.user_name.as_deref()
    }
    #[getter]
    fn password<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.password.as_deref().map(|password| PyBytes::new(py, password))
    }
    #[getter]
    fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
    #[getter]
    fn topic(&self) -> &str {
        &self.wish.topic
    }
    /// Answers; for a connection perhaps with the user name that counts from now on.
    #[pyo3(signature = (allowed, username = None))]
    fn answer(&self, allowed: bool, username: Option<&str>) {
        let verdict = match (allowed, username) {
            (true, Some(name)) => {
                Verdict::AllowAs(Arc::new(Identity { user_name: Some(name.into()), ..Identity::default() }))
            }
            (true, None) => Verdict::Allow,
            (false, _) if self.wish.action == CONNECT => Verdict::BadCredentials,
            (false, _) => Verdict::Deny,
        };
        if self.wish.action != CONNECT {
            self.shared.remember(self.wish.clone(), allowed);
        }
        self.give(verdict);
    }
    /// The reason code with which a client is gone.
    #[getter]
    fn reason(&self) -> Option<u8> {
        self.reason.map(ReasonCode::value)
    }
    /// Whether the message is the will of a client that connects.
    #[getter]
    fn is_will(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.is_will)
    }
    /// The message that a client publishes.
    #[getter]
    fn message(&self) -> Option<Message> {
        let Content { qos, retain, properties, payload, .. } = self.content.as_ref()?;
        Some(Message::offered(&self.wish.topic, payload.clone(), *qos, *retain, properties.clone()))
    }
    /// Refuses the message for this reason.
    fn refuse(&self, reason: u8) {
        self.give(ReasonCode::from_u8(reason).map_or(Verdict::Deny, Verdict::Refuse));
    }
    /// Lets the message pass as another one; what is not given stays as it is.
    fn rewrite(
        &self,
        topic: Option<&str>,
        payload: Option<Payload>,
        retain: Option<bool>,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let Some(content) = &self.content else { return Ok(()) };
        let properties = match properties {
            Some(properties) => publish_properties(Some(properties))?,
            None => content.properties.clone(),
        };
        self.give(Verdict::Rewrite(Arc::new(Rewritten {
            topic: topic.unwrap_or(&self.wish.topic).into(),
            retain: retain.unwrap_or(content.retain),
            properties,
            payload: payload.map_or_else(|| content.payload.clone(), |payload| payload.0),
        })));
        Ok(())
    }
}

const CONNECT: &str = "connect";

/// Where questions are taken out.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Hooks {
    shared: Arc<Shared>,
    authenticates: bool,
    authorises: bool,
    watches: Watches,
}

/// What a program is told of.
#[derive(Clone, Copy)]
struct Watches {
    connects: bool,
    disconnects: bool,
    publishes: bool,
}

impl Hooks {
    /// What tells of clients and shows messages, where the program wants that.
    pub fn watching(&self) -> Option<HooksFactory> {
        let (shared, watches) = (Arc::clone(&self.shared), self.watches);
        if !(watches.connects || watches.disconnects || watches.publishes) {
            return None;
        }
        Some(Arc::new(move |_: ShardId, decisions: Decisions| -> Box<dyn ringmq::Hooks> {
            Box::new(Watching { shared: Arc::clone(&shared), decisions, watches })
        }))
    }
    /// What puts the questions of each shard in, where the program decides.
    pub fn deciding(&self) -> Option<DeciderFactory> {
        (self.authenticates || self.authorises).then(|| self.factory())
    }
    fn factory(&self) -> DeciderFactory {
        let (shared, authenticates, authorises) =
            (Arc::clone(&self.shared), self.authenticates, self.authorises);
        Arc::new(move |_: ShardId, decisions: Decisions| -> Box<dyn Decider> {
            Box::new(Asking { shared: Arc::clone(&shared), decisions, authenticates, authorises })
        })
    }
}

#[pymethods]
impl Hooks {
    #[new]
    fn new(
        authenticates: bool,
        authorises: bool,
        connects: bool,
        disconnects: bool,
        publishes: bool,
        cache_seconds: f64,
    ) -> PyResult<Self> {
        let shared = Shared {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            remembered: Mutex::default(),
            holds: wait::seconds(cache_seconds)?,
        };
        let watches = Watches { connects, disconnects, publishes };
        Ok(Self { shared: Arc::new(shared), authenticates, authorises, watches })
    }
    /// The next question; `None` when none came in time, or when there will be none.
    fn take(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Question>> {
        wait::until(py, wait::seconds(timeout)?, |until| {
            let mut waiting = lock(&self.shared.waiting);
            loop {
                let left = until.saturating_duration_since(Instant::now());
                match waiting.questions.pop_front() {
                    Some(question) => {
                        waiting.bytes -= question.bytes();
                        return Some(Some(question));
                    }
                    None if waiting.closed => return Some(None),
                    None if left.is_zero() => return None,
                    None => {}
                }
                waiting =
                    self.shared.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        })
        .map(Option::flatten)
    }
    /// How many clients came or went unnoticed since this was asked last, because too much waited.
    fn missed(&self) -> u64 {
        std::mem::take(&mut lock(&self.shared.waiting).missed)
    }
    #[getter]
    fn closed(&self) -> bool {
        lock(&self.shared.waiting).closed
    }
    /// Takes questions again, for a broker that starts anew.
    fn open(&self) {
        lock(&self.shared.waiting).closed = false;
    }
    /// Takes no more questions, and lets those go who wait for one. What the program is only told stays to be taken.
    fn close(&self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.closed = true;
        let (told, asked): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut waiting.questions).into_iter().partition(Question::is_told);
        (waiting.questions, waiting.bytes) = (told, 0);
        drop(waiting);
        drop(asked);
        self.shared.arrived.notify_all();
    }
}

/// The decider of one shard.
struct Asking {
    shared: Arc<Shared>,
    decisions: Decisions,
    authenticates: bool,
    authorises: bool,
}

impl Asking {
    fn ask(&self, ticket: Ticket, wish: Wish, password: Option<&[u8]>, address: Option<String>) -> Answer {
        let is_connection = wish.action == CONNECT;
        let question = Question {
            decisions: self.decisions.clone(),
            ticket: Some(ticket),
            wish,
            password: password.map(<[u8]>::to_vec),
            address,
            reason: None,
            content: None,
            shared: Arc::clone(&self.shared),
        };
        match self.shared.put(question) {
            None => Answer::Later,
            Some(_) if is_connection => Answer::Now(Verdict::Busy),
            Some(_) => Answer::Now(Verdict::Deny),
        }
    }
    fn may(
        &self,
        ticket: Ticket,
        action: &'static str,
        client_id: &str,
        user_name: Option<&str>,
        topic: &str,
    ) -> Answer {
        if !self.authorises {
            return Answer::Now(Verdict::Allow);
        }
        let wish = Wish {
            client_id: client_id.to_owned(),
            user_name: user_name.map(str::to_owned),
            action,
            topic: topic.to_owned(),
        };
        match self.shared.remembers(&wish) {
            Some(true) => Answer::Now(Verdict::Allow),
            Some(false) => Answer::Now(Verdict::Deny),
            None => self.ask(ticket, wish, None, None),
        }
    }
}

/// The name that counts: the one that was decided, else the one that was given.
fn name<'a>(identity: Option<&'a Identity>, given: Option<&'a str>) -> Option<&'a str> {
    identity.and_then(|identity| identity.user_name.as_deref()).or(given)
}

impl Decider for Asking {
    fn decide(&mut self, ticket: Ticket, question: &Asked<'_>) -> Answer {
        match *question {
            Asked::Connect { .. } if !self.authenticates => Answer::Now(Verdict::Allow),
            Asked::Connect { peer, client_id, user_name, password } => {
                let wish = Wish {
                    client_id: client_id.to_owned(),
                    user_name: user_name.map(str::to_owned),
                    action: CONNECT,
                    topic: String::new(),
                };
                self.ask(ticket, wish, password, peer.socket.map(|address| address.to_string()))
            }
            Asked::Authenticate { .. } => Answer::Now(Verdict::BadMethod),
            Asked::Publish { client_id, user_name, identity, topic, .. } => {
                self.may(ticket, "publish", client_id, name(identity, user_name), topic)
            }
            Asked::Subscribe { client_id, user_name, identity, filter, .. } => {
                self.may(ticket, "subscribe", client_id, name(identity, user_name), filter)
            }
        }
    }

    fn allows_all(&self) -> bool {
        !self.authorises
    }
}

/// What one shard tells and shows.
struct Watching {
    shared: Arc<Shared>,
    decisions: Decisions,
    watches: Watches,
}

impl Watching {
    /// A question about this client; nothing is wanted yet.
    fn question(&self, action: &'static str, reader: &Reader<'_>) -> Question {
        let wish = Wish {
            client_id: reader.client_id.to_owned(),
            user_name: name(reader.identity, reader.user_name).map(str::to_owned),
            action,
            topic: String::new(),
        };
        Question {
            decisions: self.decisions.clone(),
            ticket: None,
            wish,
            password: None,
            address: None,
            reason: None,
            content: None,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl ringmq::Hooks for Watching {
    fn connected(&mut self, peer: &PeerAddress, reader: &Reader<'_>) {
        if self.watches.connects {
            let address = peer.socket.map(|address| address.to_string());
            self.shared.put(Question { address, ..self.question("connected", reader) });
        }
    }

    fn disconnected(&mut self, reader: &Reader<'_>, reason: Option<ReasonCode>) {
        if self.watches.disconnects {
            self.shared.put(Question { reason, ..self.question("disconnected", reader) });
        }
    }

    fn sees_messages(&self) -> bool {
        self.watches.publishes
    }

    fn publish(&mut self, ticket: Ticket, offered: &Offered<'_>) -> Answer {
        let mut question = self.question("message", &offered.publisher);
        let mut properties = PropertiesBuffer::new();
        for (property, value) in offered.properties.iter() {
            // An alias is of the connection, a delay of the will.
            if !matches!(property, Property::TopicAlias | Property::WillDelayInterval) {
                properties.push(property, value);
            }
        }
        question.ticket = Some(ticket);
        offered.topic.clone_into(&mut question.wish.topic);
        question.content = Some(Content {
            qos: offered.qos,
            retain: offered.retain,
            is_will: offered.is_will,
            properties,
            payload: Bytes::copy_from_slice(offered.payload),
        });
        match self.shared.put(question) {
            None => Answer::Later,
            Some(_) => Answer::Now(Verdict::Refuse(ReasonCode::QUOTA_EXCEEDED)),
        }
    }
}
