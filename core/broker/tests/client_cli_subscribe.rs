//! `ringmq sub` as a process against a server that plays a script.

mod client_cli_server;

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use client_cli_server::{Ended, Message, Script, Server, failed, message, printed};
use ringmq_wire::{PropertiesBuffer, Property, Qos, ReasonCode};

fn retained(topic: &'static str, payload: &'static [u8]) -> Message {
    Message { retain: true, ..message(topic, payload) }
}

fn with_qos(topic: &'static str, payload: &'static [u8], qos: Qos) -> Message {
    Message { qos, ..message(topic, payload) }
}

fn server(messages: Vec<Message>) -> Server {
    Server::start(Script { messages, ..Script::default() })
}

#[test]
fn what_is_printed() {
    let script = || {
        let empty = message("a/empty", b"");
        vec![retained("a/kept", b"old"), message("a/b", b"one"), empty, message("b/c", b"two")]
    };
    let rows: &[(&[&str], &str)] = &[
        (&["-C", "4"], "old\none\ntwo\n"),
        (&["-C", "4", "-v"], "a/kept old\na/b one\na/empty (null)\nb/c two\n"),
        (&["-C", "2", "-N"], "oldone"),
        (&["-C", "3", "-R"], "one\ntwo\n"),
        (&["-C", "1", "-T", "a/+", "-T", "x"], "two\n"),
        (&["--retained-only"], "old\n"),
        (&["-C", "2", "-F", "%t=%p;%r", "-N"], "a/kept=old;1a/b=one;0"),
        (&["-C", "1", "-F", r"%5.2t\t%x"], "   a/\t6f6c64\n"),
        (&["-C", "4", "-v", "--random-filter", "100"], "a/kept old\na/b one\na/empty (null)\nb/c two\n"),
    ];
    for (arguments, expected) in rows {
        let ended = server(script()).run(&[&["sub", "-t", "#", "-W", "20"], *arguments].concat());
        assert_eq!(ended, printed(expected), "{arguments:?}");
    }
}

#[test]
fn json_with_properties() {
    let mut properties = PropertiesBuffer::new();
    properties.push_str(Property::ContentType, "text");
    properties.push_user("k", "v");
    let server = server(vec![Message { properties, ..with_qos("t", b"{\"a\": 1}", Qos::AtLeastOnce) }]);
    let ended = server.run(&["sub", "-t", "t", "-q", "1", "-V", "5", "-C", "1", "-F", "%J"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let (head, rest) = ended.stdout.split_once("\",\"topic\"").expect("a time and a topic");
    assert!(head.starts_with("{\"tst\":\"20"), "{head}");
    let expected = concat!(
        r#":"t","qos":1,"retain":0,"payloadlen":8,"mid":1,"#,
        r#""properties":{"content-type":"text","user-properties":{"k":"v"}},"payload":{"a":1}}"#,
        "\n"
    );
    assert_eq!(rest, expected);
}

#[test]
fn a_payload_that_is_no_json_is_told() {
    let ended = server(vec![message("t", b"hello")]).run(&["sub", "-t", "t", "-C", "1", "-F", "%J"]);
    let error = "Error: Message payload is not valid JSON on topic t.\n";
    assert_eq!(ended, Ended { stderr: error.to_owned(), ..printed("\n") });
}

#[test]
fn subscriptions_as_asked_for() {
    let rows: &[(&[&str], &[&str])] = &[
        (&["-t", "a", "-E"], &["SUBSCRIBE a 0x00"]),
        (&["-t", "a", "-t", "b/#", "-q", "1", "-E"], &["SUBSCRIBE a 0x01", "SUBSCRIBE b/# 0x01"]),
        (&["-t", "a", "-q", "2", "-V", "5", "-R", "-E"], &["SUBSCRIBE a 0x22"]),
        (&["-t", "a", "-V", "5", "--retain-as-published", "-E"], &["SUBSCRIBE a 0x08"]),
        (&["-t", "a", "-U", "b", "-E"], &["SUBSCRIBE a 0x00", "UNSUBSCRIBE b"]),
        (&["-U", "b", "-E"], &["UNSUBSCRIBE b"]),
    ];
    for (arguments, expected) in rows {
        let server = server(Vec::new());
        assert_eq!(server.run(&[&["sub"], *arguments].concat()), printed(""), "{arguments:?}");
        let notes = server.notes();
        let mut asked = notes[1..notes.len() - 1].to_vec();
        asked.sort();
        assert_eq!(asked, *expected, "{arguments:?}: {notes:?}");
        assert_eq!(notes[notes.len() - 1], "DISCONNECT 0x00", "{arguments:?}");
    }
}

#[test]
fn time_runs_out() {
    let start = Instant::now();
    let ended = server(vec![message("t", b"hello")]).run(&["sub", "-t", "t", "-W", "1"]);
    assert_eq!(
        ended,
        Ended { code: Some(27), stdout: "hello\n".to_owned(), stderr: "Timed out\n".to_owned() }
    );
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn refusals_end_with_the_servers_code() {
    let refusing =
        Server::start(Script { connack: Some(ReasonCode::BAD_USER_NAME_OR_PASSWORD), ..Script::default() });
    let v3 = failed(4, "Connection error: Connection Refused: bad user name or password.\n");
    assert_eq!(refusing.run(&["sub", "-t", "a"]), v3);
    let v5 = failed(134, "Connection error: Bad user name or password\n");
    assert_eq!(refusing.run(&["sub", "-t", "a", "-V", "5"]), v5);

    let strict = Server::start(Script { subscribed: Some(0x87), ..Script::default() });
    let denied = failed(135, "Error: Subscription to 'a': Not authorized.\n");
    assert_eq!(strict.run(&["sub", "-t", "a", "-V", "5"]), denied);
}

#[test]
fn messages_beyond_the_count_stay_with_the_server() {
    let messages = vec![
        with_qos("t", b"one", Qos::AtLeastOnce),
        with_qos("t", b"two", Qos::AtLeastOnce),
        with_qos("t", b"three", Qos::AtLeastOnce),
    ];
    let server = server(messages);
    assert_eq!(
        server.run(&["sub", "-t", "t", "-q", "1", "-c", "-i", "me", "-C", "2"]),
        printed("one\ntwo\n")
    );
    let notes = server.notes();
    let acknowledged: Vec<_> = notes.iter().filter(|note| note.starts_with("PUBACK")).collect();
    assert_eq!(acknowledged, ["PUBACK 1", "PUBACK 2"]);
    assert_eq!(notes[notes.len() - 1], "DISCONNECT 0x00");
}

#[test]
fn retained_messages_are_removed() {
    let server = server(vec![retained("a", b"old"), message("b", b"new")]);
    assert_eq!(server.run(&["sub", "-t", "#", "--remove-retained", "-C", "2"]), printed("old\nnew\n"));
    let notes = server.notes();
    assert!(notes.contains(&"PUBLISH a q1 r1 \"\"".to_owned()), "{notes:?}");
    assert!(!notes.iter().any(|note| note.starts_with("PUBLISH b")), "{notes:?}");
}

#[test]
fn a_lost_connection_is_made_again() {
    let server = Server::start(Script {
        messages: vec![message("t", b"hello")],
        connections_cut: 1,
        ..Script::default()
    });
    assert_eq!(server.run(&["sub", "-t", "t", "-C", "2", "-W", "20"]), printed("hello\nhello\n"));
    let connects = server.notes().into_iter().filter(|note| note.starts_with("CONNECT")).count();
    assert_eq!(connects, 2);
}

#[test]
fn signals_end_it_in_order() {
    for signal in ["INT", "TERM"] {
        let server = server(vec![message("t", b"hello")]);
        let mut child = server.command(&["sub", "-t", "t"]).spawn().expect("the program runs");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("text");
        assert_eq!(line, "hello\n");
        let process = child.id().to_string();
        let sent =
            std::process::Command::new("sh").args(["-c", &format!("kill -{signal} {process}")]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        assert_eq!(child.wait().expect("started here").code(), Some(0), "{signal}");
        assert_eq!(server.notes().last().map(String::as_str), Some("DISCONNECT 0x00"), "{signal}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let server = server(vec![message("t", b"x")]);
    let mut child = server.command(&["sub", "-t", "t", "-W", "20"]).spawn().expect("the program runs");
    // Long before the program has connected and is sent the message.
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("started here").code(), Some(0));
    let mut errors = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    assert_eq!(errors, "");
    assert_eq!(server.notes().last().map(String::as_str), Some("DISCONNECT 0x00"));
}

#[test]
fn wrong_flags_are_told_before_any_connection() {
    let server = server(Vec::new());
    let rows: &[(&[&str], &str)] = &[
        (&[], "You must specify a topic to subscribe to"),
        (&["-t", "a#"], "Invalid subscription topic 'a#'"),
        (&["-t", "a", "-T", "b#"], "Invalid filter topic 'b#'"),
        (&["-U", "c#"], "Invalid unsubscribe topic 'c#'"),
        (&["-t", "a", "-F", "%z"], "Invalid format specifier 'z'."),
    ];
    for (arguments, named) in rows {
        let ended = server.run(&[&["sub"], *arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ended.stderr.starts_with("Error: ") && ended.stderr.contains(named), "{ended:?}");
    }
    assert_eq!(server.notes(), [""; 0]);
}
