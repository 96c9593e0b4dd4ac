//! Deciders that answer at once, later, in any order, or never. They keep what they were asked, and a test
//! reads it.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringmq_proto::time::Wall;
use ringmq_shard::{Answer, Challenge, Decider, Identity, Proof, Question, Reader, Ticket, Verdict};

use super::random::Random;

/// How questions are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// At once.
    Now,
    /// Later, when the test or the scheduler says so.
    Later,
    /// Some at once, some later: percent that come later.
    Mixed(usize),
}

/// A question that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub shard: usize,
    pub ticket: Ticket,
    /// What was asked, as text: `connect c`, `publish c t`, `subscribe c f`, and for a step of an authentication
    /// `auth c method data after challenge`, or `again` when it begins anew.
    pub text: String,
}

/// What all deciders of one broker share.
#[derive(Debug)]
pub struct Book {
    pub mood: Mood,
    /// Texts containing one of these are denied.
    pub denied: Vec<String>,
    /// Texts containing one of these are allowed as somebody, in whose grant stands a text.
    pub identities: Vec<(String, Arc<Identity>)>,
    /// Texts containing one of these are challenged with this. Of methods `known` alone is known.
    pub challenges: Vec<(String, &'static str)>,
    /// Whether reading is asked about: `read c t`, and `read c t as u` for a client with a user name.
    pub restricts_reading: bool,
    /// Questions not answered yet, oldest first.
    pub open: Vec<Open>,
    /// Every question ever asked.
    pub asked: Vec<String>,
    random: Random,
}

impl Book {
    pub fn new(mood: Mood, seed: u64) -> Rc<RefCell<Self>> {
        let book = Self {
            mood,
            denied: Vec::new(),
            identities: Vec::new(),
            challenges: Vec::new(),
            restricts_reading: false,
            open: Vec::new(),
            asked: Vec::new(),
            random: Random::new(seed),
        };
        Rc::new(RefCell::new(book))
    }

    /// What this book says to a question.
    pub fn verdict(&self, text: &str) -> Verdict {
        if self.denied.iter().any(|part| text.contains(part.as_str())) {
            return Verdict::Deny;
        }
        let is_step = text.starts_with("auth ") || text.starts_with("again ");
        if is_step && !text.contains(" known ") {
            return Verdict::BadMethod;
        }
        if let Some((_, data)) = self.challenges.iter().find(|(part, _)| text.contains(part.as_str())) {
            let state: Box<dyn Any + Send + Sync> = Box::new(*data);
            return Verdict::Continue(Arc::new(Challenge {
                data: data.as_bytes().into(),
                state: Some(state),
            }));
        }
        let known = self.identities.iter().find(|(part, _)| text.contains(part.as_str()));
        known.map_or(Verdict::Allow, |(_, identity)| {
            let identity = Arc::clone(identity);
            match is_step {
                true => Verdict::Proved(Arc::new(Proof { identity, data: b"proof"[..].into() })),
                false => Verdict::AllowAs(identity),
            }
        })
    }
}

/// An identity whose grant says `text`.
pub fn identity(user_name: Option<&str>, expires_at: Option<Wall>, text: &'static str) -> Arc<Identity> {
    Arc::new(Identity { user_name: user_name.map(Into::into), expires_at, grant: Some(Arc::new(text)) })
}

fn granted(identity: Option<&Identity>) -> Option<String> {
    let text = identity?.grant.as_ref()?.downcast_ref::<&'static str>()?;
    Some(format!(" with {text}"))
}

/// One shard's decider.
pub struct Clerk {
    pub shard: usize,
    pub book: Rc<RefCell<Book>>,
}

impl Decider for Clerk {
    fn decide(&mut self, ticket: Ticket, question: &Question<'_>) -> Answer {
        let mut book = self.book.borrow_mut();
        let (mut text, user_name, identity) = match question {
            Question::Connect { client_id, user_name, .. } => {
                (format!("connect {client_id}"), user_name, None)
            }
            Question::Authenticate { client_id, user_name, again, method, data, state, .. } => {
                let step = if *again { "again" } else { "auth" };
                let data = String::from_utf8_lossy(data.unwrap_or_default());
                let state = state.and_then(|state| state.downcast_ref::<&'static str>());
                let after = state.map_or_else(String::new, |state| format!(" after {state}"));
                (format!("{step} {client_id} {method} {data}{after}"), user_name, None)
            }
            Question::Publish { client_id, user_name, identity, topic, .. } => {
                (format!("publish {client_id} {topic}"), user_name, *identity)
            }
            Question::Subscribe { client_id, user_name, identity, filter, .. } => {
                (format!("subscribe {client_id} {filter}"), user_name, *identity)
            }
        };
        text.extend(user_name.map(|name| format!(" as {name}")));
        text.extend(granted(identity));
        book.asked.push(text.clone());
        let later = match book.mood {
            Mood::Now => false,
            Mood::Later => true,
            Mood::Mixed(percent) => book.random.chance(percent),
        };
        if !later {
            return Answer::Now(book.verdict(&text));
        }
        book.open.push(Open { shard: self.shard, ticket, text });
        Answer::Later
    }

    fn restricts_reading(&self) -> bool {
        self.book.borrow().restricts_reading
    }

    fn may_read(&mut self, reader: &Reader<'_>, topic: &str) -> bool {
        let mut book = self.book.borrow_mut();
        let mut text = format!("read {} {topic}", reader.client_id);
        text.extend(reader.user_name.map(|name| format!(" as {name}")));
        text.extend(granted(reader.identity));
        book.asked.push(text.clone());
        matches!(book.verdict(&text), Verdict::Allow)
    }
}
