//! Files and `bind` texts with listeners, and what comes of them.

use std::path::{Path, PathBuf};

use super::{Address, CertificateFiles, ClientCertificate, Identity, ListenerOptions, TlsVersion, resolve};
use crate::config::{Addresses, Anonymous, ClaimText, JwtRules, Options, file};

fn nobody(host: &str, _: u16) -> Result<Vec<std::net::SocketAddr>, String> {
    Err(format!("`{host}` is no address"))
}

fn of_file(text: &str) -> Result<Vec<ListenerOptions>, Vec<String>> {
    let texts = |errors: Vec<crate::config::ConfigError>| errors.iter().map(ToString::to_string).collect();
    let (options, errors) = file::parse(Path::new("/etc/r.toml"), text).judge(Options::default());
    if errors.is_empty() { resolve(&options, true, &nobody).map_err(texts) } else { Err(texts(errors)) }
}

fn one(text: &str) -> ListenerOptions {
    let mut listeners = of_file(text).unwrap();
    assert_eq!(listeners.len(), 1, "{text}");
    listeners.remove(0)
}

fn of_bind(text: &str) -> Result<Vec<ListenerOptions>, String> {
    let options = Options::default().bind(text.parse::<Addresses>().unwrap());
    resolve(&options, true, &nobody).map_err(|errors| errors[0].to_string())
}

#[test]
fn a_table_says_everything_about_a_listener() {
    let listener = one(r#"
        [[listener]]
        address = "wss://127.0.0.1:8084/ws"
        certificate = "server.pem"
        certificate_key = "/keys/server.key"
        client_certificate = "required"
        client_ca = "ca.pem"
        client_crl = "crl.pem"
        identity = "cn"
        tls_version_min = "1.3"
        handshake_timeout = "3s"
        websocket_origins = ["https://example.org", "https://example.com"]
        websocket_subprotocol = "optional"
        proxy_protocol = "required"
        proxy_protocol_from = ["10.0.0.0/8", "::1"]
        forwarded_from = "192.0.2.1"
        allow_anonymous = false
        password_file = "users"
        acl_file = "acl"
        jwt_keys = ["a.pem", "/keys/b.json"]
        jwt_audience = "mqtt"
        jwt_leeway = "1min"
        maximum_qos = 1
        versions = "5.0"
        packet_bytes_max = "64KiB"
        "#);
    assert_eq!(listener.to_string(), "wss://127.0.0.1:8084/ws");
    assert_eq!(listener.source.to_string(), "/etc/r.toml:2:9");
    let pair = CertificateFiles { certificate: "/etc/server.pem".into(), key: "/keys/server.key".into() };
    assert_eq!(listener.certificates, [pair]);
    assert_eq!(listener.client_certificate, ClientCertificate::Required);
    assert_eq!(listener.client_ca, Some(PathBuf::from("/etc/ca.pem")));
    assert_eq!(listener.client_crl, Some(PathBuf::from("/etc/crl.pem")));
    assert_eq!(listener.identity, Identity::CommonName);
    assert_eq!(listener.tls_version_min, TlsVersion::Tls13);
    assert_eq!(listener.handshake_timeout, 3000);
    assert_eq!(listener.websocket_origins, ["https://example.org", "https://example.com"]);
    assert!(!listener.websocket_subprotocol_required && listener.proxy_protocol);
    assert_eq!(listener.proxy_protocol_from, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(listener.forwarded_from, ["192.0.2.1/32".parse().unwrap()]);
    assert_eq!(listener.allow_anonymous, Some(Anonymous::Nobody));
    assert_eq!(listener.password_file, Some(PathBuf::from("/etc/users")));
    assert_eq!(listener.acl_file, Some(PathBuf::from("/etc/acl")));
    assert_eq!(listener.jwt.keys, ["/etc/a.pem", "/keys/b.json"].into());
    assert_eq!((listener.jwt.audience.clone(), listener.jwt.leeway_seconds), (ClaimText::new("mqtt"), 60));
    let offer = &listener.offer;
    assert_eq!((offer.maximum_qos, offer.packet_bytes_max), (1, 65_536));
    assert_eq!(offer.versions.to_string(), "5.0");
    let names: Vec<_> = listener.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "certificate",
            "certificate_key",
            "client_ca",
            "client_crl",
            "password_file",
            "acl_file",
            "jwt_keys",
            "jwt_keys"
        ]
    );
}

#[test]
fn a_certificate_for_each_name() {
    let listener = one(r#"
        [[listener]]
        address = "tls://[::1]"
        certificate = [{ certificate = "a.pem", key = "a.key" }, { certificate = "b.pem", key = "/b.key" }]
        "#);
    let pair = |certificate: &str, key: &str| CertificateFiles {
        certificate: PathBuf::from(certificate),
        key: PathBuf::from(key),
    };
    assert_eq!(listener.certificates, [pair("/etc/a.pem", "/etc/a.key"), pair("/etc/b.pem", "/b.key")]);
    assert_eq!(listener.to_string(), "mqtts://[::1]:8883");
}

#[test]
fn sockets_that_are_no_addresses() {
    let listener = one(r#"
        [[listener]]
        address = "unix:/run/ringmq.sock"
        unix_mode = "0660"
        unix_owner = "ringmq"
        unix_group = 1000
        "#);
    assert_eq!(listener.address, Address::Unix("/run/ringmq.sock".into()));
    assert_eq!((listener.unix_mode, listener.tls, listener.websocket), (Some(0o660), false, false));
    assert_eq!(listener.unix_owner.as_deref(), Some("ringmq"));
    assert_eq!(listener.unix_group.as_deref(), Some("1000"));
    let activated = "[[listener]]\naddress = 'activated:mqtts'\ncertificate = 'a'\ncertificate_key = 'b'\n";
    let listener = one(activated);
    assert_eq!(listener.address, Address::Activated(String::from("mqtts")));
    assert!(listener.tls && !listener.websocket);
    assert!(one(&format!("{activated}websocket_path = '/x'")).websocket);
}

#[test]
fn keys_of_the_broker_are_what_a_listener_has_unless_it_says_otherwise() {
    let text = "maximum_qos = 1\nport = 7\nbind = '127.0.0.9'\n[[listener]]\naddress = '::1'\n\
                [[listener]]\naddress = '127.0.0.1'\nmaximum_qos = 0\n";
    let found: Vec<_> =
        of_file(text).unwrap().iter().map(|here| (here.to_string(), here.offer.maximum_qos)).collect();
    let expected = [("mqtt://127.0.0.9:7", 1), ("mqtt://[::1]:7", 1), ("mqtt://127.0.0.1:7", 0)];
    assert_eq!(found, expected.map(|(text, qos)| (String::from(text), qos)));
}

#[test]
fn what_holds_for_tokens_may_differ_key_by_key() {
    let text = "jwt_keys = 'a.pem, b.pem'\njwt_issuer = 'me'\nbind = '127.0.0.1'\n[[listener]]\naddress = '::1'\n\
                jwt_keys = []\njwt_secret_file = 's'\n[[listener]]\naddress = '127.0.0.1:2'\njwt_issuer = 'you'\n";
    let found: Vec<_> = of_file(text).unwrap().into_iter().map(|here| here.jwt).collect();
    let keys: Vec<_> = found.iter().map(|jwt| jwt.keys.to_string()).collect();
    assert_eq!(keys, ["/etc/a.pem,/etc/b.pem", "", "/etc/a.pem,/etc/b.pem"]);
    let issuers: Vec<_> = found.iter().map(|jwt| jwt.issuer.clone()).collect();
    assert_eq!(issuers, ["me", "me", "you"].map(ClaimText::new));
    assert_eq!(found[1].secret_file, Some(PathBuf::from("/etc/s")));
    assert!(found.iter().all(JwtRules::takes_tokens));
    let bound = of_bind("127.0.0.1?jwt_keys=a.pem+b.pem&jwt_user_claim=name").unwrap();
    assert_eq!(bound[0].jwt.keys, ["a.pem", "b.pem"].into());
    assert_eq!(bound[0].jwt.user_claim.as_str(), "name");
}

#[test]
fn one_address_is_one_listener() {
    let addresses = |text: &str| -> Vec<String> {
        of_bind(text).unwrap().iter().map(|here| here.address.to_string()).collect()
    };
    assert_eq!(addresses(""), ["127.0.0.1:1883", "[::1]:1883"]);
    assert_eq!(addresses("127.0.0.1, 127.0.0.1:1883,127.0.0.2"), ["127.0.0.1:1883", "127.0.0.2:1883"]);
    let twice = of_bind("127.0.0.1?versions=5.0,127.0.0.1:1883").unwrap_err();
    assert!(twice.contains("`127.0.0.1:1883` is named twice, with different settings"), "{twice}");
    let free =
        of_bind("127.0.0.1:0,127.0.0.1:0?versions=5.0,127.0.0.1:0?versions=5.0,ws://127.0.0.1:0").unwrap();
    let found: Vec<_> = free.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0", "ws://127.0.0.1:0/mqtt"]);
    let without_ipv6 = resolve(&Options::default(), false, &nobody).unwrap();
    assert_eq!(without_ipv6.len(), 1);
}

#[test]
fn urls_stand_in_bind_with_keys_behind_them() {
    let text = "tls://127.0.0.1?certificate=c.pem&certificate-key=k.pem&proxy_protocol=required\
                &proxy_protocol_from=10.0.0.0/8+::1,ws://127.0.0.1:9001/mqtt?maximum_qos=1";
    let listeners = of_bind(text).unwrap();
    assert_eq!(listeners[0].to_string(), "mqtts://127.0.0.1:8883");
    assert_eq!(listeners[0].certificates[0].certificate, PathBuf::from("c.pem"));
    assert_eq!(listeners[0].proxy_protocol_from.len(), 2);
    assert_eq!(listeners[1].to_string(), "ws://127.0.0.1:9001/mqtt");
    assert_eq!(listeners[1].offer.maximum_qos, 1);
}

#[test]
fn what_does_not_go_together_is_told_with_its_place() {
    let rows: &[(&str, &[&str])] = &[
        ("", &["1:1: a listener needs an address: address = \"tcp://127.0.0.1:1883\""]),
        ("address = 5.5", &["2:11: address = `5.5` is not possible: address takes a URL, HOST or HOST:PORT"]),
        (
            "address = 'tsl://[::1]'",
            &[
                "2:11: address: `tsl://[::1]` is no address: a listener is tcp://, tls://, ws://, wss://, unix:PATH or \
               activated:NAME; did you mean `tls`?",
            ],
        ),
        ("address = 'tls://[::1]'", &["2:11: address: tls:// needs certificate and certificate_key"]),
        (
            "address = 'tls://[::1]'\ncertificate = 'a'",
            &["3:15: certificate needs certificate_key, the file of its private key"],
        ),
        (
            "address = 'wss://[::1]'\ncertificate = []",
            &[
                "3:15: certificate = `0 certificates` is not possible: certificate takes a PEM file, or an array of \
               { certificate, key }",
            ],
        ),
        (
            "address = '::1'\ncertificate = 'a'\nwebsocket_path = '/'\nunix_mode = '0600'",
            &[
                "3:15: certificate is for tls:// and wss:// alone, and this listener is none of them",
                "4:18: websocket_path is for ws:// and wss:// alone, and this listener is none of them",
                "5:13: unix_mode is for unix: alone, and this listener is none of them",
                "3:15: certificate needs certificate_key, the file of its private key",
            ],
        ),
        (
            "address = 'ws://[::1]/a'\nwebsocket_path = '/b'",
            &["3:18: websocket_path: the address has another path, `/a`: name one of them"],
        ),
        (
            "address = '::1'\nproxy_protocol = 'required'",
            &[
                "3:18: proxy_protocol needs proxy_protocol_from, the addresses of the proxies: whoever else sent a \
               header could claim any address",
            ],
        ),
        (
            "address = '::1'\nproxy_protocol_from = '10.0.0.0/33'",
            &[
                "3:23: proxy_protocol_from = `10.0.0.0/33` is not possible: proxy_protocol_from takes addresses or \
                 networks like 10.0.0.0/8, ::1",
                "3:23: proxy_protocol_from needs proxy_protocol = \"required\"",
            ],
        ),
        (
            "address = '::1'\nqueue_policy = 'drop'",
            &[
                "3:16: queue_policy cannot differ between listeners; a key of the whole broker stands above the first \
               [[listener]]; these can: address, ",
            ],
        ),
        (
            "address = '::1'\nmaximum_qso = 1",
            &["3:1: there is no configuration key `maximum_qso`; did you mean `maximum_qos`?"],
        ),
        (
            "address = '::1'\nmaximum_qos = 3",
            &["3:15: maximum_qos = `3` is not possible: maximum_qos takes 0 to 2"],
        ),
        (
            "address = '::1'\nunix_mode = 660",
            &["3:13: unix_mode is for unix: alone, and this listener is none of them"],
        ),
        (
            "address = 'unix:x'\nunix_mode = '9'",
            &["3:13: unix_mode = `9` is not possible: unix_mode takes three or four octal digits like 0660"],
        ),
    ];
    for (text, expected) in rows {
        let found = of_file(&format!("[[listener]]\n{text}")).unwrap_err();
        assert_eq!(found.len(), expected.len(), "{text}: {found:#?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(&format!("/etc/r.toml:{expected}")), "{text}: {found}");
        }
    }
}

#[test]
fn a_client_certificate_needs_somebody_who_vouches_for_it() {
    let tls = "[[listener]]\naddress = 'tls://[::1]'\ncertificate = 'a'\ncertificate_key = 'b'\n";
    let rows = [
        ("client_certificate = 'optional'", "client_certificate needs client_ca"),
        ("client_ca = 'c'", "client_ca needs client_certificate = \"required\" or \"optional\""),
        ("client_crl = 'c'", "client_crl needs client_certificate"),
        ("identity = 'san'", "identity needs client_certificate"),
    ];
    for (text, expected) in rows {
        let found = of_file(&format!("{tls}{text}")).unwrap_err();
        assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
    }
    assert!(of_file(&format!("{tls}identity = 'none'\nclient_certificate = 'off'")).is_ok());
}
