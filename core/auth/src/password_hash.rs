//! One stored password in the forms that mosquitto's password files have:
//!
//! | form | how it is computed |
//! |---|---|
//! | `$6$salt$hash` | SHA-512 of the password followed by the salt; mosquitto up to 1.6 |
//! | `$7$iterations$salt$hash` | PBKDF2-HMAC-SHA512 (RFC 8018); mosquitto from 2.0 on |
//! | `SCRAM-SHA-256$iterations:salt$stored:server` | PBKDF2-HMAC-SHA256 (RFC 7677); not mosquitto's but PostgreSQL's |
//! | `$argon2id$v=19$m=KIB,t=PASSES,p=LANES$salt$hash` | Argon2id (RFC 9106); mosquitto from 2.1 on |
//!
//! Salt and hash are base64, with padding in the first two and without in the third.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;

use crate::scram::{Credential, METHOD};

/// Bytes of a SHA-512 hash.
const SHA512_BYTES: usize = 64;
/// Bytes of a salt: mosquitto writes 12, from 2.1 on 64.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
/// Bytes of an Argon2 hash: mosquitto writes 64, the reference program 32.
const ARGON2_HASH_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Iterations of PBKDF2 that are accepted: about a second of one core.
const ITERATIONS_MAX: u32 = 2_000_000;
/// Memory of one Argon2 hash that is accepted, in KiB: 256 MiB, five times what mosquitto writes. Each hashing thread
/// keeps so much at most, and a file that somebody else wrote must not take the machine's memory.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 256 << 10;
/// Memory times passes that are accepted, in KiB: about a second of one core.
const ARGON2_WORK_KIB_MAX: u64 = 1 << 20;
/// Lanes of Argon2 that are accepted; they are computed one after the other.
const ARGON2_LANES_MAX: u32 = 16;

/// A stored password. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Sha512 { salt: Box<[u8]>, hash: [u8; SHA512_BYTES] },
    Pbkdf2 { iterations: u32, salt: Box<[u8]>, hash: [u8; SHA512_BYTES] },
    Argon2id { cost: Argon2Cost, salt: Box<[u8]>, hash: Box<[u8]> },
    Scram(Box<Credential>),
}

/// What one Argon2 hash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Argon2Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// How a new password is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Argon2id with 19 MiB and 2 passes, the least that OWASP's Password Storage Cheat Sheet recommends.
    #[default]
    Argon2id,
    /// PBKDF2-HMAC-SHA512 with 210,000 iterations, as the same source recommends.
    Pbkdf2,
    /// One SHA-512: as good as no protection once the file is stolen; for mosquitto up to 1.6.
    Sha512,
    /// SCRAM-SHA-256 with 15,000 iterations, the rule of thumb of RFC 7677, 4: each login costs the client so much. Such
    /// a user can prove its password without sending it, or send it as others do.
    ScramSha256,
}

impl Scheme {
    /// Bytes of salt that [`PasswordHash::new`] wants: what every mosquitto that reads the form takes.
    pub const SALT_BYTES: usize = 12;
    const ARGON2: Argon2Cost = Argon2Cost { memory_kib: 19 << 10, passes: 2, lanes: 1 };
    const ITERATIONS: u32 = 210_000;
    /// Iterations of a new password for SCRAM.
    pub const SCRAM_ITERATIONS: u32 = 15_000;
}

/// Memory that is used again for one hash after the other; grows to what the largest one takes, 256 MiB at most.
#[derive(Default)]
pub struct HashMemory(Vec<Block>);

impl HashMemory {
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl PasswordHash {
    /// Reads one of the forms.
    ///
    /// # Errors
    /// What is wrong and what was expected, without a word of the text itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(METHOD) {
            return Ok(Self(Kind::Scram(Box::new(Credential::parse(text)?))));
        }
        let Some(rest) = text.strip_prefix('$') else {
            return Err(
                "the password is not hashed: `ringmq passwd -U FILE` hashes all plain passwords of a file"
                    .to_owned(),
            );
        };
        let fields: Vec<&str> = rest.split('$').collect();
        match fields[..] {
            ["6", salt, hash] => Ok(Self(Kind::Sha512 { salt: padded_salt(salt)?, hash: sha512(hash)? })),
            ["7", iterations, salt, hash] => {
                let iterations = number("iterations", iterations, 1, ITERATIONS_MAX)?;
                Ok(Self(Kind::Pbkdf2 { iterations, salt: padded_salt(salt)?, hash: sha512(hash)? }))
            }
            ["argon2id", "v=19", cost, salt, hash] => parse_argon2(cost, salt, hash),
            ["argon2id", ..] => Err("expected $argon2id$v=19$m=KIB,t=PASSES,p=LANES$salt$hash".to_owned()),
            ["6", ..] => Err("expected $6$salt$hash".to_owned()),
            ["7", ..] => Err("expected $7$iterations$salt$hash".to_owned()),
            _ => Err("an unknown form of hash: expected $6$, $7$ or $argon2id$, as `ringmq passwd` and \
                      mosquitto_passwd write"
                .to_owned()),
        }
    }

    /// Hashes a new password. `salt` is random and of [`Scheme::SALT_BYTES`].
    #[must_use]
    pub fn new(scheme: Scheme, password: &[u8], salt: [u8; Scheme::SALT_BYTES]) -> Self {
        let salt: Box<[u8]> = salt.into();
        let memory = &mut HashMemory::default();
        Self(match scheme {
            Scheme::Sha512 => Kind::Sha512 { hash: compute_sha512(password, &salt), salt },
            Scheme::Pbkdf2 => {
                let iterations = Scheme::ITERATIONS;
                Kind::Pbkdf2 { iterations, hash: compute_pbkdf2(password, &salt, iterations), salt }
            }
            Scheme::ScramSha256 => {
                Kind::Scram(Box::new(Credential::new(password, &salt, Scheme::SCRAM_ITERATIONS)))
            }
            Scheme::Argon2id => {
                let mut hash = [0; SHA512_BYTES];
                let hashed = compute_argon2(Scheme::ARGON2, password, &salt, &mut hash, memory);
                debug_assert!(hashed, "the scheme's own cost is in range");
                Kind::Argon2id { cost: Scheme::ARGON2, salt, hash: hash.into() }
            }
        })
    }

    /// Whether this is the password. Takes as long for a wrong one as for the right one, and up to about a second.
    #[must_use]
    pub fn verify(&self, password: &[u8], memory: &mut HashMemory) -> bool {
        match &self.0 {
            Kind::Sha512 { salt, hash } => compute_sha512(password, salt).ct_eq(hash).into(),
            Kind::Pbkdf2 { iterations, salt, hash } => {
                // HMAC fills a short key up with zeros, so a password with zeros behind it would do as well.
                let padded = password.ends_with(&[0]);
                bool::from(compute_pbkdf2(password, salt, *iterations).ct_eq(hash)) && !padded
            }
            Kind::Argon2id { cost, salt, hash } => {
                let mut computed = [0; *ARGON2_HASH_BYTES.end()];
                let computed = &mut computed[..hash.len()];
                compute_argon2(*cost, password, salt, computed, memory) && bool::from(computed.ct_eq(hash))
            }
            Kind::Scram(credential) => credential.verify(password),
        }
    }

    /// The salt and the hash, by which a verified password is told from that of another time.
    pub(crate) fn identity(&self) -> [&[u8]; 2] {
        match &self.0 {
            Kind::Sha512 { salt, hash } | Kind::Pbkdf2 { salt, hash, .. } => [salt, hash],
            Kind::Argon2id { salt, hash, .. } => [salt, hash],
            Kind::Scram(credential) => credential.identity(),
        }
    }

    /// What an exchange of SCRAM needs, where the password is stored for that.
    #[must_use]
    pub fn scram(&self) -> Option<&Credential> {
        match &self.0 {
            Kind::Scram(credential) => Some(credential),
            _ => None,
        }
    }
}

/// The form that a password file has.
impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Sha512 { salt, hash } => {
                write!(f, "$6${}${}", STANDARD.encode(salt), STANDARD.encode(hash))
            }
            Kind::Pbkdf2 { iterations, salt, hash } => {
                write!(f, "$7${iterations}${}${}", STANDARD.encode(salt), STANDARD.encode(hash))
            }
            Kind::Argon2id { cost: Argon2Cost { memory_kib, passes, lanes }, salt, hash } => {
                let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
                write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}")
            }
            Kind::Scram(credential) => credential.fmt(f),
        }
    }
}

fn compute_sha512(password: &[u8], salt: &[u8]) -> [u8; SHA512_BYTES] {
    Sha512::new().chain_update(password).chain_update(salt).finalize().into()
}

fn compute_pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> [u8; SHA512_BYTES] {
    let mut hash = [0; SHA512_BYTES];
    pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut hash);
    hash
}

/// False, with nothing computed, when the cost is out of range, which reading a hash rules out.
fn compute_argon2(
    cost: Argon2Cost,
    password: &[u8],
    salt: &[u8],
    hash: &mut [u8],
    memory: &mut HashMemory,
) -> bool {
    let Argon2Cost { memory_kib, passes, lanes } = cost;
    let Ok(parameters) = Params::new(memory_kib, passes, lanes, Some(hash.len())) else { return false };
    let blocks = memory.blocks(parameters.block_count());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon2.hash_password_into_with_memory(password, salt, hash, blocks).is_ok()
}

fn parse_argon2(cost: &str, salt: &str, hash: &str) -> Result<PasswordHash, String> {
    let fields: Vec<&str> = cost.split(',').collect();
    let field = |at: usize, name: &str, least: u32, most: u32| {
        let text = fields.get(at).and_then(|field| field.strip_prefix(name)?.strip_prefix('='));
        number(name, text.unwrap_or_default(), least, most)
    };
    let lanes = field(2, "p", 1, ARGON2_LANES_MAX)?;
    let memory_kib = field(0, "m", 8 * lanes, ARGON2_MEMORY_KIB_MAX)?;
    let passes_max = (ARGON2_WORK_KIB_MAX / u64::from(memory_kib)).min(1 << 16) as u32;
    let passes = field(1, "t", 1, passes_max)?;
    if fields.len() != 3 {
        return Err("expected m=KIB,t=PASSES,p=LANES".to_owned());
    }
    let cost = Argon2Cost { memory_kib, passes, lanes };
    let salt = bytes("salt", STANDARD_NO_PAD.decode(salt).ok(), SALT_BYTES)?;
    let hash = bytes("hash", STANDARD_NO_PAD.decode(hash).ok(), ARGON2_HASH_BYTES)?;
    Ok(PasswordHash(Kind::Argon2id { cost, salt, hash }))
}

fn number(name: &str, text: &str, least: u32, most: u32) -> Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|value| digits && (least..=most).contains(value));
    value.ok_or_else(|| format!("{name} of the hash is out of range: expected {least} to {most}"))
}

fn padded_salt(text: &str) -> Result<Box<[u8]>, String> {
    bytes("salt", STANDARD.decode(text).ok(), SALT_BYTES)
}

fn sha512(text: &str) -> Result<[u8; SHA512_BYTES], String> {
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    decoded.ok_or_else(|| format!("the hash is damaged: expected {SHA512_BYTES} bytes in base64"))
}

fn bytes(
    name: &str,
    decoded: Option<Vec<u8>>,
    count: std::ops::RangeInclusive<usize>,
) -> Result<Box<[u8]>, String> {
    let fits = decoded.filter(|bytes| count.contains(&bytes.len())).map(Vec::into_boxed_slice);
    fits.ok_or_else(|| {
        format!("the {name} is damaged: expected {} to {} bytes in base64", count.start(), count.end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by mosquitto_passwd 2.0.11 (`-b`, and `-H sha512 -b`), and by the reference argon2 program.
    const WRITTEN_ELSEWHERE: &[(&str, &str)] = &[
        (
            "secret",
            "$7$101$kwjCmwAm3s9iZV7B$FUr9Z6tbkAmGEVR6h68NeSutQHt/WMdqFU1ZNR0izdCuMWhC4f8qz8ixCV7xGlw+1kfJ8O+q1M/1HBBc0KqsUQ==",
        ),
        (
            "pass word",
            "$7$101$TP6lvUEvYYihpwFp$i9Ap4+/Ynr4AdTD147h8sbCp5ZPweI48QDLaLsH8sTXBySr2B+O7o6Bta/7vXuEfUicXp2hG9UiFu+IwqhH7mg==",
        ),
        (
            "secret",
            "$6$+3fUBz7kgnojZ5+3$JFvwRJAslyQNNAHlIFoIP4Pw84WjPeOybrtjKBeB8hCw33ZPVLc8i2W6CiatCA6cl8Du0u8OHlBbFQYPnL0i/Q==",
        ),
        (
            "secret",
            "$argon2id$v=19$m=47104,t=1,p=1$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$jN8KVtBuy9rOg+xx4HEO7K//Ei2hf4aegEDgCD4okj4rugUys2dVUsAyHcBFDFrGlWl198NIEs4dtHiTXPgqvA",
        ),
        (
            "secret",
            "$argon2id$v=19$m=64,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$zsnmn9xe/sqn1n9ngWhvNwuIvWIjZRixhlQttgNF8hk",
        ),
    ];

    #[test]
    fn hashes_of_other_programs_are_told_apart_from_wrong_passwords() {
        let memory = &mut HashMemory::default();
        for (password, stored) in WRITTEN_ELSEWHERE {
            let hash = PasswordHash::parse(stored).unwrap();
            assert!(hash.verify(password.as_bytes(), memory), "{stored}");
            for wrong in ["", "x", &password[1..], &format!("{password}\0")] {
                assert!(!hash.verify(wrong.as_bytes(), memory), "{stored} {wrong}");
            }
            assert_eq!(hash.to_string(), *stored);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let memory = &mut HashMemory::default();
        for scheme in [Scheme::Argon2id, Scheme::Pbkdf2, Scheme::Sha512] {
            let hash = PasswordHash::new(scheme, "pässword".as_bytes(), *b"0123456789ab");
            let again = PasswordHash::parse(&hash.to_string()).unwrap();
            assert!(again == hash && again.verify("pässword".as_bytes(), memory), "{scheme:?}");
            assert!(!again.verify(b"password", memory), "{scheme:?}");
            assert!(!format!("{hash:?}").contains('$'), "Debug shows nothing");
        }
    }

    #[test]
    fn damaged_and_dear_hashes_are_refused_with_what_was_expected() {
        let (salt, hash) = ("MDEyMzQ1Njc4OWFi", "A".repeat(86) + "==");
        let argon2 = |cost: &str| format!("$argon2id$v=19${cost}$MDEyMzQ1Njc4OWFi${}", "A".repeat(86));
        let rows = [
            ("secret".to_owned(), "ringmq passwd -U"),
            (String::new(), "not hashed"),
            ("$".to_owned(), "unknown form"),
            ("$5$a$b".to_owned(), "unknown form"),
            ("$6$".to_owned(), "expected $6$salt$hash"),
            (format!("$6${salt}"), "expected $6$salt$hash"),
            (format!("$6$%${hash}"), "the salt is damaged"),
            (format!("$6$MDEy${hash}"), "expected 8 to 64 bytes"),
            (format!("$6${salt}$AAAA"), "expected 64 bytes"),
            (format!("$6${salt}${hash}$"), "expected $6$salt$hash"),
            (format!("$7${salt}${hash}"), "expected $7$iterations$salt$hash"),
            (format!("$7$0${salt}${hash}"), "iterations"),
            (format!("$7$-1${salt}${hash}"), "iterations"),
            (format!("$7$+1${salt}${hash}"), "iterations"),
            (format!("$7$2000001${salt}${hash}"), "1 to 2000000"),
            (format!("$7$99999999999999999999${salt}${hash}"), "1 to 2000000"),
            (argon2(""), "p of the hash"),
            (argon2("m=65536,t=1"), "p of the hash"),
            (argon2("t=1,m=65536,p=1"), "m of the hash"),
            (argon2("m=7,t=1,p=1"), "8 to 262144"),
            (argon2("m=8,t=1,p=2"), "16 to 262144"),
            (argon2("m=4194304,t=1,p=1"), "8 to 262144"),
            (argon2("m=262144,t=5,p=1"), "1 to 4"),
            (argon2("m=8,t=4294967295,p=1"), "1 to 65536"),
            (argon2("m=65536,t=1,p=17"), "1 to 16"),
            (argon2("m=65536,t=1,p=1,x=1"), "expected m=KIB"),
            (argon2("m=65536,t=1,p=1").replace("v=19", "v=16"), "v=19"),
            (argon2("m=65536,t=1,p=1") + "==", "the hash is damaged"),
        ];
        for (text, expected) in rows {
            let problem = PasswordHash::parse(&text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
            assert!(!problem.contains(salt) && !problem.contains(&hash), "{problem}");
        }
    }
}
