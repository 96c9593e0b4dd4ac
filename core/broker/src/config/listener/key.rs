//! Every key that only a listener has, declared once. Beside them a listener takes the keys of the whole
//! broker that may differ between listeners.

use super::values::{addresses, anonymous, certificate, mode, networks, path, text, texts, word};
use super::{ClientCertificate, Given, Identity, ListenerOptions, TlsVersion};
use crate::config::KEYS;
use crate::config::key::{Range, Unit, accepts};
use crate::config::value::parse_number;

/// What kind of listener a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// Every listener.
    All,
    /// Those that speak TLS.
    Tls,
    /// Those that speak WebSocket.
    WebSocket,
    /// Those at a path.
    Unix,
}

impl Concerns {
    /// Which addresses those listeners have.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "every listener",
            Self::Tls => "tls:// and wss://",
            Self::WebSocket => "ws:// and wss://",
            Self::Unix => "unix:",
        }
    }
}

/// One key of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerKey {
    /// Its name.
    pub name: &'static str,
    /// What it does, one sentence or two.
    pub doc: &'static str,
    /// What its number counts.
    pub unit: Unit,
    /// Which values it takes.
    pub range: Range,
    /// Which listeners it is for.
    pub concerns: Concerns,
    /// What holds when nothing is said, as it could be typed; empty when there is nothing to type.
    pub default: &'static str,
    pub(super) put: fn(&mut Draft, &Given) -> bool,
}

impl ListenerKey {
    /// Range and unit for people.
    #[must_use]
    pub fn accepts(&self) -> String {
        accepts(self.range, self.unit)
    }
}

/// A listener while its keys are read.
pub(super) struct Draft {
    pub options: ListenerOptions,
    /// A text from the address, until it is known whether it is one.
    pub address: String,
    /// A single certificate, until its key is known.
    pub certificate: Option<std::path::PathBuf>,
    pub certificate_key: Option<std::path::PathBuf>,
}

/// Names of everything that may stand in a listener's table.
pub fn listener_key_names() -> impl Iterator<Item = &'static str> {
    let own = LISTENER_KEYS.iter().map(|key| key.name);
    own.chain(KEYS.iter().filter(|key| key.is_per_listener()).map(|key| key.name))
}

const DAY_MS: u64 = 86_400_000;
const NETWORKS: &str = "addresses or networks like 10.0.0.0/8, ::1";

macro_rules! listener_keys {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $range:expr, $unit:expr, $concerns:ident, default $default:literal, $put:expr;
    )*) => {
        /// All keys that only a listener has, in the order of declaration.
        pub const LISTENER_KEYS: &[ListenerKey] = &[$(ListenerKey {
            name: stringify!($name),
            doc: concat!($($doc),+).trim_ascii(),
            unit: $unit,
            range: $range,
            concerns: Concerns::$concerns,
            default: $default,
            put: $put,
        }),*];
    };
}

listener_keys! {
    /// Where to listen and how: `tcp://HOST:PORT`, `tls://`, `ws://HOST:PORT/PATH`, `wss://`, `unix:PATH`, `activated:NAME`. `*` is every address. Without a port: the key `port`, 8883 for TLS, 80 and 443 for WebSocket.
    address: Range::Form("a URL, HOST or HOST:PORT"), Unit::None, All, default "",
        |here, given| addresses(&mut here.address, given);

    /// Certificate to show, with those that vouch for it behind it in the same file. Several, each for the names it holds, as `[{ certificate = FILE, key = FILE }, ...]`. At a `unix:` or `activated:` listener it turns TLS on.
    certificate: Range::Path("a PEM file, or an array of { certificate, key }"), Unit::None, Tls, default "",
        certificate;
    /// Private key of `certificate`.
    certificate_key: Range::Path("a PEM file"), Unit::None, Tls, default "",
        |here, given| path(&mut here.certificate_key, given);
    /// Whether clients show a certificate.
    client_certificate: Range::Words(&["off", "optional", "required"]), Unit::None, Tls, default "off",
        |here, given| word(&mut here.options.client_certificate, given, &[
            ("off", ClientCertificate::Off),
            ("optional", ClientCertificate::Optional),
            ("required", ClientCertificate::Required),
        ]);
    /// Certificates of those who vouch for clients.
    client_ca: Range::Path("a PEM file"), Unit::None, Tls, default "",
        |here, given| path(&mut here.options.client_ca, given);
    /// Revocation lists for clients' certificates.
    client_crl: Range::Path("a PEM file"), Unit::None, Tls, default "",
        |here, given| path(&mut here.options.client_crl, given);
    /// Part of a client's certificate that is its user name, before whatever CONNECT says: the common name, an alternative name, or the whole subject.
    identity: Range::Words(&["none", "cn", "san", "subject"]), Unit::None, Tls, default "none",
        |here, given| word(&mut here.options.identity, given, &[
            ("none", Identity::None),
            ("cn", Identity::CommonName),
            ("san", Identity::AlternativeName),
            ("subject", Identity::Subject),
        ]);
    /// Oldest version of TLS that is spoken.
    tls_version_min: Range::Words(&["1.2", "1.3"]), Unit::None, Tls, default "1.2",
        |here, given| word(&mut here.options.tls_version_min, given, &[
            ("1.2", TlsVersion::Tls12),
            ("1.3", TlsVersion::Tls13),
        ]);
    /// How long PROXY header, TLS and WebSocket may take together until MQTT begins.
    handshake_timeout: Range::Number(1, DAY_MS), Unit::Milliseconds, All, default "10s",
        |here, given| {
            let Given::Text(text) = given else { return false };
            let value = parse_number(text, Unit::Milliseconds).filter(|value| (1..=DAY_MS).contains(value));
            value.map(|value| here.options.handshake_timeout = value).is_some()
        };

    /// Path that clients ask for, or `/*` for every path; it may stand in the address instead. At a `unix:` or `activated:` listener it turns WebSocket on.
    websocket_path: Range::Form("a path that begins with /"), Unit::None, WebSocket, default "/mqtt",
        |here, given| text(given).filter(|path| path.starts_with('/')).map(|path| {
            here.options.websocket_path = path.to_owned();
        }).is_some();
    /// Pages that may connect, by the Origin that browsers send; nothing admits all. Programs that send none are admitted.
    websocket_origins: Range::List("origins like https://example.org"), Unit::None, WebSocket, default "",
        |here, given| texts(&mut here.options.websocket_origins, given);
    /// Whether clients must ask for the subprotocol `mqtt`, as the standard says.
    websocket_subprotocol: Range::Words(&["required", "optional"]), Unit::None, WebSocket, default "required",
        |here, given| word(&mut here.options.websocket_subprotocol_required, given, &[
            ("required", true),
            ("optional", false),
        ]);

    /// Whether each connection begins with a PROXY header (version 1 or 2) that says whose it is.
    proxy_protocol: Range::Words(&["off", "required"]), Unit::None, All, default "off",
        |here, given| word(&mut here.options.proxy_protocol, given, &[("off", false), ("required", true)]);
    /// Who may send PROXY headers; connections of others are closed.
    proxy_protocol_from: Range::List(NETWORKS), Unit::None, All, default "",
        |here, given| networks(&mut here.options.proxy_protocol_from, given);
    /// Whose X-Forwarded-For is believed.
    forwarded_from: Range::List(NETWORKS), Unit::None, WebSocket, default "",
        |here, given| networks(&mut here.options.forwarded_from, given);

    /// Permission bits of the socket; without them what the process's umask leaves.
    unix_mode: Range::Form("three or four octal digits like 0660"), Unit::None, Unix, default "",
        |here, given| mode(&mut here.options.unix_mode, given);
    /// User who owns the socket.
    unix_owner: Range::Form("a user's name or number"), Unit::None, Unix, default "",
        |here, given| name(&mut here.options.unix_owner, given);
    /// Group of the socket.
    unix_group: Range::Form("a group's name or number"), Unit::None, Unix, default "",
        |here, given| name(&mut here.options.unix_group, given);

    /// Who may connect here without credentials, whatever the key of the whole broker says.
    allow_anonymous: Range::Words(&["local", "true", "false"]), Unit::None, All, default "",
        |here, given| anonymous(&mut here.options.allow_anonymous, given);
    /// Users and passwords that hold here instead of those of the whole broker.
    password_file: Range::Path("a file of users and passwords"), Unit::None, All, default "",
        |here, given| path(&mut here.options.password_file, given);
    /// Permissions that hold here instead of those of the whole broker.
    acl_file: Range::Path("a file of permissions"), Unit::None, All, default "",
        |here, given| path(&mut here.options.acl_file, given);
}

fn name(place: &mut Option<String>, given: &Given) -> bool {
    *place = text(given).filter(|name| !name.is_empty() && !name.contains('\0')).map(str::to_owned);
    place.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_described_and_is_no_key_of_the_broker_that_may_differ() {
        for (index, key) in LISTENER_KEYS.iter().enumerate() {
            assert!(key.doc.ends_with('.') && !key.doc.starts_with(' '), "{}", key.name);
            assert!(listener_key_names().filter(|name| *name == key.name).count() == 1, "{}", key.name);
            assert!(LISTENER_KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
        }
    }
}
