//! PROXY headers: tables of good and bad ones, and any split.

use proptest::prelude::*;

use super::*;
use crate::{Door, DoorOptions, Layer, Networks, ProxyOptions};

fn v2_header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [V2_START, &[command, family], &length, body].concat()
}

const V4_BODY: &[u8] = &[192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0x07, 0x5b];

fn v6_body() -> Vec<u8> {
    [&Ipv6Addr::LOCALHOST.octets()[..], &Ipv6Addr::UNSPECIFIED.octets(), &[0x30, 0x39, 0, 80]].concat()
}

fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let unix = [b'/'; 216];
    vec![
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 1883\r\n".to_vec(), Some("192.0.2.1:12345")),
        (b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n".to_vec(), Some("[2001:db8::1]:1")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 what ever\r\n".to_vec(), None),
        (v2_header(0x21, 0x11, V4_BODY), Some("192.0.2.1:12345")),
        (v2_header(0x21, 0x12, V4_BODY), Some("192.0.2.1:12345")),
        (v2_header(0x21, 0x21, &v6_body()), Some("[::1]:12345")),
        (v2_header(0x21, 0x11, &[V4_BODY, &[0x04, 0, 3, 1, 2, 3]].concat()), Some("192.0.2.1:12345")),
        (v2_header(0x20, 0x11, V4_BODY), None),
        (v2_header(0x20, 0x00, b""), None),
        (v2_header(0x21, 0x00, b"skipped"), None),
        (v2_header(0x21, 0x31, &unix), None),
        (v2_header(0x21, 0x11, &[V4_BODY, &[0; PROXY_V2_BYTES_MAX - 28]].concat()), Some("192.0.2.1:12345")),
    ]
}

fn bad() -> Vec<Vec<u8>> {
    let mut endless = b"PROXY UNKNOWN ".to_vec();
    endless.resize(PROXY_V1_BYTES_MAX, b'x');
    let lines = [
        "",
        "TCP4",
        "TCP5 1.1.1.1 1.1.1.1 1 1",
        "TCP4 ::1 ::1 1 1",
        "TCP6 1.1.1.1 1.1.1.1 1 1",
        "TCP4 1.1.1.1 1.1.1.1 1",
        "TCP4 1.1.1.1 1.1.1.1 +1 1",
        "TCP4 1.1.1.1 1.1.1.1 1 65536",
        "TCP4 1.1.1.1 1.1.1.1 1 1 1",
        "TCP4  1.1.1.1 1.1.1.1 1 1",
        "TCP4 1.1.1.1 1.1.1.1 1 1 ",
    ];
    let lines = lines.iter().map(|line| format!("PROXY {line}\r\n").into_bytes());
    let binary = [
        v2_header(0x11, 0x11, V4_BODY),
        v2_header(0x22, 0x11, V4_BODY),
        v2_header(0x21, 0x13, V4_BODY),
        v2_header(0x21, 0x41, V4_BODY),
        v2_header(0x21, 0x11, &V4_BODY[..11]),
        v2_header(0x21, 0x21, V4_BODY),
        v2_header(0x21, 0x31, V4_BODY),
        v2_header(0x21, 0x11, &[0; PROXY_V2_BYTES_MAX]),
    ];
    lines.chain(binary).chain([endless]).collect()
}

type Outcome = Result<Option<(Option<SocketAddr>, Vec<u8>)>, Broken>;

/// What comes of the bytes in pieces of these lengths: the address, and what is behind the header.
fn split(bytes: &[u8], required: bool, lengths: &[usize]) -> Outcome {
    let mut proxy = Proxy::new(required, false);
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
        rest = behind;
        if let Some(told) = proxy.read(piece)? {
            assert!(proxy.held_bytes() <= 2 * PROXY_V2_BYTES_MAX);
            return Ok(Some((told.address, [&told.before, &piece[told.used..], rest].concat())));
        }
    }
    Ok(None)
}

#[test]
fn a_header_tells_the_address_and_what_is_behind_it_stays() {
    for (header, address) in good() {
        let address = address.map(|address| address.parse().unwrap());
        let whole = [&header[..], b"\x10\x0cMQTT"].concat();
        for length in [1, 7, 100, whole.len()] {
            assert_eq!(
                split(&whole, true, &[length]),
                Ok(Some((address, b"\x10\x0cMQTT".to_vec()))),
                "{header:?}"
            );
        }
        assert_eq!(split(&header[..header.len() - 1], true, &[3]), Ok(None));
    }
}

#[test]
fn a_malformed_header_breaks_the_connection() {
    for header in bad() {
        for length in [1, header.len()] {
            assert!(split(&header, false, &[length]).is_err(), "{header:?}");
        }
    }
}

#[test]
fn without_header_the_bytes_go_on_unless_one_is_required() {
    for start in [&b"\x10\x0c\0\x04MQTT"[..], b"GET / HTTP", b"PROXZ", b"\r\n\r\nx"] {
        for length in [1, 2, start.len()] {
            assert_eq!(split(start, false, &[length]), Ok(Some((None, start.to_vec()))));
            assert!(split(start, true, &[length]).is_err());
        }
    }
    assert!(Proxy::new(true, true).read(b"PROXY UNKNOWN\r\n").is_err());
}

proptest! {
    #[test]
    fn any_bytes_in_any_split_come_to_the_same(
        start in prop::sample::select(vec![&b""[..], V1_START, V2_START, b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1"]),
        behind in prop::collection::vec(any::<u8>(), 0..1200),
        lengths in prop::collection::vec(1_usize..40, 1..8),
        required: bool,
    ) {
        let bytes = [start, &behind].concat();
        prop_assert_eq!(split(&bytes, required, &lengths), split(&bytes, required, &[bytes.len().max(1)]));
    }
}

#[test]
fn a_connection_that_may_have_no_header_is_introduced_with_its_first_bytes() {
    let proxy = Some(ProxyOptions { trusted: Networks::default(), required: false });
    let door = Door::new(DoorOptions { proxy, ..DoorOptions::default() });
    let mut layers = door.open(Some("192.0.2.1:1".parse().unwrap()));
    assert!(!layers.is_established());
    layers.open(&mut b"\x10\x00".to_owned(), &mut |_| panic!("before the introduction")).unwrap();
    assert!(layers.introduction().is_some());
    let mut heard = Vec::new();
    layers.open(&mut [], &mut |plain| heard.extend_from_slice(plain)).unwrap();
    assert_eq!(heard, b"\x10\x00");
}
