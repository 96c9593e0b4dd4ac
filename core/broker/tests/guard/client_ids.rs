//! Which ClientIDs clients may have: nobody takes over the session of another user.

use ringmq::{ClientIdFromUser, ClientIdList};
use ringmq_wire::Version;

use crate::client::{Client, Folder, Seen, options};
use crate::passwords::passwords;

const USERS: [(&str, &str); 2] = [("anna", "secret"), ("bert", "hidden")];

#[test]
fn a_client_id_is_its_users() {
    let folder = Folder::new();
    let file = folder.write("passwords", &passwords(&USERS));
    for (from_user, client_id, code) in [
        (ClientIdFromUser::None, "bert", 0),
        (ClientIdFromUser::Equal, "anna", 0),
        (ClientIdFromUser::Equal, "bert", 0x85),
        (ClientIdFromUser::Equal, "", 0x85),
        (ClientIdFromUser::Prefix, "anna:7", 0),
        (ClientIdFromUser::Prefix, "anna7", 0x85),
        (ClientIdFromUser::Replace, "bert", 0),
    ] {
        let broker =
            options().password_file(Some(file.clone())).client_id_from_user(from_user).start().unwrap();
        for version in [Version::V5, Version::V311] {
            let mut client = Client::dial(&broker, version);
            let expected = if version == Version::V311 && code == 0x85 { 2 } else { code };
            let found = client.log_in(client_id, Some("anna"), Some("secret"), None);
            assert!(
                found == code || found == expected,
                "{from_user:?} {client_id:?} {version:?}: {found:#x}"
            );
        }
        let refused = broker.guard().unwrap().counters().logins_by_client_id_refused();
        assert_eq!(refused, if code == 0 { 0 } else { 2 }, "{from_user:?} {client_id:?}");
    }
}

#[test]
fn a_client_that_is_named_after_its_user_takes_over_its_own_session_alone() {
    let folder = Folder::new();
    let file = folder.write("passwords", &passwords(&USERS));
    let broker =
        options().password_file(Some(file)).client_id_from_user(ClientIdFromUser::Replace).start().unwrap();
    let log_in = |client_id, user, password| {
        let mut client = Client::dial(&broker, Version::V5);
        assert_eq!(client.log_in(client_id, Some(user), Some(password), None), 0);
        client
    };
    let mut anna = log_in("x", "anna", "secret");
    let mut bert = log_in("anna", "bert", "hidden");
    assert_eq!(anna.topics(), [""; 0], "bert is bert, whatever he says");
    let mut again = log_in("y", "anna", "secret");
    assert_eq!(anna.next(), Seen::Disconnect(0x8e));
    assert_eq!((bert.topics(), again.topics()), (vec![], vec![]));
}

#[test]
fn beginnings_and_patterns_decide_without_users_too() {
    let broker = options()
        .client_id_prefixes(ClientIdList::from(["plant-"]))
        .client_ids_denied(ClientIdList::from(["*-test"]))
        .start()
        .unwrap();
    for (client_id, code) in [("plant-1", 0), ("plant-test", 0x85), ("office-1", 0x85), ("", 0x85)] {
        let found = Client::dial(&broker, Version::V5).log_in(client_id, None, None, None);
        assert_eq!(found, code, "{client_id:?}");
    }
}
