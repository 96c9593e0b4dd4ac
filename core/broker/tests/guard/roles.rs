//! Roles: what users may do by them, beside what tokens and the ACL file say, and after a reload.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ringmq::{Access, Broker, ClaimText, Effect, Options, Permissions, Role, Rule};
use ringmq_wire::{Qos, Version};
use serde_json::{Value, json};

use crate::client::{Client, Folder, Seen, options};

const SECRET: &str = "a secret of thirty-two bytes, now";
const READ: Effect = Effect::Allow(Access::Read);
const WRITE: Effect = Effect::Allow(Access::Write);

fn role(name: &str, members: &[&str], rules: &[(&str, Effect)]) -> Role {
    let rules =
        rules.iter().map(|(filter, effect)| Rule { filter: (*filter).into(), effect: *effect, line: 0 });
    Role {
        name: name.into(),
        members: members.iter().map(|member| (*member).into()).collect(),
        permissions: Permissions { rules: rules.collect() },
    }
}

fn token(mut claims: Value) -> String {
    claims["exp"] = json!(4_000_000_000_u32);
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn bearing(broker: &Broker, client_id: &str, claims: Value) -> Client {
    let mut client = Client::dial(broker, Version::V5);
    assert_eq!(client.log_in(client_id, None, Some(&token(claims)), None), 0);
    client
}

fn may_write(client: &mut Client, topic: &str) -> bool {
    client.publish(topic, Qos::AtLeastOnce, false);
    match client.next() {
        Seen::Puback(0x87) => false,
        Seen::Puback(0 | 0x10) => true,
        other => panic!("{other:?}"),
    }
}

fn with_tokens(folder: &Folder) -> Options {
    options().jwt_secret_file(Some(folder.write("secret", SECRET)))
}

#[test]
fn roles_come_before_permissions_of_tokens_and_the_acl_file() {
    let folder = Folder::new();
    let broker = with_tokens(&folder)
        .acl_file(Some(folder.write("acl", "pattern write #\npattern read #\n")))
        .jwt_permissions_claim(ClaimText::new("acl"))
        .jwt_roles_claim(ClaimText::new("roles"))
        .role(role("operators", &["anna"], &[("cmd/#", WRITE), ("cmd/reactor", Effect::Deny)]))
        .role(role("auditors", &[], &[("log/#", READ), ("log/%u", WRITE)]))
        .start()
        .unwrap();
    let nothing = || json!({"publish": []});
    let mut anna = bearing(&broker, "a", json!({"sub": "anna"}));
    let mut bound = bearing(&broker, "b", json!({"sub": "anna", "acl": nothing()}));
    let mut zoe =
        bearing(&broker, "c", json!({"sub": "zoe", "roles": ["auditors", "unknown"], "acl": nothing()}));
    // topic; may anna, whom else the ACL file lets do all; anna with a token that grants nothing; zoe
    let rows = [
        ("cmd/a", true, true, false),
        ("cmd/reactor", false, false, false),
        ("x", true, false, false),
        ("log/zoe", true, false, true),
        ("log/anna", true, false, false),
    ];
    for (topic, by_file, by_token, auditor) in rows {
        let found = (may_write(&mut anna, topic), may_write(&mut bound, topic), may_write(&mut zoe, topic));
        assert_eq!(found, (by_file, by_token, auditor), "{topic}");
    }
    for client in [&mut anna, &mut zoe] {
        assert_eq!(client.subscribe("#"), Seen::Suback(vec![0]));
    }
    let root = broker.handle().unwrap();
    for topic in ["log/a", "cmd/reactor", "x"] {
        root.publish(topic, ringmq::Bytes::new(), ringmq::PublishOptions::default()).unwrap();
    }
    assert_eq!(zoe.topics(), ["log/a"]);
    assert_eq!(anna.topics(), ["log/a", "x"]);
}

#[test]
fn with_roles_and_no_acl_file_nothing_else_is_allowed_and_a_reload_changes_them() {
    let mut broker = options().role(role("all", &["*"], &[("own/%c", WRITE)])).start().unwrap();
    let mut client = Client::dial(&broker, Version::V5);
    assert_eq!(client.log_in("c", None, None, None), 0);
    assert_eq!((may_write(&mut client, "own/c"), may_write(&mut client, "own/d")), (true, false));
    let wrong = options().role(role("all", &["*"], &[("own/#/x", WRITE)]));
    let error = broker.reload(wrong).unwrap_err().to_string();
    assert!(error.contains("is no topic filter"), "{error}");
    assert!(may_write(&mut client, "own/c"), "a bad reload changes nothing");
    let other = options();
    let report = broker.reload(other.clone().role(role("all", &["*"], &[("own/d", WRITE)]))).unwrap();
    assert_eq!(report.changed, ["role"]);
    assert_eq!((may_write(&mut client, "own/c"), may_write(&mut client, "own/d")), (false, true));
    assert_eq!(broker.reload(other.clone()).unwrap().changed, ["role"]);
    assert_eq!(broker.reload(other).unwrap().changed, [""; 0]);
    assert!(may_write(&mut client, "own/c"), "without roles and ACL file everybody may everything");
}

#[test]
fn roles_that_cannot_be_are_named_before_a_port_opens() {
    let twice = options().role(role("a", &[], &[])).role(role("a", &[], &[]));
    let rows = [
        (twice, "there are two roles with the name \"a\""),
        (options().role(role("", &[], &[])), "the role has no name"),
        (options().jwt_roles_claim(ClaimText::new("roles")), "there is no [[role]]"),
        (options().role(role("a", &[], &[("a+", READ)])), "\"a+\" is no topic filter"),
    ];
    for (options, expected) in rows {
        let error = options.start().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
