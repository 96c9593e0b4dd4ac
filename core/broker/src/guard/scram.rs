//! SCRAM-SHA-256 of users whose passwords are stored for it. The server's side is a few digests, so it takes place
//! where it is asked; what makes guessing dear, the client computes.

use std::any::Any;
use std::sync::{Arc, Mutex};

use ringmq_auth::scram::{ClientFirst, Credential, Exchange, ScramError};
use ringmq_auth::{PasswordFile, PasswordHash, Scheme};
use ringmq_shard::{Challenge, Identity, Proof, Verdict};

use super::counters::count;
use super::decider::Credentials;
use super::grant::Grant;
use super::snapshot::Rules;
use super::{Shared, lock};
use crate::random_bytes;

/// An exchange whose client was challenged.
struct Challenged {
    user_name: Arc<str>,
    /// What is stored of it; nothing when there is no such user.
    stored: Option<Arc<PasswordHash>>,
    /// Taken by the response, which comes once.
    exchange: Mutex<Option<Exchange>>,
}

/// One step of an exchange: `asked.password` is what the client says.
pub fn step(
    shared: &Shared,
    asked: Credentials<'_>,
    (users, rules): (&PasswordFile, &Rules),
    state: Option<&(dyn Any + Send + Sync)>,
) -> Verdict {
    if shared.must_wait(asked.peer) {
        count(&shared.counters.logins_too_often);
        asked.caller().log_refusal("too many failures from this address");
        return Verdict::TooOften;
    }
    let message = asked.password.unwrap_or_default();
    let challenged = state.and_then(|state| state.downcast_ref::<Challenged>());
    let verdict = match challenged {
        None => begin(shared, asked, users, message),
        Some(challenged) => finish(shared, asked, challenged, (message, rules)),
    };
    verdict.unwrap_or_else(|error| {
        shared.fail(asked, &error.to_string());
        Verdict::Deny
    })
}

fn begin(
    shared: &Shared,
    asked: Credentials<'_>,
    users: &PasswordFile,
    message: &[u8],
) -> Result<Verdict, ScramError> {
    let first = ClientFirst::parse(message)?;
    let user_name: Arc<str> = first.user_name().into();
    // Who the transport has proved to be somebody cannot be another.
    if asked.peer.user_name.as_ref().is_some_and(|proved| *proved != user_name) {
        shared.fail(asked, "another user than the transport has proved");
        return Ok(Verdict::Deny);
    }
    let Ok(nonce) = random_bytes::<18>() else { return Ok(Verdict::Busy) };
    let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
    let stored = users.find(&user_name).filter(|stored| stored.scram().is_some()).cloned();
    let known = stored.as_ref().and_then(|stored| stored.scram().cloned());
    let decoy = || Credential::decoy(&shared.decoy_key, &user_name, Scheme::SCRAM_ITERATIONS);
    let (data, exchange) = first.challenge(known.unwrap_or_else(decoy), &nonce);
    let challenged = Challenged { user_name, stored, exchange: Mutex::new(Some(exchange)) };
    Ok(Verdict::Continue(Arc::new(Challenge {
        data: data.into_bytes().into(),
        state: Some(Box::new(challenged)),
    })))
}

fn finish(
    shared: &Shared,
    asked: Credentials<'_>,
    challenged: &Challenged,
    (message, rules): (&[u8], &Rules),
) -> Result<Verdict, ScramError> {
    let exchange = lock(&challenged.exchange).take().ok_or(ScramError::Malformed)?;
    let asked = Credentials { user_name: Some(&challenged.user_name), ..asked };
    match (exchange.finish(message), &challenged.stored) {
        (Ok(data), Some(stored)) => {
            if let Err(reason) = rules.client_ids.check(asked.user_name, asked.client_id) {
                return Ok(shared.refuse_client_id(&asked.caller(), reason));
            }
            count(&shared.counters.logins_by_scram);
            let user_name = Some(Arc::clone(&challenged.user_name));
            let identity = Identity { user_name, ..Grant::of_password(stored) };
            let data = data.into_bytes().into();
            Ok(Verdict::Proved(Arc::new(Proof { identity: Arc::new(identity), data })))
        }
        (Ok(_), None) | (Err(ScramError::WrongProof), _) => {
            if let Some(address) = asked.peer.socket {
                let _ = lock(&shared.backoff).failed(address.ip(), shared.now_ms());
            }
            shared.fail(asked, if challenged.stored.is_some() { "wrong password" } else { "unknown user" });
            Ok(Verdict::BadCredentials)
        }
        (Err(error), _) => Err(error),
    }
}
