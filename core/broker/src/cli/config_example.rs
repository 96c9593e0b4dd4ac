//! `ringmq config example`: a file with every key and its default, commented out, and a listener of each kind.

use std::collections::BTreeSet;

use crate::config::listener::LISTENER_KEYS;
use crate::config::{KEYS, ROLE_KEYS, ROLES_DOC, Range, toml_value};

use super::serve::base;

/// How long a line of a comment is.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Configuration of RingMQ, with every key. Lines like `#key = value` hold what is true without them: take away
# the `#` and change the value. Numbers may be texts with a unit: \"250ms\", \"5s\", \"2min\", \"64KiB\", \"16MiB\".
# `ringmq check FILE` tells what is wrong, `ringmq serve -c FILE` runs it.
";

const LISTENERS: &str = "
# ----------------------------------------------------------------------------------------------------
# Listeners. A table each; without any, `bind` says where. Keys of the whole broker stand above them.
";

/// A listener of each kind: which, and its keys with values.
const KINDS: &[(&str, &[(&str, &str)])] = &[
    (
        "Plain MQTT for this machine, without passwords whatever holds elsewhere.",
        &[
            ("address", "tcp://127.0.0.1:1884"),
            ("allow_anonymous", "true"),
            ("maximum_qos", "1"),
            ("versions", "3.1.1+5.0"),
        ],
    ),
    (
        "TLS for everybody, with certificates of the clients as their names.",
        &[
            ("address", "tls://*:8883"),
            ("certificate", "server.pem"),
            ("certificate_key", "server.key"),
            ("tls_version_min", "1.2"),
            ("handshake_timeout", "10s"),
            ("client_certificate", "required"),
            ("client_ca", "clients.pem"),
            ("client_crl", "revoked.pem"),
            ("identity", "cn"),
            ("acl_file", "devices.acl"),
        ],
    ),
    (
        "WebSocket for browsers, behind proxies that say whose a connection is.",
        &[
            ("address", "ws://127.0.0.1:8083"),
            ("websocket_path", "/mqtt"),
            ("websocket_origins", "https://example.org"),
            ("websocket_subprotocol", "required"),
            ("forwarded_from", "127.0.0.1"),
            ("proxy_protocol", "required"),
            ("proxy_protocol_from", "127.0.0.0/8"),
            ("password_file", "users"),
        ],
    ),
    (
        "A Unix socket for programs of one group.",
        &[
            ("address", "unix:/run/ringmq/mqtt.sock"),
            ("unix_mode", "0660"),
            ("unix_owner", "ringmq"),
            ("unix_group", "ringmq"),
        ],
    ),
];

const ROLES: &str = "
# ----------------------------------------------------------------------------------------------------
# Roles. A table each, or none.
";

/// A role with every key: `name`, and lists for the others.
const ROLE: &[(&str, &[&str])] = &[
    ("name", &["operators"]),
    ("members", &["anna", "bert"]),
    ("publish", &["plant/+/cmd/#"]),
    ("subscribe", &["plant/#", "$SYS/#"]),
    ("all", &["home/%u/#"]),
    ("deny", &["plant/reactor/cmd/#"]),
];

/// The text of `ringmq config example`.
pub fn example() -> String {
    let base = base();
    let mut text = String::from(HEAD);
    for key in KEYS {
        text.push('\n');
        comment(&mut text, &format!("{} Takes {}.", key.doc, key.accepts()));
        text.push_str(&format!("#{} = {}\n", key.name, toml_value(key.range, &key.text(&base))));
    }
    text.push_str(LISTENERS);
    let mut explained = BTreeSet::new();
    for (kind, keys) in KINDS {
        text.push('\n');
        comment(&mut text, kind);
        text.push_str("#[[listener]]\n");
        for (name, value) in *keys {
            let (doc, range) = declared(name);
            if explained.insert(*name) {
                comment(&mut text, &doc);
            }
            text.push_str(&format!("#{name} = {}\n", toml_value(range, value)));
        }
    }
    text.push_str(ROLES);
    comment(&mut text, ROLES_DOC);
    text.push_str("#[[role]]\n");
    for (name, values) in ROLE {
        let key = ROLE_KEYS.iter().find(|key| key.name == *name).expect("the table above names keys");
        comment(&mut text, key.doc);
        let value = match values {
            [one] if key.is_text => toml_value(Range::Form(""), one),
            several => toml_value(Range::List(""), &several.join(",")),
        };
        text.push_str(&format!("#{name} = {value}\n"));
    }
    text
}

/// What is declared about a key of a listener.
fn declared(name: &str) -> (String, Range) {
    let own = LISTENER_KEYS.iter().find(|key| key.name == name);
    let own = own.map(|key| (format!("{} Takes {}.", key.doc, key.accepts()), key.range));
    let shared = || {
        let key = crate::config::key(name).expect("the table above names keys");
        (String::from("A key of the whole broker that holds otherwise here."), key.range)
    };
    own.unwrap_or_else(shared)
}

/// A comment, wrapped.
fn comment(text: &mut String, comment: &str) {
    let mut line = String::from("#");
    for word in comment.split(' ') {
        if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Options;
    use crate::config::file;

    use super::*;

    /// The example with every key in force.
    fn uncommented() -> String {
        let line = |line: &str| match line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '-'])) {
            Some(rest) => format!("{rest}\n"),
            None => format!("{line}\n"),
        };
        example().lines().map(line).collect()
    }

    fn parsed(text: &str) -> Options {
        let (options, errors) = file::parse(Path::new("ringmq.toml"), text).judge(base());
        assert!(errors.is_empty(), "{errors:?}");
        options
    }

    #[test]
    fn as_it_is_and_with_every_key_in_force_it_says_the_defaults() {
        for text in [example(), uncommented()] {
            let options = parsed(&text);
            for key in KEYS {
                assert_eq!(key.text(&options), key.text(&base()), "{}", key.name);
            }
        }
        let named = KEYS.iter().filter(|key| uncommented().contains(&format!("\n{} = ", key.name))).count();
        assert_eq!(named, KEYS.len());
    }

    #[test]
    fn its_role_is_good_and_has_every_key() {
        assert!(
            parsed(&uncommented())
                .roles()
                .is_ok_and(|roles| roles.is_some_and(|roles| roles.has("operators")))
        );
        assert_eq!(ROLE.len(), ROLE_KEYS.len());
    }

    #[test]
    fn the_readme_shows_a_file_that_is_good() {
        let readme = include_str!("../../../../README.md");
        let (_, behind) = readme.split_once("```toml\n").unwrap();
        let listeners = parsed(behind.split_once("```").unwrap().0).listeners();
        assert!(listeners.is_ok_and(|listeners| listeners.len() >= 2));
    }

    #[test]
    fn its_listeners_are_good_and_have_every_key() {
        // The addresses of `bind` are the defaults; those of the tables come on top.
        let listeners =
            parsed(&uncommented().replace("\nallow_anonymous = \"local\"", "\nallow_anonymous = false"));
        let listeners = listeners.listeners().unwrap_or_else(|errors| panic!("{errors}"));
        let own: Vec<_> = listeners.iter().map(ToString::to_string).collect();
        for expected in ["mqtt://127.0.0.1:1884", "mqtts://0.0.0.0:8883", "ws://127.0.0.1:8083/mqtt"] {
            assert!(own.iter().any(|found| found == expected), "{expected}: {own:?}");
        }
        for key in LISTENER_KEYS {
            assert!(
                KINDS.iter().any(|(_, keys)| keys.iter().any(|(name, _)| *name == key.name)),
                "{}",
                key.name
            );
        }
    }
}
