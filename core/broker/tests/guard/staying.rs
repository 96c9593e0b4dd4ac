//! A reload that disconnects whom it would not let in, and what holds for clients whose listener has closed.

use ringmq::{Addresses, Anonymous, ClientIdList, Options};
use ringmq_wire::{Qos, Version};

use crate::client::{Client, Folder, Seen, options};
use crate::passwords::passwords;

fn with_users(folder: &Folder, users: &[(&str, &str)]) -> Options {
    options().password_file(Some(folder.write("passwords", &passwords(users)))).reload_kicks(true)
}

#[test]
fn who_would_not_be_let_in_any_more_goes_and_others_stay() {
    let folder = Folder::new();
    let users = [("anna", "secret"), ("bert", "hidden"), ("carl", "former"), ("dora", "dora")];
    let mut broker = with_users(&folder, &users).start().unwrap();
    let log_in = |user, password| {
        let mut client = Client::dial(&broker, Version::V5);
        assert_eq!(client.log_in(user, Some(user), Some(password), None), 0);
        client
    };
    let (mut anna, mut bert) = (log_in("anna", "secret"), log_in("bert", "hidden"));
    let (mut carl, mut dora) = (log_in("carl", "former"), log_in("dora", "dora"));
    // Anna's line is the same; the others of the file would get new salts.
    let kept = std::fs::read_to_string(folder.0.join("passwords")).unwrap();
    let of = |user: &str| kept.lines().find(|line| line.starts_with(user)).unwrap().to_owned();
    let text = format!("{}\n{}\n{}", of("anna"), of("dora"), passwords(&[("carl", "latter")]));
    folder.write("passwords", &text);
    let wanted = options()
        .password_file(Some(folder.0.join("passwords")))
        .client_ids_denied(ClientIdList::from(["dora"]))
        .reload_kicks(true);
    broker.reload(wanted).unwrap();
    assert_eq!(bert.next(), Seen::Disconnect(0x98), "there is no such user any more");
    assert_eq!(carl.next(), Seen::Disconnect(0x98), "another password");
    assert_eq!(dora.next(), Seen::Disconnect(0x98), "a ClientID that is refused");
    assert_eq!(anna.topics(), [""; 0]);
    assert_eq!(broker.guard().unwrap().counters().logins_ended(), 3);
}

#[test]
fn a_reload_that_fails_and_one_without_the_key_disconnect_nobody() {
    let folder = Folder::new();
    let mut broker = with_users(&folder, &[("anna", "secret")]).start().unwrap();
    let mut anna = Client::dial(&broker, Version::V311);
    assert_eq!(anna.log_in("anna", Some("anna"), Some("secret"), None), 0);
    let wrong =
        with_users(&folder, &[("bert", "hidden")]).acl_file(Some(folder.write("acl", "topic Read x\n")));
    broker.reload(wrong).unwrap_err();
    broker.reload(with_users(&folder, &[("bert", "hidden")]).reload_kicks(false)).unwrap();
    assert_eq!(anna.topics(), [""; 0]);
    broker.reload(with_users(&folder, &[("bert", "hidden")])).unwrap();
    assert_eq!(anna.next(), Seen::Closed);
}

#[test]
fn anonymous_clients_and_those_of_a_closed_listener_go() {
    let two = |anonymous| {
        options()
            .bind(Addresses::from(["127.0.0.1", "127.0.0.2"]))
            .allow_anonymous(anonymous)
            .reload_kicks(true)
    };
    let mut broker = two(Anonymous::Everybody).start().unwrap();
    let connected = |place| {
        let mut client = Client::dial_at(broker.addresses()[place], Version::V5);
        assert_eq!(client.log_in(&format!("c{place}"), None, None, None), 0);
        client
    };
    let (mut first, mut second) = (connected(0), connected(1));
    broker.reload(two(Anonymous::Everybody)).unwrap();
    assert_eq!((first.topics(), second.topics()), (vec![], vec![]));
    let one = |anonymous| options().bind(Addresses::from(["127.0.0.1"])).allow_anonymous(anonymous);
    broker.reload(one(Anonymous::Everybody).reload_kicks(true)).unwrap();
    assert_eq!(second.next(), Seen::Disconnect(0x98));
    assert_eq!(first.topics(), [""; 0]);
    broker.reload(one(Anonymous::Nobody).reload_kicks(true)).unwrap();
    assert_eq!(first.next(), Seen::Disconnect(0x98));
}

#[test]
fn whose_listener_has_closed_keeps_the_rules_it_had() {
    let folder = Folder::new();
    let acl = folder.write("acl", "topic readwrite a\n");
    let at = |addresses: &[&str]| {
        let addresses: Addresses = addresses.join(",").parse().unwrap();
        options().bind(addresses).acl_file(Some(acl.clone()))
    };
    let mut broker = at(&["127.0.0.1", "127.0.0.2"]).start().unwrap();
    let mut client = Client::dial_at(broker.addresses()[1], Version::V5);
    assert_eq!(client.log_in("c", None, None, None), 0);
    assert_eq!(broker.reload(at(&["127.0.0.1"])).unwrap().closed.len(), 1);
    client.publish("a", Qos::AtLeastOnce, false);
    assert_eq!(client.next(), Seen::Puback(0x10));
    client.publish("b", Qos::AtLeastOnce, false);
    assert_eq!(client.next(), Seen::Puback(0x87));
}
