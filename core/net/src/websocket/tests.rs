//! WebSocket: frames and handshakes from tables, in any split, and with another implementation at the other side.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use proptest::prelude::*;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tungstenite::{HandshakeError, Message};

use crate::conversation::{End, converse};
use crate::limits::{WEBSOCKET_FRAME_BYTES_MAX, WEBSOCKET_HEAD_BYTES_MAX};
use crate::{Broken, ClientDoor, Door, DoorOptions, Layers, WebSocketOptions, WebSocketRequest};

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Protocol: mqtt\r\n\r\n";

fn door(options: WebSocketOptions) -> Door {
    Door::new(DoorOptions { websocket: Some(options), ..DoorOptions::default() })
}

fn peer() -> Option<SocketAddr> {
    Some("192.0.2.1:12345".parse().unwrap())
}

fn server_with(options: WebSocketOptions) -> End {
    End::new(door(options).open(peer()))
}

fn server() -> End {
    server_with(WebSocketOptions::default())
}

fn client() -> End {
    let request = WebSocketRequest { host: "example.org:8080".into(), path: "/mqtt".into() };
    assert!(request.is_valid());
    End::new(ClientDoor { tls: None, websocket: Some(request) }.open([7; 32]).unwrap())
}

/// A server whose handshake is done.
fn open_server() -> End {
    let mut server = server();
    server.receive(REQUEST.as_bytes());
    assert!(server.send(usize::MAX).starts_with(b"HTTP/1.1 101 "));
    server
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    super::sending::write_head(first, payload.len(), Some(mask), &mut frame);
    frame.remove(0);
    let start = frame.len();
    frame.extend(payload);
    super::mask::apply(mask, &mut frame[start..]);
    frame
}

/// The answer to a request, as a whole.
fn answer(request: &str, options: WebSocketOptions) -> (String, End) {
    let mut server = server_with(options);
    server.receive(request.as_bytes());
    let answer = String::from_utf8(server.send(usize::MAX)).unwrap();
    assert!(!crate::Layer::has_own_output(&server.layers));
    (answer, server)
}

#[test]
fn the_example_of_the_rfc_is_answered_as_it_says() {
    let (answer, server) = answer(REQUEST, WebSocketOptions::default());
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n") && answer.ends_with("\r\n\r\n"));
    assert_eq!(server.introduction.unwrap().address, peer());
}

#[test]
fn good_requests_are_accepted_however_they_are_written() {
    for (from, to) in [
        ("GET /mqtt ", "GET / "),
        ("GET /mqtt ", "GET /mqtt?token=1 "),
        ("Upgrade: websocket", "UPGRADE:WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
        ("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        ("Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: mqttv3.1,  mqtt"),
        ("Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: chat\r\nsec-websocket-protocol: mqtt"),
        ("Host:", "Sec-WebSocket-Extensions: permessage-deflate\r\nHost:"),
        ("Host:", "Origin: https://anywhere\r\nHost:"),
    ] {
        let request = REQUEST.replace(from, to);
        assert_ne!(request, REQUEST);
        let (answer, _) = answer(&request, WebSocketOptions::default());
        assert!(answer.starts_with("HTTP/1.1 101 "), "{request}{answer}");
        assert!(answer.contains("Sec-WebSocket-Protocol: mqtt\r\n") && !answer.contains("Extensions"));
    }
    let (answer, _) =
        answer(&REQUEST.replace("Protocol: mqtt", "Protocol: mqttv3.1"), WebSocketOptions::default());
    assert!(answer.contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"));
}

#[test]
fn wrong_requests_get_the_right_status_and_the_end() {
    let many = format!("{}Host:", "X-Header: 1\r\n".repeat(70));
    let long = format!("X-Long: {}\r\nHost:", "x".repeat(WEBSOCKET_HEAD_BYTES_MAX));
    for (from, to, status) in [
        ("GET", "POST", 405),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("GET /mqtt ", "GET /other ", 404),
        ("GET /mqtt ", "GET /mqtt/ ", 404),
        ("GET /mqtt ", "get /mqtt ", 400),
        ("GET /mqtt HTTP/1.1", "\u{10}\u{c}\0\u{4}MQTT", 400),
        ("GET /mqtt HTTP/1.1", "GET /mqtt", 400),
        ("Host: example.org\r\n", "", 400),
        ("Upgrade: websocket\r\n", "", 426),
        ("Upgrade: websocket", "Upgrade: websockets", 426),
        ("Connection: Upgrade", "Connection: close", 400),
        ("Version: 13", "Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("Sec-WebSocket-Protocol: mqtt\r\n", "", 400),
        ("Protocol: mqtt", "Protocol: MQTT", 400),
        ("Protocol: mqtt", "Protocol: amqp", 400),
        ("Host:", &many, 431),
        ("Host:", &long, 431),
    ] {
        let request = REQUEST.replace(from, to);
        assert_ne!(request, REQUEST);
        let (answer, server) = answer(&request, WebSocketOptions::default());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert!(server.broken.is_some_and(|broken| !broken.is_goodbye() && body.contains(broken.0)));
        assert!(!server.layers.is_established() && server.introduction.is_none());
    }
}

#[test]
fn paths_and_origins_are_those_of_the_options() {
    let everywhere = WebSocketOptions { paths: None, ..WebSocketOptions::default() };
    assert!(answer(&REQUEST.replace("/mqtt", "/any/where"), everywhere).0.starts_with("HTTP/1.1 101 "));
    let options = || WebSocketOptions { origins: vec!["https://example.org".into()], ..Default::default() };
    for (origin, status) in [
        ("", 101),
        ("Origin: https://example.org\r\n", 101),
        ("Origin: HTTPS://Example.org\r\n", 101),
        ("Origin: https://example.org.evil\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: https://example.org\r\nOrigin: https://evil\r\n", 403),
    ] {
        let (answer, _) = answer(&REQUEST.replace("Host:", &format!("{origin}Host:")), options());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}{answer}");
    }
    let (before, behind) = REQUEST.split_once("Host:").unwrap();
    let mut server = server_with(options());
    server.receive(&[before.as_bytes(), b"Origin: https://\xFF\r\nHost:", behind.as_bytes()].concat());
    assert!(server.send(usize::MAX).starts_with(b"HTTP/1.1 403 "), "an origin that is no text");
}

#[test]
fn a_subprotocol_is_needed_only_where_it_is_required() {
    for offered in ["", "Sec-WebSocket-Protocol: amqp\r\n"] {
        let request = REQUEST.replace("Sec-WebSocket-Protocol: mqtt\r\n", offered);
        let lenient = WebSocketOptions { subprotocol_required: false, ..WebSocketOptions::default() };
        let (answer, _) = answer(&request, lenient);
        assert!(answer.starts_with("HTTP/1.1 101 ") && !answer.contains("Protocol:"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n") && !answer.trim_end().contains("\r\n\r\n"));
    }
}

#[test]
fn what_a_trusted_proxy_says_is_the_address() {
    let trusted = "192.0.2.0/24, 10.0.0.0/8";
    for (trusted, forwarded, address) in [
        (trusted, "198.51.100.7", "198.51.100.7:0"),
        (trusted, "198.51.100.7:4711", "198.51.100.7:4711"),
        (trusted, "2001:db8::1", "[2001:db8::1]:0"),
        (trusted, "[2001:db8::1]:99", "[2001:db8::1]:99"),
        (trusted, "[2001:db8::1]", "[2001:db8::1]:0"),
        (trusted, "6.6.6.6, 198.51.100.7, 10.1.1.1", "198.51.100.7:0"),
        (trusted, "10.1.1.1", "10.1.1.1:0"),
        (trusted, "6.6.6.6, unknown", "192.0.2.1:12345"),
        ("", "198.51.100.7", "192.0.2.1:12345"),
        ("10.0.0.0/8", "198.51.100.7", "192.0.2.1:12345"),
    ] {
        let options = WebSocketOptions { trusted: trusted.parse().unwrap(), ..WebSocketOptions::default() };
        let request = REQUEST.replace("Host:", &format!("X-Forwarded-For: {forwarded}\r\nHost:"));
        let (_, server) = answer(&request, options);
        assert_eq!(server.introduction.unwrap().address, Some(address.parse().unwrap()), "{forwarded}");
    }
}

#[test]
fn broken_rules_end_the_connection_with_their_code() {
    for (bytes, code) in [
        (frame(0x81, b"text"), 1003),
        (frame(0xC2, b"extension"), 1002),
        (frame(0x80, b"of no message"), 1002),
        ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002),
        (frame(0x83, b""), 1002),
        (frame(0x8B, b""), 1002),
        (frame(0x09, b"ping in parts"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (b"\x82\x01x".to_vec(), 1002),
        (b"\x82\xFE\x00\x7D\0\0\0\0".to_vec(), 1002),
        (b"\x82\xFF\0\0\0\0\0\0\xFF\xFF\0\0\0\0".to_vec(), 1002),
        (b"\x82\xFF\x80\0\0\0\0\0\0\0\0\0\0\0".to_vec(), 1002),
        (frame(0x88, b"\x03"), 1002),
        (frame(0x88, b"\x03\xEC"), 1002),
        (frame(0x88, b"\x03\xED"), 1002),
        (frame(0x88, b"\x13\x88"), 1002),
        (frame(0x88, b"\x03\xE8\xFF"), 1007),
    ] {
        for length in [1, bytes.len()] {
            let mut server = open_server();
            bytes.chunks(length).for_each(|piece| server.receive(piece));
            assert!(server.broken.is_some_and(|broken| !broken.is_goodbye()), "{bytes:x?}");
            let expected = [&[0x88, 2], &u16::to_be_bytes(code)[..]].concat();
            assert_eq!(server.send(usize::MAX), expected, "{bytes:x?}");
            server.say(b"too late");
            server.receive(&frame(0x82, b"too late"));
            assert!(server.send(usize::MAX).is_empty());
        }
    }
}

#[test]
fn a_close_frame_is_answered_with_its_code_and_is_a_goodbye() {
    for payload in [&b""[..], b"\x03\xE8", b"\x03\xE9going away", b"\x0F\xA0"] {
        let mut server = open_server();
        server.receive(&[frame(0x82, b"last words"), frame(0x88, payload)].concat());
        assert_eq!((server.broken, &server.heard[..]), (Some(Broken::GOODBYE), &b"last words"[..]));
        let code = &payload[..payload.len().min(2)];
        assert_eq!(server.send(usize::MAX), [&[0x88, code.len() as u8], code].concat());
        server.layers.goodbye();
        assert!(server.send(usize::MAX).is_empty());
    }
}

#[test]
fn only_the_latest_ping_is_answered_between_frames() {
    let mut server = open_server();
    server.say(b"0123456789");
    assert_eq!(server.send(4), b"\x82\x0a01");
    server.receive(&[frame(0x89, b"one"), frame(0x8A, b"unasked"), frame(0x89, b"two")].concat());
    assert_eq!(server.send(usize::MAX), b"23456789");
    assert_eq!(server.send(usize::MAX), b"\x8A\x03two");
    for _ in 0..100 {
        server.receive(&frame(0x89, &[b'x'; 125]));
        assert!(server.layers.held_bytes() < 1000);
        server.layers_seal_unsent();
    }
    assert_eq!(server.send(usize::MAX).len(), 127);
    assert_eq!(server.send(usize::MAX).len(), 127);
    assert!(server.send(usize::MAX).is_empty());
}

impl End {
    fn layers_seal_unsent(&mut self) {
        let _ = crate::Layer::seal(&mut self.layers, &[]);
    }
}

#[test]
fn goodbye_is_a_close_frame_behind_the_frame_that_was_begun() {
    let mut server = open_server();
    server.say(b"abc");
    assert_eq!(server.send(3), b"\x82\x03a");
    server.layers.goodbye();
    assert_eq!(server.send(usize::MAX), b"bc");
    assert_eq!(server.send(usize::MAX), b"\x88\x02\x03\xE8");
    server.say(b"more");
    assert!(server.send(usize::MAX).is_empty());
}

#[test]
fn plaintext_is_sent_from_its_place_and_an_idle_connection_holds_no_buffer() {
    let mut server = open_server();
    let text = vec![b'x'; 3 * WEBSOCKET_FRAME_BYTES_MAX];
    let slices = [io::IoSlice::new(&text)];
    match crate::Layer::seal(&mut server.layers, &slices) {
        crate::Sealed::Framed(framed) => {
            assert_eq!(framed.head, [0x82, 126, 0xFF, 0xFF]);
            assert_eq!(
                (framed.body[0].as_ptr(), framed.body_bytes),
                (text.as_ptr(), WEBSOCKET_FRAME_BYTES_MAX)
            );
        }
        sealed => panic!("{sealed:?}"),
    }
    let mut server = open_server();
    server.receive(&[frame(0x82, b"hello"), frame(0x89, &[0; 100])].concat());
    while !server.send(7).is_empty() {}
    let Layers::Stack(stack) = &server.layers else { panic!("no layers") };
    assert_eq!(server.layers.held_bytes(), size_of_val(&**stack));
    assert!(server.layers.held_bytes() < 400, "{}", server.layers.held_bytes());
}

#[test]
fn both_ends_understand_each_other() {
    let text: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    for lengths in [&[1][..], &[usize::MAX], &[1000, 3, 70_000]] {
        let (mut client, mut server) = (client(), server());
        client.say(&text[..100_000]);
        server.say(&text);
        converse(&mut client, &mut server, lengths);
        assert!(client.heard == text && server.heard == text[..100_000]);
        assert!(client.introduction.is_some() && client.broken.is_none() && server.broken.is_none());
        client.layers.goodbye();
        converse(&mut client, &mut server, lengths);
        assert_eq!((client.broken, server.broken), (Some(Broken::GOODBYE), Some(Broken::GOODBYE)));
    }
}

#[test]
fn a_client_says_what_is_wrong_with_the_answer() {
    let good = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    for (from, to, why) in [
        ("", "", None),
        ("101", "404", Some("HTTP 404")),
        ("101", "302", Some("redirect")),
        ("101", "200", Some("does not switch")),
        ("HTTP/1.1", "SSH-2.0", Some("not HTTP")),
        ("ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Some("another request")),
        ("Protocol: mqtt", "Protocol: amqp", Some("agree on MQTT")),
        ("Sec-WebSocket-Protocol: mqtt\r\n", "", Some("agree on MQTT")),
        ("Upgrade: websocket", "Upgrade: h2c", Some("not about a WebSocket")),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n", Some("extensions")),
        ("Connection", &"x".repeat(WEBSOCKET_HEAD_BYTES_MAX), Some("too long")),
    ] {
        let mut client = client();
        let request = String::from_utf8(client.send(usize::MAX)).unwrap();
        assert!(request.starts_with("GET /mqtt HTTP/1.1\r\nHost: example.org:8080\r\n"));
        let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split('\r').next().unwrap();
        let response = good.replace(from, to).replace("ACCEPT", &super::handshake::accept_key(key));
        client.receive(response.as_bytes());
        match why {
            None => assert!(client.broken.is_none() && client.introduction.is_some()),
            Some(why) => assert!(client.broken.is_some_and(|broken| broken.0.contains(why)), "{why}"),
        }
    }
    for (host, path) in [("", "/"), ("a", "b"), ("a b", "/"), ("a", "/ HTTP/1.1\r\nX: ")] {
        assert!(!WebSocketRequest { host: host.into(), path: path.into() }.is_valid());
    }
}

#[test]
fn masks_differ_and_any_place_of_a_mask_can_be_first() {
    let (key, mut masks) = super::mask::Masks::split([9; 32]);
    assert_eq!(key, "CQkJCQkJCQkJCQkJCQkJCQ==");
    assert_ne!(masks.next(), masks.next());
    let text: Vec<u8> = (0..100).collect();
    for split in 0..text.len() {
        let mut masked = text.clone();
        let next = super::mask::apply([1, 2, 3, 4], &mut masked[..split]);
        super::mask::apply(next, &mut masked[split..]);
        let expected: Vec<u8> = text.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(b, m)| b ^ m).collect();
        assert_eq!(masked, expected);
    }
}

// Against tungstenite ---------------------------------------------------------------------------------------

/// A pipe to one of our ends, which answers at once.
struct Pipe {
    end: End,
    echo: bool,
    back: Vec<u8>,
    /// How many bytes go at a time.
    length: usize,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bytes.chunks(self.length).for_each(|piece| self.end.receive(piece));
        if self.echo {
            let heard = std::mem::take(&mut self.end.heard);
            self.end.say(&heard);
        }
        loop {
            let sent = self.end.send(self.length);
            if sent.is_empty() {
                return Ok(bytes.len());
            }
            self.back.extend(sent);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = buffer.len().min(self.back.len()).min(self.length);
        if bytes == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..bytes].copy_from_slice(&self.back[..bytes]);
        self.back.drain(..bytes);
        Ok(bytes)
    }
}

#[test]
fn another_implementation_of_a_client_is_understood() {
    // With fewer at a time it takes us for an attacker.
    for length in [64, 1000, 100_000] {
        let mut request = "ws://example.org/mqtt".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        let pipe = Pipe { end: server(), echo: true, back: Vec::new(), length };
        let (mut socket, response) = match tungstenite::client::client(request, pipe) {
            Ok(connected) => connected,
            Err(HandshakeError::Interrupted(_)) => panic!("no answer"),
            Err(HandshakeError::Failure(error)) => panic!("{error}"),
        };
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
        let text: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        for bytes in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            socket.send(Message::binary(text[..bytes].to_vec())).unwrap();
            socket.send(Message::Ping(b"there?"[..].into())).unwrap();
            let (mut heard, mut is_answered) = (Vec::new(), false);
            while heard.len() < bytes || !is_answered {
                match socket.read().unwrap() {
                    Message::Binary(piece) => heard.extend(piece),
                    Message::Pong(payload) => is_answered = payload == b"there?"[..],
                    message => panic!("{message}"),
                }
            }
            assert!(heard == text[..bytes]);
        }
        let parts = [(OpCode::Data(Data::Binary), false), (OpCode::Data(Data::Continue), true)];
        for (opcode, is_final) in parts {
            let header = FrameHeader { is_final, opcode, mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
            socket.send(Message::Frame(Frame::from_payload(header, b"part"[..].into()))).unwrap();
        }
        assert_eq!(socket.read().unwrap().into_data(), b"part"[..]);
        assert_eq!(socket.read().unwrap().into_data(), b"part"[..]);
        let close = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        socket.close(Some(close)).unwrap();
        match socket.read().unwrap() {
            Message::Close(Some(close)) => assert_eq!(close.code, CloseCode::Away),
            message => panic!("{message}"),
        }
        assert_eq!(socket.get_ref().end.broken, Some(Broken::GOODBYE));
    }
}

#[test]
fn another_implementation_of_a_server_is_understood() {
    let mut end = client();
    end.say(b"hello");
    let mut pipe = Pipe { end, echo: false, back: Vec::new(), length: 100 };
    assert_eq!(pipe.write(&[]).unwrap(), 0);
    #[expect(clippy::result_large_err, reason = "the other implementation's type")]
    let take_protocol = |request: &tungstenite::handshake::server::Request,
                         mut response: tungstenite::handshake::server::Response| {
        assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "mqtt");
        response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
        Ok(response)
    };
    let mut socket = tungstenite::accept_hdr(pipe, take_protocol).expect("a handshake");
    assert_eq!(socket.read().unwrap(), Message::binary(b"hello".to_vec()));
    socket.send(Message::binary(vec![5; 300])).unwrap();
    socket.send(Message::Ping(b"ping"[..].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"ping"[..].into()));
    assert_eq!(socket.get_ref().end.heard, vec![5; 300]);
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    assert_eq!(socket.get_ref().end.broken, Some(Broken::GOODBYE));
}

// Any bytes, any split --------------------------------------------------------------------------------------

/// What comes of these bytes in pieces of these lengths.
fn outcome(bytes: &[u8], lengths: &[usize]) -> (Vec<u8>, Option<Broken>, Vec<u8>, bool) {
    let mut server = server();
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
        rest = behind;
        server.receive(piece);
    }
    while !server.send(usize::MAX).is_empty() {}
    (server.heard, server.broken, server.wire, server.introduction.is_some())
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![0x82_u8, 0x02, 0x80, 0x00, 0x89, 0x8A, 0x88, 0x81, 0xC2]);
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    let written = (first, payload).prop_map(|(first, payload)| frame(first, &payload));
    prop_oneof![9 => written, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

proptest! {
    #[test]
    fn any_bytes_in_any_split_come_to_the_same(
        is_request in prop::bool::weighted(0.9),
        frames in prop::collection::vec(any_frame(), 0..8),
        lengths in prop::collection::vec(1_usize..50, 1..8),
    ) {
        let start = if is_request { REQUEST.as_bytes() } else { b"" };
        let bytes = [start, &frames.concat()].concat();
        prop_assert_eq!(outcome(&bytes, &lengths), outcome(&bytes, &[usize::MAX]));
    }
}
