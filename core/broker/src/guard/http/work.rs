//! The threads that ask the service, one request each at a time.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringmq_auth::verified::Digest;
use ringmq_proto::time::Wall;
use ringmq_rt::Decisions;
use ringmq_shard::{Answer as Told, Identity, PeerAddress, Ticket, Verdict};

use super::answer::Allowed;
use super::{Answer, Remembered, Service, question};
use crate::config::HttpFailure;
use crate::guard::counters::count;
use crate::guard::decider::{Credentials, GuardDecider};
use crate::guard::grant::{By, Grant};
use crate::guard::hashing::Job;
use crate::guard::login::Secret;
use crate::guard::queue::Waits;
use crate::guard::{Shared, lock, tokens};

/// What these threads do.
pub const JOB: Job = Job {
    name: "http auth",
    open: |shared| shared.requests.open(),
    close: |shared| shared.requests.close(),
    run,
};

/// Between two lines of the log about a service that fails.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A client about whom the service is to be asked.
pub struct Request {
    service: Arc<Service>,
    peer: PeerAddress,
    client_id: Box<str>,
    user_name: Option<Box<str>>,
    password: Option<Secret>,
    digest: Option<Digest>,
    decisions: Decisions,
    ticket: Ticket,
    /// When the service must have answered.
    deadline: Instant,
}

/// Failures that the log has not been told of.
#[derive(Debug, Default)]
pub struct Unsaid {
    last: Option<Instant>,
    failures: u64,
}

impl Request {
    pub fn new(
        service: Arc<Service>,
        asked: Credentials<'_>,
        digest: Option<Digest>,
        answer: (Decisions, Ticket),
        deadline: Instant,
    ) -> Self {
        Self {
            service,
            peer: asked.peer.clone(),
            client_id: asked.client_id.into(),
            user_name: asked.user_name.map(Into::into),
            password: asked.password.map(|password| Secret(password.into())),
            digest,
            decisions: answer.0,
            ticket: answer.1,
            deadline,
        }
    }

    fn asked(&self) -> Credentials<'_> {
        Credentials {
            peer: &self.peer,
            client_id: &self.client_id,
            user_name: self.user_name.as_deref(),
            password: self.password.as_ref().map(|password| &*password.0),
        }
    }
}

impl Waits for Request {
    fn bytes(&self) -> usize {
        self.client_id.len()
            + self.user_name.as_ref().map_or(0, |name| name.len())
            + self.password.as_ref().map_or(0, |password| password.0.len())
    }
    fn address(&self) -> Option<IpAddr> {
        self.peer.socket.map(|address| address.ip())
    }
}

fn run(shared: &Arc<Shared>) {
    while let Some(request) = shared.requests.pop() {
        let told = catch_unwind(AssertUnwindSafe(|| judge(shared, &request)));
        if let Told::Now(verdict) = told.unwrap_or(Told::Now(Verdict::Busy)) {
            request.decisions.answer(request.ticket, verdict);
        }
    }
}

fn judge(shared: &Arc<Shared>, request: &Request) -> Told {
    let service = &request.service;
    // The same client may have come twice while the first one waited.
    let known = request.digest.as_ref().and_then(|digest| service.remembered(digest));
    if let Some(answer) = known {
        count(&shared.counters.logins_http_remembered);
        return tell(shared, request, answer);
    }
    if request.deadline <= Instant::now() {
        return fail(shared, request, "its answers do not come fast enough");
    }
    match service.ask(&question(request.asked()), request.deadline) {
        Ok(answer) => {
            let answer = remembered(shared, answer);
            if let Some(digest) = request.digest {
                service.remember(digest, answer.clone());
            }
            tell(shared, request, answer)
        }
        Err(problem) => fail(shared, request, &problem),
    }
}

fn remembered(shared: &Shared, answer: Answer) -> Remembered {
    let counters = &shared.counters;
    match answer {
        Answer::Allow(as_whom) => {
            count(&counters.logins_http_allowed);
            Remembered::Allow(Arc::new(identity(as_whom)))
        }
        Answer::Deny => {
            count(&counters.logins_http_denied);
            Remembered::Deny
        }
        Answer::Ignore => {
            count(&counters.logins_http_ignored);
            Remembered::Ignore
        }
    }
}

fn identity(as_whom: Allowed) -> Identity {
    let expires_at = as_whom.expires_in.map(|seconds| tokens::now_seconds().saturating_add(seconds));
    let grant = Grant { by: By::Service, permissions: as_whom.granted, roles: as_whom.roles };
    Identity {
        user_name: as_whom.user_name.map(Into::into),
        expires_at: expires_at.map(|seconds| Wall(seconds.saturating_mul(1000))),
        grant: Some(Arc::new(grant)),
    }
}

fn tell(shared: &Arc<Shared>, request: &Request, answer: Remembered) -> Told {
    if let Remembered::Ignore = answer {
        return by_files(shared, request);
    }
    Told::Now(shared.told_by_service(request.asked(), answer))
}

/// The files decide, as if nobody had been asked: a password may go on to the threads that hash.
fn by_files(shared: &Arc<Shared>, request: &Request) -> Told {
    let decider = GuardDecider::new(Arc::clone(shared), request.decisions.clone());
    decider.by_files(request.ticket, request.asked())
}

fn fail(shared: &Arc<Shared>, request: &Request, problem: &str) -> Told {
    count(&shared.counters.http_failures);
    let failures = lock(&shared.unsaid).note(Instant::now());
    if let Some(failures) = failures {
        tracing::warn!(
            "http_auth_url {} fails ({failures} since the last such line): {problem}",
            request.service.url
        );
    }
    match request.service.failure {
        HttpFailure::Allow => {
            tell(shared, request, Remembered::Allow(Arc::new(identity(Allowed::default()))))
        }
        HttpFailure::Ignore => by_files(shared, request),
        HttpFailure::Deny => {
            request.asked().caller().log_refusal("the service of http_auth_url does not answer");
            Told::Now(Verdict::Busy)
        }
    }
}

impl Unsaid {
    /// One more; how many the log is to be told of now, if it is.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        let is_time = self.last.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        is_time.then(|| {
            self.last = Some(now);
            std::mem::take(&mut self.failures)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_failures_is_one_line_in_ten_seconds() {
        let (mut unsaid, now) = (Unsaid::default(), Instant::now());
        assert_eq!(unsaid.note(now), Some(1));
        assert!((0..99).all(|_| unsaid.note(now + Duration::from_secs(9)).is_none()));
        assert_eq!(unsaid.note(now + LOG_INTERVAL), Some(100));
    }
}
