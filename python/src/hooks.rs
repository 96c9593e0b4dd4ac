//! Rules of the program's own: questions of the broker on their way to Python functions, and their answers. A shard puts a
//! question into a bounded queue and goes on; threads of the program take them out. What is not answered by the broker's
//! own deadline is denied there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringmq::config::DeciderFactory;
use ringmq::{Answer, Decider, Decisions, Identity, Question as Asked, ShardId, Ticket, Verdict};

use crate::wait;

/// Questions that may wait; beyond it clients are told that the server is busy, and publishes are denied.
const WAITING_MAX: usize = 10_000;
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
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Hands a question over, or gives it back when too many wait.
    fn put(&self, question: Question) -> Option<Question> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed || waiting.questions.len() >= WAITING_MAX {
            return Some(question);
        }
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

/// A question that waits for its answer. One that is dropped without is denied when its time is up.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Question {
    decisions: Decisions,
    ticket: Ticket,
    wish: Wish,
    password: Option<Vec<u8>>,
    address: Option<String>,
    shared: Arc<Shared>,
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
        self.decisions.answer(self.ticket, verdict);
    }
}

const CONNECT: &str = "connect";

/// Where questions are taken out.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Hooks {
    shared: Arc<Shared>,
    authenticates: bool,
    authorises: bool,
}

impl Hooks {
    /// What puts the questions of each shard in.
    pub fn factory(&self) -> DeciderFactory {
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
    fn new(authenticates: bool, authorises: bool, cache_seconds: f64) -> PyResult<Self> {
        let shared = Shared {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            remembered: Mutex::default(),
            holds: wait::seconds(cache_seconds)?,
        };
        Ok(Self { shared: Arc::new(shared), authenticates, authorises })
    }
    /// The next question; `None` when none came in time, or when there will be none.
    fn take(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Question>> {
        wait::until(py, wait::seconds(timeout)?, |until| {
            let mut waiting = lock(&self.shared.waiting);
            loop {
                let left = until.saturating_duration_since(Instant::now());
                match waiting.questions.pop_front() {
                    Some(question) => return Some(Some(question)),
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
    #[getter]
    fn closed(&self) -> bool {
        lock(&self.shared.waiting).closed
    }
    /// Takes questions again, for a broker that starts anew.
    fn open(&self) {
        lock(&self.shared.waiting).closed = false;
    }
    /// Takes no more questions, and lets those go who wait for one.
    fn close(&self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.closed = true;
        let left = std::mem::take(&mut waiting.questions);
        drop(waiting);
        drop(left);
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
            ticket,
            wish,
            password: password.map(<[u8]>::to_vec),
            address,
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
