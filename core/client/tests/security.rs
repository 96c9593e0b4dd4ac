//! TLS, WebSocket and Unix sockets: a server with the same layers at the other end.

use ringmq_client::{Client, ConnectError, Options, Publish, Stopped, Tls, TlsVersion};
use ringmq_net::rustls::time_provider::DefaultTimeProvider;
use ringmq_net::tls::{ClientAuthorities, ClientCertificates, ServerCertificate, ServerSettings};
use ringmq_net::{Broken, Door, DoorOptions, Identity, Introduction, Layer, TlsOptions, WebSocketOptions};
use ringmq_wire::frame;
use std::io::{IoSlice, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// A certificate and key that are their own authority, for `localhost`.
struct Pki {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn pki() -> Pki {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Pki { certificate: made.cert.pem().into_bytes(), key: made.signing_key.serialize_pem().into_bytes() }
}

fn tls_options(pki: &Pki, clients: ClientCertificates) -> TlsOptions {
    let settings = ServerSettings {
        certificates: vec![ServerCertificate { chain: pki.certificate.clone(), key: pki.key.clone() }],
        clients,
        alpn: vec![b"mqtt".to_vec(), b"http/1.1".to_vec()],
        version_min: TlsVersion::V1_2,
    };
    let config = ringmq_net::tls::server(&settings, Arc::new(DefaultTimeProvider)).unwrap();
    TlsOptions { config, identity: Some(Identity::AlternativeName) }
}

/// What a server saw of one client.
struct Visit {
    introduction: Option<Introduction>,
    broken: Option<Broken>,
}

/// Serves one connection of MQTT 5.0 until it ends: accepts it and sends messages back.
fn serve(door: &Door, mut stream: impl Read + Write) -> Visit {
    let mut layers = door.open(None);
    let mut visit = Visit { introduction: None, broken: None };
    let (mut input, mut output, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
    loop {
        let bytes = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return visit,
            Ok(bytes) => bytes,
        };
        let mut opened = layers.open(&mut buffer[..bytes], &mut |plain| input.extend_from_slice(plain));
        if let Some(introduction) = layers.introduction() {
            visit.introduction = Some(introduction);
            opened = layers.open(&mut [], &mut |plain| input.extend_from_slice(plain));
        }
        while let Some(frame) = frame::split(&input, u32::MAX).unwrap() {
            let (kind, bytes) = (input[0] >> 4, frame.bytes);
            match kind {
                1 => output.extend_from_slice(&[0x20, 3, 0, 0, 0]),
                3 => output.extend_from_slice(&input[..bytes]),
                _ => {}
            }
            input.drain(..bytes);
        }
        loop {
            let slices = [IoSlice::new(&output)];
            let sealed: Vec<u8> = layers.seal(&slices).pieces().flatten().copied().collect();
            if sealed.is_empty() || stream.write_all(&sealed).is_err() {
                break;
            }
            let done = layers.sent(sealed.len());
            output.drain(..done);
        }
        if let Err(broken) = opened {
            visit.broken = Some(broken);
            return visit;
        }
    }
}

fn over_tcp(options: DoorOptions) -> (u16, JoinHandle<Visit>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let door = Door::new(options);
    (port, std::thread::spawn(move || serve(&door, listener.accept().unwrap().0)))
}

/// Connects, gets a large message back and says goodbye.
fn talk(options: Options) {
    let client = Client::connect(options).unwrap();
    let text: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    client.publish(Publish::new("t", text.clone())).unwrap();
    let message = client.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(message.payload()[..] == text);
    client.disconnect().unwrap();
}

#[test]
fn every_way_carries_messages_and_ends_properly() {
    let pki = pki();
    for (scheme, is_secure, is_websocket) in
        [("mqtt", false, false), ("mqtts", true, false), ("ws", false, true), ("wss", true, true)]
    {
        let (port, server) = over_tcp(DoorOptions {
            proxy: None,
            tls: is_secure.then(|| tls_options(&pki, ClientCertificates::None)),
            websocket: is_websocket.then(WebSocketOptions::default),
            ..DoorOptions::default()
        });
        let mut options = Options::from_url(&format!("{scheme}://localhost:{port}")).unwrap();
        if is_secure {
            options = options.tls(Tls::new().authorities(pki.certificate.clone()));
        }
        talk(options);
        let visit = server.join().unwrap();
        assert_eq!(visit.introduction.is_some(), is_secure || is_websocket, "{scheme}");
        let expected = (is_secure || is_websocket).then_some(Broken::GOODBYE);
        assert_eq!(visit.broken, expected, "{scheme}");
    }
}

#[test]
fn a_unix_socket_is_as_good_with_and_without_tls() {
    let pki = pki();
    let path = std::env::temp_dir().join(format!("ringmq-client-{}", std::process::id()));
    for is_secure in [false, true] {
        let listener = UnixListener::bind(&path).unwrap();
        let tls = is_secure.then(|| tls_options(&pki, ClientCertificates::None));
        let door = Door::new(DoorOptions { tls, ..DoorOptions::default() });
        let server = std::thread::spawn(move || serve(&door, listener.accept().unwrap().0));
        let mut options = Options::from_url(&format!("unix:{}", path.display())).unwrap();
        if is_secure {
            options = options.tls(Tls::new().authorities(pki.certificate.clone()));
        }
        talk(options);
        assert_eq!(server.join().unwrap().broken, is_secure.then_some(Broken::GOODBYE));
        std::fs::remove_file(&path).unwrap();
    }
    let nobody = Client::connect(Options::new("localhost", 1883).unix(&path)).unwrap_err();
    assert!(matches!(nobody, ConnectError::Transport(_)), "{nobody:?}");
}

#[test]
fn a_certificate_of_the_client_is_shown() {
    let (pki, own) = (pki(), pki());
    let authorities = ClientAuthorities { authorities: vec![own.certificate.clone()], ..Default::default() };
    let tls = Some(tls_options(&pki, ClientCertificates::Required(authorities)));
    let (port, server) = over_tcp(DoorOptions { tls, ..DoorOptions::default() });
    let tls = Tls::new().authorities(pki.certificate).certificate(own.certificate, own.key);
    talk(Options::new("localhost", port).tls(tls.version_min(TlsVersion::V1_3)));
    assert_eq!(server.join().unwrap().introduction.unwrap().user_name.as_deref(), Some("localhost"));
}

#[test]
fn what_is_wrong_with_the_server_is_told() {
    // All of them have the same name, so the other one's signature is what is wrong.
    let (mine, other) = (pki(), pki());
    for (host, tls, why) in [
        ("localhost", Tls::new().authorities(other.certificate.clone()), Some("bad signature")),
        ("127.0.0.1", Tls::new().authorities(mine.certificate.clone()), Some("for another name")),
        ("127.0.0.1", Tls::new().authorities(mine.certificate.clone()).any_name(), None),
        ("127.0.0.1", Tls::new().authorities(mine.certificate.clone()).server_name("localhost"), None),
        (
            "localhost",
            Tls::new().authorities(mine.certificate.clone()).alpn(["h2"]),
            Some("common application"),
        ),
    ] {
        let tls_options = Some(tls_options(&mine, ClientCertificates::None));
        let (port, server) = over_tcp(DoorOptions { tls: tls_options, ..DoorOptions::default() });
        let options = Options::new(host, port).tls(tls);
        match why {
            None => talk(options),
            Some(why) => {
                let error = Client::connect(options).unwrap_err();
                assert!(matches!(error, ConnectError::Layer(said) if said.contains(why)), "{error}: {why}");
                assert!(error.is_temporary());
            }
        }
        assert_eq!(server.join().unwrap().introduction.is_some(), why.is_none());
    }
    let (port, server) =
        over_tcp(DoorOptions { websocket: Some(WebSocketOptions::default()), ..DoorOptions::default() });
    let error = Client::connect(Options::new("localhost", port).websocket("/elsewhere")).unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    server.join().unwrap();
}

#[test]
fn options_that_cannot_be_used_are_told_at_once() {
    let pki = pki();
    for (options, why) in [
        (Options::new("localhost", 1).tls(Tls::new().authorities("nothing")), "BEGIN CERTIFICATE"),
        (
            Options::new("localhost", 1).tls(
                Tls::new().authorities(pki.certificate.clone()).certificate(pki.certificate.clone(), ""),
            ),
            "BEGIN PRIVATE KEY",
        ),
        (Options::new("no name", 1).tls(Tls::new().authorities(pki.certificate.clone())), "no name that"),
        (Options::new("localhost", 1).websocket("mqtt"), "slash"),
    ] {
        let error = Client::start(options).err().unwrap();
        assert!(matches!(&error, ConnectError::Settings(said) if said.contains(why)), "{error}");
        assert!(!error.is_temporary());
    }
}

/// A server that accepts and says nothing: the attempt ends with its time, and an ordinary server as well.
#[test]
fn a_greeting_has_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = Options::new("localhost", port)
        .websocket("/mqtt")
        .connect_timeout(Duration::from_millis(100))
        .reconnect(None);
    let client = Client::start(options).unwrap();
    let error = client.wait_connected(Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, ConnectError::Timeout), "{error:?}");
    assert!(matches!(client.stopped(), Some(Stopped::Failed(ConnectError::Timeout))));
}
