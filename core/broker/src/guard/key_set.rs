//! The keys that tokens are verified with: those of files, which a reload reads anew, and those of a URL, which a thread
//! fetches again and again. What was fetched holds until something better comes: a service that is down for a while
//! locks out nobody, and a broker starts without it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ringmq_auth::jwt::{Claims, KeySource, Verifier};
use ureq::Agent;

use super::hashing::Job;
use super::http_agent::{agent, ask_again};
use super::tokens::KeyFile;
use super::{GuardError, Shared, lock, tokens};
use crate::config::{HttpUrl, JwtRules};

/// Bytes of a set of keys: 64 of the largest have half of it.
const SET_BYTES_MAX: u64 = 256 << 10;
/// How long one fetch may take; the thread that fetches is waited for when the broker stops.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two fetches, however many tokens with unknown keys come, and after the first failure; each further failure
/// doubles it.
const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// The longest wait after a failure: an issuer that is back is asked that soon.
const FETCH_INTERVAL_FAILED: Duration = Duration::from_secs(60);
/// The thread looks whether something else is to be fetched, at least so often.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);

/// Keys of one set of rules.
#[derive(Debug)]
pub struct KeySet {
    rules: JwtRules,
    /// Keys of files.
    files: Vec<KeyFile>,
    remote: Option<Remote>,
    /// What judges now; nothing as long as there is no key.
    verifier: Mutex<Option<Arc<Verifier>>>,
}

/// Whether a key that is not known may yet be right.
pub enum Doubt {
    /// It is wrong.
    None,
    /// There are newer keys, which may have it.
    Newer(Arc<Verifier>),
    /// The keys may be out of date; whoever asks may come again.
    Stale,
}

/// Where keys are fetched.
#[derive(Debug)]
struct Remote {
    agent: Agent,
    url: HttpUrl,
    interval: Duration,
    state: Mutex<Fetching>,
}

#[derive(Debug)]
struct Fetching {
    /// What was fetched last and was good.
    fetched: Option<Vec<u8>>,
    last: Option<Instant>,
    due: Instant,
    failures: u32,
}

impl KeySet {
    /// Reads the files. What one of the former sets fetched from the same URL goes on to hold.
    ///
    /// # Errors
    /// What is wrong with a file, without a word of it.
    pub fn load<'a>(rules: &JwtRules, former: impl Iterator<Item = &'a Self>) -> Result<Self, GuardError> {
        let files = tokens::read_keys(rules)?;
        let remote = rules.keys_url.as_ref().map(|url| Remote::new(url, rules)).transpose()?;
        let set = Self { rules: rules.clone(), files, remote, verifier: Mutex::default() };
        if let Some(new) = &set.remote {
            let same = former.filter_map(|former| former.remote.as_ref()).filter(|old| old.url == new.url);
            for old in same {
                let old = lock(&old.state);
                if old.fetched.is_some() {
                    let mut new = lock(&new.state);
                    (new.fetched, new.last) = (old.fetched.clone(), old.last);
                }
            }
        }
        let fetched = set.remote.as_ref().and_then(|remote| lock(&remote.state).fetched.clone());
        let verifier = match set.make(fetched.as_deref()) {
            Ok(verifier) => Some(verifier),
            // Without a file a URL will bring keys.
            Err(_) if set.files.is_empty() => None,
            Err(problem) => {
                let KeyFile { key, path, .. } = set.files.last().expect("it is not empty");
                return Err(GuardError::Key { key, path: path.clone(), problem });
            }
        };
        *lock(&set.verifier) = verifier.map(Arc::new);
        Ok(set)
    }

    /// Whether keys are fetched.
    pub const fn is_fetched(&self) -> bool {
        self.remote.is_some()
    }

    /// What judges tokens now; nothing as long as no key has been fetched.
    pub fn verifier(&self) -> Option<Arc<Verifier>> {
        lock(&self.verifier).clone()
    }

    /// What is to be thought of a token whose key these do not have: it may be one that the URL has by now. Then it will
    /// be fetched, though not more often than keys may be.
    pub fn about_unknown(&self, used: &Arc<Verifier>, wake: &Wake) -> Doubt {
        let Some(remote) = &self.remote else { return Doubt::None };
        let (mut state, now) = (lock(&remote.state), Instant::now());
        match self.verifier() {
            Some(verifier) if !Arc::ptr_eq(&verifier, used) => return Doubt::Newer(verifier),
            _ => {}
        }
        if state.failures > 0 {
            return Doubt::Stale;
        }
        if state.last.is_some_and(|last| now.duration_since(last) < FETCH_INTERVAL_MIN) {
            return Doubt::None;
        }
        state.due = now;
        drop(state);
        wake.wake();
        Doubt::Stale
    }

    fn make(&self, fetched: Option<&[u8]>) -> Result<Verifier, String> {
        let mut sources = Vec::with_capacity(self.files.len() + 1);
        for KeyFile { key, bytes, .. } in &self.files {
            sources.push(tokens::source(key, bytes)?);
        }
        sources.extend(fetched.map(KeySource::PublicJwks));
        Verifier::new(&sources, self.claims())
    }

    fn claims(&self) -> Claims {
        tokens::claims(&self.rules)
    }

    /// Fetches if it is time; when to look again.
    fn tend(&self, now: Instant) -> Option<Instant> {
        let remote = self.remote.as_ref()?;
        if lock(&remote.state).due > now {
            return Some(lock(&remote.state).due);
        }
        let fetched = remote.fetch().and_then(|bytes| Ok((self.make(Some(&bytes))?, bytes)));
        let mut state = lock(&remote.state);
        state.last = Some(Instant::now());
        match fetched {
            Ok((verifier, bytes)) => {
                state.failures = 0;
                state.due = Instant::now() + remote.interval;
                if state.fetched.as_ref() != Some(&bytes) {
                    tracing::info!("jwt_keys_url {}: {} keys hold now", remote.url, verifier.key_count());
                    state.fetched = Some(bytes);
                    *lock(&self.verifier) = Some(Arc::new(verifier));
                }
            }
            Err(problem) => {
                let wait = FETCH_INTERVAL_MIN.saturating_mul(1 << state.failures.min(16));
                state.failures = state.failures.saturating_add(1);
                state.due = Instant::now() + wait.min(FETCH_INTERVAL_FAILED).min(remote.interval);
                let holds = if state.fetched.is_some() {
                    "what was fetched before holds"
                } else {
                    "it has brought no keys yet"
                };
                tracing::warn!("jwt_keys_url {}: {problem}; {holds}", remote.url);
            }
        }
        Some(state.due)
    }
}

impl Remote {
    fn new(url: &HttpUrl, rules: &JwtRules) -> Result<Self, GuardError> {
        if url.is_exposed() {
            tracing::warn!(
                "jwt_keys_url: whoever is on the way to {url} can put other keys in; https:// keeps them out"
            );
        }
        let agent = agent(url, 1, ("jwt_keys_ca_file", rules.keys_ca_file.as_deref()))?;
        let state = Fetching { fetched: None, last: None, due: Instant::now(), failures: 0 };
        let interval = Duration::from_secs(rules.keys_refresh_seconds.into());
        Ok(Self { agent, url: url.clone(), interval, state: Mutex::new(state) })
    }

    fn fetch(&self) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + FETCH_TIMEOUT;
        let get = || {
            // Nothing would mean for ever.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let request = self
                .agent
                .get(self.url.as_str())
                .header("accept", "application/jwk-set+json, application/json");
            let mut response = request.config().timeout_global(Some(left)).build().call()?;
            let body = response.body_mut().with_config().limit(SET_BYTES_MAX).read_to_vec()?;
            Ok((response.status().as_u16(), body))
        };
        match ask_again(get) {
            Ok((200, body)) => Ok(body),
            Ok((status, _)) => Err(format!("it answered with status {status} instead of 200")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Ends the sleep of the thread that fetches.
#[derive(Debug, Default)]
pub struct Wake {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Wake {
    fn set(&self, is_open: bool, is_wanted: bool) {
        *lock(&self.state) = (is_open, is_wanted);
        self.changed.notify_all();
    }
    /// Has the thread go on.
    pub fn open(&self) {
        self.set(true, true);
    }
    /// Has it end.
    pub fn close(&self) {
        self.set(false, false);
    }
    fn is_open(&self) -> bool {
        lock(&self.state).0
    }
    /// Has it look what is due.
    pub fn wake(&self) {
        lock(&self.state).1 = true;
        self.changed.notify_all();
    }
    /// Sleeps until then or until somebody wakes it; false at the end.
    fn sleep(&self, until: Instant) -> bool {
        let mut state = lock(&self.state);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !state.0 || state.1 || left.is_zero() {
                state.1 = false;
                return state.0;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

/// Fetching keys.
pub const JOB: Job =
    Job { name: "token keys", open: |shared| shared.wake.open(), close: |shared| shared.wake.close(), run };

fn run(shared: &Arc<Shared>) {
    let mut until = Instant::now();
    while shared.wake.sleep(until) {
        let snapshot = Arc::clone(&lock(&shared.snapshot));
        let now = Instant::now();
        let next = catch_unwind(AssertUnwindSafe(|| {
            let sets = snapshot.key_sets().take_while(|_| shared.wake.is_open());
            sets.filter_map(|keys| keys.tend(now)).min()
        }));
        // After a panic, which has said so itself, as after a failure.
        until = next.unwrap_or(Some(now + FETCH_INTERVAL_MIN)).unwrap_or(now + LOOK_INTERVAL);
    }
}
