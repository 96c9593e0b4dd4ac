//! Rules of the program's own, as Python sees them: questions of the broker on their way to Python functions, and their
//! answers.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ringmq::questions::{self, Action, Questions, Subjects};
use ringmq::{ReasonCode, Rewritten};

use crate::message::Message;
use crate::payload::Payload;
use crate::properties::publish_properties;
use crate::wait;

/// A question that waits for its answer.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Question(questions::Question);

#[pymethods]
impl Question {
    /// What it is about: `connect`, `publish` and `subscribe` ask for permission, `message` for what becomes of a
    /// message; `connected` and `disconnected` only tell.
    #[getter]
    fn action(&self) -> &'static str {
        match self.0.action() {
            Action::Connect => "connect",
            Action::Publish => "publish",
            Action::Subscribe => "subscribe",
            Action::Message => "message",
            Action::Connected => "connected",
            Action::Disconnected => "disconnected",
        }
    }
    /// The ClientID.
    #[getter]
    fn client_id(&self) -> &str {
        self.0.client_id()
    }
    /// The user name, if there is one.
    #[getter]
    fn username(&self) -> Option<&str> {
        self.0.user_name()
    }
    /// The password, where a client wants to connect with one.
    #[getter]
    fn password<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.password().map(|password| PyBytes::new(py, password))
    }
    /// `ADDRESS:PORT` of the client; `None` behind a Unix socket.
    #[getter]
    fn address(&self) -> Option<&str> {
        self.0.address()
    }
    /// The topic name or topic filter; empty where it is about none.
    #[getter]
    fn topic(&self) -> &str {
        self.0.topic()
    }
    /// The reason code with which a client is gone.
    #[getter]
    fn reason(&self) -> Option<u8> {
        self.0.reason().map(ReasonCode::value)
    }
    /// Whether the message is the will of a client that connects.
    #[getter]
    fn is_will(&self) -> bool {
        self.0.content().is_some_and(|content| content.is_will)
    }
    /// The message that a client publishes.
    #[getter]
    fn message(&self) -> Option<Message> {
        self.0.content().map(|content| Message::offered(self.0.topic(), content.clone()))
    }
    /// Answers; for a connection perhaps with the user name that counts from now on.
    #[pyo3(signature = (allowed, username = None))]
    fn answer(&self, allowed: bool, username: Option<&str>) {
        match username.filter(|_| allowed) {
            Some(name) => self.0.answer_as(name),
            None => self.0.answer(allowed),
        }
    }
    /// Refuses the message for this reason.
    fn refuse(&self, reason: u8) {
        match ReasonCode::from_u8(reason) {
            Some(reason) => self.0.refuse(reason),
            None => self.0.answer(false),
        }
    }
    /// Lets the message pass as another one; what is not given stays as it is.
    fn rewrite(
        &self,
        topic: Option<&str>,
        payload: Option<Payload>,
        retain: Option<bool>,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let Some(content) = self.0.content() else { return Ok(()) };
        let properties = match properties {
            Some(properties) => publish_properties(Some(properties))?,
            None => content.properties.clone(),
        };
        self.0.rewrite(Rewritten {
            topic: topic.unwrap_or_else(|| self.0.topic()).into(),
            retain: retain.unwrap_or(content.retain),
            properties,
            payload: payload.map_or_else(|| content.payload.clone(), |payload| payload.0),
        });
        Ok(())
    }
}

/// Where questions are taken out.
#[pyclass(frozen, module = "ringmq._ringmq")]
pub struct Hooks(pub Questions);

#[pymethods]
impl Hooks {
    #[new]
    fn new(
        authenticates: bool,
        authorizes: bool,
        connects: bool,
        disconnects: bool,
        publishes: bool,
        cache_seconds: f64,
    ) -> PyResult<Self> {
        let subjects = Subjects { authenticates, authorizes, connects, disconnects, publishes };
        Ok(Self(Questions::new(subjects, wait::seconds(cache_seconds)?)))
    }
    /// The next question; `None` when none came within `timeout` seconds, or when there will be none.
    fn take(&self, py: Python<'_>, timeout: f64) -> PyResult<Option<Question>> {
        let found = wait::until(py, wait::seconds(timeout)?, |until| match self.0.take(until) {
            Some(question) => Some(Some(question)),
            None => self.0.is_closed().then_some(None),
        });
        Ok(found?.flatten().map(Question))
    }
    /// How many clients came or went unnoticed since this was asked last, because too much waited.
    fn missed(&self) -> u64 {
        self.0.missed()
    }
    /// Whether no more questions are taken.
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }
    /// Takes questions again, for a broker that starts anew.
    fn open(&self) {
        self.0.open();
    }
    /// Takes no more questions, and lets those go who wait for one. What the program is only told stays to be taken.
    fn close(&self) {
        self.0.close();
    }
}
