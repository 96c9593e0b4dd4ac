//! A service that is asked over HTTP who may come in, on threads of its own, several requests at a time. A shard never
//! waits for it; what waits is bounded, and every request has a deadline. No password and no secret of it is ever shown.

mod answer;
mod cache;
mod work;

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringmq_auth::verified::{Digest, Digester};
use serde_json::{Value, json};
use ureq::Agent;

pub use answer::Answer;
pub use cache::Remembered;
pub use work::{JOB, Request, Unsaid};

use super::GuardError;
use super::decider::Credentials;
use super::http_agent::{agent, ask_again};
use super::snapshot::read;
use crate::config::{HttpFailure, HttpRules, HttpUrl};
use cache::Cache;

/// Bytes of an answer: some hundred permissions.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Longest password an answer is remembered for: its digest is computed on a core that has better to do.
const REMEMBERED_BYTES_MAX: usize = 4096;

/// The service, as it is asked since the last reload.
#[derive(Debug)]
pub struct Service {
    agent: Agent,
    url: HttpUrl,
    authorization: Option<Bearer>,
    timeout: Duration,
    pub failure: HttpFailure,
    cache: Cache,
}

/// What shows that a request is the broker's. Never shown by `Debug`.
struct Bearer(String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

impl Service {
    /// Reads its files; nothing where there is no service.
    ///
    /// # Errors
    /// Which file is wrong, without a word of a secret.
    pub fn load(rules: &HttpRules) -> Result<Option<Self>, GuardError> {
        let Some(url) = rules.auth_url.clone() else { return Ok(None) };
        if url.is_exposed() {
            tracing::warn!(
                "http_auth_url: passwords go to {url} unencrypted; https:// keeps them from others"
            );
        }
        let authorization = rules.auth_token_file.as_deref().map(bearer).transpose()?;
        let parallel = usize::from(rules.auth_parallel_max);
        let agent = agent(&url, parallel, ("http_auth_ca_file", rules.auth_ca_file.as_deref()))?;
        Ok(Some(Self {
            agent,
            url,
            authorization,
            timeout: rules.timeout(),
            failure: rules.auth_failure,
            cache: Cache::new(Duration::from_secs(rules.auth_cache_seconds.into())),
        }))
    }

    /// By what an answer about these credentials is known again; nothing when none is kept.
    pub fn digest(&self, digester: &Digester, asked: Credentials<'_>) -> Option<Digest> {
        let password = asked.password.unwrap_or_default();
        if !self.cache.keeps() || password.len() > REMEMBERED_BYTES_MAX {
            return None;
        }
        let has = [u8::from(asked.user_name.is_some()), u8::from(asked.password.is_some())];
        let ip = asked.peer.socket.map(|address| address.ip().to_string()).unwrap_or_default();
        let user_name = asked.user_name.unwrap_or_default().as_bytes();
        let listener = asked.peer.listener.to_le_bytes();
        let client_id = asked.client_id.as_bytes();
        Some(digester.digest_of(&[&has, client_id, user_name, password, ip.as_bytes(), &listener]))
    }

    /// What was answered before.
    pub fn remembered(&self, digest: &Digest) -> Option<Remembered> {
        self.cache.find(digest, Instant::now())
    }

    fn remember(&self, digest: Digest, answer: Remembered) {
        self.cache.insert(digest, answer, Instant::now());
    }

    /// When the answer must be there.
    pub fn deadline(&self, decision_timeout: Duration) -> Instant {
        Instant::now() + self.timeout.min(decision_timeout)
    }

    /// Asks, and waits until the deadline. A connection that the service had closed meanwhile is no failure: then it
    /// is asked again, once.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask(&self, question: &[u8], deadline: Instant) -> Result<Answer, String> {
        let asked = ask_again(|| self.ask_once(question, deadline));
        let (status, body) = asked.map_err(|error| error.to_string())?;
        answer::parse(status, &body).map_err(str::to_owned)
    }

    fn ask_once(&self, question: &[u8], deadline: Instant) -> Result<(u16, Vec<u8>), ureq::Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        // Nothing would mean for ever.
        let left = left.max(Duration::from_millis(1));
        let mut request = self.agent.post(self.url.as_str()).content_type("application/json");
        if let Some(Bearer(value)) = &self.authorization {
            request = request.header("authorization", value);
        }
        let request = request.config().timeout_global(Some(left)).build();
        let mut response = request.send(question)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok((response.status().as_u16(), body))
    }
}

/// The body of a request.
fn question(asked: Credentials<'_>) -> Vec<u8> {
    let mut body = json!({
        "client_id": asked.client_id,
        "user_name": asked.user_name,
        "password": null,
        "address": asked.peer.socket.map(|address| address.to_string()),
        "listener": asked.peer.listener,
    });
    match asked.password.map(|password| (password, str::from_utf8(password))) {
        Some((_, Ok(text))) => body["password"] = Value::from(text),
        Some((bytes, Err(_))) => body["password_base64"] = Value::from(STANDARD.encode(bytes)),
        None => {}
    }
    body.to_string().into_bytes()
}

fn bearer(path: &Path) -> Result<Bearer, GuardError> {
    let key = "http_auth_token_file";
    let bytes = read(path).map_err(|error| GuardError::Read { key, path: path.to_owned(), error })?;
    let text = str::from_utf8(bytes.trim_ascii_end()).ok();
    let is_good =
        |text: &&str| !text.is_empty() && text.len() <= 8192 && text.bytes().all(|b| b.is_ascii_graphic());
    let text = text.filter(is_good).ok_or_else(|| {
        let problem = "expected one line of printable ASCII without spaces, at most 8192 bytes".to_owned();
        GuardError::Key { key, path: path.to_owned(), problem }
    })?;
    Ok(Bearer(format!("Bearer {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_shard::PeerAddress;

    fn asked<'a>(
        peer: &'a PeerAddress,
        user_name: Option<&'a str>,
        password: Option<&'a [u8]>,
    ) -> Credentials<'a> {
        Credentials { peer, client_id: "c", user_name, password }
    }

    #[test]
    fn the_question_says_what_connect_says() {
        let peer = PeerAddress::new("192.0.2.1:5".parse().ok(), 3);
        let said = |user_name, password| -> Value {
            serde_json::from_slice(&question(asked(&peer, user_name, password))).unwrap()
        };
        let expected = json!({"client_id": "c", "user_name": "u\"", "password": "p", "address": "192.0.2.1:5",
                              "listener": 3});
        assert_eq!(said(Some("u\""), Some(b"p")), expected);
        let bytes = said(None, Some(b"\xff\x00"));
        assert_eq!((&bytes["password"], &bytes["password_base64"]), (&Value::Null, &json!("/wA=")));
        assert_eq!(said(None, None)["user_name"], Value::Null);
    }

    #[test]
    fn every_part_of_the_question_counts_for_what_is_remembered() {
        let rules = HttpRules { auth_url: "http://a".parse().ok(), ..HttpRules::default() };
        let service = Service::load(&rules).unwrap().unwrap();
        let digester = Digester::new([7; 32]);
        let here = PeerAddress::new("192.0.2.1:5".parse().ok(), 0);
        let same = PeerAddress::new("192.0.2.1:6".parse().ok(), 0);
        let there = PeerAddress::new("192.0.2.2:5".parse().ok(), 0);
        let door = PeerAddress::new("192.0.2.1:5".parse().ok(), 1);
        let digest = |asked| service.digest(&digester, asked);
        let first = digest(asked(&here, Some("u"), Some(b"p")));
        assert!(first.is_some() && digest(asked(&same, Some("u"), Some(b"p"))) == first);
        for other in [
            asked(&there, Some("u"), Some(b"p")),
            asked(&door, Some("u"), Some(b"p")),
            asked(&here, Some("v"), Some(b"p")),
            asked(&here, Some("u"), Some(b"q")),
            asked(&here, Some(""), Some(b"p")),
            asked(&here, None, Some(b"p")),
            Credentials { client_id: "d", ..asked(&here, Some("u"), Some(b"p")) },
        ] {
            assert!(digest(other) != first);
        }
        assert!(digest(asked(&here, Some("u"), Some(&[0; REMEMBERED_BYTES_MAX + 1]))).is_none());
    }
}
