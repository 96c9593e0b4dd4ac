//! SCRAM-SHA-256 as the machine asks for it: a new exchange for each connection.

use bytes::Bytes;
use ringmq_auth::scram::{Login, METHOD, Proof, begin};
use ringmq_proto::peer::Authenticator;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Where an exchange stands.
#[derive(Default)]
enum Step {
    /// Not begun, or over.
    #[default]
    Idle,
    /// The server is to challenge.
    Said(Login),
    /// The server is to prove that it knows the password.
    Answered(Proof),
}

/// A user who proves a password.
pub(crate) struct Scram {
    user_name: String,
    password: Bytes,
    step: Step,
}

impl Scram {
    pub(crate) fn new(user_name: &str, password: &Bytes) -> Self {
        Self { user_name: user_name.to_owned(), password: password.clone(), step: Step::Idle }
    }
}

impl Authenticator for Scram {
    fn method(&self) -> &str {
        METHOD
    }

    fn begin(&mut self) -> Bytes {
        // Without chance somebody could repeat what was said before, so nothing is said, and no server proves anything.
        self.step = Step::Idle;
        let Ok(nonce) = random() else { return Bytes::new() };
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let (first, login) = begin(&self.user_name, &self.password, &nonce);
        self.step = Step::Said(login);
        first.into()
    }

    fn answer(&mut self, data: &[u8]) -> Option<Bytes> {
        let Step::Said(login) = std::mem::take(&mut self.step) else { return None };
        let (last, proof) = login.answer(data).ok()?;
        self.step = Step::Answered(proof);
        Some(last.into())
    }

    fn is_proved(&mut self, data: &[u8]) -> bool {
        matches!(std::mem::take(&mut self.step), Step::Answered(proof) if proof.is_proved(data))
    }
}

/// Bytes that nobody can guess.
fn random() -> Result<[u8; 24], Errno> {
    let (mut bytes, mut filled) = ([0; 24], 0);
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
