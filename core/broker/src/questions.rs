//! Rules of a program's own, without code of it on a broker's core: a shard puts a question into a bounded queue and goes
//! on, threads of the program take it out and answer when they can. What is not answered by `decision_timeout` is denied
//! by the shard. What the program is only told goes the same way.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmq_rt::Decisions;
use ringmq_shard::{
    Answer, Decider, Hooks, Identity, Offered, PeerAddress, Question as Asked, Reader, Rewritten, ShardId,
    Ticket, Verdict,
};
use ringmq_wire::{PropertiesBuffer, Property, Qos, ReasonCode};

use crate::config::{DeciderFactory, HooksFactory, Options};

/// Questions that may wait; beyond it clients are told that the server is busy, and publishes are denied.
const WAITING_MAX: usize = 10_000;
/// Bytes of them.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Decisions that are remembered; a full table is emptied.
const REMEMBERED_MAX: usize = 10_000;

/// What a program wants to be asked and told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Who may come in, instead of password files and tokens.
    pub authenticates: bool,
    /// Who may publish and subscribe to what, instead of ACL files.
    pub authorizes: bool,
    /// That a client has connected.
    pub connects: bool,
    /// That one is gone.
    pub disconnects: bool,
    /// What clients publish, which it may change or refuse.
    pub publishes: bool,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A client wants to connect.
    Connect,
    /// It wants to publish to a topic.
    Publish,
    /// It wants to subscribe to a filter.
    Subscribe,
    /// It publishes a message, or connects with it as its will.
    Message,
    /// It has connected; no answer is wanted.
    Connected,
    /// It is gone; no answer is wanted.
    Disconnected,
}

/// What a client wants to do, with whom it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    client_id: String,
    user_name: Option<String>,
    action: Action,
    topic: String,
}

/// What the shards and the program share.
#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    remembered: Arc<Remembered>,
}

/// Decisions. Questions hold it, and not the queue in which they stand.
#[derive(Debug)]
struct Remembered {
    decisions: Mutex<HashMap<Wish, (Instant, bool)>>,
    /// How long one holds; not at all when zero.
    holds: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    questions: VecDeque<Question>,
    /// Bytes of them.
    bytes: usize,
    /// Clients that came or went while there was no room.
    missed: u64,
    /// Brokers that ask.
    users: usize,
    closed: bool,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiting {
    fn pop(&mut self) -> Option<Question> {
        let question = self.questions.pop_front()?;
        self.bytes -= question.bytes();
        Some(question)
    }
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
        let waker = waiting.waker.clone();
        drop(waiting);
        self.arrived.notify_one();
        waker.iter().for_each(Waker::wake_by_ref);
        None
    }
}

impl Remembered {
    fn get(&self, wish: &Wish) -> Option<bool> {
        let remembered = lock(&self.decisions);
        remembered.get(wish).filter(|(until, _)| Instant::now() < *until).map(|(_, allowed)| *allowed)
    }
    fn put(&self, wish: Wish, allowed: bool) {
        if self.holds.is_zero() {
            return;
        }
        let mut remembered = lock(&self.decisions);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(wish, (Instant::now() + self.holds, allowed));
    }
}

/// A message that a client publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The QoS, which stays.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Whether it is the will of a client that connects.
    pub is_will: bool,
    /// Its properties, without a topic alias and without a will's delay.
    pub properties: PropertiesBuffer,
    /// What it says.
    pub payload: Bytes,
}

/// A question, or something that the program is told. One that is dropped without an answer is denied when its time is
/// up.
#[derive(Debug)]
pub struct Question {
    decisions: Decisions,
    /// Nothing where no answer is wanted.
    ticket: Option<Ticket>,
    wish: Wish,
    password: Option<Vec<u8>>,
    address: Option<String>,
    reason: Option<ReasonCode>,
    content: Option<Content>,
    remembered: Arc<Remembered>,
}

impl Question {
    /// What it is about.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.wish.action
    }
    /// The client's ClientID.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.wish.client_id
    }
    /// Its user name.
    #[must_use]
    pub fn user_name(&self) -> Option<&str> {
        self.wish.user_name.as_deref()
    }
    /// The password with which it wants to connect.
    #[must_use]
    pub fn password(&self) -> Option<&[u8]> {
        self.password.as_deref()
    }
    /// Where it connects from; nothing behind a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }
    /// The topic name or filter; empty where it is about a connection.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.wish.topic
    }
    /// With which reason code it is gone; nothing when its connection was lost without one.
    #[must_use]
    pub const fn reason(&self) -> Option<ReasonCode> {
        self.reason
    }
    /// What it publishes.
    #[must_use]
    pub const fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }
    /// Whether the program is told something and not asked.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.ticket.is_none()
    }
    /// Yes or no. A second answer has no effect.
    pub fn answer(&self, allowed: bool) {
        let verdict = match (allowed, self.wish.action) {
            (true, _) => Verdict::Allow,
            (false, Action::Connect) => Verdict::BadCredentials,
            (false, _) => Verdict::Deny,
        };
        if matches!(self.wish.action, Action::Publish | Action::Subscribe) {
            self.remembered.put(self.wish.clone(), allowed);
        }
        self.give(verdict);
    }
    /// A client may come in, by this user name from now on. Of another question the same as yes.
    pub fn answer_as(&self, user_name: &str) {
        let identity = Identity { user_name: Some(user_name.into()), ..Identity::default() };
        self.give(Verdict::AllowAs(Arc::new(identity)));
    }
    /// A message is refused for this reason; see [`Verdict::Refuse`].
    pub fn refuse(&self, reason: ReasonCode) {
        self.give(Verdict::Refuse(reason));
    }
    /// A message becomes another one. Of a question about something else no answer.
    pub fn rewrite(&self, rewritten: Rewritten) {
        if self.content.is_some() {
            self.give(Verdict::Rewrite(Arc::new(rewritten)));
        }
    }

    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        let Wish { client_id, user_name, topic, .. } = &self.wish;
        let content = self.content.as_ref();
        size_of::<Self>()
            + client_id.len()
            + topic.len()
            + user_name.as_ref().map_or(0, String::len)
            + self.password.as_ref().map_or(0, Vec::len)
            + content.map_or(0, |content| content.payload.len() + content.properties.len())
    }
    fn give(&self, verdict: Verdict) {
        if let Some(ticket) = self.ticket {
            self.decisions.answer(ticket, verdict);
        }
    }
}

/// Where questions are taken out. Any number of threads may.
#[derive(Clone, Debug)]
pub struct Questions {
    shared: Arc<Shared>,
    subjects: Subjects,
}

impl Questions {
    /// About these subjects. A decision about a publish or a subscription holds for so long for the same client, user name
    /// and topic.
    #[must_use]
    pub fn new(subjects: Subjects, holds: Duration) -> Self {
        let shared = Shared {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            remembered: Arc::new(Remembered { decisions: Mutex::default(), holds }),
        };
        Self { shared: Arc::new(shared), subjects }
    }
    /// The next one; nothing when none has come by then, or when there will be none.
    #[must_use]
    pub fn take(&self, until: Instant) -> Option<Question> {
        let mut waiting = lock(&self.shared.waiting);
        loop {
            if let Some(question) = waiting.pop() {
                return Some(question);
            }
            let left = until.saturating_duration_since(Instant::now());
            if waiting.closed || left.is_zero() {
                return None;
            }
            waiting =
                self.shared.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    /// Who is woken, on a broker's core, whenever one has come, and when there will be no more.
    pub fn set_waker(&self, waker: Option<Waker>) {
        lock(&self.shared.waiting).waker = waker;
    }
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.shared.waiting).questions.len()
    }
    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// How many clients came or went unnoticed since this was asked last, because too much waited.
    #[must_use]
    pub fn missed(&self) -> u64 {
        std::mem::take(&mut lock(&self.shared.waiting).missed)
    }
    /// Whether no more come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.shared.waiting).closed
    }
    /// A broker begins to ask.
    pub fn open(&self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.users += 1;
        waiting.closed = false;
    }
    /// One asks no more. With the last no more come, and those go who wait for one; what the program is only told stays to
    /// be taken.
    pub fn close(&self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.users = waiting.users.saturating_sub(1);
        if waiting.users == 0 {
            self.end(waiting);
        }
    }
    /// Nobody takes them any more: whatever is asked from now on is denied at once.
    pub fn give_up(&self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.waker = None;
        self.end(waiting);
    }

    fn end(&self, mut waiting: MutexGuard<'_, Waiting>) {
        waiting.closed = true;
        let (told, asked): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut waiting.questions).into_iter().partition(Question::is_told);
        waiting.bytes = told.iter().map(Question::bytes).sum();
        waiting.questions = told;
        let waker = waiting.waker.clone();
        drop(waiting);
        drop(asked);
        self.shared.arrived.notify_all();
        waker.iter().for_each(Waker::wake_by_ref);
    }

    fn deciding(&self) -> Option<DeciderFactory> {
        let (shared, subjects) = (Arc::clone(&self.shared), self.subjects);
        (subjects.authenticates || subjects.authorizes).then(|| -> DeciderFactory {
            Arc::new(move |_: ShardId, decisions: Decisions| -> Box<dyn Decider> {
                Box::new(Asking { shared: Arc::clone(&shared), decisions, subjects })
            })
        })
    }
    fn watching(&self) -> Option<HooksFactory> {
        let (shared, subjects) = (Arc::clone(&self.shared), self.subjects);
        let watches = subjects.connects || subjects.disconnects || subjects.publishes;
        watches.then(|| -> HooksFactory {
            Arc::new(move |_: ShardId, decisions: Decisions| -> Box<dyn Hooks> {
                Box::new(Watching { shared: Arc::clone(&shared), decisions, subjects })
            })
        })
    }
}

impl Options {
    /// Asks and tells a program by these. Who decides is asked instead of files.
    #[must_use]
    pub fn questions(mut self, questions: &Questions) -> Self {
        if let Some(deciding) = questions.deciding() {
            self = self.decider(deciding);
        }
        match questions.watching() {
            Some(watching) => self.hooks(watching),
            None => self,
        }
    }
}

/// The decider of one shard.
struct Asking {
    shared: Arc<Shared>,
    decisions: Decisions,
    subjects: Subjects,
}

impl Asking {
    fn ask(&self, ticket: Ticket, wish: Wish, password: Option<&[u8]>, address: Option<String>) -> Answer {
        let question = Question {
            decisions: self.decisions.clone(),
            ticket: Some(ticket),
            wish,
            password: password.map(<[u8]>::to_vec),
            address,
            reason: None,
            content: None,
            remembered: Arc::clone(&self.shared.remembered),
        };
        match self.shared.put(question) {
            None => Answer::Later,
            Some(_) => Answer::Now(Verdict::Busy),
        }
    }
    fn may(
        &self,
        ticket: Ticket,
        action: Action,
        client_id: &str,
        user_name: Option<&str>,
        topic: &str,
    ) -> Answer {
        if !self.subjects.authorizes {
            return Answer::Now(Verdict::Allow);
        }
        let wish = Wish {
            client_id: client_id.to_owned(),
            user_name: user_name.map(str::to_owned),
            action,
            topic: topic.to_owned(),
        };
        match self.shared.remembered.get(&wish) {
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
            Asked::Connect { .. } if !self.subjects.authenticates => Answer::Now(Verdict::Allow),
            Asked::Connect { peer, client_id, user_name, password } => {
                let wish = Wish {
                    client_id: client_id.to_owned(),
                    user_name: user_name.map(str::to_owned),
                    action: Action::Connect,
                    topic: String::new(),
                };
                self.ask(ticket, wish, password, peer.socket.map(|address| address.to_string()))
            }
            Asked::Authenticate { .. } => Answer::Now(Verdict::BadMethod),
            Asked::Publish { client_id, user_name, identity, topic, .. } => {
                self.may(ticket, Action::Publish, client_id, name(identity, user_name), topic)
            }
            Asked::Subscribe { client_id, user_name, identity, filter, .. } => {
                self.may(ticket, Action::Subscribe, client_id, name(identity, user_name), filter)
            }
        }
    }

    fn allows_all(&self) -> bool {
        !self.subjects.authorizes
    }
}

/// What one shard tells and shows.
struct Watching {
    shared: Arc<Shared>,
    decisions: Decisions,
    subjects: Subjects,
}

impl Watching {
    /// A question about this client; nothing is wanted yet.
    fn question(&self, action: Action, reader: &Reader<'_>) -> Question {
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
            remembered: Arc::clone(&self.shared.remembered),
        }
    }
}

impl Hooks for Watching {
    fn connected(&mut self, peer: &PeerAddress, reader: &Reader<'_>) {
        if self.subjects.connects {
            let address = peer.socket.map(|address| address.to_string());
            self.shared.put(Question { address, ..self.question(Action::Connected, reader) });
        }
    }

    fn disconnected(&mut self, reader: &Reader<'_>, reason: Option<ReasonCode>) {
        if self.subjects.disconnects {
            self.shared.put(Question { reason, ..self.question(Action::Disconnected, reader) });
        }
    }

    fn sees_messages(&self) -> bool {
        self.subjects.publishes
    }

    fn publish(&mut self, ticket: Ticket, offered: &Offered<'_>) -> Answer {
        let mut question = self.question(Action::Message, &offered.publisher);
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
            Some(_) => Answer::Now(Verdict::Busy),
        }
    }
}
