//! What one shard asks. Everything but a password's hash is answered at once.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ringmq_auth::scram::METHOD;
use ringmq_auth::{Action, Who, jwt};
use ringmq_rt::Decisions;
use ringmq_shard::{Answer, Decider, PeerAddress, Question, Reader, Ticket, Verdict};

use super::counters::count;
use super::grant::grant;
use super::hashing::password_verdict;
use super::http::{Remembered, Request, Service};
use super::login::{Caller, Expected, Login, Secret};
use super::queue::Full;
use super::snapshot::Snapshot;
use super::{Shared, lock, scram, staying};

/// One shard's decider.
pub struct GuardDecider {
    shared: Arc<Shared>,
    decisions: Decisions,
    /// What holds, as long as its number is the newest.
    snapshot: Arc<Snapshot>,
    number: u64,
}

/// What CONNECT says.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    pub peer: &'a PeerAddress,
    pub client_id: &'a str,
    pub user_name: Option<&'a str>,
    pub password: Option<&'a [u8]>,
}

/// The method by which a token comes in an exchange, in one step.
pub const TOKEN_METHOD: &str = "jwt";

impl Credentials<'_> {
    pub fn caller(&self) -> Caller {
        Caller {
            user_name: self.user_name.map(Into::into),
            client_id: self.client_id.into(),
            address: self.peer.socket,
        }
    }
}

impl Shared {
    pub fn must_wait(&self, peer: &PeerAddress) -> bool {
        let now = self.now_ms();
        peer.socket.is_some_and(|address| lock(&self.backoff).wait(address.ip(), now).is_some())
    }

    /// Says of a client that it may not have its ClientID.
    pub fn refuse_client_id(&self, caller: &Caller, reason: &str) -> Verdict {
        count(&self.counters.logins_by_client_id_refused);
        caller.log_failure(reason);
        Verdict::BadClientId
    }

    /// What an answer of the service means for a client. A no counts as a guess.
    pub fn told_by_service(&self, asked: Credentials<'_>, answer: Remembered) -> Verdict {
        match answer {
            Remembered::Allow(identity) => {
                let snapshot = Arc::clone(&lock(&self.snapshot));
                let user_name = identity.user_name.as_deref().or(asked.user_name);
                match snapshot.rules(asked.peer.listener).client_ids.check(user_name, asked.client_id) {
                    Ok(()) => Verdict::AllowAs(identity),
                    Err(reason) => self.refuse_client_id(&asked.caller(), reason),
                }
            }
            Remembered::Deny | Remembered::Ignore => {
                if let Some(address) = asked.peer.socket {
                    let _ = lock(&self.backoff).failed(address.ip(), self.now_ms());
                }
                self.fail(asked, "the service of http_auth_url denies it");
                Verdict::BadCredentials
            }
        }
    }

    pub fn fail(&self, asked: Credentials<'_>, reason: &str) {
        count(&self.counters.logins_failed);
        asked.caller().log_failure(reason);
    }
}

impl GuardDecider {
    pub fn new(shared: Arc<Shared>, decisions: Decisions) -> Self {
        let number = shared.number.load(Ordering::Acquire);
        let snapshot = Arc::clone(&lock(&shared.snapshot));
        Self { shared, decisions, snapshot, number }
    }

    /// Takes over what holds now. One load of a number that hardly ever changes.
    fn look(&mut self) {
        let number = self.shared.number.load(Ordering::Acquire);
        if number != self.number {
            self.snapshot = Arc::clone(&lock(&self.shared.snapshot));
            self.number = number;
        }
    }

    fn connect(&self, ticket: Ticket, asked: Credentials<'_>) -> Answer {
        match &self.snapshot.http {
            Some(service) if asked.peer.user_name.is_none() => self.ask(service, ticket, asked),
            _ => self.by_files(ticket, asked),
        }
    }

    /// The service decides, unless what it said of this client is known. Nobody waits for it on this core.
    fn ask(&self, service: &Arc<Service>, ticket: Ticket, asked: Credentials<'_>) -> Answer {
        let shared = &self.shared;
        let digest = service.digest(&shared.digester, asked);
        if let Some(answer) = digest.as_ref().and_then(|digest| service.remembered(digest)) {
            count(&shared.counters.logins_http_remembered);
            return match answer {
                Remembered::Ignore => self.by_files(ticket, asked),
                answer => Answer::Now(shared.told_by_service(asked, answer)),
            };
        }
        if self.must_wait(asked.peer) {
            return self.too_often(asked);
        }
        let deadline = service.deadline(self.snapshot.decision_timeout);
        let answer = (self.decisions.clone(), ticket);
        match shared.requests.push(Request::new(Arc::clone(service), asked, digest, answer, deadline)) {
            Ok(()) => Answer::Later,
            Err(Full) => self.busy(asked),
        }
    }

    /// What the files say of who wants to come in.
    pub fn by_files(&self, ticket: Ticket, asked: Credentials<'_>) -> Answer {
        let rules = self.snapshot.rules(asked.peer.listener);
        let is_proved = asked.peer.user_name.is_some();
        if let (Some(keys), Some(password), false) = (&rules.tokens, asked.password, is_proved)
            && (rules.users.is_none() || jwt::looks_like_token(password))
        {
            let expected = Expected::Token(Arc::clone(keys), Arc::clone(&rules.client_ids));
            return self.verify_later(ticket, asked, password, expected);
        }
        if let Err(reason) = rules.client_ids.check(asked.user_name, asked.client_id) {
            return Answer::Now(self.shared.refuse_client_id(&asked.caller(), reason));
        }
        if is_proved {
            return Answer::Now(Verdict::Allow);
        }
        match (asked.user_name, &rules.users) {
            (None, _) | (_, None) if rules.allow_anonymous => Answer::Now(Verdict::Allow),
            (None, _) => self.fail(asked, "no user name", Verdict::Deny),
            (_, None) if rules.tokens.is_some() => self.fail(asked, "no token", Verdict::BadCredentials),
            (_, None) => self.fail(asked, "there is no password file", Verdict::BadCredentials),
            (Some(name), Some(_)) => self.log_in(ticket, asked, name),
        }
    }

    /// A client with a user name: its password is remembered, or waits for its hash.
    fn log_in(&self, ticket: Ticket, asked: Credentials<'_>, name: &str) -> Answer {
        let Some(users) = &self.snapshot.rules(asked.peer.listener).users else {
            return Answer::Now(Verdict::Deny);
        };
        let Some(password) = asked.password else {
            return self.fail(asked, "no password", Verdict::BadCredentials);
        };
        let shared = &self.shared;
        let known = users.find(name);
        let is_kept = self.snapshot.reload_kicks;
        let digest = known.and_then(|stored| shared.digester.digest(name, stored, password));
        if digest.is_some_and(|digest| lock(&shared.verified).contains(&digest)) {
            count(&shared.counters.logins_remembered);
            return Answer::Now(known.map_or(Verdict::Allow, |stored| password_verdict(stored, is_kept)));
        }
        let Some(stored) = known.or_else(|| users.decoy(shared.digester.pick(name))) else {
            return self.fail(asked, "unknown user", Verdict::BadCredentials);
        };
        let (stored, is_known) = (Arc::clone(stored), known.is_some());
        self.verify_later(ticket, asked, password, Expected::Password { stored, is_known, digest, is_kept })
    }

    /// A password or token goes to the threads, unless its address has to wait.
    fn verify_later(
        &self,
        ticket: Ticket,
        asked: Credentials<'_>,
        password: &[u8],
        expected: Expected,
    ) -> Answer {
        let shared = &self.shared;
        if self.must_wait(asked.peer) {
            return self.too_often(asked);
        }
        let login = Login {
            caller: asked.caller(),
            password: Secret(password.into()),
            expected,
            decisions: self.decisions.clone(),
            ticket,
            deadline: Instant::now() + self.snapshot.decision_timeout,
        };
        match shared.queue.push(login) {
            Ok(()) => Answer::Later,
            Err(Full) => self.busy(asked),
        }
    }

    fn too_often(&self, asked: Credentials<'_>) -> Answer {
        count(&self.shared.counters.logins_too_often);
        asked.caller().log_refusal("too many failures from this address");
        Answer::Now(Verdict::TooOften)
    }

    fn busy(&self, asked: Credentials<'_>) -> Answer {
        count(&self.shared.counters.logins_busy);
        asked.caller().log_refusal("too many logins wait for their turn");
        Answer::Now(Verdict::Busy)
    }

    /// A step of an exchange. A token comes in one; whose password is stored for that may prove it in two.
    fn authenticate(
        &self,
        ticket: Ticket,
        asked: Credentials<'_>,
        method: &str,
        state: Option<&(dyn Any + Send + Sync)>,
    ) -> Answer {
        let rules = self.snapshot.rules(asked.peer.listener);
        match (method, &rules.tokens, &rules.users) {
            (TOKEN_METHOD, Some(keys), _) => {
                let token = asked.password.unwrap_or_default();
                let expected = Expected::Token(Arc::clone(keys), Arc::clone(&rules.client_ids));
                self.verify_later(ticket, asked, token, expected)
            }
            (METHOD, _, Some(users)) if users.has_scram() => {
                Answer::Now(scram::step(&self.shared, asked, (users, rules), state))
            }
            _ => self.fail(asked, "no such authentication method", Verdict::BadMethod),
        }
    }

    fn must_wait(&self, peer: &PeerAddress) -> bool {
        self.shared.must_wait(peer)
    }

    fn fail(&self, asked: Credentials<'_>, reason: &str, verdict: Verdict) -> Answer {
        self.shared.fail(asked, reason);
        Answer::Now(verdict)
    }

    fn allows(&self, reader: &Reader<'_>, action: Action, topic: &str) -> bool {
        let who = Who { client_id: reader.client_id, user_name: reader.user_name };
        let grant = grant(reader.identity);
        let roles = self.snapshot.roles.as_ref();
        let more = grant.map_or(&[][..], |grant| &grant.roles);
        if let Some(may) = roles.and_then(|roles| roles.says(who, more, action, topic)) {
            return may;
        }
        if let Some(granted) = grant.and_then(|grant| grant.permissions.as_ref()) {
            return granted.allows(who, action, topic);
        }
        let acl = &self.snapshot.rules(reader.listener).acl;
        acl.as_ref().map_or(roles.is_none(), |acl| acl.allows(who, action, topic))
    }
}

impl Decider for GuardDecider {
    fn decide(&mut self, ticket: Ticket, question: &Question<'_>) -> Answer {
        self.look();
        match *question {
            Question::Connect { peer, client_id, user_name, password } => {
                self.connect(ticket, Credentials { peer, client_id, user_name, password })
            }
            Question::Authenticate { peer, client_id, user_name, method, data, state, .. } => {
                let asked = Credentials { peer, client_id, user_name, password: data };
                self.authenticate(ticket, asked, method, state)
            }
            Question::Publish { client_id, user_name, identity, listener, topic, .. } => {
                let client = Reader { client_id, user_name, identity, listener };
                let may = self.allows(&client, Action::Write, topic);
                Answer::Now(if may { Verdict::Allow } else { Verdict::Deny })
            }
            // mosquitto's ACL files say nothing about subscribing: who subscribes is given what it may read.
            Question::Subscribe { .. } => Answer::Now(Verdict::Allow),
        }
    }

    fn allows_all(&self) -> bool {
        !self.restricts_reading()
    }

    fn restricts_reading(&self) -> bool {
        // Asked before anything else of a turn's questions, and then of what may be the newest by now.
        let is_newest = self.shared.number.load(Ordering::Acquire) == self.number;
        if is_newest { self.snapshot.has_acl() } else { lock(&self.shared.snapshot).has_acl() }
    }

    fn may_stay(&mut self, peer: &PeerAddress, reader: &Reader<'_>) -> bool {
        self.look();
        let Some(reason) = staying::why_not(&self.snapshot, peer, reader) else { return true };
        count(&self.shared.counters.logins_ended);
        staying::credentials(peer, reader).caller().log_end(reason);
        false
    }

    fn may_read(&mut self, reader: &Reader<'_>, topic: &str) -> bool {
        self.look();
        self.allows(reader, Action::Read, topic)
    }
}
