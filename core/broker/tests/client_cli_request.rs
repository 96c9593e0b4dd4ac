//! `ringmq rr` as a process against a server that plays a script.

mod client_cli_server;

use client_cli_server::{Message, Script, Server, failed, message, printed};

fn answering() -> Server {
    Server::start(Script { answer_requests: true, ..Script::default() })
}

#[test]
fn a_request_is_answered() {
    let server = answering();
    let ended = server.run(&["rr", "-t", "ask", "-e", "me/answer", "-m", "2 3", "-v", "-q", "1"]);
    assert_eq!(ended, printed("me/answer 2 3\n"));
    let notes = server.notes();
    assert!(notes[0].starts_with("CONNECT 5.0"), "{notes:?}");
    assert_eq!(
        notes[1..],
        [
            "SUBSCRIBE me/answer 0x01",
            "PUBLISH ask q1 r0 \"2 3\" [Response Topic=me/answer]",
            "DISCONNECT 0x00"
        ]
    );
}

#[test]
fn an_older_version_sends_no_response_topic() {
    let server = answering();
    let ended = server.run(&["rr", "-t", "ask", "-e", "answers", "-n", "-V", "311", "-F", "%t:%l"]);
    assert_eq!(ended, printed("answers:0\n"));
    assert_eq!(server.notes()[1..], ["SUBSCRIBE answers 0x00", "PUBLISH ask q0 r0 \"\"", "DISCONNECT 0x00"]);
}

#[test]
fn retained_messages_are_no_answer() {
    let old = Message { retain: true, ..message("answers", b"old") };
    let server = Server::start(Script { messages: vec![old], answer_requests: true, ..Script::default() });
    let ended = server.run(&["rr", "-t", "ask", "-e", "answers", "-m", "new", "-R", "-V", "311"]);
    assert_eq!(ended, printed("new\n"));
}

#[test]
fn an_answer_that_does_not_come() {
    let server = Server::start(Script::default());
    let ended = server.run(&["rr", "-t", "ask", "-e", "me", "-m", "x", "-W", "1"]);
    assert_eq!(ended, failed(27, "Timed out\n"));
}

#[test]
fn a_refused_response_topic() {
    let server = Server::start(Script { subscribed: Some(0x87), ..Script::default() });
    let ended = server.run(&["rr", "-t", "ask", "-e", "me", "-m", "x"]);
    assert_eq!(ended, failed(135, "Error: Subscription to 'me': Not authorized.\n"));
}

#[test]
fn wrong_flags_are_told() {
    let server = Server::start(Script::default());
    let rows: &[(&[&str], &str)] = &[
        (&["-t", "a", "-m", "x"], "All of topic, message, and response topic must be supplied."),
        (&["-t", "a", "-e", "b"], "All of topic, message, and response topic must be supplied."),
        (&["-t", "a", "-e", "b/#", "-m", "x"], "Invalid response topic 'b/#'"),
        (&["-t", "a", "-e", "b", "-m", "x", "-D", "publish", "response-topic", "c"], "response topic"),
    ];
    for (arguments, named) in rows {
        let ended = server.run(&[&["rr"], *arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ended.stderr.starts_with("Error: ") && ended.stderr.contains(named), "{ended:?}");
    }
}
