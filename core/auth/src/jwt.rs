//! JSON Web Tokens (RFC 7519) as credentials: a signature by a known key, then the claims. Keys come in as bytes and the
//! time as a number; nothing is fetched. Signed with HMAC, RSA, ECDSA or Ed25519, whichever the *key* is for: a token's
//! own word about its algorithm is believed only as far as its key goes, and `none` is no algorithm here.

use jsonwebtoken::crypto;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header};
use serde_json::{Map, Value};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringmq_wire::TopicFilter;

use crate::permissions::{Access, Effect, Granted, Permissions, Rule};

/// Bytes of a token: a password of MQTT has at most 64 KiB, and a real token one or two.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Keys of one verifier: a token without a key's name is tried with each that fits.
const KEYS_MAX: usize = 64;
/// Bytes of a shared secret, as RFC 7518, 3.2 demands of HS256.
const SECRET_BYTES_MIN: usize = 32;
/// Rules of one token.
const RULES_MAX: usize = 256;
/// Roles of one token: each is asked for each of its bearer's messages.
const ROLES_MAX: usize = 32;

/// Where keys come from. Never shown by `Debug`.
pub enum KeySource<'a> {
    /// A secret that both sides know.
    Secret(&'a [u8]),
    /// A public key as PEM.
    Pem(&'a [u8]),
    /// A set of keys as JSON (RFC 7517).
    Jwks(&'a [u8]),
    /// The same from where anybody can read it: secrets in it are nobody's, and are left out.
    PublicJwks(&'a [u8]),
}

/// What a token must say, and what is read from it.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Who must be among its audience; nothing for anybody.
    pub audience: Option<String>,
    /// Who must have issued it; nothing for anybody.
    pub issuer: Option<String>,
    /// Seconds that clocks may differ.
    pub leeway_seconds: u64,
    /// Whether a token without an end of its time is good for ever; else it is refused.
    pub may_last: bool,
    /// The claim that is the user name.
    pub user_name: String,
    /// The claim that, where a token has it, is the only ClientID it is good for.
    pub client_id: Option<String>,
    /// The claim that, where a token has it, is what its bearer may do: an object with lists of filters by the names
    /// `publish`, `subscribe`, `all` and `deny`; `pub` and `sub` are the same as the first two.
    pub permissions: Option<String>,
    /// The claim that, where a token has it, names the roles of its bearer: a text, or a list of texts.
    pub roles: Option<String>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            audience: None,
            issuer: None,
            leeway_seconds: 30,
            may_last: false,
            user_name: "sub".to_owned(),
            client_id: None,
            permissions: None,
            roles: None,
        }
    }
}

/// Who bears a token that is good.
#[derive(Debug)]
pub struct Bearer {
    /// The user name.
    pub user_name: String,
    /// The only ClientID it is good for, where there is one.
    pub client_id: Option<String>,
    /// What its bearer may do, where it says so.
    pub permissions: Option<Granted>,
    /// The roles that it names, beside those that its user name has.
    pub roles: Box<[Box<str>]>,
    /// Until when it is good: seconds since 1970, leeway included.
    pub expires_at: Option<u64>,
}

/// Why a token is not good, for the log. Never contains anything of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is no token.
    Malformed,
    /// It is made in a way that is not understood: another algorithm, a critical extension, compressed claims.
    Unsupported,
    /// No key fits.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// A claim is missing or says something else.
    Claim(String),
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the password is no token",
            Self::Unsupported => "the token is made in a way that is not supported",
            Self::UnknownKey => "no key fits the token",
            Self::Signature => "the token's signature is wrong",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::Claim(name) => {
                return write!(f, "the token's claim {name:?} is missing or not as expected");
            }
        })
    }
}

/// One key and its name.
struct Key {
    id: Option<String>,
    key: DecodingKey,
}

/// Judges tokens.
pub struct Verifier {
    keys: Vec<Key>,
    claims: Claims,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys.len()).field("claims", &self.claims).finish()
    }
}

impl Verifier {
    /// With these keys. Keys of a set that are not for signatures, or of a kind that is not known, are left out.
    ///
    /// # Errors
    /// What is wrong with a key, without a word of it; or that there is none.
    pub fn new(sources: &[KeySource<'_>], claims: Claims) -> Result<Self, String> {
        let mut keys = Vec::new();
        for source in sources {
            match source {
                KeySource::Secret(secret) if secret.len() < SECRET_BYTES_MIN => {
                    return Err(format!(
                        "the secret has {} bytes: expected {SECRET_BYTES_MIN} or more",
                        secret.len()
                    ));
                }
                KeySource::Secret(secret) => {
                    keys.push(Key { id: None, key: DecodingKey::from_secret(secret) })
                }
                KeySource::Pem(pem) => keys.push(Key { id: None, key: key_of_pem(pem)? }),
                KeySource::Jwks(json) => keys.extend(keys_of_set(json, true)?),
                KeySource::PublicJwks(json) => keys.extend(keys_of_set(json, false)?),
            }
        }
        match keys.len() {
            0 => Err("there is no key that could verify a token".to_owned()),
            1..=KEYS_MAX => Ok(Self { keys, claims }),
            count => Err(format!("there are {count} keys: expected at most {KEYS_MAX}")),
        }
    }

    /// How many keys it has.
    #[must_use]
    pub const fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Judges a token at a time, in seconds since 1970. Takes some 100 us with public keys.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn verify(&self, token: &[u8], now: u64) -> Result<Bearer, Rejection> {
        let token = std::str::from_utf8(token).map_err(|_| Rejection::Malformed)?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Rejection::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Rejection::Malformed)?;
        self.check_signature(header, signed, signature)?;
        let claims = object(payload).ok_or(Rejection::Malformed)?;
        self.check_claims(&claims, now)
    }

    fn check_signature(&self, header: &str, signed: &str, signature: &str) -> Result<(), Rejection> {
        let raw = object(header).ok_or(Rejection::Malformed)?;
        // What must be understood and is not makes a token void [RFC 7515, 4.1.11].
        if ["crit", "zip", "enc", "b64"].iter().any(|name| raw.contains_key(*name)) {
            return Err(Rejection::Unsupported);
        }
        let header: Header =
            serde_json::from_value(Value::Object(raw)).map_err(|_| Rejection::Unsupported)?;
        let named = |key: &&Key| match (&header.kid, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            // A key without a name may be meant by any, and a token without one means any key.
            _ => true,
        };
        let fits = |key: &&Key| key.key.family().algorithms().contains(&header.alg);
        let mut result = Err(Rejection::UnknownKey);
        for key in self.keys.iter().filter(named).filter(fits) {
            // A key of another curve is an error, which says no more than that this was not its signature.
            match crypto::verify(signature, signed.as_bytes(), &key.key, header.alg) {
                Ok(true) => return Ok(()),
                Ok(false) | Err(_) => result = Err(Rejection::Signature),
            }
        }
        result
    }

    fn check_claims(&self, claims: &Map<String, Value>, now: u64) -> Result<Bearer, Rejection> {
        let Claims { audience, issuer, leeway_seconds, may_last, .. } = &self.claims;
        let wrong = |name: &str| Rejection::Claim(name.to_owned());
        let expires_at = moment(claims, "exp")?.map(|at| at.saturating_add(*leeway_seconds));
        match expires_at {
            None if !may_last => return Err(wrong("exp")),
            Some(at) if now >= at => return Err(Rejection::Expired),
            _ => {}
        }
        if moment(claims, "nbf")?.is_some_and(|from| now.saturating_add(*leeway_seconds) < from) {
            return Err(Rejection::NotYet);
        }
        if issuer.as_ref().is_some_and(|issuer| text(claims, "iss") != Some(issuer)) {
            return Err(wrong("iss"));
        }
        if audience.as_ref().is_some_and(|audience| !is_audience(claims.get("aud"), audience)) {
            return Err(wrong("aud"));
        }
        let user_name = text(claims, &self.claims.user_name).filter(|name| !name.is_empty());
        let user_name = user_name.ok_or_else(|| wrong(&self.claims.user_name))?.to_owned();
        let client_id = match self.claims.client_id.as_ref().filter(|name| claims.contains_key(*name)) {
            Some(name) => Some(text(claims, name).ok_or_else(|| wrong(name))?.to_owned()),
            None => None,
        };
        let permissions =
            match self.claims.permissions.as_ref().and_then(|name| Some((name, claims.get(name)?))) {
                Some((name, value)) => Some(granted(value).ok_or_else(|| wrong(name))?),
                None => None,
            };
        let roles = match self.claims.roles.as_ref().and_then(|name| Some((name, claims.get(name)?))) {
            Some((name, value)) => roles(value).ok_or_else(|| wrong(name))?,
            None => Box::default(),
        };
        Ok(Bearer { user_name, client_id, permissions, roles, expires_at })
    }
}

/// Whether a password is meant to be a token: three parts, of which the first could be base64 of an object. Cheap,
/// and believes nothing; where both are taken it tells a token from a password.
#[must_use]
pub fn looks_like_token(password: &[u8]) -> bool {
    // `{` is `e` and, with the upper bits of any character behind it, one of these.
    matches!(password, [b'e', b'w'..=b'z', ..])
        && password.iter().filter(|byte| **byte == b'.').count() == 2
        && password.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn key_of_pem(pem: &[u8]) -> Result<DecodingKey, String> {
    let known = [DecodingKey::from_ed_pem, DecodingKey::from_ec_pem, DecodingKey::from_rsa_pem];
    let key = known.iter().find_map(|read| read(pem).ok());
    key.ok_or_else(|| "the key is no PEM of a public key for RSA, P-256, P-384 or Ed25519".to_owned())
}

/// The keys of a set; of one that anybody can read, without secrets.
fn keys_of_set(json: &[u8], with_secrets: bool) -> Result<Vec<Key>, String> {
    let set: JwkSet = serde_json::from_slice(json)
        .map_err(|error| format!("line {} is no set of keys (RFC 7517)", error.line()))?;
    let mut keys = Vec::new();
    for jwk in set.keys.iter().filter(|jwk| is_for_signatures(jwk)) {
        let Ok(key) = DecodingKey::from_jwk(jwk) else { continue };
        let is_secret = key.family() == AlgorithmFamily::Hmac;
        if is_secret && !with_secrets {
            continue;
        }
        if is_secret && key.try_get_as_bytes().is_ok_and(|secret| secret.len() < SECRET_BYTES_MIN) {
            return Err(format!("a secret of the set has less than {SECRET_BYTES_MIN} bytes"));
        }
        keys.push(Key { id: jwk.common.key_id.clone(), key });
    }
    Ok(keys)
}

fn is_for_signatures(jwk: &Jwk) -> bool {
    let operations = jwk.common.key_operations.as_ref();
    jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// A part of a token that is an object.
fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// A moment in seconds since 1970; some issuers give fractions [RFC 7519, 2].
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Rejection> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_u64().or_else(|| {
        let seconds = value.as_f64()?;
        (seconds >= 0.0 && seconds < u64::MAX as f64).then_some(seconds as u64)
    });
    seconds.map(Some).ok_or_else(|| Rejection::Claim(name.to_owned()))
}

fn is_audience(claim: Option<&Value>, wanted: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}

/// The roles a claim names; nothing when it is no text and no list of texts, or has too many.
#[must_use]
pub fn roles(claim: &Value) -> Option<Box<[Box<str>]>> {
    match claim {
        Value::String(one) => Some(Box::new([one.as_str().into()])),
        Value::Array(several) if several.len() <= ROLES_MAX => {
            several.iter().map(|one| Some(one.as_str()?.into())).collect()
        }
        _ => None,
    }
}

/// What a claim grants; nothing when it cannot be read, or has too much.
#[must_use]
pub fn granted(claim: &Value) -> Option<Granted> {
    let mut permissions = Permissions::default();
    for (name, filters) in claim.as_object()? {
        let effect = match name.as_str() {
            "publish" | "pub" => Effect::Allow(Access::Write),
            "subscribe" | "sub" => Effect::Allow(Access::Read),
            "all" => Effect::Allow(Access::ReadWrite),
            "deny" => Effect::Deny,
            _ => return None,
        };
        for filter in filters.as_array()? {
            let filter = filter.as_str().filter(|filter| TopicFilter::new(filter).is_ok())?;
            permissions.rules.push(Rule { filter: filter.into(), effect, line: 0 });
        }
    }
    if permissions.rules.len() > RULES_MAX {
        return None;
    }
    Granted::new(&permissions).ok()
}

#[cfg(test)]
mod tests;
