//! TLS at either end. Handshakes have random numbers of their own, so two runs of one input differ in their bytes;
//! what must hold does not depend on them.

use std::sync::{Arc, OnceLock};

use ringmq_net::rustls::pki_types::ServerName;
use ringmq_net::rustls::time_provider::DefaultTimeProvider;
use ringmq_net::rustls::{ClientConfig, ServerConfig};
use ringmq_net::tls::{ClientSettings, ServerCertificate, ServerSettings};
use ringmq_net::{ClientDoor, Door, DoorOptions, Layers, TlsOptions};

use crate::layers::{Outcome, receive, send};

/// Rounds of a conversation; what is spoiled may leave both waiting, and then it is over anyway.
const ROUNDS_MAX: usize = 2_000;
/// What layers may hold beside a record and what is to be sent.
const HELD_BYTES_MAX: usize = 300_000;

/// The first byte says which of these it is, the others how: bytes straight to a server or a client, or a
/// conversation between both in which the bytes are a list of changes.
pub fn tls(bytes: &[u8]) {
    let Some(([kind, piece], rest)) = bytes.split_first_chunk::<2>() else { return };
    let piece_bytes = usize::from(*piece) * 8 + 1;
    let (server, client) = ends(*kind);
    match kind % 4 {
        0 => hostile(server, rest, piece_bytes),
        1 => hostile(client, rest, piece_bytes),
        _ => conversation(server, client, rest, piece_bytes),
    }
}

fn configurations() -> &'static (Arc<ServerConfig>, Arc<ClientConfig>, Arc<ClientConfig>) {
    static CONFIGURATIONS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>, Arc<ClientConfig>)> =
        OnceLock::new();
    CONFIGURATIONS.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let chain = made.cert.pem().into_bytes();
        let key = made.signing_key.serialize_pem().into_bytes();
        let certificate = ServerCertificate { chain: chain.clone(), key };
        let settings = ServerSettings { certificates: vec![certificate], ..ServerSettings::default() };
        let server = ringmq_net::tls::server(&settings, Arc::new(DefaultTimeProvider)).expect("a server");
        let settings = ClientSettings { authorities: vec![chain], ..ClientSettings::default() };
        let client = ringmq_net::tls::client(&settings, Arc::new(DefaultTimeProvider)).expect("a client");
        let mut in_pieces = ClientConfig::clone(&client);
        in_pieces.max_fragment_size = Some(40);
        (server, client, Arc::new(in_pieces))
    })
}

fn ends(kind: u8) -> (Layers, Layers) {
    let (server, client, in_pieces) = configurations();
    let tls = TlsOptions { config: Arc::clone(server), identity: None };
    let door = Door::new(DoorOptions { tls: Some(tls), ..DoorOptions::default() });
    let client = if kind & 0x80 == 0 { client } else { in_pieces };
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientDoor { tls: Some((Arc::clone(client), name)), websocket: None }.open([0; 32]);
    (door.open(None), client.expect("a client that begins"))
}

fn nothing() -> Outcome {
    Outcome { heard: Vec::new(), broken: None, introduction: None, wire: Vec::new() }
}

fn hostile(mut end: Layers, bytes: &[u8], piece_bytes: usize) {
    let mut outcome = nothing();
    for piece in bytes.chunks(piece_bytes) {
        receive(&mut end, piece, &mut outcome);
        send(&mut end, b"secret", usize::MAX, &mut outcome.wire);
        assert!(end.held_bytes() <= HELD_BYTES_MAX, "{} bytes are held", end.held_bytes());
    }
    assert!(outcome.heard.is_empty() && outcome.introduction.is_none(), "nobody has these keys");
    end.goodbye();
    send(&mut end, &[], usize::MAX, &mut outcome.wire);
}

/// What may be done to the next bytes on the wire, each a byte of the input: mostly nothing.
fn spoil(wire: &mut Vec<u8>, how: Option<u8>) {
    let (Some(how), false) = (how, wire.is_empty()) else { return };
    let place = usize::from(how) * wire.len() / 256;
    match how % 16 {
        1 => wire[place] ^= 1,
        2 => wire[place] = 0,
        3 => wire.truncate(place),
        4 => wire.insert(place, 0x17),
        5 => drop(wire.remove(place)),
        6 => wire.extend_from_within(place..),
        _ => {}
    }
}

fn conversation(server: Layers, client: Layers, script: &[u8], room: usize) {
    let text: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
    let (mut ends, mut outcomes, mut left) =
        ([server, client], [nothing(), nothing()], [&text[..], &text[..]]);
    let mut script = script.iter().copied();
    for round in 0..ROUNDS_MAX {
        let mut is_quiet = true;
        for (from, to) in [(1, 0), (0, 1)] {
            let mut wire = Vec::new();
            let (sent, done) = send(&mut ends[from], left[from], room, &mut wire);
            left[from] = &left[from][done..];
            is_quiet &= sent == 0;
            let how = script.next();
            spoil(&mut wire, how);
            receive(&mut ends[to], &wire, &mut outcomes[to]);
            assert!(ends[to].held_bytes() <= HELD_BYTES_MAX, "{} bytes are held", ends[to].held_bytes());
            if how == Some(0xFF) && round > 10 {
                ends[from].goodbye();
            }
        }
        if is_quiet {
            break;
        }
    }
    for outcome in outcomes {
        assert!(text.starts_with(&outcome.heard), "what came out is not what went in");
    }
}

/// Inputs to begin with.
pub(crate) fn scripts() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for kind in [2, 0x82] {
        for piece in [0, 5, 255] {
            all.push([&[kind, piece][..], &[0; 40]].concat());
            all.push([&[kind, piece][..], &[0; 12], &[0xFF, 0xFF, 0, 0x31, 0x42]].concat());
        }
    }
    let (_, mut client) = ends(0);
    let mut hello = Vec::new();
    send(&mut client, &[], usize::MAX, &mut hello);
    all.push([&[0, 20][..], &hello].concat());
    let (mut server, _) = ends(0);
    let mut outcome = nothing();
    receive(&mut server, &hello, &mut outcome);
    send(&mut server, &[], usize::MAX, &mut outcome.wire);
    all.push([&[1, 20][..], &outcome.wire].concat());
    all
}
