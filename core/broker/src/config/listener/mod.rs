//! What one listener is to be: where it listens, what lies between its sockets and MQTT, who may come in, and
//! what is offered there. Typed but unread: no file is opened, no port, and no name of a user looked up.

mod address;
mod key;
mod resolve;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use ringmq_shard::Offer;

use super::{Anonymous, ClientIdRules, JwtRules, Source};

pub use address::LookUp;
pub(super) use address::system;
pub use key::{Concerns, LISTENER_KEYS, ListenerKey, listener_key_names};
pub(super) use resolve::resolve;

/// The path of WebSocket that stands for every path.
pub const EVERY_PATH: &str = "/*";

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At this address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// At this path.
    Unix(PathBuf),
    /// At the socket that the service manager hands over under this name.
    Activated(String),
}

impl Address {
    /// Whether other machines may reach it. Of a socket that is handed over nobody knows.
    #[must_use]
    pub fn is_beyond_this_machine(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
            Self::Activated(_) => true,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Activated(name) => write!(f, "activated:{name}"),
        }
    }
}

/// A certificate with its key, both files of PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Whether a client shows a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It is not asked for one.
    #[default]
    Off,
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// Which part of a client's certificate is its user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// None.
    #[default]
    None,
    /// The subject's common name.
    CommonName,
    /// The first DNS name, mail address or URI among the alternative names.
    AlternativeName,
    /// The whole subject.
    Subject,
}

/// Oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Everything about one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Where it listens.
    pub address: Address,
    /// Where it was typed.
    pub source: Source,
    /// What MQTT leaves to the server, as it is offered here.
    pub offer: Offer,

    /// Whether TLS is spoken.
    pub tls: bool,
    /// Certificates, one for each name that clients ask for; at least one with TLS, none without.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show certificates.
    pub client_certificate: ClientCertificate,
    /// Who vouches for clients' certificates, a file of PEM.
    pub client_ca: Option<PathBuf>,
    /// Which clients' certificates are revoked, a file of PEM.
    pub client_crl: Option<PathBuf>,
    /// Which part of a client's certificate is its user name.
    pub identity: Identity,
    /// Oldest version that is spoken.
    pub tls_version_min: TlsVersion,
    /// How long TLS, WebSocket and PROXY may take together, in milliseconds.
    pub handshake_timeout: u64,

    /// Whether MQTT comes in WebSocket frames (RFC 6455).
    pub websocket: bool,
    /// The path that clients ask for, or [`EVERY_PATH`].
    pub websocket_path: String,
    /// Pages that may connect, by their Origin; none means all.
    pub websocket_origins: Vec<String>,
    /// Whether clients must ask for the subprotocol `mqtt` [MQTT-6.0.0-3].
    pub websocket_subprotocol_required: bool,

    /// Whether each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Who may send PROXY headers; not empty where they are required.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Whose X-Forwarded-For is believed.
    pub forwarded_from: Vec<IpNet>,

    /// Permission bits of the Unix socket.
    pub unix_mode: Option<u32>,
    /// User who owns the Unix socket, by name or number.
    pub unix_owner: Option<String>,
    /// Group of the Unix socket, by name or number.
    pub unix_group: Option<String>,

    /// Who may connect without credentials here; nothing where the key `allow_anonymous` decides.
    pub allow_anonymous: Option<Anonymous>,
    /// Users and passwords that hold here instead of those of the key `password_file`.
    pub password_file: Option<PathBuf>,
    /// Permissions that hold here instead of those of the key `acl_file`.
    pub acl_file: Option<PathBuf>,
    /// What holds for tokens here.
    pub jwt: JwtRules,
    /// Which ClientIDs clients may have here.
    pub client_ids: ClientIdRules,
}

impl ListenerOptions {
    /// The scheme that clients use.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match (self.websocket, self.tls) {
            (false, false) => "mqtt",
            (false, true) => "mqtts",
            (true, false) => "ws",
            (true, true) => "wss",
        }
    }
    /// Every file it names, with the key that names it.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, &std::path::Path)> {
        let pairs = self.certificates.iter();
        let mut files: Vec<_> = pairs
            .flat_map(|pair| [("certificate", &*pair.certificate), ("certificate_key", &*pair.key)])
            .collect();
        let single = [
            ("client_ca", &self.client_ca),
            ("client_crl", &self.client_crl),
            ("password_file", &self.password_file),
            ("acl_file", &self.acl_file),
        ];
        files.extend(single.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?))));
        files.extend(self.jwt.files().map(|(name, path)| (name, &**path)));
        files
    }
}

impl std::fmt::Display for ListenerOptions {
    /// As clients write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.websocket { self.websocket_path.as_str() } else { "" };
        match &self.address {
            Address::Tcp(address) => write!(f, "{}://{address}{path}", self.scheme()),
            other => write!(f, "{other} ({})", self.scheme()),
        }
    }
}

/// A value of a listener's key as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// One text.
    Text(String),
    /// Several, from an array.
    List(Vec<String>),
    /// Certificates with their keys, from an array of tables.
    Pairs(Vec<(String, String)>),
}

impl std::fmt::Display for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(texts) => f.write_str(&texts.join("+")),
            Self::Pairs(pairs) => write!(f, "{} certificates", pairs.len()),
        }
    }
}

/// A listener as it was typed, not yet judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawListener {
    /// Where it begins.
    pub source: Source,
    /// Keys and values in the order in which they stand.
    pub entries: Vec<(String, Given, Source)>,
}
