//! Tokens as the guard has them: keys read from files, and what a good token makes of its bearer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ringmq_auth::jwt::{Bearer, Claims, KeySource, Verifier};
use ringmq_proto::time::Wall;
use ringmq_shard::Identity;

use super::GuardError;
use super::grant::{By, Grant};
use super::snapshot::read;
use crate::config::{ClaimText, JwtRules};

/// A file of keys.
#[derive(Debug)]
pub struct KeyFile {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Reads the files of keys.
///
/// # Errors
/// What is wrong with a file, without a word of it.
pub fn read_keys(rules: &JwtRules) -> Result<Vec<KeyFile>, GuardError> {
    let mut files = Vec::new();
    for (key, path) in rules.key_files() {
        let bytes = read(path).map_err(|error| GuardError::Read { key, path: path.clone(), error })?;
        // Each alone first, so that what is wrong has a file.
        let source = source(key, &bytes).map_err(|problem| wrong(key, path, problem))?;
        Verifier::new(&[source], claims(rules)).map_err(|problem| wrong(key, path, problem))?;
        files.push(KeyFile { key, path: path.clone(), bytes });
    }
    Ok(files)
}

fn wrong(key: &'static str, path: &Path, problem: String) -> GuardError {
    GuardError::Key { key, path: path.to_owned(), problem }
}

/// What a file of keys is. What anybody may know must never be taken for a secret, so a secret has a key of its own
/// and may not look like a public one.
pub fn source<'a>(key: &str, bytes: &'a [u8]) -> Result<KeySource<'a>, String> {
    let text = bytes.trim_ascii_start();
    let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    let is_json = text.starts_with(b"{");
    if key == "jwt_keys" {
        return match (is_pem, is_json) {
            (_, true) => Ok(KeySource::Jwks(bytes)),
            (true, false) => Ok(KeySource::Pem(bytes)),
            (false, false) => Err("expected a public key as PEM (`-----BEGIN PUBLIC KEY-----`) or a set of \
                                   keys as JSON; a shared secret belongs into jwt_secret_file"
                .to_owned()),
        };
    }
    let is_der =
        matches!(bytes, [0x30, length, ..] if *length & 0x80 != 0 || usize::from(*length) + 2 == bytes.len());
    let is_ssh = text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-");
    if is_pem || is_json || is_der || is_ssh {
        return Err("it looks like a key that others may know, and whoever knows the secret can sign: \
                    public keys belong into jwt_keys"
            .to_owned());
    }
    let end = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    Ok(KeySource::Secret(end.strip_suffix(b"\r").unwrap_or(end)))
}

/// What a token must say.
pub fn claims(rules: &JwtRules) -> Claims {
    let text = |claim: &Option<ClaimText>| claim.as_ref().map(|claim| claim.as_str().to_owned());
    Claims {
        audience: text(&rules.audience),
        issuer: text(&rules.issuer),
        leeway_seconds: u64::from(rules.leeway_seconds),
        may_last: false,
        user_name: rules.user_claim.as_str().to_owned(),
        client_id: text(&rules.client_id_claim),
        permissions: text(&rules.permissions_claim),
        roles: text(&rules.roles_claim),
    }
}

/// Seconds since 1970.
pub fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the shard keeps of who bears a token.
pub fn identity(bearer: Bearer) -> Identity {
    let grant = Grant { by: By::Token, permissions: bearer.permissions, roles: bearer.roles };
    Identity {
        user_name: Some(bearer.user_name.into()),
        expires_at: bearer.expires_at.map(|seconds| Wall(seconds.saturating_mul(1000))),
        grant: Some(Arc::new(grant)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_never_a_secret() {
        let secret = |bytes: &[u8]| source("jwt_secret_file", bytes).is_ok();
        let public = |bytes: &[u8]| source("jwt_keys", bytes).is_ok();
        assert!(
            secret(b"a secret of thirty-two bytes, now") && !public(b"a secret of thirty-two bytes, now")
        );
        for key in
            [&b"-----BEGIN PUBLIC KEY-----"[..], b"\n# mine\n-----BEGIN CERTIFICATE-----", b" {\"keys\":[]}"]
        {
            assert!(public(key) && !secret(key), "{key:?}");
        }
        let mut der = vec![0x30, 42];
        der.extend([7; 42]);
        for key in [&der[..], &[0x30, 0x82, 1, 34, 0x30], b"ssh-ed25519 AAAA", b"ecdsa-sha2-nistp256 AAAA"] {
            assert!(!secret(key) && !public(key), "{key:?}");
        }
    }

    #[test]
    fn a_line_break_behind_a_secret_does_not_count() {
        for text in ["secret", "secret\n", "secret\r\n"] {
            let Ok(KeySource::Secret(secret)) = source("jwt_secret_file", text.as_bytes()) else {
                panic!("{text:?}")
            };
            assert_eq!(secret, b"secret");
        }
    }
}
