//! What a connection knows of its login beyond names: who the decider says that it is, until when, and how far an
//! exchange has come. Nothing for most connections; whatever there is goes with the connection, at whose end its timer
//! is taken along.

use std::sync::Arc;

use ringmq_proto::conn::Phase;
use ringmq_proto::time::Now;

use crate::Shard;
use crate::authz::{Challenge, Identity, Proof, Verdict};
use crate::fault;
use crate::input::ConnId;
use crate::links::{Link, Said};
use crate::timer::{TIMER_AHEAD_MAX, Timer};
use crate::wheel::TimerKey;

/// What a connection knows of its login.
pub struct Login {
    /// Who it is.
    pub identity: Option<Arc<Identity>>,
    /// The timer of its end.
    pub expiry: TimerKey,
    /// The authentication method that CONNECT named.
    pub method: Option<Box<str>>,
    /// CONNECT, while challenges before CONNACK go on; else empty.
    pub connect: Box<[u8]>,
    /// Whether a step of an exchange waits for its answer.
    pub is_asking: bool,
    /// What the client was challenged with last, until it answers.
    pub challenge: Option<Arc<Challenge>>,
    /// Who it has proved to be, until that is told.
    pub proof: Option<Arc<Proof>>,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            identity: None,
            expiry: TimerKey::NONE,
            method: None,
            connect: Box::default(),
            is_asking: false,
            challenge: None,
            proof: None,
        }
    }
}

impl Login {
    /// What a verdict says to a step of its exchange.
    fn take_step(&mut self, verdict: &Verdict) -> Said {
        (self.is_asking, self.challenge) = (false, None);
        match verdict {
            Verdict::Continue(challenge) => {
                self.challenge = Some(Arc::clone(challenge));
                return Said::Continue;
            }
            Verdict::Proved(proof) => self.proof = Some(Arc::clone(proof)),
            Verdict::AllowAs(identity) => {
                let identity = Arc::clone(identity);
                self.proof = Some(Arc::new(Proof { identity, ..Proof::default() }));
            }
            _ => {}
        }
        verdict.into()
    }
}

impl Link {
    /// Who the decider says that it is.
    pub fn identity(&self) -> Option<&Identity> {
        self.login.as_ref()?.identity.as_deref()
    }

    /// Whether challenges before its CONNACK go on.
    pub fn is_challenged(&self) -> bool {
        self.login.as_ref().is_some_and(|login| !login.connect.is_empty())
    }
}

impl Shard {
    /// What a verdict says to a packet of this connection; who it is stays with it.
    pub(crate) fn take_verdict(&mut self, id: ConnId, verdict: &Verdict) -> Said {
        let Some(link) = self.links.at_mut(id) else { return Said::Nothing };
        let connecting = link.conn.phase == Phase::AwaitConnect;
        if let Some(login) = link.login.as_mut().filter(|login| login.is_asking) {
            let said = login.take_step(verdict);
            if connecting && let Some(proof) = &login.proof {
                login.identity = Some(Arc::clone(&proof.identity));
            }
            return said;
        }
        if let Verdict::Rewrite(rewritten) = verdict {
            self.seeing.rewrite(id, rewritten);
        }
        let Some(link) = self.links.at_mut(id) else { return Said::Nothing };
        if let Verdict::AllowAs(identity) = verdict
            && connecting
        {
            link.login.get_or_insert_default().identity = Some(Arc::clone(identity));
        }
        verdict.into()
    }

    /// Arms the timer for the end of a login that has one.
    pub(crate) fn arm_login(&mut self, now: Now, id: ConnId) {
        let Some(login) = self.links.at_mut(id).and_then(|link| link.login.as_mut()) else { return };
        self.timers.cancel(login.expiry);
        if let Some(at) = login.identity.as_ref().and_then(|identity| identity.expires_at) {
            let due = now.mono.plus(at.since(now.wall).min(TIMER_AHEAD_MAX));
            login.expiry = self.timers.arm(due, Timer::LoginOver(id));
        }
    }

    /// What a client came in with may have expired.
    pub(crate) fn login_over(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at(id).filter(|link| link.conn.phase == Phase::Connected) else { return };
        let expires_at = link.identity().and_then(|identity| identity.expires_at);
        match expires_at {
            Some(at) if at <= now.wall => self.fault(now, id, fault::LOGIN_OVER),
            Some(_) => self.arm_login(now, id),
            None => {}
        }
    }
}
