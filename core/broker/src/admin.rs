//! What the one who holds a broker can see of its clients, sessions and retained messages, and do to them. Every shard is
//! asked, a page a time; what changes meanwhile may be seen or not.

use std::time::{Duration, Instant};

use ringmq_shard::{AdminAnswer, AdminQuestion, RetainedReport, SessionReport};
use ringmq_wire::{TopicFilter, Violation};

use crate::Broker;
use crate::handle::{Handle, OpenError};

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminError {
    /// The filter is not what MQTT allows; names the clause.
    Invalid(Violation),
    /// A shard did not answer in time; try later.
    Timeout,
    /// The broker has stopped.
    Stopped,
    /// The broker has failed, its log says why.
    Failed,
}

impl std::fmt::Display for AdminError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(violation) => violation.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Stopped => f.write_str("the broker has stopped"),
            Self::Failed => f.write_str("the broker has failed, its log says why"),
        }
    }
}

impl std::error::Error for AdminError {}

impl From<OpenError> for AdminError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Stopped => Self::Stopped,
            OpenError::Failed => Self::Failed,
            _ => Self::Timeout,
        }
    }
}

/// Asks one shard until it has told everything. `question` makes the next question of the last answer, or takes the end.
fn go_on<T>(
    handle: &Handle,
    deadline: Instant,
    first: T,
    question: impl Fn(T) -> AdminQuestion,
    mut take: impl FnMut(AdminAnswer) -> Option<T>,
) -> Result<(), AdminError> {
    let mut next = Some(first);
    while let Some(place) = next {
        next = take(handle.administer(question(place), deadline)?);
    }
    Ok(())
}

impl Broker {
    /// The sessions of all clients, connected or not, in the order of their ClientIDs. This program's own are not among
    /// them.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn sessions(&self, timeout: Duration) -> Result<Vec<SessionReport>, AdminError> {
        let deadline = Instant::now() + timeout;
        let mut all = Vec::new();
        for shard in 0..self.shards() {
            let take = |answer| match answer {
                AdminAnswer::Sessions { sessions, next } => {
                    all.extend(sessions);
                    next
                }
                _ => None,
            };
            go_on(&self.handle_on(shard)?, deadline, 0, |from| AdminQuestion::Sessions { from }, take)?;
        }
        all.sort_by(|one, other| one.client_id.cmp(&other.client_id));
        Ok(all)
    }
    /// Disconnects the client with this ClientID, which is told 0x98 Administrative action, and ends its session if that
    /// is wanted. Its will is published. Says whether there was such a session.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn kick(&self, client_id: &str, end_session: bool, timeout: Duration) -> Result<bool, AdminError> {
        let deadline = Instant::now() + timeout;
        for shard in 0..self.shards() {
            let question = AdminQuestion::Kick { client_id: client_id.to_owned(), end_session };
            if self.handle_on(shard)?.administer(question, deadline)? == AdminAnswer::Kicked(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }
    /// The retained messages whose topics match the filter, in the order of their topics.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn retained(&self, filter: &str, timeout: Duration) -> Result<Vec<RetainedReport>, AdminError> {
        TopicFilter::new(filter).map_err(AdminError::Invalid)?;
        let deadline = Instant::now() + timeout;
        let mut all = Vec::new();
        let question = |after| AdminQuestion::Retained { filter: filter.to_owned(), after };
        for shard in 0..self.shards() {
            let take = |answer| match answer {
                AdminAnswer::Retained { messages, next } => {
                    all.extend(messages);
                    next.map(Some)
                }
                _ => None,
            };
            go_on(&self.handle_on(shard)?, deadline, None, question, take)?;
        }
        all.sort_by(|one, other| one.topic.cmp(&other.topic));
        Ok(all)
    }
    /// Sets the wall clock of this broker ahead, and returns when what is due by then has happened: sessions and retained
    /// messages that expire, wills whose delay is over, logins that end. Connections are as alive as before, unless
    /// `keep_alive` says that their clients have been silent all the time. For tests; no network or configuration gets
    /// here.
    ///
    /// # Errors
    /// [`AdminError`]; the clock is ahead all the same.
    pub fn advance_clock(&self, by: Duration, keep_alive: bool, timeout: Duration) -> Result<(), AdminError> {
        let deadline = Instant::now() + timeout;
        self.running().advance_clock(by);
        let silent = if keep_alive { u64::try_from(by.as_millis()).unwrap_or(u64::MAX) } else { 0 };
        for shard in 0..self.shards() {
            let handle = self.handle_on(shard)?;
            // A turn that was under way when the clock was set has the time of its beginning, and answers the first
            // question at the latest; the second one meets the new time.
            for keep_alive in [0, silent] {
                let question = |from| AdminQuestion::TimePassed { from, keep_alive };
                let take = |answer| match answer {
                    AdminAnswer::TimePassed { next } => next,
                    _ => None,
                };
                go_on(&handle, deadline, 0, question, take)?;
            }
        }
        Ok(())
    }
    /// As if it had just been started: all clients are disconnected, their sessions end, and all retained messages are
    /// forgotten but its own. Subscriptions and handles of this program stay, and so do the counters.
    ///
    /// # Errors
    /// [`AdminError`].
    pub fn reset(&self, timeout: Duration) -> Result<(), AdminError> {
        let deadline = Instant::now() + timeout;
        // Wills of the first round may be retained by shards that had their turn.
        for _ in 0..2 {
            for shard in 0..self.shards() {
                let take = |answer| match answer {
                    AdminAnswer::Reset { next } => next,
                    _ => None,
                };
                go_on(&self.handle_on(shard)?, deadline, 0, |from| AdminQuestion::Reset { from }, take)?;
            }
        }
        Ok(())
    }
}
