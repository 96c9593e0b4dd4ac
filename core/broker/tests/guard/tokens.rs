//! Tokens as passwords: whose they are, what they let their bearers do, and until when.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ringmq::{Anonymous, Broker, ClaimText, GuardError, Options, StartError};
use ringmq_wire::{Qos, Version};
use serde_json::{Value, json};

use crate::client::{Client, Folder, Seen, options};
use crate::passwords::passwords;

const SECRET: &str = "a secret of thirty-two bytes, now";

/// A public key, and a token that PyJWT made with its other half: `sub` is anna, `iss` is issuer, `aud` are mqtt and x,
/// and `exp` is in 2033.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA2vPcnN9TuUMo2ZbEzhIjjVUZddfBEp2aALK54NSuqCM=\n\
    -----END PUBLIC KEY-----\n";
pub const SIGNED: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhbm5hIiwiaXNzIjoiaXNzdWVyIiwiYXVkIjpbIm1xdHQiLCJ4Il0sImV4cCI6MjAwMDAwMDAwMH0.BUMswHqKxpCFt7SY2Q41JaQxxgEdHr6JrPTfU7fQApnIdPnQ3q-Lw_P34_QVd0A2WpJvaKJj6rXmkSgr8Y8hBg";

fn after(seconds: i64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + seconds
}

/// A token that says this and is good for a minute, unless it says otherwise.
fn token_with(secret: &str, mut claims: Value) -> String {
    let claims = claims.as_object_mut().unwrap();
    claims.entry("exp").or_insert_with(|| after(60).into());
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn token(claims: Value) -> String {
    token_with(SECRET, claims)
}

fn taking_tokens(folder: &Folder) -> Options {
    options().jwt_secret_file(Some(folder.write("secret", SECRET)))
}

fn log_in(broker: &Broker, client_id: &str, user: Option<&str>, token: &str) -> (Client, u8) {
    let mut client = Client::dial(broker, Version::V5);
    let code = client.log_in(client_id, user, Some(token), None);
    (client, code)
}

fn code(broker: &Broker, client_id: &str, user: Option<&str>, token: &str) -> u8 {
    log_in(broker, client_id, user, token).1
}

#[test]
fn a_good_token_comes_in_with_any_user_name_and_others_do_not() {
    let folder = Folder::new();
    let options = taking_tokens(&folder)
        .jwt_keys([folder.write("key.pem", PUBLIC)].into())
        .jwt_audience(ClaimText::new("mqtt"))
        .jwt_client_id_claim(ClaimText::new("cid"))
        .jwt_leeway(0);
    let broker = options.start().unwrap();
    let good = json!({"sub": "a", "aud": "mqtt"});
    for user in [None, Some(""), Some("whoever")] {
        assert_eq!(code(&broker, "c", user, &token(good.clone())), 0, "{user:?}");
        assert_eq!(code(&broker, "c", user, SIGNED), 0, "{user:?}");
    }
    for version in [Version::V31, Version::V311] {
        let mut client = Client::dial(&broker, version);
        assert_eq!(client.log_in("c", Some(""), Some(&token(good.clone())), None), 0);
    }
    let rows = [
        (token(json!({"sub": "a", "aud": ["x", "mqtt"], "cid": "c"})), 0),
        (token(json!({"sub": "a", "aud": "mqtt", "cid": "d"})), 0x87),
        (token(json!({"sub": "a", "aud": "other"})), 0x86),
        (token(json!({"sub": "a"})), 0x86),
        (token(json!({"aud": "mqtt"})), 0x86),
        (token(json!({"sub": "a", "aud": "mqtt", "exp": after(-1)})), 0x86),
        (token(json!({"sub": "a", "aud": "mqtt", "nbf": after(50)})), 0x86),
        (token_with("another secret of thirty-two bytes", good.clone()), 0x86),
        ("secret".to_owned(), 0x86),
        (String::new(), 0x86),
    ];
    for (token, expected) in &rows {
        assert_eq!(code(&broker, "c", Some("a"), token), *expected, "{token}");
    }
    assert_eq!(Client::dial(&broker, Version::V5).log_in("c", Some("a"), None, None), 0x86, "no token");
    assert_eq!(Client::dial(&broker, Version::V5).log_in("c", None, None, None), 0x87, "not a word");
    let counters = broker.guard().unwrap().counters();
    assert_eq!((counters.logins_by_token(), counters.logins_hashed()), (9, 0));
    assert_eq!(counters.logins_failed(), 11);
}

#[test]
fn passwords_and_tokens_go_together() {
    let folder = Folder::new();
    let users = folder.write("passwords", &passwords(&[("anna", "secret"), ("bert", "hidden")]));
    let broker = taking_tokens(&folder).password_file(Some(users)).start().unwrap();
    assert_eq!(code(&broker, "c", Some("anna"), "secret"), 0);
    assert_eq!(code(&broker, "c", Some("anna"), "hidden"), 0x86);
    assert_eq!(code(&broker, "c", Some("anna"), &token(json!({"sub": "zoe"}))), 0);
    assert_eq!(
        code(
            &broker,
            "c",
            Some("anna"),
            &token_with("another secret of thirty-two bytes", json!({"sub": "anna"}))
        ),
        0x86
    );
    assert_eq!(code(&broker, "c", None, "secret"), 0x87);
}

#[test]
fn without_passwords_and_tokens_anonymous_clients_come_in_only_where_that_is_said() {
    let folder = Folder::new();
    for (anonymous, expected) in
        [(Anonymous::Local, 0x87), (Anonymous::Nobody, 0x87), (Anonymous::Everybody, 0)]
    {
        let broker = taking_tokens(&folder).allow_anonymous(anonymous).start().unwrap();
        assert_eq!(
            Client::dial(&broker, Version::V5).log_in("c", None, None, None),
            expected,
            "{anonymous:?}"
        );
        assert_eq!(code(&broker, "c", None, &token(json!({"sub": "a"}))), 0);
        assert_eq!(code(&broker, "c", None, "secret"), 0x86, "who shows something must be right");
    }
}

#[test]
fn a_token_says_what_its_bearer_may_do_and_else_the_acl_file_does() {
    let folder = Folder::new();
    let acl = folder.write("acl", "user anna\ntopic readwrite acl/#\npattern readwrite own/%u\n");
    let broker = taking_tokens(&folder)
        .acl_file(Some(acl))
        .jwt_permissions_claim(ClaimText::new("acl"))
        .start()
        .unwrap();
    let grants =
        json!({"sub": "anna", "acl": {"publish": ["in/%c"], "subscribe": ["out/#"], "deny": ["out/no"]}});
    let (mut bearer, code) = log_in(&broker, "c", Some("x"), &token(grants));
    assert_eq!(code, 0);
    let (mut anna, code) = log_in(&broker, "d", None, &token(json!({"sub": "anna"})));
    assert_eq!(code, 0);
    let may = |client: &mut Client, topic: &str| {
        client.publish(topic, Qos::AtLeastOnce, false);
        client.next() == Seen::Puback(0x10)
    };
    for (topic, by_token, by_file) in
        [("in/c", true, false), ("in/d", false, false), ("acl/x", false, true), ("own/anna", false, true)]
    {
        assert_eq!((may(&mut bearer, topic), may(&mut anna, topic)), (by_token, by_file), "{topic}");
    }
    let root = broker.handle().unwrap();
    for client in [&mut bearer, &mut anna] {
        assert_eq!(client.subscribe("#"), Seen::Suback(vec![0]));
    }
    for topic in ["out/yes", "out/no", "acl/x", "in/c"] {
        root.publish(topic, ringmq::Bytes::new(), ringmq::PublishOptions::default()).unwrap();
    }
    assert_eq!((bearer.topics(), anna.topics()), (vec!["out/yes".to_owned()], vec!["acl/x".to_owned()]));
}

#[test]
fn a_connection_ends_with_its_token() {
    let folder = Folder::new();
    let broker = taking_tokens(&folder).jwt_leeway(1).start().unwrap();
    let short = token(json!({"sub": "a", "exp": after(0)}));
    for (version, last) in [(Version::V5, Seen::Disconnect(0xa0)), (Version::V311, Seen::Closed)] {
        let mut client = Client::dial(&broker, version);
        let code = client.log_in("c", Some(""), Some(&token(json!({"sub": "a", "exp": after(1)}))), None);
        assert_eq!(code, 0);
        assert_eq!(client.next(), last, "it is told as soon as the time is over");
    }
    assert_eq!(code(&broker, "c", None, &short), 0x86, "by now it is over");
}

#[test]
fn a_reload_takes_other_keys_or_says_what_is_wrong() {
    let folder = Folder::new();
    let mut broker = taking_tokens(&folder).start().unwrap();
    let (old, new) = (json!({"sub": "a"}), "another secret of thirty-two bytes");
    assert_eq!(code(&broker, "c", None, &token(old.clone())), 0);
    let path = folder.write("secret", "short");
    let options = || options().jwt_secret_file(Some(path.clone()));
    let error = broker.reload(options()).unwrap_err().to_string();
    assert!(error.contains("jwt_secret_file") && error.contains("secret: the secret has 5 bytes"), "{error}");
    assert_eq!(code(&broker, "c", None, &token(old.clone())), 0);
    folder.write("secret", new);
    broker.reload(options()).unwrap();
    assert_eq!(code(&broker, "c", None, &token(old.clone())), 0x86);
    assert_eq!(code(&broker, "c", None, &token_with(new, old)), 0);
}

#[test]
fn wrong_keys_keep_the_broker_from_starting_and_are_named() {
    let folder = Folder::new();
    let good = folder.write("good.pem", PUBLIC);
    let rows = [
        (PUBLIC.replace("PUBLIC", "PRIVATE"), "bad: the key is no PEM of a public key"),
        ("{\"keys\":[]}".to_owned(), "bad: there is no key"),
        ("{".to_owned(), "bad: line 1 is no set of keys"),
        (SECRET.to_owned(), "a shared secret belongs into jwt_secret_file"),
    ];
    for (text, expected) in rows {
        let bad = folder.write("bad", &text);
        let error = options().jwt_keys([good.clone(), bad].into()).start().unwrap_err();
        assert!(matches!(error, StartError::Guard(GuardError::Key { key: "jwt_keys", .. })), "{error}");
        assert!(error.to_string().contains(expected) && !error.to_string().contains(SECRET), "{error}");
    }
    let error = options().jwt_secret_file(Some(good)).start().unwrap_err().to_string();
    assert!(error.contains("good.pem: it looks like a key that others may know"), "{error}");
    let error = options().jwt_keys(["nowhere"].into()).start().unwrap_err().to_string();
    assert!(error.contains("jwt_keys: nowhere cannot be read"), "{error}");
}
