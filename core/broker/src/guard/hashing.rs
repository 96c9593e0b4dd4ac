//! The threads that compare passwords and verify tokens. A shard puts a login into their queue and goes on; when the queue is full it
//! hears so at once, and the client is told to come back. What waited too long is not hashed: nobody waits for its
//! answer any more.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use ringmq_auth::jwt::{Rejection, Verifier};
use ringmq_auth::{HashMemory, PasswordHash};
use ringmq_shard::Verdict;

use super::counters::count;
use super::grant::Grant;
use super::key_set::{Doubt, KeySet};
use super::login::{Caller, Expected, Login};
use super::{GuardError, Shared, lock, tokens};
use crate::config::ClientIdRules;

/// Added to the nice value of hashing threads: what is served goes before who comes in.
const NICENESS: i32 = 10;

/// The threads.
#[derive(Default)]
pub struct Workers(Vec<JoinHandle<()>>);

/// What threads do.
#[derive(Clone, Copy)]
pub struct Job {
    /// Their name, at most 15 bytes.
    pub name: &'static str,
    /// Opens their queue.
    pub open: fn(&Shared),
    /// Closes it.
    pub close: fn(&Shared),
    /// What each does until the queue is closed.
    pub run: fn(&Arc<Shared>),
}

/// Comparing passwords and verifying tokens.
pub const JOB: Job =
    Job { name: "passwords", open: |shared| shared.queue.open(), close: |shared| shared.queue.close(), run };

impl Workers {
    /// Starts so many.
    pub fn start(shared: &Arc<Shared>, job: Job, count: usize) -> Result<Self, GuardError> {
        (job.open)(shared);
        let mut workers = Self(Vec::new());
        for _ in 0..count {
            let own = Arc::clone(shared);
            let thread = std::thread::Builder::new().name(job.name.to_owned()).spawn(move || {
                lower_priority();
                (job.run)(&own);
            });
            match thread {
                Ok(thread) => workers.0.push(thread),
                Err(error) => return Err(workers.give_up(shared, job, error)),
            }
        }
        Ok(workers)
    }

    fn give_up(mut self, shared: &Shared, job: Job, error: io::Error) -> GuardError {
        (job.close)(shared);
        self.join();
        GuardError::Threads(error)
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until they are gone; the queue is closed before.
    pub fn join(&mut self) {
        for thread in self.0.drain(..) {
            // A thread that panicked has said so itself, and is gone.
            let _ = thread.join();
        }
    }
}

fn lower_priority() {
    // Without the right to be nicer they are as they are.
    if let Ok(nice) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, (nice + NICENESS).min(19));
    }
}

fn run(shared: &Arc<Shared>) {
    let mut memory = HashMemory::default();
    while let Some(login) = shared.queue.pop() {
        if login.deadline < Instant::now() {
            continue;
        }
        let verdict = catch_unwind(AssertUnwindSafe(|| judge(shared, &login, &mut memory)));
        let verdict = verdict.unwrap_or_else(|_| {
            memory = HashMemory::default();
            Verdict::Busy
        });
        login.decisions.answer(login.ticket, verdict);
    }
}

fn judge(shared: &Shared, login: &Login, memory: &mut HashMemory) -> Verdict {
    let ip = login.caller.ip();
    let must_wait = ip.is_some_and(|ip| lock(&shared.backoff).wait(ip, shared.now_ms()).is_some());
    if must_wait {
        count(&shared.counters.logins_too_often);
        login.caller.log_refusal("too many failures from this address");
        return Verdict::TooOften;
    }
    match &login.expected {
        Expected::Token(keys, client_ids) => judge_token(shared, login, keys, client_ids),
        Expected::Password { stored, is_known, digest, is_kept } => {
            // The decoy of an unknown user is computed to the end, and counts for nothing.
            if stored.verify(&login.password.0, memory) && *is_known {
                count(&shared.counters.logins_hashed);
                digest.iter().for_each(|digest| lock(&shared.verified).insert(*digest));
                return password_verdict(stored, *is_kept);
            }
            let reason = if *is_known { "wrong password" } else { "unknown user" };
            fail(shared, login, reason, true, Verdict::BadCredentials)
        }
    }
}

/// What is said to a right password.
pub fn password_verdict(stored: &Arc<PasswordHash>, is_kept: bool) -> Verdict {
    if is_kept { Verdict::AllowAs(Arc::new(Grant::of_password(stored))) } else { Verdict::Allow }
}

fn judge_token(shared: &Shared, login: &Login, keys: &KeySet, client_ids: &ClientIdRules) -> Verdict {
    let come_again = |reason| {
        count(&shared.counters.logins_without_key);
        login.caller.log_refusal(reason);
        Verdict::Busy
    };
    let Some(verifier) = keys.verifier() else {
        return come_again("no keys of jwt_keys_url have come yet");
    };
    let verify = |verifier: &Verifier| verifier.verify(&login.password.0, tokens::now_seconds());
    let mut judged = verify(&verifier);
    if matches!(judged, Err(Rejection::UnknownKey)) {
        match keys.about_unknown(&verifier, &shared.wake) {
            Doubt::Newer(verifier) => judged = verify(&verifier),
            Doubt::Stale => {
                return come_again("no key fits the token, and those of jwt_keys_url are fetched anew");
            }
            Doubt::None => {}
        }
    }
    match judged {
        Ok(bearer) if bearer.client_id.as_ref().is_some_and(|bound| **bound != *login.caller.client_id) => {
            fail(shared, login, "the token is for another ClientID", false, Verdict::Deny)
        }
        Ok(bearer) => {
            if let Err(reason) = client_ids.check(Some(&bearer.user_name), &login.caller.client_id) {
                let caller = Caller { user_name: Some((*bearer.user_name).into()), ..login.caller.clone() };
                return shared.refuse_client_id(&caller, reason);
            }
            count(&shared.counters.logins_by_token);
            Verdict::AllowAs(Arc::new(tokens::identity(bearer)))
        }
        // Whoever has a signed token guesses nothing: a fleet whose tokens have run out must not lock out others
        // behind the same address.
        Err(rejection) => {
            let is_signed = matches!(rejection, Rejection::Expired | Rejection::NotYet | Rejection::Claim(_));
            // An issuer may have keys that have not come yet.
            let may_be_signed = rejection == Rejection::UnknownKey && keys.is_fetched();
            let is_guess = !is_signed && !may_be_signed;
            fail(shared, login, &rejection.to_string(), is_guess, Verdict::BadCredentials)
        }
    }
}

fn fail(shared: &Shared, login: &Login, reason: &str, is_guess: bool, verdict: Verdict) -> Verdict {
    count(&shared.counters.logins_failed);
    if let Some(ip) = login.caller.ip().filter(|_| is_guess) {
        let _ = lock(&shared.backoff).failed(ip, shared.now_ms());
    }
    login.caller.log_failure(reason);
    verdict
}
