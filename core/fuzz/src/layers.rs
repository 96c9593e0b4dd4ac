//! The layers between socket and MQTT: any bytes, in any split, come to the same.

use std::io::IoSlice;

use ringmq_net::{
    Broken, ClientDoor, Door, DoorOptions, Introduction, Layer, Layers, Networks, ProxyOptions,
    WebSocketOptions, WebSocketRequest,
};

/// The request before the bytes of half of the inputs.
pub(crate) const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
const PEER: &str = "10.0.0.1:4711";
/// What layers may hold beside what was received: the longest head, and rounding up of buffers.
const HELD_BYTES_MAX: usize = 20_000;

/// A server of WebSocket, which gets the bytes in pieces and as one, alone or behind a request. And the bytes are
/// sent by a client, in frames of any length, to a server.
pub fn websocket(bytes: &[u8]) {
    let Some(([shape, piece], hostile)) = bytes.split_first_chunk::<2>() else { return };
    let door = Door::new(DoorOptions {
        websocket: Some(WebSocketOptions {
            trusted: if shape & 2 == 0 { Networks::default() } else { Networks::all() },
            ..WebSocketOptions::default()
        }),
        ..DoorOptions::default()
    });
    let request = if shape & 1 == 0 { REQUEST } else { &[] };
    let stream = [request, hostile].concat();
    same_in_any_split(&door, &stream, usize::from(*piece) + 1);
    conversation(&door, hostile, usize::from(*piece) + 1);
}

/// A server behind a load balancer, which gets the bytes in pieces and as one.
pub fn proxy(bytes: &[u8]) {
    let Some(([shape, piece], hostile)) = bytes.split_first_chunk::<2>() else { return };
    let trusted = if shape & 1 == 0 { Networks::all() } else { Networks::default() };
    let proxy = ProxyOptions { trusted, required: shape & 2 == 0 };
    let door = Door::new(DoorOptions { proxy: Some(proxy), ..DoorOptions::default() });
    let outcome = same_in_any_split(&door, hostile, usize::from(*piece) + 1);
    assert!(outcome.wire.is_empty(), "a load balancer is not answered");
    assert!(hostile.ends_with(&outcome.heard), "what is behind the header is not what came");
}

/// What came of a stream of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) heard: Vec<u8>,
    pub(crate) broken: Option<Broken>,
    pub(crate) introduction: Option<Introduction>,
    pub(crate) wire: Vec<u8>,
}

pub(crate) fn same_in_any_split(door: &Door, stream: &[u8], piece_bytes: usize) -> Outcome {
    let in_pieces = one_run(door, stream, piece_bytes, false);
    let as_one = one_run(door, stream, usize::MAX, false);
    assert_eq!(in_pieces, as_one, "what the split of the bytes has changed");
    // Which pings are answered depends on when there is room to answer.
    let answered = one_run(door, stream, piece_bytes, true);
    assert_eq!(
        (&answered.heard, answered.broken, &answered.introduction),
        (&as_one.heard, as_one.broken, &as_one.introduction),
        "what sending in between has changed"
    );
    as_one
}

fn one_run(door: &Door, stream: &[u8], piece_bytes: usize, send_at_once: bool) -> Outcome {
    let mut layers = door.open(PEER.parse().ok());
    let mut outcome = Outcome { heard: Vec::new(), broken: None, introduction: None, wire: Vec::new() };
    for piece in stream.chunks(piece_bytes) {
        receive(&mut layers, piece, &mut outcome);
        assert!(layers.held_bytes() <= HELD_BYTES_MAX, "{} bytes are held", layers.held_bytes());
        if send_at_once {
            send(&mut layers, &[], usize::MAX, &mut outcome.wire);
        }
    }
    while send(&mut layers, &[], usize::MAX, &mut outcome.wire) != (0, 0) {}
    assert!(!layers.has_own_output(), "output was announced that does not come");
    outcome
}

pub(crate) fn receive(layers: &mut Layers, piece: &[u8], outcome: &mut Outcome) {
    let mut bytes = piece.to_vec();
    let heard = &mut outcome.heard;
    let mut opened = layers.open(&mut bytes, &mut |plain| heard.extend_from_slice(plain));
    if outcome.introduction.is_none() {
        assert!(outcome.heard.is_empty(), "plaintext before the introduction");
        outcome.introduction = layers.introduction();
        if outcome.introduction.is_some() {
            let heard = &mut outcome.heard;
            opened = layers.open(&mut [], &mut |plain| heard.extend_from_slice(plain));
        }
    }
    match opened {
        Ok(()) => assert_eq!(outcome.broken, None, "what is broken was mended"),
        Err(broken) => assert_eq!(*outcome.broken.get_or_insert(broken), broken, "another reason"),
    }
}

/// Returns how many bytes were sent and how many of the plaintext are done with.
pub(crate) fn send(layers: &mut Layers, plain: &[u8], room: usize, wire: &mut Vec<u8>) -> (usize, usize) {
    let (first, rest) = plain.split_at(plain.len() / 2);
    let slices = [IoSlice::new(first), IoSlice::new(rest)];
    let before = wire.len();
    wire.extend(layers.seal(&slices).pieces().flatten().take(room));
    let sent = wire.len() - before;
    (sent, if sent == 0 { 0 } else { layers.sent(sent) })
}

/// A client sends the bytes to a server and gets them back.
fn conversation(door: &Door, text: &[u8], room: usize) {
    let request = WebSocketRequest { host: "a".into(), path: "/".into() };
    let client = ClientDoor { tls: None, websocket: Some(request) }.open([3; 32]);
    let mut ends = [client.expect("no TLS, no error"), door.open(None)];
    let nothing = || Outcome { heard: Vec::new(), broken: None, introduction: None, wire: Vec::new() };
    let mut outcomes = [nothing(), nothing()];
    let mut left = [text, text];
    loop {
        let mut is_quiet = true;
        for (from, to) in [(0, 1), (1, 0)] {
            let mut wire = Vec::new();
            let (sent, done) = send(&mut ends[from], left[from], room, &mut wire);
            left[from] = &left[from][done..];
            is_quiet &= sent == 0;
            receive(&mut ends[to], &wire, &mut outcomes[to]);
        }
        if is_quiet {
            break;
        }
    }
    for outcome in outcomes {
        assert_eq!((outcome.broken, &outcome.heard[..]), (None, text));
    }
}

/// Frames of a client, for seeds.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let frame = |first: u8, payload: &[u8]| {
        let length = match payload.len() {
            short @ 0..126 => vec![0x80 | short as u8],
            long => vec![0xFE, (long >> 8) as u8, long as u8],
        };
        [&[first][..], &length, &[0; 4], payload].concat()
    };
    vec![
        frame(0x82, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"),
        [frame(0x02, b"a"), frame(0x89, b"ping"), frame(0x80, &[b'b'; 300])].concat(),
        [frame(0x82, b"last"), frame(0x8A, b""), frame(0x88, b"\x03\xE8bye")].concat(),
        frame(0x81, b"text"),
        frame(0x88, b"\x03\xEA"),
    ]
}

/// Headers of load balancers, for seeds.
pub(crate) fn proxy_headers() -> Vec<Vec<u8>> {
    let v2 = |command: u8, family: u8, body: &[u8]| {
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family, 0, body.len() as u8][..], body].concat()
    };
    vec![
        b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 1883\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(0x21, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4]),
        v2(0x21, 0x21, &[1; 40]),
        v2(0x21, 0x31, &[b'/'; 216]),
        v2(0x20, 0x00, b""),
    ]
}
