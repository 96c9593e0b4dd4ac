//! Files that people write: who there is and what they may.

use ringmq_auth::{Acl, Action, PasswordFile, PasswordHash, Who};

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
