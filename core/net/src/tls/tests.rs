//! TLS between our own ends: versions, certificates of servers and clients, names, resumption, any split.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, HandshakeKind, ServerConfig};

use super::*;
use crate::conversation::{End, converse};
use crate::{
    Broken, ClientDoor, Door, DoorOptions, Identity, Layers, ProxyOptions, TlsOptions, WebSocketOptions,
    WebSocketRequest,
};

/// 2026-01-01, and some days.
#[derive(Debug)]
struct Day(u64);

impl TimeProvider for Day {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600 + self.0 * 86_400)))
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: Vec<u8>,
}

/// A certificate and its key.
#[derive(Clone)]
struct Issued {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, mut params: CertificateParams) -> Issued {
        params.not_before = date_time_ymd(2025, 12, 1);
        params.not_after = date_time_ymd(2026, 12, 1);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem().into_bytes();
        Issued { chain, key: key.serialize_pem().into_bytes() }
    }

    fn server(&self, names: &[&str]) -> Issued {
        self.sign(CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
    }

    fn client(&self, name: &str, serial: u8) -> Issued {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        self.sign(params)
    }

    fn revocation_list(&self, serials: &[u8]) -> Vec<u8> {
        let revoked = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: date_time_ymd(2025, 12, 2),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 12, 1),
            next_update: date_time_ymd(2026, 2, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap().into_bytes()
    }
}

fn server_settings(certificates: &[&Issued]) -> ServerSettings {
    let certificates = certificates
        .iter()
        .map(|issued| ServerCertificate { chain: issued.chain.clone(), key: issued.key.clone() });
    ServerSettings {
        certificates: certificates.collect(),
        alpn: vec![b"mqtt".to_vec()],
        ..ServerSettings::default()
    }
}

fn server_config(settings: &ServerSettings) -> Arc<ServerConfig> {
    server(settings, Arc::new(Day(0))).unwrap()
}

fn client_settings(authority: &Authority) -> ClientSettings {
    ClientSettings {
        authorities: vec![authority.pem.clone()],
        alpn: vec![b"mqtt".to_vec()],
        ..ClientSettings::default()
    }
}

fn client_config(settings: &ClientSettings) -> Arc<ClientConfig> {
    client(settings, Arc::new(Day(0))).unwrap()
}

fn tls_door(config: &Arc<ServerConfig>, identity: Option<Identity>) -> Door {
    let tls = Some(TlsOptions { config: Arc::clone(config), identity });
    Door::new(DoorOptions { tls, ..DoorOptions::default() })
}

fn open_client(config: &Arc<ClientConfig>, name: &str) -> End {
    let tls = Some((Arc::clone(config), ServerName::try_from(name.to_owned()).unwrap()));
    End::new(ClientDoor { tls, websocket: None }.open([1; 32]).unwrap())
}

/// Both ends after all that they have to say.
fn meet(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, name: &str) -> (End, End) {
    let mut server = End::new(tls_door(server, Some(Identity::CommonName)).open(None));
    let mut client = open_client(client, name);
    client.say(b"hello");
    converse(&mut client, &mut server, &[usize::MAX]);
    (server, client)
}

fn tls(end: &End) -> &Tls {
    let Layers::Stack(stack) = &end.layers else { panic!("no layers") };
    stack.tls().unwrap()
}

/// An authority, a server's configuration with a certificate for `localhost`, and a client's.
fn ordinary() -> (Authority, Arc<ServerConfig>, Arc<ClientConfig>) {
    let authority = Authority::new("authority");
    let server = server_config(&server_settings(&[&authority.server(&["localhost"])]));
    let client = client_config(&client_settings(&authority));
    (authority, server, client)
}

/// A client that speaks TLS 1.2 only.
fn old_client(authority: &Authority) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = super::pem::authorities([&authority.pem[..]].into_iter()).unwrap();
    let config = ClientConfig::builder_with_details(provider, Arc::new(Day(0)))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
fn both_versions_carry_both_directions_in_any_split_and_end_properly() {
    let (authority, server, client) = ordinary();
    let text: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    for (client, version) in [(&client, "TLSv1.3"), (&old_client(&authority), "TLSv1.2")] {
        for lengths in [&[1][..], &[usize::MAX], &[1000, 3, 70_000], &[16_400]] {
            let said = if lengths == [1] { &text[..20_000] } else { &text[..] };
            let mut server = End::new(tls_door(&server, None).open(None));
            let mut client = open_client(client, "localhost");
            assert!(!server.layers.is_established() && !client.layers.is_established());
            client.say(said);
            server.say(said);
            converse(&mut client, &mut server, lengths);
            assert_eq!((server.broken, client.broken), (None, None));
            assert!(server.heard == said && client.heard == said);
            assert_eq!(server.introduction.as_ref().unwrap().tls, Some(version));
            assert_eq!(client.introduction.as_ref().unwrap().tls, Some(version));
            assert_eq!(tls(&server).held_bytes(), size_of::<Tls>() + 2 * 1024, "an idle one holds no buffer");
            server.say(b"last words");
            server.layers.goodbye();
            converse(&mut server, &mut client, lengths);
            assert_eq!((client.broken, server.broken), (Some(Broken::GOODBYE), None));
            assert!(client.heard.ends_with(b"last words"));
            client.layers.goodbye();
            client.layers.goodbye();
            converse(&mut server, &mut client, lengths);
            assert_eq!(server.broken, None, "who has said goodbye does not listen any more");
        }
    }
}

#[test]
fn handshake_messages_in_many_small_records_are_put_together() {
    let (authority, server, client) = ordinary();
    for client in [client, old_client(&authority)] {
        let mut client = ClientConfig::clone(&client);
        client.max_fragment_size = Some(33);
        for lengths in [&[1][..], &[usize::MAX], &[40, 7]] {
            let mut server = End::new(tls_door(&server, None).open(None));
            let mut client = open_client(&Arc::new(client.clone()), "localhost");
            client.say(&[b'x'; 1000]);
            converse(&mut client, &mut server, lengths);
            assert_eq!((server.broken, &server.heard[..]), (None, &[b'x'; 1000][..]));
        }
    }
}

#[test]
fn all_layers_lie_upon_each_other_in_any_split() {
    let (_, server, client) = ordinary();
    let proxy = ProxyOptions { trusted: "10.0.0.0/8".parse().unwrap(), required: true };
    let options = DoorOptions {
        proxy: Some(proxy),
        tls: Some(TlsOptions { config: server, identity: None }),
        websocket: Some(WebSocketOptions::default()),
        faults: None,
    };
    // Faults that have no rules change nothing.
    let faulty = DoorOptions { faults: Some(crate::faults::Faults::new()), ..options.clone() };
    let doors = [Door::new(options), Door::new(faulty)];
    let client_door = ClientDoor {
        tls: Some((client, ServerName::try_from("localhost").unwrap())),
        websocket: Some(WebSocketRequest { host: "localhost".into(), path: "/mqtt".into() }),
    };
    // Packets of 997 bytes.
    let packet: Vec<u8> = [0x30, 0xe2, 0x07].into_iter().chain((0..994_u32).map(|n| n as u8)).collect();
    let text = packet.repeat(300);
    let columns = doors
        .iter()
        .flat_map(|door| [&[1][..], &[usize::MAX], &[1000, 3, 70_000]].map(|lengths| (door, lengths)));
    for (door, lengths) in columns {
        let said = if lengths == [1] { &text[..20 * 997] } else { &text[..] };
        let mut server = End::new(door.open(Some("10.0.0.1:1".parse().unwrap())));
        let mut client = End::new(client_door.open([2; 32]).unwrap());
        server.receive(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 8883\r\n");
        client.say(said);
        server.say(said);
        converse(&mut client, &mut server, lengths);
        assert!(server.heard == said && client.heard == said);
        let introduction = server.introduction.as_ref().unwrap();
        assert_eq!(introduction.address, Some("192.0.2.7:4711".parse::<SocketAddr>().unwrap()));
        assert_eq!(introduction.tls, Some("TLSv1.3"));
        assert!(server.layers.held_bytes() < 6000, "{}", server.layers.held_bytes());
        client.layers.goodbye();
        converse(&mut client, &mut server, lengths);
        assert_eq!(server.broken, Some(Broken::GOODBYE));
        server.layers.goodbye();
        converse(&mut client, &mut server, lengths);
    }
}

/// Found by fuzzing: rustls, with debug assertions, takes no error after its own close_notify.
#[test]
fn what_arrives_after_the_own_goodbye_is_thrown_away() {
    let (_, server, client) = ordinary();
    let (mut server, mut client) = meet(&server, &client, "localhost");
    server.layers.goodbye();
    assert!(!server.send(usize::MAX).is_empty());
    client.say(b"words");
    let mut bytes = client.send(usize::MAX);
    *bytes.last_mut().unwrap() ^= 1;
    server.receive(&bytes);
    server.receive(b"garbage");
    assert_eq!((server.broken, &server.heard[..]), (None, &b"hello"[..]));
    assert!(server.send(usize::MAX).is_empty());
}

#[test]
fn what_follows_a_handshake_at_once_is_held_until_the_introduction_is_taken() {
    let (_, server, client) = ordinary();
    let mut server = End::new(tls_door(&server, None).open(None));
    let mut client = open_client(&client, "localhost");
    let hello = client.send(usize::MAX);
    server.receive(&hello);
    let answer = server.send(usize::MAX);
    client.receive(&answer);
    client.say(b"words");
    let mut bytes = client.send(usize::MAX);
    client.layers.goodbye();
    bytes.extend(client.send(usize::MAX));
    let mut open = |bytes: &mut [u8], heard: &mut Vec<u8>| {
        crate::Layer::open(&mut server.layers, bytes, &mut |piece| heard.extend_from_slice(piece))
    };
    let mut heard = Vec::new();
    assert_eq!(open(&mut bytes, &mut heard), Ok(()));
    assert_eq!(open(&mut [], &mut heard), Ok(()));
    assert!(heard.is_empty());
    assert!(server.layers.introduction().is_some() && server.layers.introduction().is_none());
    let mut open = |bytes: &mut [u8], heard: &mut Vec<u8>| {
        crate::Layer::open(&mut server.layers, bytes, &mut |piece| heard.extend_from_slice(piece))
    };
    assert_eq!(open(&mut [], &mut heard), Err(Broken::GOODBYE));
    assert_eq!(heard, b"words");
}

/// Lets a client with this certificate meet a server that has these rules, `days` after the beginning of the
/// year. Returns the user name, or why not.
fn admitted(
    rules: ClientCertificates,
    certificate: Option<&Issued>,
    identity: Option<Identity>,
    days: u64,
) -> Result<Option<String>, String> {
    let authority = Authority::new("of servers");
    let mut settings = server_settings(&[&authority.server(&["localhost"])]);
    settings.clients = rules;
    let mut result = None;
    for (is_old, alpn) in [(false, vec![b"mqtt".to_vec()]), (true, vec![])] {
        let config = server(&settings, Arc::new(Day(days))).unwrap();
        let mut of_client = client_settings(&authority);
        of_client.certificate = certificate.map(|issued| (issued.chain.clone(), issued.key.clone()));
        of_client.alpn = alpn;
        let mut client = client_config(&of_client);
        if is_old {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Day(0)))
                .with_protocol_versions(&[&rustls::version::TLS12])
                .unwrap()
                .with_root_certificates(super::pem::authorities([&authority.pem[..]].into_iter()).unwrap());
            client = Arc::new(match certificate {
                None => builder.with_no_client_auth(),
                Some(issued) => {
                    let key = super::pem::certified_key(&issued.chain, &issued.key, 0, &provider).unwrap();
                    builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
                }
            });
        }
        let mut server = End::new(tls_door(&config, identity).open(None));
        let mut client = open_client(&client, "localhost");
        client.say(b"hello");
        converse(&mut client, &mut server, &[usize::MAX]);
        let came = match (&server.introduction, server.broken) {
            (Some(introduction), None) => {
                assert_eq!(server.heard, b"hello");
                Ok(introduction.user_name.as_deref().map(str::to_owned))
            }
            (None, Some(broken)) => {
                assert!(client.broken.is_some(), "the client was told");
                assert!(server.heard.is_empty());
                Err(broken.0.to_owned())
            }
            _ => panic!("neither in nor out"),
        };
        assert_eq!(*result.get_or_insert(came.clone()), came, "TLS 1.2 and 1.3 differ");
    }
    result.unwrap()
}

#[test]
fn clients_are_admitted_by_their_certificates() {
    let (authority, other) = (Authority::new("of clients"), Authority::new("another"));
    let of = |lists: &[Vec<u8>]| ClientAuthorities {
        authorities: vec![authority.pem.clone()],
        revocation_lists: lists.to_vec(),
    };
    let (good, revoked, foreign) =
        (authority.client("good", 1), authority.client("revoked", 2), other.client("foreign", 1));
    let lists = [authority.revocation_list(&[2, 7])];
    let of_another = [other.revocation_list(&[])];
    let cn = Some(Identity::CommonName);
    for (rules, certificate, days, expected) in [
        (ClientCertificates::None, None, 0, Ok(None)),
        (ClientCertificates::None, Some(&good), 0, Ok(None)),
        (ClientCertificates::Optional(of(&[])), None, 0, Ok(None)),
        (ClientCertificates::Optional(of(&[])), Some(&good), 0, Ok(Some("good"))),
        (ClientCertificates::Optional(of(&[])), Some(&foreign), 0, Err("nobody that is trusted")),
        (ClientCertificates::Required(of(&[])), None, 0, Err("showed no certificate")),
        (ClientCertificates::Required(of(&[])), Some(&good), 0, Ok(Some("good"))),
        (ClientCertificates::Required(of(&[])), Some(&good), 360, Err("has expired")),
        (ClientCertificates::Required(of(&[])), Some(&revoked), 0, Ok(Some("revoked"))),
        (ClientCertificates::Required(of(&lists)), Some(&revoked), 0, Err("is revoked")),
        (ClientCertificates::Required(of(&lists)), Some(&good), 0, Ok(Some("good"))),
        (ClientCertificates::Required(of(&lists)), Some(&good), 40, Err("revocation list has expired")),
        (ClientCertificates::Required(of(&of_another)), Some(&good), 0, Err("no revocation list")),
        (ClientCertificates::Required(of(&[])), Some(&foreign), 0, Err("nobody that is trusted")),
    ] {
        let admitted = admitted(rules.clone(), certificate, cn, days);
        match (&admitted, expected) {
            (Ok(name), Ok(expected)) => assert_eq!(name.as_deref(), expected, "{rules:?}"),
            (Err(why), Err(expected)) if why.contains(expected) => (),
            _ => panic!("{admitted:?} instead of {expected:?} for {rules:?}"),
        }
    }
}

#[test]
fn the_user_name_is_the_part_of_the_certificate_that_was_chosen() {
    let authority = Authority::new("of clients");
    let rules = || {
        ClientCertificates::Required(ClientAuthorities {
            authorities: vec![authority.pem.clone()],
            revocation_lists: vec![],
        })
    };
    let mut named = CertificateParams::new(vec!["device.example".to_owned()]).unwrap();
    named.distinguished_name = DistinguishedName::new();
    named.distinguished_name.push(DnType::OrganizationName, "Example");
    named.distinguished_name.push(DnType::CommonName, "device 1");
    let named = authority.sign(named);
    let mut mailed = CertificateParams::new(vec![]).unwrap();
    mailed.distinguished_name = DistinguishedName::new();
    mailed.subject_alt_names = vec![SanType::Rfc822Name("a@example.org".try_into().unwrap())];
    let mailed = authority.sign(mailed);
    let plain = authority.client("", 3);
    for (issued, identity, expected) in [
        (&named, None, Ok(None)),
        (&named, Some(Identity::CommonName), Ok(Some("device 1"))),
        (&named, Some(Identity::Subject), Ok(Some("CN=device 1,O=Example"))),
        (&named, Some(Identity::AlternativeName), Ok(Some("device.example"))),
        (&mailed, Some(Identity::AlternativeName), Ok(Some("a@example.org"))),
        (&mailed, Some(Identity::CommonName), Err("no common name")),
        (&mailed, Some(Identity::Subject), Err("no subject")),
        (&plain, Some(Identity::CommonName), Err("no common name")),
        (&plain, Some(Identity::AlternativeName), Err("no DNS name")),
    ] {
        let admitted = admitted(rules(), Some(issued), identity, 0);
        match (&admitted, expected) {
            (Ok(name), Ok(expected)) => assert_eq!(name.as_deref(), expected),
            (Err(why), Err(expected)) if why.contains(expected) => (),
            _ => panic!("{admitted:?} instead of {expected:?}"),
        }
    }
}

fn subject_of(attributes: &[(DnType, DnValue)]) -> String {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in attributes {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    let issued = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    user_name(issued.der(), Identity::Subject).unwrap()
}

/// Expected values are what `openssl x509 -noout -subject -nameopt RFC2253` of OpenSSL 3 prints.
#[test]
fn a_subject_is_printed_as_openssl_does() {
    let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
    for (attributes, expected) in [
        (
            vec![
                (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap())),
                (DnType::OrganizationName, utf8("Example")),
                (DnType::OrganizationalUnitName, utf8("Devices")),
                (DnType::CommonName, utf8("device-1")),
            ],
            "CN=device-1,OU=Devices,O=Example,C=DE",
        ),
        (vec![(DnType::CommonName, utf8(" a,b+c\"d\\e<f>g;h=i "))], r#"CN=\ a\,b\+c\"d\\e\<f\>g\;h=i\ "#),
        (vec![(DnType::CommonName, utf8("#1 # 2"))], r"CN=\#1 # 2"),
        (vec![(DnType::CommonName, utf8("J\u{fc}rgen \u{20ac}\u{7f}\n"))], r"CN=J\C3\BCrgen \E2\82\AC\7F\0A"),
        (vec![(DnType::CommonName, DnValue::BmpString("Jürgen".try_into().unwrap()))], r"CN=J\C3\BCrgen"),
        (vec![(DnType::CommonName, DnValue::UniversalString("ü".try_into().unwrap()))], r"CN=\C3\BC"),
        (vec![(DnType::CommonName, DnValue::TeletexString("abc".try_into().unwrap()))], "CN=abc"),
        (vec![(DnType::CommonName, DnValue::Ia5String("abc".try_into().unwrap()))], "CN=abc"),
        (
            vec![
                (DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 1]), utf8("x")),
                (DnType::CommonName, utf8("c")),
            ],
            "CN=c,1.3.6.1.4.1.99999.1=#0C0178",
        ),
        (
            vec![
                (
                    DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1]),
                    DnValue::Ia5String("a@b".try_into().unwrap()),
                ),
                (DnType::CustomDnType(vec![0, 9, 2342, 19200300, 100, 1, 1]), utf8("u")),
                (DnType::StateOrProvinceName, utf8("s")),
                (DnType::LocalityName, utf8("l")),
            ],
            "L=l,ST=s,UID=u,emailAddress=a@b",
        ),
    ] {
        assert_eq!(subject_of(&attributes), expected);
    }
}

#[test]
fn a_name_that_mqtt_does_not_allow_is_none() {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String("a\0b".to_owned()));
    let issued = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert!(user_name(issued.der(), Identity::CommonName).is_err());
    assert_eq!(user_name(issued.der(), Identity::Subject).as_deref(), Ok(r"CN=a\00b"));
    assert!(user_name(b"no certificate", Identity::CommonName).is_err());
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let (one, two, three) = (Authority::new("one"), Authority::new("two"), Authority::new("three"));
    let server = server_config(&server_settings(&[
        &one.server(&["default.example"]),
        &two.server(&["*.wild.example", "Exact.Example"]),
        &three.server(&["a.wild.example"]),
    ]));
    for (name, authority) in [
        ("default.example", &one),
        ("exact.example", &two),
        ("b.wild.example", &two),
        ("a.wild.example", &three),
    ] {
        let (met, client) = meet(&server, &client_config(&client_settings(authority)), name);
        assert_eq!((client.broken, &met.heard[..]), (None, &b"hello"[..]), "{name}");
    }
    for (name, authority) in [("unknown.example", &one), ("127.0.0.1", &one), ("a.b.wild.example", &one)] {
        let settings = client_settings(authority);
        let (_, client) = meet(&server, &client_config(&settings), name);
        assert!(client.broken.is_some_and(|broken| broken.0.contains("for another name")), "{name}");
        let settings = ClientSettings { verification: Verification::AnyName, ..settings };
        assert_eq!(meet(&server, &client_config(&settings), name).1.broken, None);
    }
    let settings = ClientSettings { verification: Verification::AnyName, ..client_settings(&two) };
    let (server, client) = meet(&server, &client_config(&settings), "default.example");
    assert!(client.broken.is_some_and(|broken| broken.0.contains("nobody that is trusted")));
    assert!(server.broken.is_some_and(|broken| broken.0.contains("does not trust")));
}

#[test]
fn sessions_are_resumed_by_tickets_with_the_client_s_name_until_the_configuration_is_made_anew() {
    let authority = Authority::new("authority");
    let mut settings = server_settings(&[&authority.server(&["localhost"])]);
    settings.clients = ClientCertificates::Required(ClientAuthorities {
        authorities: vec![authority.pem.clone()],
        revocation_lists: vec![],
    });
    let issued = authority.client("device", 1);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let key = super::pem::certified_key(&issued.chain, &issued.key, 0, &provider).unwrap();
        let client = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Day(0)))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(super::pem::authorities([&authority.pem[..]].into_iter()).unwrap())
            .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
        let client = Arc::new(client);
        let first = server_config(&settings);
        let again = server_config(&settings);
        for (config, kind) in [
            (&first, HandshakeKind::Full),
            (&first, HandshakeKind::Resumed),
            (&first, HandshakeKind::Resumed),
            (&again, HandshakeKind::Full),
        ] {
            let (server, client) = meet(config, &client, "localhost");
            assert_eq!((tls(&server).kind(), tls(&client).kind()), (Some(kind), Some(kind)));
            assert_eq!(server.introduction.unwrap().user_name.as_deref(), Some("device"));
        }
    }
}

#[test]
fn versions_and_application_protocols_are_agreed_on_or_refused() {
    let (authority, _, modern) = ordinary();
    let mut settings = server_settings(&[&authority.server(&["localhost"])]);
    settings.version_min = TlsVersion::V1_3;
    let strict = server_config(&settings);
    assert_eq!(meet(&strict, &modern, "localhost").0.heard, b"hello");
    let (server, client) = meet(&strict, &old_client(&authority), "localhost");
    assert!(server.broken.is_some_and(|broken| broken.0.contains("no version")));
    assert!(client.broken.is_some_and(|broken| broken.0.contains("no common version")));
    for (offered, is_good) in
        [(vec![], true), (vec!["mqtt"], true), (vec!["h2", "mqtt"], true), (vec!["h2"], false)]
    {
        let mut of_client = client_settings(&authority);
        of_client.alpn = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (server, client) = meet(&strict, &client_config(&of_client), "localhost");
        assert_eq!(client.broken.is_none(), is_good, "{offered:?}");
        assert!(is_good || server.broken.is_some_and(|broken| broken.0.contains("ALPN")));
    }
}

#[test]
fn what_is_wrong_with_the_settings_is_named() {
    let authority = Authority::new("authority");
    let (issued, other) = (authority.server(&["localhost"]), authority.server(&["localhost"]));
    let with = |chain: &[u8], key: &[u8]| Issued { chain: chain.to_vec(), key: key.to_vec() };
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let unfinished = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
    for (bad, input, says) in [
        (with(b"", &issued.key), Input::Certificate(1), "BEGIN CERTIFICATE"),
        (with(b"\0\x01 DER", &issued.key), Input::Certificate(1), "BEGIN CERTIFICATE"),
        (with(broken, &issued.key), Input::Certificate(1), "cannot be read"),
        (with(unfinished, &issued.key), Input::Certificate(1), "cannot be read"),
        (with(&issued.chain, &issued.chain), Input::Key(1), "BEGIN PRIVATE KEY"),
        (with(&issued.chain, encrypted), Input::Key(1), "openssl pkey"),
        (with(&issued.chain, &other.key), Input::Key(1), "not the key of its certificate"),
    ] {
        let error = server(&server_settings(&[&issued, &bad]), Arc::new(Day(0))).unwrap_err();
        assert_eq!(error.input, input, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let error = server(&ServerSettings::default(), Arc::new(Day(0))).unwrap_err();
    assert_eq!(error, TlsError { input: Input::Certificate(0), problem: Problem::Missing });
    let rules = |authorities: &[&[u8]], lists: &[&[u8]]| ClientAuthorities {
        authorities: authorities.iter().map(|text| text.to_vec()).collect(),
        revocation_lists: lists.iter().map(|text| text.to_vec()).collect(),
    };
    for (rules, input) in [
        (rules(&[], &[]), Input::Authorities(0)),
        (rules(&[&authority.pem, b"nothing"], &[]), Input::Authorities(1)),
        (rules(&[broken], &[]), Input::Authorities(0)),
        (rules(&[&authority.pem], &[b"nothing"]), Input::RevocationList(0)),
        (
            rules(&[&authority.pem], &[b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"]),
            Input::RevocationList(0),
        ),
    ] {
        let mut settings = server_settings(&[&issued]);
        settings.clients = ClientCertificates::Optional(rules);
        assert_eq!(server(&settings, Arc::new(Day(0))).unwrap_err().input, input);
    }
    let nobody = client(&ClientSettings::default(), Arc::new(Day(0))).unwrap_err();
    assert_eq!(nobody.input, Input::Authorities(0));
    let mut settings = client_settings(&authority);
    settings.certificate = Some((issued.chain, other.key));
    assert_eq!(client(&settings, Arc::new(Day(0))).unwrap_err().problem, Problem::OtherKey);
}

#[test]
fn nobody_sees_a_key_in_what_is_printed() {
    let authority = Authority::new("authority");
    let issued = authority.server(&["localhost"]);
    let settings = server_settings(&[&issued]);
    let mut of_client = client_settings(&authority);
    of_client.certificate = Some((issued.chain.clone(), issued.key.clone()));
    let printed = format!("{settings:?} {of_client:?} {:?}", tls_door(&server_config(&settings), None));
    let key: String = format!("{:?}", &issued.key[40..60]);
    assert!(!printed.contains(key.trim_matches(['[', ']'])));
}

#[test]
fn bytes_that_are_no_tls_break_the_connection_with_an_alert() {
    let (_, config, _) = ordinary();
    for bytes in [&b"\x10\x0c\0\x04MQTT\x05\x02\0\x3c\0\0"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        for length in [1, bytes.len()] {
            let mut server = End::new(tls_door(&config, None).open(None));
            bytes.chunks(length).for_each(|piece| server.receive(piece));
            assert!(
                server.broken.is_some_and(|broken| broken.0.contains("malformed")),
                "{:?}",
                server.broken
            );
            assert_eq!(server.send(usize::MAX)[..3], [21, 3, 3], "an alert");
            server.say(b"secret");
            assert!(server.send(usize::MAX).is_empty());
        }
    }
}

/// What a server makes of bytes in pieces of these lengths.
fn outcome(config: &Arc<ServerConfig>, bytes: &[u8], lengths: &[usize]) -> (Vec<u8>, Option<Broken>, bool) {
    let mut server = End::new(tls_door(config, None).open(None));
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
        rest = behind;
        server.receive(piece);
    }
    let has_output = !server.send(usize::MAX).is_empty();
    (server.heard, server.broken, has_output)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_in_any_split_come_to_the_same(
        spoiled in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<prop::sample::Index>(),
        behind in prop::collection::vec(any::<u8>(), 0..100),
        lengths in prop::collection::vec(1_usize..200, 1..8),
    ) {
        let (_, config, client) = ordinary();
        let mut bytes = open_client(&client, "localhost").send(usize::MAX);
        for (index, byte) in spoiled {
            *index.get_mut(&mut bytes) = byte;
        }
        bytes.truncate(cut.index(2 * bytes.len()));
        bytes.extend(behind);
        let whole = outcome(&config, &bytes, &[usize::MAX]);
        prop_assert_eq!(outcome(&config, &bytes, &lengths), whole);
    }

    /// As a middle box could: what both ends say is spoiled somewhere behind the handshake.
    #[test]
    fn spoiled_records_break_the_connection_and_never_come_out(
        index in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let (_, server, client) = ordinary();
        let (mut server, mut client) = meet(&server, &client, "localhost");
        client.say(&[7; 1000]);
        let mut bytes = client.send(usize::MAX);
        // All but the version in the head of the record, which nobody looks at (RFC 8446 section 5.1).
        let places: Vec<usize> = (0..bytes.len()).filter(|place| ![1, 2].contains(place)).collect();
        bytes[*index.get(&places)] ^= 1 << bit;
        server.receive(&bytes);
        // A spoiled length may leave it waiting for more.
        server.receive(&[0; 70_000]);
        prop_assert!(server.broken.is_some());
        prop_assert_eq!(&server.heard[..], b"hello");
    }
}
