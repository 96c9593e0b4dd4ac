//! SCRAM-SHA-256 (RFC 5802, RFC 7677), for the extended authentication of MQTT 5.0: the password never crosses the
//! network, and the server proves that it knows the user too. One exchange is a chain of values on each side:
//!
//! ```text
//! begin ──▶ (client-first, Login) ── server-first ──▶ (client-final, Proof) ── server-final ──▶ proved
//! client-first ──▶ ClientFirst ── challenge ──▶ (server-first, Exchange) ── client-final ──▶ server-final
//! ```
//!
//! No channel binding: a client that demands it is refused. Passwords are taken as they are typed; one that is not
//! ASCII must come in the same Unicode form each time, as the preparation of RFC 4013 would make it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The name by which MQTT asks for it.
pub const METHOD: &str = "SCRAM-SHA-256";
/// Bytes of one message of a client; a user name of MQTT may be long, but not that long.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// Iterations: at least what RFC 7677, 4 demands, and at most about a second of the client's time.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=2_000_000;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

type Key = [u8; 32];

/// What the server keeps of a password. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    iterations: u32,
    salt: Box<[u8]>,
    stored_key: Key,
    server_key: Key,
}

/// Why an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramError {
    /// A message is not as the RFC says.
    Malformed,
    /// The client demands what there is not: channel binding, another identity, an extension that must be understood.
    Unsupported,
    /// The proof is wrong: it is not the password, or the server does not know it.
    WrongProof,
}

impl std::fmt::Display for ScramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a message of SCRAM is malformed",
            Self::Unsupported => "SCRAM with channel binding or extensions is not supported",
            Self::WrongProof => "wrong password",
        })
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}

impl Credential {
    /// Of a new password, with a random salt of 8 to 64 bytes.
    ///
    /// # Panics
    /// When the iterations are not 4,096 to 2,000,000.
    #[must_use]
    pub fn new(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        assert!(ITERATIONS.contains(&iterations), "{iterations} iterations");
        let mut salted = Key::default();
        pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
        let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
        Self { iterations, salt: salt.into(), stored_key, server_key: hmac(&salted, b"Server Key") }
    }

    /// Whether this is the password, where it is given and not proved. Takes as long as the client's side of an exchange.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        // HMAC fills a short key up with zeros, so a password with zeros behind it would do as well.
        let same = Self::new(password, &self.salt, self.iterations).stored_key.ct_eq(&self.stored_key);
        bool::from(same) && !password.ends_with(&[0])
    }

    /// The salt and what is stored, by which it is told from that of another password.
    pub(crate) fn identity(&self) -> [&[u8]; 2] {
        [&self.salt, &self.stored_key]
    }

    /// What an unknown user is challenged with, so that it does not learn that it is unknown: the same each time, and
    /// not to be guessed without the key. No password fits.
    #[must_use]
    pub fn decoy(key: &Key, user_name: &str, iterations: u32) -> Self {
        let of = |purpose: &[u8]| {
            let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
            Key::from(mac.chain_update(purpose).chain_update(user_name).finalize().into_bytes())
        };
        let (salt, stored_key, server_key) = (of(b"salt "), of(b"stored "), of(b"server "));
        Self { iterations, salt: salt[..16].into(), stored_key, server_key }
    }

    /// Reads what [`Credential`] writes: `SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY`, as PostgreSQL does.
    ///
    /// # Errors
    /// What was expected, without a word of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected {METHOD}$ITERATIONS:SALT$STORED_KEY:SERVER_KEY");
        let mut fields = text.split('$');
        let (method, cost, keys) = (fields.next(), fields.next(), fields.next());
        let ((iterations, salt), (stored, server)) = cost
            .and_then(|cost| cost.split_once(':'))
            .zip(keys.and_then(|keys| keys.split_once(':')))
            .filter(|_| method == Some(METHOD) && fields.next().is_none())
            .ok_or_else(wrong)?;
        let iterations =
            iterations.parse().ok().filter(|count| ITERATIONS.contains(count)).ok_or_else(wrong)?;
        let salt =
            STANDARD.decode(salt).ok().filter(|salt| SALT_BYTES.contains(&salt.len())).ok_or_else(wrong)?;
        let key =
            |text: &str| STANDARD.decode(text).ok().and_then(|key| key.try_into().ok()).ok_or_else(wrong);
        Ok(Self { iterations, salt: salt.into(), stored_key: key(stored)?, server_key: key(server)? })
    }
}

impl std::fmt::Display for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        write!(f, "{METHOD}${}:{salt}${stored}:{server}", self.iterations)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Key {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

/// What a client says first.
#[derive(Debug)]
pub struct ClientFirst {
    user_name: String,
    nonce: String,
    /// The header about channel binding, which the client repeats at the end.
    header: String,
    /// The message without that header.
    bare: String,
}

impl ClientFirst {
    /// Reads `client-first-message`.
    ///
    /// # Errors
    /// [`ScramError`].
    pub fn parse(message: &[u8]) -> Result<Self, ScramError> {
        let message = text(message)?;
        let mut fields = message.splitn(3, ',');
        let (flag, identity) = (fields.next(), fields.next());
        let bare = fields.next().ok_or(ScramError::Malformed)?;
        match (flag, identity) {
            // `y` says that the client would bind to a channel and thinks that the server cannot; it cannot.
            (Some("n" | "y"), Some("")) => {}
            (Some(flag), Some(_)) if flag == "n" || flag == "y" || flag.starts_with("p=") => {
                return Err(ScramError::Unsupported);
            }
            _ => return Err(ScramError::Malformed),
        }
        if bare.starts_with("m=") {
            return Err(ScramError::Unsupported);
        }
        let mut attributes = bare.split(',');
        let user_name = attributes.next().and_then(|name| name.strip_prefix("n=")).and_then(unescaped);
        let nonce =
            attributes.next().and_then(|nonce| nonce.strip_prefix("r=")).filter(|nonce| is_nonce(nonce));
        let (Some(user_name), Some(nonce)) = (user_name, nonce) else { return Err(ScramError::Malformed) };
        let header = message[..message.len() - bare.len()].to_owned();
        Ok(Self { user_name, nonce: nonce.to_owned(), header, bare: bare.to_owned() })
    }

    /// Who it says it is.
    #[must_use]
    pub fn user_name(&self) -> &str {
        &self.user_name
    }

    /// Challenges the client: `server-first-message`, and what is waited for. `nonce` is random, in printable ASCII
    /// without commas.
    #[must_use]
    pub fn challenge(self, credential: Credential, nonce: &str) -> (String, Exchange) {
        debug_assert!(is_nonce(nonce), "the nonce is made here");
        let nonce = self.nonce + nonce;
        let (salt, iterations) = (STANDARD.encode(&credential.salt), credential.iterations);
        let first = format!("r={nonce},s={salt},i={iterations}");
        let so_far = format!("{},{first}", self.bare);
        (first, Exchange { so_far, header: STANDARD.encode(self.header), nonce, credential })
    }
}

/// An exchange that waits for the client's proof.
#[derive(Debug)]
pub struct Exchange {
    so_far: String,
    header: String,
    nonce: String,
    credential: Credential,
}

impl Exchange {
    /// Judges `client-final-message`; `server-final-message` for one that proves the password.
    ///
    /// # Errors
    /// [`ScramError`].
    pub fn finish(self, message: &[u8]) -> Result<String, ScramError> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let header = attributes.next().and_then(|header| header.strip_prefix("c="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if header != Some(&self.header) || nonce != Some(&self.nonce) {
            return Err(ScramError::Malformed);
        }
        let proof: Option<Key> = STANDARD.decode(proof).ok().and_then(|proof| proof.try_into().ok());
        let mut client_key = proof.ok_or(ScramError::Malformed)?;
        let all = format!("{},{without_proof}", self.so_far);
        let signature = hmac(&self.credential.stored_key, all.as_bytes());
        client_key.iter_mut().zip(signature).for_each(|(byte, other)| *byte ^= other);
        let stored: Key = Sha256::digest(client_key).into();
        if !bool::from(stored.ct_eq(&self.credential.stored_key)) {
            return Err(ScramError::WrongProof);
        }
        Ok(format!("v={}", STANDARD.encode(hmac(&self.credential.server_key, all.as_bytes()))))
    }
}

/// A client that has said who it is and waits for the server's challenge. Never shown by `Debug`.
pub struct Login {
    bare: String,
    nonce: String,
    password: Box<[u8]>,
}

/// A client that waits for the server's proof. Never shown by `Debug`.
pub struct Proof(Key);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(…)")
    }
}

/// Begins a client's side: `client-first-message`, and what is waited for. `nonce` is random, in printable ASCII without
/// commas.
#[must_use]
pub fn begin(user_name: &str, password: &[u8], nonce: &str) -> (String, Login) {
    debug_assert!(is_nonce(nonce), "the nonce is made here");
    let name = user_name.replace('=', "=3D").replace(',', "=2C");
    let bare = format!("n={name},r={nonce}");
    let first = format!("n,,{bare}");
    (first, Login { bare, nonce: nonce.to_owned(), password: password.into() })
}

impl Login {
    /// Answers `server-first-message` with `client-final-message`. Takes as long as the server's iterations: at their
    /// most about a second.
    ///
    /// # Errors
    /// [`ScramError`]; fewer iterations than RFC 7677 demands are not supported, because they would make the password
    /// easy to guess for whoever sent this.
    pub fn answer(self, message: &[u8]) -> Result<(String, Proof), ScramError> {
        let message = text(message)?;
        let mut attributes = message.split(',');
        let mut next = |name: &str| {
            attributes.next().and_then(|attribute| attribute.strip_prefix(name)).ok_or(ScramError::Malformed)
        };
        if message.starts_with("m=") {
            return Err(ScramError::Unsupported);
        }
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Malformed)?;
        let iterations: u32 = iterations.parse().map_err(|_| ScramError::Malformed)?;
        let is_longer = nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce);
        if !is_longer || !is_nonce(nonce) || salt.is_empty() {
            return Err(ScramError::Malformed);
        }
        if !ITERATIONS.contains(&iterations) {
            return Err(ScramError::Unsupported);
        }
        let mut salted = Key::default();
        pbkdf2_hmac::<Sha256>(&self.password, &salt, iterations, &mut salted);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key: Key = Sha256::digest(client_key).into();
        let without_proof = format!("c=biws,r={nonce}");
        let all = format!("{},{message},{without_proof}", self.bare);
        let mut proof = hmac(&stored_key, all.as_bytes());
        proof.iter_mut().zip(client_key).for_each(|(byte, other)| *byte ^= other);
        let server = hmac(&hmac(&salted, b"Server Key"), all.as_bytes());
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), Proof(server)))
    }
}

impl Proof {
    /// Whether `server-final-message` proves that the server knows the user.
    #[must_use]
    pub fn is_proved(&self, message: &[u8]) -> bool {
        let proof = text(message).ok().and_then(|message| message.strip_prefix("v="));
        let proof = proof.and_then(|proof| STANDARD.decode(proof.split(',').next()?).ok());
        proof.is_some_and(|proof| bool::from(proof.as_slice().ct_eq(&self.0)))
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    let fits = message.len() <= MESSAGE_BYTES_MAX;
    std::str::from_utf8(message).ok().filter(|text| fits && !text.contains('\0')).ok_or(ScramError::Malformed)
}

/// A name without its escapes: `=2C` is a comma, `=3D` an equals sign, and no other `=` may be.
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        text.push(character);
        text.push_str(rest);
    }
    (!text.is_empty()).then_some(text)
}

fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn credential(password: &[u8]) -> Credential {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        Credential::new(password, &salt, 4096)
    }

    fn exchange(credential: Credential) -> (String, Exchange) {
        ClientFirst::parse(CLIENT_FIRST.as_bytes()).unwrap().challenge(credential, NONCE)
    }

    #[test]
    fn the_exchange_of_rfc_7677() {
        let first = ClientFirst::parse(CLIENT_FIRST.as_bytes()).unwrap();
        assert_eq!(first.user_name(), "user");
        let (challenge, exchange) = first.challenge(credential(b"pencil"), NONCE);
        let expected =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(challenge, expected);
        let last = exchange.finish(CLIENT_FINAL.as_bytes()).unwrap();
        assert_eq!(last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn the_clients_side_of_it() {
        let (first, login) = begin("user", b"pencil", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(first, CLIENT_FIRST);
        let (challenge, exchange) = exchange(credential(b"pencil"));
        let (last, proof) = login.answer(challenge.as_bytes()).unwrap();
        assert_eq!(last, CLIENT_FINAL);
        let server = exchange.finish(last.as_bytes()).unwrap();
        assert!(proof.is_proved(server.as_bytes()));
        let damaged = server.replace("6rr", "6rs");
        for wrong in [&damaged[..], &server[..server.len() - 4], "e=other-error", "v=", ""] {
            assert!(!proof.is_proved(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(begin("a,b=c", b"", "x").0, "n,,n=a=2Cb=3Dc,r=x");
    }

    #[test]
    fn what_a_server_may_not_say() {
        let rows = [
            ("r=x1,s=AAAA,i=4096", None),
            ("r=x1,s=AAAA,i=4096,ext=1", None),
            ("m=a,r=x1,s=AAAA,i=4096", Some(ScramError::Unsupported)),
            ("r=x1,s=AAAA,i=4095", Some(ScramError::Unsupported)),
            ("r=x1,s=AAAA,i=2000001", Some(ScramError::Unsupported)),
            ("r=x1,s=AAAA,i=99999999999", Some(ScramError::Malformed)),
            ("r=x,s=AAAA,i=4096", Some(ScramError::Malformed)),
            ("r=y1,s=AAAA,i=4096", Some(ScramError::Malformed)),
            ("r=x 1,s=AAAA,i=4096", Some(ScramError::Malformed)),
            ("r=x1,s=,i=4096", Some(ScramError::Malformed)),
            ("r=x1,s=A!,i=4096", Some(ScramError::Malformed)),
            ("r=x1,i=4096,s=AAAA", Some(ScramError::Malformed)),
            ("", Some(ScramError::Malformed)),
        ];
        for (message, expected) in rows {
            let (_, login) = begin("user", b"pencil", "x");
            assert_eq!(login.answer(message.as_bytes()).err(), expected, "{message}");
        }
    }

    #[test]
    fn another_password_or_an_unknown_user_proves_nothing() {
        for credential in [credential(b"Pencil"), Credential::decoy(&[1; 32], "user", 4096)] {
            let (_, exchange) = exchange(credential);
            assert_eq!(exchange.finish(CLIENT_FINAL.as_bytes()), Err(ScramError::WrongProof));
        }
        let decoys = [([1; 32], "user"), ([1; 32], "other"), ([2; 32], "user")];
        let [one, other, third] = decoys.map(|(key, user)| Credential::decoy(&key, user, 4096).to_string());
        assert!(one != other && one != third && other != third);
        assert_eq!(one, Credential::decoy(&[1; 32], "user", 4096).to_string(), "the same each time");
    }

    #[test]
    fn what_a_client_says_first() {
        let rows = [
            ("n,,n=a,r=x", Ok("a")),
            ("y,,n=a,r=x,ext=1", Ok("a")),
            ("n,,n=a=2Cb=3Dc,r=x", Ok("a,b=c")),
            ("n,,n=jörg,r=x", Ok("jörg")),
            ("p=tls-unique,,n=a,r=x", Err(ScramError::Unsupported)),
            ("n,a=b,n=a,r=x", Err(ScramError::Unsupported)),
            ("n,,m=x,n=a,r=x", Err(ScramError::Unsupported)),
            ("", Err(ScramError::Malformed)),
            ("n,,", Err(ScramError::Malformed)),
            ("x,,n=a,r=x", Err(ScramError::Malformed)),
            ("n,,n=,r=x", Err(ScramError::Malformed)),
            ("n,,n=a=2c,r=x", Err(ScramError::Malformed)),
            ("n,,n=a=,r=x", Err(ScramError::Malformed)),
            ("n,,n=a=ü,r=x", Err(ScramError::Malformed)),
            ("n,,n=a,r=", Err(ScramError::Malformed)),
            ("n,,n=a,r=x y", Err(ScramError::Malformed)),
            ("n,,n=a", Err(ScramError::Malformed)),
            ("n,,r=x,n=a", Err(ScramError::Malformed)),
            ("n,,n=a\0,r=x", Err(ScramError::Malformed)),
        ];
        for (message, expected) in rows {
            let first = ClientFirst::parse(message.as_bytes());
            assert_eq!(
                first.as_ref().map(ClientFirst::user_name).map_err(|error| *error),
                expected,
                "{message}"
            );
        }
        assert!(
            ClientFirst::parse(format!("n,,n={},r=x", "a".repeat(MESSAGE_BYTES_MAX)).as_bytes()).is_err()
        );
    }

    #[test]
    fn what_a_client_says_last() {
        let changed = |from: &str, to: &str| CLIENT_FINAL.replace(from, to);
        let rows = [
            (changed("biws", "eSws"), ScramError::Malformed),
            (changed("r=rOpr", "r=rOps"), ScramError::Malformed),
            (changed("k0,p=", "k0,x=1,p="), ScramError::WrongProof),
            (changed("p=dH", "p=eH"), ScramError::WrongProof),
            (changed("dVQ=", ""), ScramError::Malformed),
            (changed(",p=", ",q="), ScramError::Malformed),
            (String::new(), ScramError::Malformed),
        ];
        for (message, expected) in rows {
            let (_, exchange) = exchange(credential(b"pencil"));
            assert_eq!(exchange.finish(message.as_bytes()), Err(expected), "{message}");
        }
    }

    #[test]
    fn a_credential_is_read_as_it_was_written() {
        let text = credential(b"pencil").to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
        assert!(Credential::parse(&text).unwrap() == credential(b"pencil"));
        for damaged in [
            text.replace("256", "512"),
            text.replace("4096", "4095"),
            text.replace("4096", "2000001"),
            text.replace("W22Z", "!22Z"),
            text.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22Z"),
            text.clone() + "$",
            text.replace(':', ";"),
            text[..text.len() - 4].to_owned(),
            String::new(),
        ] {
            assert!(Credential::parse(&damaged).unwrap_err().starts_with("expected SCRAM"), "{damaged}");
        }
    }
}
