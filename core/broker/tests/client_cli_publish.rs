//! `ringmq pub` as a process against a server that plays a script.

mod client_cli_server;

use std::net::TcpListener;

use client_cli_server::{Ended, Script, Server, failed, printed};
use ringmq_wire::ReasonCode;

/// Runs `pub` and returns what the server saw after CONNECT.
fn published(arguments: &[&str], input: &[u8]) -> Vec<String> {
    let server = Server::start(Script::default());
    let ended = server.run_with_input(&[&["pub"], arguments].concat(), input);
    assert_eq!(ended, printed(""), "{arguments:?}");
    let notes = server.notes();
    assert!(notes.first().is_some_and(|note| note.starts_with("CONNECT ")), "{notes:?}");
    notes[1..].to_vec()
}

#[test]
fn messages_reach_the_server_before_the_end() {
    let bye = "DISCONNECT 0x00";
    let rows: &[(&[&str], &[u8], &[&str])] = &[
        (&["-t", "a/b", "-m", "hello"], b"", &["PUBLISH a/b q0 r0 \"hello\"", bye]),
        (&["-t", "a", "-m", "hello", "-q", "1", "-r"], b"", &["PUBLISH a q1 r1 \"hello\"", bye]),
        (&["-t", "a", "-m", "hello", "-q", "2"], b"", &["PUBLISH a q2 r0 \"hello\"", bye]),
        (&["-t", "a", "-n", "-r"], b"", &["PUBLISH a q0 r1 \"\"", bye]),
        (&["-t", "a", "-m", "-1"], b"", &["PUBLISH a q0 r0 \"-1\"", bye]),
        (&["-t", "a", "-s"], b"one\ntwo\n", &["PUBLISH a q0 r0 \"one\\ntwo\\n\"", bye]),
        (
            &["-t", "a", "-l"],
            b"one\n\nthree",
            &["PUBLISH a q0 r0 \"one\"", "PUBLISH a q0 r0 \"\"", "PUBLISH a q0 r0 \"three\"", bye],
        ),
        (
            &["-t", "a", "-l", "-q", "1"],
            b"one\ntwo\n",
            &["PUBLISH a q1 r0 \"one\"", "PUBLISH a q1 r0 \"two\"", bye],
        ),
        (&["-t", "a", "-l"], b"", &[bye]),
        (
            &["-t", "a", "-m", "x", "-q", "1", "--repeat", "3", "--repeat-delay", "0.01"],
            b"",
            &["PUBLISH a q1 r0 \"x\"", "PUBLISH a q1 r0 \"x\"", "PUBLISH a q1 r0 \"x\"", bye],
        ),
    ];
    for (arguments, input, expected) in rows {
        assert_eq!(published(arguments, input), *expected, "{arguments:?}");
        let with_version_5 = [arguments, &["-V", "mqttv5"][..]].concat();
        assert_eq!(published(&with_version_5, input), *expected, "{with_version_5:?}");
        let with_version_31 = [arguments, &["-V", "mqttv31"][..]].concat();
        assert_eq!(published(&with_version_31, input), *expected, "{with_version_31:?}");
    }
}

#[test]
fn many_lines_are_all_published_in_order() {
    for qos in ["0", "1", "2"] {
        let input: String = (0..2000).map(|line| format!("line {line}\n")).collect();
        let notes = published(&["-t", "a", "-l", "-q", qos], input.as_bytes());
        assert_eq!(notes.len(), 2001);
        for (note, line) in notes.iter().zip(0..2000) {
            assert_eq!(*note, format!("PUBLISH a q{qos} r0 \"line {line}\""));
        }
    }
}

#[test]
fn properties_go_with_their_packets() {
    let words = "-t a -m x -D publish content-type text -D publish user-property k v -D publish user-property k w \
                 -D publish message-expiry-interval 60 -D publish correlation-data id -D publish response-topic r \
                 -D publish payload-format-indicator 1 -D connect user-property who me -D disconnect user-property \
                 bye now -D will will-delay-interval 5 --will-topic w --will-payload gone --will-qos 1 -x 30";
    let server = Server::start(Script::default());
    let arguments: Vec<&str> = std::iter::once("pub").chain(words.split_whitespace()).collect();
    assert_eq!(server.run(&arguments), printed(""));
    let notes = server.notes();
    for part in [
        "CONNECT 5.0 id= clean=1",
        "will=w q1 r0 \"gone\" [Will Delay Interval=5]",
        "[User Property=who:me]",
        "[Session Expiry Interval=30]",
    ] {
        assert!(notes[0].contains(part), "{part}: {}", notes[0]);
    }
    for part in [
        "PUBLISH a q0 r0 \"x\"",
        "[Content Type=text]",
        "[User Property=k:v] [User Property=k:w]",
        "[Message Expiry Interval=60]",
        "[Correlation Data=id]",
        "[Response Topic=r]",
        "[Payload Format Indicator=1]",
    ] {
        assert!(notes[1].contains(part), "{part}: {}", notes[1]);
    }
    assert_eq!(notes[2], "DISCONNECT 0x00 [User Property=bye:now]");
}

#[test]
fn who_connects() {
    let rows = [
        ("-i me -u user -P secret -k 30", "CONNECT 3.1.1 id=me clean=1 keep=30 user=user password=secret"),
        ("-c -i me", "CONNECT 3.1.1 id=me clean=0 keep=60"),
        ("--will-topic w --will-retain", "CONNECT 3.1.1 id= clean=1 keep=60 will=w q0 r1 \"\""),
        ("-V 31 -i me", "CONNECT 3.1 id=me clean=1 keep=60"),
    ];
    for (words, expected) in rows {
        let server = Server::start(Script::default());
        let arguments: Vec<&str> = "pub -t a -m b".split(' ').chain(words.split(' ')).collect();
        assert_eq!(server.run(&arguments), printed(""), "{words}");
        assert_eq!(server.notes()[0], expected, "{words}");
    }
}

#[test]
fn refusals_end_with_the_servers_code() {
    let not_authorized = ReasonCode::NOT_AUTHORIZED;
    let refusing = Server::start(Script { connack: Some(not_authorized), ..Script::default() });
    let v3 = failed(5, "Connection error: Connection Refused: not authorised.\n");
    assert_eq!(refusing.run(&["pub", "-t", "a", "-m", "b"]), v3);
    assert_eq!(refusing.run(&["pub", "-t", "a", "-m", "b", "--quiet"]), failed(5, ""));
    let v5 = failed(135, "Connection error: Not authorized\n");
    assert_eq!(refusing.run(&["pub", "-t", "a", "-m", "b", "-V", "5"]), v5);

    let strict = Server::start(Script { published: Some(not_authorized), ..Script::default() });
    for qos in ["1", "2"] {
        let ended = strict.run(&["pub", "-t", "a", "-m", "b", "-V", "5", "-q", qos]);
        assert_eq!(ended, failed(135, "Error: Publishing to 'a': Not authorized.\n"));
    }
}

#[test]
fn a_lost_connection_ends_a_single_publish() {
    let server = Server::start(Script { connections_cut: 1, ..Script::default() });
    let ended = server.run(&["pub", "-t", "a", "-m", "b", "-q", "1"]);
    assert_eq!(ended, failed(7, "Error: The connection was lost.\n"));
}

#[test]
fn lines_survive_a_lost_connection() {
    let server = Server::start(Script { connections_cut: 1, ..Script::default() });
    let ended = server.run_with_input(&["pub", "-t", "a", "-l", "-q", "1"], b"one\ntwo\n");
    assert_eq!(ended, printed(""));
    let notes = server.notes();
    for line in ["PUBLISH a q1 r0 \"one\"", "PUBLISH a q1 r0 \"two\""] {
        let last = notes.iter().rposition(|note| note == line).expect("published");
        let connected = notes.iter().rposition(|note| note.starts_with("CONNECT")).expect("connected");
        assert!(last > connected, "{line} again after the cut: {notes:?}");
    }
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let port = listener.local_addr().expect("bound").port().to_string();
    drop(listener);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringmq"))
        .args(["pub", "-h", "127.0.0.1", "-p", &port, "-t", "a", "-m", "b"])
        .output()
        .expect("the program runs");
    let ended = Ended::from(output);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.starts_with("Error: ") && ended.stderr.contains("onnection refused"), "{ended:?}");
}

#[test]
fn wrong_flags_are_told_before_any_connection() {
    let server = Server::start(Script::default());
    let rows: &[(&[&str], &str)] = &[
        (&["-t", "a"], "Both topic and message must be supplied."),
        (&["-m", "b"], "Both topic and message must be supplied."),
        (&["-t", "a/#", "-m", "b"], "Invalid publish topic 'a/#'"),
        (&["-t", "a", "-m", "b", "-c"], "You must provide a client id"),
        (&["-t", "a", "-m", "b", "-D", "publish", "colour", "red"], "'colour'"),
        (&["-t", "a", "-f", "/nonexistent"], "/nonexistent"),
    ];
    for (arguments, named) in rows {
        let ended = server.run(&[&["pub"], *arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ended.stderr.starts_with("Error: ") && ended.stderr.contains(named), "{ended:?}");
    }
    assert_eq!(server.notes(), [""; 0]);
}
