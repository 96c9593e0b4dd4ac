//! Files of mosquitto and what comes of them.

use std::path::{Path, PathBuf};

use super::{DIRECTIVES, Meaning, Translation, Weight, looks_like, translate};
use crate::config::listener::ListenerOptions;
use crate::config::{Options, file, key};

fn of(text: &str) -> Translation {
    translate(Path::new("m.conf"), text, &mut |_| Err(String::from("no folder here")))
}

/// The lines of the TOML that are neither comments nor blank.
fn toml(text: &str) -> Vec<String> {
    let toml = of(text).to_toml();
    toml.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn notes(text: &str) -> Vec<String> {
    let letter = |weight| if weight == Weight::Warning { 'W' } else { 'R' };
    of(text).notes().iter().map(|note| format!("{} {note}", letter(note.weight))).collect()
}

#[test]
fn directives_become_keys() {
    let rows: &[(&str, &[&str])] = &[
        ("", &[]),
        ("max_inflight_messages 20", &["inflight_messages_max = 20"]),
        ("max_inflight_messages 0", &["inflight_messages_max = 65535"]),
        ("max_keepalive 60", &["keep_alive_max = 60", "keep_alive_none = false"]),
        ("max_keepalive 0", &["keep_alive_max = 65535", "keep_alive_none = true"]),
        ("max_queued_messages 0", &["queue_messages_max = 4294967295"]),
        ("max_queued_messages 5\nmax_queued_messages 6", &["queue_messages_max = 6"]),
        ("max_queued_bytes 0", &["queue_bytes_max = 281474976710656"]),
        ("memory_limit 100000000", &["memory_max = 100000000"]),
        ("memory_limit 0", &["memory_max = 0"]),
        ("max_packet_size 2000000", &["packet_bytes_max = 2000000"]),
        ("max_packet_size 0x1000", &["packet_bytes_max = 4096", "connect_packet_bytes_max = 4096"]),
        ("message_size_limit 100", &["packet_bytes_max = 65636", "connect_packet_bytes_max = 65636"]),
        ("message_size_limit 0", &[]),
        ("persistent_client_expiration 2w", &["session_expiry_max = 1209600"]),
        ("persistent_client_expiration 200y", &["session_expiry_max = 4294967294"]),
        ("retain_available false", &["retain_available = false"]),
        ("sys_interval 0", &["sys_interval = 0"]),
        ("log_type error\nlog_type all", &["log_packets = true"]),
        ("allow_anonymous true", &["allow_anonymous = true"]),
        ("password_file /etc/a b", &["password_file = \"/etc/a b\""]),
        ("listener 1883", &["allow_anonymous = false", "[[listener]]", "address = \"tcp://*:1883\""]),
        (
            "allow_anonymous true\nlistener 1884 ::1\nmax_qos 1\naccept_protocol_versions 4, 5",
            &[
                "allow_anonymous = true",
                "[[listener]]",
                "address = \"tcp://[::1]:1884\"",
                "maximum_qos = 1",
                "versions = \"3.1.1+5.0\"",
            ],
        ),
        (
            "listener 1883 # for all\nsocket_domain ipv4\nlistener_allow_anonymous true",
            &[
                "allow_anonymous = false",
                "[[listener]]",
                "address = \"tcp://0.0.0.0:1883\"",
                "allow_anonymous = true",
            ],
        ),
        ("port 1885", &["allow_anonymous = false", "[[listener]]", "address = \"tcp://*:1885\""]),
        (
            "bind_address 127.0.0.1\nallow_anonymous true",
            &["allow_anonymous = true", "[[listener]]", "address = \"tcp://127.0.0.1:1883\""],
        ),
        (
            "max_qos 1",
            &[
                "[[listener]]",
                "address = \"tcp://127.0.0.1:1883\"",
                "maximum_qos = 1",
                "[[listener]]",
                "address = \"tcp://[::1]:1883\"",
                "maximum_qos = 1",
            ],
        ),
        (
            "allow_anonymous false\nlistener 9001 localhost\nprotocol websockets\nwebsockets_origin https://a\nwebsockets_origin https://b",
            &[
                "allow_anonymous = false",
                "[[listener]]",
                "address = \"ws://localhost:9001/*\"",
                "websocket_origins = [\"https://a\", \"https://b\"]",
            ],
        ),
        (
            "listener 8883\nprotocol websockets\ncertfile c\nkeyfile k\ncafile a\ncrlfile r\nrequire_certificate true\n\
             use_identity_as_username true\ntls_version tlsv1.3\nallow_anonymous false",
            &[
                "allow_anonymous = false",
                "[[listener]]",
                "address = \"wss://*:8883/*\"",
                "certificate = \"c\"",
                "certificate_key = \"k\"",
                "client_certificate = \"required\"",
                "client_ca = \"a\"",
                "client_crl = \"r\"",
                "identity = \"cn\"",
                "tls_version_min = \"1.3\"",
            ],
        ),
        (
            "listener 0 /run/m.sock\nprotocol websockets\nallow_anonymous false",
            &[
                "allow_anonymous = false",
                "[[listener]]",
                "address = \"unix:/run/m.sock\"",
                "websocket_path = \"/*\"",
            ],
        ),
        (
            "per_listener_settings true\nlistener 1883\nallow_anonymous true\npassword_file p\nlistener 1884\nacl_file a",
            &[
                "allow_anonymous = false",
                "[[listener]]",
                "address = \"tcp://*:1883\"",
                "allow_anonymous = true",
                "password_file = \"p\"",
                "[[listener]]",
                "address = \"tcp://*:1884\"",
                "acl_file = \"a\"",
            ],
        ),
        (
            "allow_anonymous false\nlistener 1883\nenable_proxy_protocol 2",
            &[
                "allow_anonymous = false",
                "[[listener]]",
                "address = \"tcp://*:1883\"",
                "proxy_protocol = \"required\"",
                "proxy_protocol_from = [\"0.0.0.0/0\", \"::/0\"]",
            ],
        ),
        (
            "listener 1883\nmax_topic_alias_broker 5\nmax_topic_alias 6\nallow_anonymous 0",
            &[
                "topic_alias_outbound_max = 5",
                "allow_anonymous = false",
                "[[listener]]",
                "address = \"tcp://*:1883\"",
                "topic_alias_maximum = 6",
            ],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(toml(text), *expected, "{text}");
    }
}

#[test]
fn what_is_not_taken_is_told_by_name() {
    let rows: &[(&str, &[&str])] = &[
        ("persistence false\nset_tcp_nodelay true\nmax_connections -1", &[]),
        (
            "\npersistence true\npersistence_location /var\nautosave_interval 5",
            &[
                "W m.conf:2:1: persistence: nothing is stored on disk yet: sessions and retained messages end with the process",
            ],
        ),
        (
            "autosave_interval 5",
            &[
                "W m.conf:1:1: autosave_interval: nothing is stored on disk yet: sessions and retained messages end with the process",
            ],
        ),
        (
            "  log_dest file /x",
            &["W m.conf:1:3: log_dest: the log goes to stderr; systemd, docker or a shell put it elsewhere"],
        ),
        (
            "connection a\naddress b\ntopic # both 2\nconnection c\naddress d",
            &[
                "R m.conf:1:1: connection: there are no bridges yet",
                "R m.conf:4:1: connection: there are no bridges yet",
            ],
        ),
        ("topic # both", &["R m.conf:1:1: topic: there are no bridges yet"]),
        (
            "plugin /usr/lib/x.so\nplugin_opt_a 1",
            &[
                "R m.conf:1:1: plugin: there are no plugins; a program around RingMQ's library can decide by itself",
            ],
        ),
        ("max_qso 1", &["R m.conf:1:1: mosquitto has no directive `max_qso`; did you mean `max_qos`?"]),
        ("max_qos 3", &["R m.conf:1:1: max_qos = `3` is not possible: max_qos takes a number from 0 to 2"]),
        (
            "retain_available maybe",
            &[
                "R m.conf:1:1: retain_available = `maybe` is not possible: retain_available takes true or false",
            ],
        ),
        ("password_file", &["R m.conf:1:1: password_file has no value: it takes a text"]),
        ("listener 0", &["R m.conf:1:1: listener 0 needs the path of a Unix socket behind the 0"]),
        (
            "persistent_client_expiration 5",
            &[
                "R m.conf:1:1: persistent_client_expiration = `5` is not possible: it takes a number and s, h, d, w, m or y, like 14d",
            ],
        ),
        ("include_dir /etc/x", &["R m.conf:1:1: include_dir: no folder here"]),
        (
            "password_file p\nper_listener_settings true",
            &["R m.conf:2:1: per_listener_settings must stand before password_file, at m.conf:1:1"],
        ),
        (
            "max_qos 1\nlistener 1883",
            &[
                "W m.conf:1:1: stands before the first listener and is about mosquitto's default one at port 1883, \
               which is not opened: move it behind a listener line",
            ],
        ),
        ("listener 1\ncafile a", &["R m.conf:2:1: cafile needs certfile and keyfile at the same listener"]),
        (
            "listener 1\ncertfile c\nkeyfile k\ncafile a\nuse_subject_as_username true",
            &[
                "W m.conf:4:1: cafile is not needed without require_certificate: certfile must hold the whole chain",
                "R m.conf:5:1: a user name from a certificate needs require_certificate true",
            ],
        ),
        (
            "listener 1\nmax_topic_alias_broker 1\nlistener 2\nmax_topic_alias_broker 2",
            &[
                "R m.conf:4:1: max_topic_alias_broker cannot differ between listeners: 1 at m.conf:2:1, 2 here",
            ],
        ),
        (
            "listener 1 example.org\nsocket_domain ipv6",
            &[
                "R m.conf:2:1: socket_domain: with a name, `example.org`, both families are served: write the address instead",
            ],
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(notes(text), *expected, "{text}");
        assert_eq!(of(text).is_complete(), expected.iter().all(|note| note.starts_with('W')), "{text}");
    }
}

#[test]
fn a_folder_is_read_in_place() {
    let mut folder = |path: &Path| -> Result<Vec<super::Included>, String> {
        assert_eq!(path, Path::new("/etc/conf.d"));
        Ok(vec![
            (PathBuf::from("a.conf"), Ok(String::from("listener 1883\ninclude_dir /deeper"))),
            (PathBuf::from("b.conf"), Ok(String::from("max_qos 1\nmax_qos 5"))),
            (PathBuf::from("c.conf"), Err(String::from("c.conf: not readable"))),
        ])
    };
    let found = translate(Path::new("m.conf"), "include_dir /etc/conf.d\nmax_topic_alias 7", &mut folder);
    let notes: Vec<_> = found.notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "a.conf:2:1: include_dir: it stands in the main file alone",
            "b.conf:2:1: max_qos = `5` is not possible: max_qos takes a number from 0 to 2",
            "m.conf:1:1: include_dir: c.conf: not readable",
        ]
    );
    assert!(found.to_toml().contains("maximum_qos = 1\ntopic_alias_maximum = 7\n"), "{}", found.to_toml());
}

#[test]
fn the_translation_reads_back_as_what_runs() {
    let text = "max_inflight_messages 7\nallow_anonymous true\nlistener 1883 127.0.0.1\nmax_qos 1\n\
                listener 8883 ::1\ncertfile /a \"b\\c\nkeyfile /k\nlistener 9001 127.0.0.1\nprotocol websockets\n\
                websockets_origin https://a\nenable_proxy_protocol 1\n";
    let without_source = |listeners: Vec<ListenerOptions>| -> Vec<ListenerOptions> {
        let same = |listener| ListenerOptions { source: Default::default(), ..listener };
        listeners.into_iter().map(same).collect()
    };
    let read = |text: &str| -> Options {
        let (options, errors) = file::parse(Path::new("/x"), text).judge(Options::default());
        assert_eq!(errors, [], "{text}");
        options
    };
    let (direct, through) = (read(text), read(&of(text).to_toml()));
    for key in crate::config::KEYS {
        assert_eq!(key.text(&direct), key.text(&through), "{}", key.name);
    }
    assert_eq!(key("inflight_messages_max").unwrap().text(&through), "7");
    assert_eq!(without_source(direct.listeners().unwrap()), without_source(through.listeners().unwrap()));
    assert_eq!(through.listeners().unwrap()[1].certificates[0].certificate, Path::new("/a \"b\\c"));
}

#[test]
fn a_file_is_known_by_what_stands_in_it() {
    for text in
        ["listener 1883", "# x\n\npersistence true\nplugin_opt_x y=z\n", "user a\nport 1883\nbroken = 1\n"]
    {
        assert!(looks_like(text), "{text}");
    }
    for text in [
        "",
        "port = 1883",
        "port=1883",
        "[[listener]]\naddress = '::1'\n",
        "nonsense here",
        "port = 1\nport 2",
    ] {
        assert!(!looks_like(text), "{text}");
    }
}

#[test]
fn the_table_is_in_order_and_whole() {
    assert!(DIRECTIVES.is_sorted_by_key(|known| known.name));
    for known in DIRECTIVES {
        match known.meaning {
            Meaning::Becomes { key: name, .. } => {
                let there = name.starts_with(['[', '(']) || name.contains(' ');
                let own = crate::config::listener::listener_key_names().any(|own| own == name);
                // Keys of users and permissions belong to the listener at least.
                assert!(there || own || key(name).is_ok(), "{}: {name}", known.name);
            }
            Meaning::Ignored { why, .. } | Meaning::Refused { why, .. } => {
                assert!(!why.is_empty() && !why.ends_with('.'), "{}", known.name);
            }
        }
    }
}
