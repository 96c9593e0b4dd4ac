//! Password files and ACL files.

use std::path::Path;
use std::time::Duration;

use ringmq::{
    Broker, Bytes, ConfigError, DoorRules, GuardError, GuardOptions, Options, PublishOptions, StartError,
};
use ringmq_auth::{PasswordHash, Scheme};
use ringmq_wire::{Packet, Qos, Version};

use crate::client::{Client, Folder, SOON, Seen, options};

pub fn passwords(users: &[(&str, &str)]) -> String {
    let line = |(user, password): &(&str, &str)| {
        format!("{user}:{}\n", PasswordHash::new(Scheme::Sha512, password.as_bytes(), *b"0123456789ab"))
    };
    users.iter().map(line).collect()
}

fn guarded(folder: &Folder, users: &[(&str, &str)], acl: &str) -> Broker {
    let password_file = folder.write("passwords", &passwords(users));
    let acl_file = (!acl.is_empty()).then(|| folder.write("acl", acl));
    options().password_file(Some(password_file)).acl_file(acl_file).start().unwrap()
}

const USERS: &[(&str, &str)] = &[("anna", "secret"), ("bert", "hidden")];

#[test]
fn who_comes_in_and_what_the_others_are_told() {
    let folder = Folder::new();
    let rows: &[(Option<&str>, Option<&str>, u8)] = &[
        (Some("anna"), Some("secret"), 0),
        (Some("bert"), Some("hidden"), 0),
        (Some("anna"), Some("hidden"), 0x86),
        (Some("anna"), Some(""), 0x86),
        (Some("anna"), None, 0x86),
        (Some("zoe"), Some("secret"), 0x86),
        (Some(""), Some("secret"), 0x86),
        (None, None, 0x87),
    ];
    for version in [Version::V31, Version::V311, Version::V5] {
        let broker = guarded(&folder, USERS, "");
        for (user, password, code) in rows {
            let mut client = Client::dial(&broker, version);
            let said = client.log_in("c", *user, *password, None);
            assert_eq!(said, *code, "{version:?} {user:?} {password:?}");
            if *code != 0 {
                assert_eq!(client.next(), Seen::Closed);
            }
        }
        assert_eq!(Client::dial(&broker, version).log_in("d", Some("anna"), Some("secret"), None), 0);
        let counters = broker.guard().unwrap().counters();
        let logins = (counters.logins_hashed(), counters.logins_remembered(), counters.logins_failed());
        assert_eq!(logins, (2, 1, 6), "a password that was right once is not hashed again");
    }
}

#[test]
fn anonymous_clients_come_in_where_they_may() {
    let folder = Folder::new();
    let password_file = folder.write("passwords", &passwords(USERS));
    let everybody =
        options().password_file(Some(password_file)).allow_anonymous(ringmq::Anonymous::Everybody);
    type Row = (Option<&'static str>, u8);
    let rows: [(Options, &[Row]); 2] = [
        (everybody, &[(None, 0), (Some("anna"), 0), (Some("zoe"), 0x86)]),
        (options().allow_anonymous(ringmq::Anonymous::Nobody), &[(None, 0x87), (Some("anna"), 0x86)]),
    ];
    for (options, rows) in rows {
        let broker = options.start().unwrap();
        for (user, code) in rows {
            let mut client = Client::dial(&broker, Version::V5);
            assert_eq!(client.log_in("c", *user, user.map(|_| "secret"), None), *code, "{user:?}");
        }
    }
}

const ACL: &str = "\
topic read public/#
user anna
topic write orders/#
topic read public/#
user bert
topic readwrite orders/+
topic deny orders/secret
topic write public/#
pattern readwrite dev/%c/#
";

fn three(broker: &Broker) -> (Client, Client) {
    let (mut anna, mut bert) = (Client::dial(broker, Version::V5), Client::dial(broker, Version::V5));
    assert_eq!(anna.log_in("a", Some("anna"), Some("secret"), None), 0);
    assert_eq!(bert.log_in("b", Some("bert"), Some("hidden"), None), 0);
    (anna, bert)
}

#[test]
fn publishes_and_deliveries_are_what_the_rules_allow() {
    let folder = Folder::new();
    let broker = guarded(&folder, USERS, ACL);
    let (mut anna, mut bert) = three(&broker);
    // Subscribing is not restricted; what is given is.
    for client in [&mut anna, &mut bert] {
        assert_eq!(client.subscribe("#"), Seen::Suback(vec![0]));
        assert_eq!(client.subscribe("+/+"), Seen::Suback(vec![0]));
    }
    let denied = |client: &mut Client, topic: &str| {
        client.publish(topic, Qos::AtLeastOnce, false);
        client.next() == Seen::Puback(0x87)
    };
    assert!(
        denied(&mut anna, "public/x") && denied(&mut anna, "dev/b/x") && denied(&mut bert, "orders/secret")
    );
    for topic in ["orders/1", "orders/secret", "dev/a/x"] {
        anna.publish(topic, Qos::AtMostOnce, false);
    }
    assert_eq!(anna.topics(), ["dev/a/x"], "anna may not read what she writes");
    bert.publish("public/x", Qos::AtMostOnce, false);
    let mut got = bert.topics();
    got.sort();
    assert_eq!(got, ["orders/1"], "bert may not read the others, nor public/x that he wrote");
    assert_eq!(anna.topics(), ["public/x"]);
    let counters = broker.counters();
    assert_eq!(counters.sum(|c| &c.publish_denied), 3);
    assert_eq!(
        counters.sum(|c| &c.denied_delivery),
        2 + 2 + 1,
        "once for a session, however many filters match"
    );
    // In-process handles are not asked about.
    let subscription = broker.subscribe(["#"], Default::default()).unwrap();
    broker.handle().unwrap().publish("orders/secret", Bytes::new(), PublishOptions::default()).unwrap();
    assert_eq!(subscription.recv(SOON).unwrap().topic(), "orders/secret");
}

#[test]
fn retained_messages_and_groups_are_restricted_too() {
    let folder = Folder::new();
    let broker = guarded(&folder, USERS, ACL);
    let (mut anna, mut bert) = three(&broker);
    for topic in ["orders/1", "orders/secret"] {
        anna.publish(topic, Qos::AtLeastOnce, true);
        assert_eq!(anna.next(), Seen::Puback(0x10));
    }
    assert_eq!(bert.subscribe("orders/#"), Seen::Suback(vec![0]));
    assert_eq!(bert.next(), Seen::Publish("orders/1".to_owned()));
    assert_eq!(bert.subscribe("$share/g/orders/#"), Seen::Suback(vec![0]));
    assert_eq!(anna.subscribe("orders/#"), Seen::Suback(vec![0]));
    anna.publish("orders/secret", Qos::AtLeastOnce, false);
    anna.publish("orders/2", Qos::AtLeastOnce, false);
    assert_eq!((anna.next(), anna.next()), (Seen::Puback(0), Seen::Puback(0)));
    assert_eq!(bert.topics(), ["orders/2", "orders/2"], "by the filter and by the group");
    assert_eq!(anna.topics(), [""; 0]);
}

#[test]
fn a_will_that_may_not_be_published_keeps_its_client_out() {
    let folder = Folder::new();
    let broker = guarded(&folder, USERS, ACL);
    for (topic, code) in [("orders/1", 0), ("public/x", 0x87), ("dev/w/x", 0)] {
        let mut client = Client::dial(&broker, Version::V5);
        assert_eq!(client.log_in("w", Some("anna"), Some("secret"), Some(topic)), code, "{topic}");
    }
}

#[test]
fn a_denied_publish_is_told_or_dropped_or_ends_the_connection() {
    let folder = Folder::new();
    let acl = folder.write("acl", "topic read #\n");
    for (setting, version, qos, expected) in [
        (ringmq::DenyPublish::Drop, Version::V5, Qos::AtMostOnce, Seen::Pong),
        (ringmq::DenyPublish::Drop, Version::V5, Qos::AtLeastOnce, Seen::Puback(0x87)),
        (ringmq::DenyPublish::Drop, Version::V5, Qos::ExactlyOnce, Seen::Pubrec(0x87)),
        (ringmq::DenyPublish::Drop, Version::V311, Qos::AtMostOnce, Seen::Pong),
        (ringmq::DenyPublish::Drop, Version::V311, Qos::AtLeastOnce, Seen::Puback(0)),
        (ringmq::DenyPublish::Drop, Version::V311, Qos::ExactlyOnce, Seen::Pubrec(0)),
        (ringmq::DenyPublish::Disconnect, Version::V5, Qos::AtMostOnce, Seen::Disconnect(0x87)),
        (ringmq::DenyPublish::Disconnect, Version::V5, Qos::AtLeastOnce, Seen::Puback(0x87)),
        (ringmq::DenyPublish::Disconnect, Version::V311, Qos::AtMostOnce, Seen::Closed),
        (ringmq::DenyPublish::Disconnect, Version::V311, Qos::AtLeastOnce, Seen::Closed),
        (ringmq::DenyPublish::Disconnect, Version::V31, Qos::ExactlyOnce, Seen::Closed),
    ] {
        let broker = options().acl_file(Some(acl.clone())).deny_publish(setting).start().unwrap();
        let mut client = Client::dial(&broker, version);
        assert_eq!(client.log_in("c", None, None, None), 0);
        client.publish("t", qos, false);
        client.send(&Packet::Pingreq);
        assert_eq!(client.next(), expected, "{setting:?} {version:?} {qos:?}");
        assert_eq!(broker.counters().sum(|c| &c.publish_denied), 1);
    }
}

fn rules(password_file: &Path, acl_file: Option<&Path>) -> GuardOptions {
    GuardOptions {
        rules: DoorRules {
            password_file: Some(password_file.to_owned()),
            acl_file: acl_file.map(Path::to_owned),
            ..DoorRules::default()
        },
        listeners: Vec::new(),
        roles: None,
        http: ringmq::HttpRules::default(),
        shards: 2,
        decision_timeout: Duration::from_secs(5),
        partition_key: None,
        reload_kicks: false,
    }
}

#[test]
fn a_reload_holds_for_what_comes_next_and_changes_nothing_when_it_fails() {
    let folder = Folder::new();
    let broker = guarded(&folder, USERS, "");
    let guard = broker.guard().unwrap();
    let (mut anna, mut bert) = three(&broker);
    assert_eq!(bert.subscribe("#"), Seen::Suback(vec![0]));
    let path = folder.write("passwords", &passwords(&[("anna", "other")]));
    let acl = folder.write("acl", "user anna\ntopic write a\ntopic Read b\n");
    let error = guard.reload(&rules(&path, Some(&acl))).unwrap_err();
    assert!(error.to_string().contains("acl:3: \"Read\" is no access"), "{error}");
    let log_in =
        |user, password| Client::dial(&broker, Version::V5).log_in("n", Some(user), Some(password), None);
    assert_eq!((log_in("anna", "secret"), log_in("anna", "other"), log_in("bert", "hidden")), (0, 0x86, 0));

    folder.write("acl", "user anna\ntopic write a\n");
    guard.reload(&rules(&path, Some(&acl))).unwrap();
    assert_eq!(
        (log_in("anna", "secret"), log_in("anna", "other"), log_in("bert", "hidden")),
        (0x86, 0, 0x86)
    );
    anna.publish("b", Qos::AtLeastOnce, false);
    assert_eq!(anna.next(), Seen::Puback(0x87), "who is there already is judged by what holds now");
    anna.publish("a", Qos::AtLeastOnce, false);
    assert_eq!(anna.next(), Seen::Puback(0x10));
    assert_eq!(bert.topics(), [""; 0], "and so is what it reads");
}

#[test]
fn guessing_is_slowed_down_and_who_was_right_before_is_not() {
    let folder = Folder::new();
    let broker = guarded(&folder, USERS, "");
    let log_in =
        |user, password| Client::dial(&broker, Version::V5).log_in("n", Some(user), Some(password), None);
    assert_eq!(log_in("anna", "secret"), 0);
    let codes: Vec<u8> = (0..20).map(|_| log_in("anna", "guess")).collect();
    assert_eq!(codes[..8], [0x86; 8]);
    assert!(codes.contains(&0x9f), "{codes:02x?}");
    assert_eq!(log_in("anna", "secret"), 0);
    let counters = broker.guard().unwrap().counters();
    assert_eq!(counters.logins_failed() + counters.logins_too_often(), 20);
}

#[test]
fn wrong_files_keep_the_broker_from_starting_and_are_named() {
    let folder = Folder::new();
    let passwords = folder.write("passwords", "anna:secret\n");
    let acl = folder.write("acl", "topics a\n");
    let rows = [
        (
            options().password_file(Some(passwords.clone())),
            "passwords:1: user \"anna\": the password is not hashed",
        ),
        (options().acl_file(Some(acl)), "acl:1: \"topics\" begins no line"),
        (options().password_file(Some(folder.0.join("none"))), "`ringmq passwd -c"),
        (options().acl_file(Some(folder.0.clone())), "cannot be read"),
    ];
    for (options, expected) in rows {
        let error = options.start().unwrap_err();
        assert!(
            matches!(error, StartError::Guard(GuardError::Line { .. } | GuardError::Read { .. })),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
    let factory = |_, _| -> Box<dyn ringmq::Decider> { unreachable!("it does not start") };
    let both = options().password_file(Some(passwords)).decider(std::sync::Arc::new(factory));
    let StartError::Config(errors) = both.start().unwrap_err() else { panic!("two decide") };
    assert!(matches!(errors.all(), [ConfigError::Conflict(_), ..]), "{errors}");
}
