//! What lies between a client's socket and MQTT: TLS, with whom it trusts and what it shows, and WebSocket.

use crate::{ConnectError, Options};
use ringmq_net::rustls::pki_types::ServerName;
use ringmq_net::rustls::time_provider::DefaultTimeProvider;
use ringmq_net::tls::{ClientSettings, Verification};
use ringmq_net::{ClientDoor, WebSocketRequest};
use std::sync::Arc;

pub use ringmq_net::tls::TlsVersion;

/// How a client uses TLS: by default it trusts whom the operating system trusts, checks the server's name, and
/// shows no certificate of its own.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Tls {
    settings: ClientSettings,
    system: bool,
    server_name: Option<String>,
}

impl Tls {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities (PEM, any number of certificates), and no longer those of the operating system.
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.settings.authorities.push(pem.into());
        self
    }

    /// Trusts those of the operating system besides the ones of [`Self::authorities`].
    pub fn system_authorities(mut self) -> Self {
        self.system = true;
        self
    }

    /// Shows this certificate (PEM, with those of its issuers up to the root), whose key (PEM) is not encrypted.
    pub fn certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.settings.certificate = Some((chain.into(), key.into()));
        self
    }

    /// Does not check that the certificate is for the server's name: whoever has any certificate of a trusted
    /// authority can pretend to be the server. For tests.
    pub fn any_name(mut self) -> Self {
        self.settings.verification = Verification::AnyName;
        self
    }

    /// The name to ask for and to check, where it is not the host's.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The oldest version; default TLS 1.2.
    pub fn version_min(mut self, version: TlsVersion) -> Self {
        self.settings.version_min = version;
        self
    }

    /// Application protocols to offer, best first; default `mqtt`, and `http/1.1` for WebSocket.
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.settings.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// The settings as they are used; reads the operating system's authorities where they are needed.
    fn settings(&self, is_websocket: bool) -> Result<ClientSettings, ConnectError> {
        let mut settings = self.settings.clone();
        if settings.alpn.is_empty() {
            settings.alpn = vec![if is_websocket { b"http/1.1".to_vec() } else { b"mqtt".to_vec() }];
        }
        if self.system || settings.authorities.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            if let (true, Some(error)) = (found.certs.is_empty(), found.errors.first()) {
                let why = format!("The operating system's trusted certificates cannot be read: {error}");
                return Err(ConnectError::Settings(why));
            }
            settings.system_authorities = found.certs;
        }
        Ok(settings)
    }
}

/// The layers of all connections of a client with these options.
pub(crate) fn door(options: &Options) -> Result<ClientDoor, ConnectError> {
    let websocket = options
        .websocket
        .as_ref()
        .map(|path| WebSocketRequest { host: host_header(options), path: path.clone() });
    if websocket.as_ref().is_some_and(|request| !request.is_valid()) {
        let why = "The WebSocket's path must begin with a slash, and neither it nor the host may have spaces";
        return Err(ConnectError::Settings(why.to_owned()));
    }
    let Some(tls) = &options.tls else { return Ok(ClientDoor { tls: None, websocket }) };
    let settings = tls.settings(websocket.is_some())?;
    let config = ringmq_net::tls::client(&settings, Arc::new(DefaultTimeProvider))
        .map_err(|error| ConnectError::Settings(error.to_string()))?;
    let name = tls.server_name.clone().unwrap_or_else(|| bare(&options.host).to_owned());
    let name = ServerName::try_from(name.clone()).map_err(|_| {
        ConnectError::Settings(format!("'{name}' is no name that a server's certificate can have"))
    })?;
    Ok(ClientDoor { tls: Some((config, name)), websocket })
}

/// An address without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// The server's name and its port, where that is not the usual one (RFC 9110 section 7.2).
fn host_header(options: &Options) -> String {
    let host = match bare(&options.host) {
        _ if options.unix.is_some() => "localhost".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let usual = if options.tls.is_some() { 443 } else { 80 };
    if options.port == usual || options.unix.is_some() { host } else { format!("{host}:{}", options.port) }
}
