//! Files that people write: who there is and what they may.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ringmq_auth::jwt::{Claims, KeySource, Rejection, Verifier};
use ringmq_auth::{Acl, Action, PasswordFile, PasswordHash, Who};
use sha2::Sha256;

/// An ACL file, and behind null characters a ClientID, a user name and topics. The compiled rules say what their plain
/// reading says.
pub fn acl(bytes: &[u8]) {
    let mut fields = bytes.split(|byte| *byte == 0);
    let text = fields.next().unwrap_or_default();
    let Ok(acl) = Acl::parse(text) else { return };
    let texts: Vec<&str> = fields.take(8).filter_map(|field| std::str::from_utf8(field).ok()).collect();
    let [client_id, user_name, topics @ ..] = &texts[..] else { return };
    for user_name in [None, Some(*user_name)] {
        let who = Who { client_id, user_name };
        for topic in topics {
            for action in [Action::Read, Action::Write] {
                let plain = acl.explain(who, action, topic).allows();
                assert_eq!(acl.allows(who, action, topic), plain, "{who:?} {action:?} {topic}");
            }
        }
    }
}

/// A password file, and the same bytes as one stored password: an error, or what is written as it was read.
pub fn password(bytes: &[u8]) {
    if let Err(error) = PasswordFile::parse(bytes) {
        assert!(error.line > 0 && !error.problem.is_empty());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(hash) = PasswordHash::parse(text) {
        let written = hash.to_string();
        assert!(PasswordHash::parse(&written).is_ok_and(|again| again == hash), "{written}");
    }
}

/// A set of keys; a token as it is; and claims that are signed rightly. Whatever it is, an answer comes.
pub fn token(bytes: &[u8]) {
    let claims = || Claims { may_last: true, permissions: Some("acl".to_owned()), ..Claims::default() };
    let _ = Verifier::new(&[KeySource::Jwks(bytes)], claims());
    let _ = Verifier::new(&[KeySource::Pem(bytes)], claims());
    let secret = [7; 32];
    let Ok(verifier) = Verifier::new(&[KeySource::Secret(&secret)], claims()) else {
        unreachable!("32 bytes do")
    };
    let _ = verifier.verify(bytes, 1);
    let (header, claims) = (URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(bytes));
    let message = format!("{header}.{claims}");
    let mac = Hmac::<Sha256>::new_from_slice(&secret).expect("any length").chain_update(&message).finalize();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()));
    match verifier.verify(token.as_bytes(), 1) {
        Ok(bearer) => assert!(!bearer.user_name.is_empty() && bearer.expires_at.is_none_or(|at| at > 1)),
        Err(rejection) => assert_ne!(rejection, Rejection::Signature),
    }
}
