//! What one listener puts between its sockets and MQTT: made once for a configuration, shared by all its
//! connections. On the wire come the PROXY header first, then TLS, then WebSocket, then MQTT.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::{Layers, Networks};

/// The layers that connections of a listener have. Cheap to share in an [`Arc`]; made anew when the
/// configuration or a certificate changes, for connections to come.
#[derive(Debug, Default)]
pub struct Door {
    options: DoorOptions,
}

/// Which layers a door has; none by default.
#[derive(Clone, Debug, Default)]
pub struct DoorOptions {
    /// A load balancer says in front of everything who connects.
    pub proxy: Option<ProxyOptions>,
    /// The connection is encrypted.
    pub tls: Option<TlsOptions>,
    /// MQTT in WebSocket messages (MQTT 5.0 section 6).
    pub websocket: Option<WebSocketOptions>,
}

/// The PROXY protocol of HAProxy, versions 1 and 2.
#[derive(Clone, Debug, Default)]
pub struct ProxyOptions {
    /// Who may say which address a connection comes from. A connection without an address (Unix socket) may.
    pub trusted: Networks,
    /// Whether a connection without the header, or with one from a source that is not trusted, is closed.
    /// Otherwise it is taken as it comes, and only a trusted source's header is understood.
    pub required: bool,
}

/// TLS at a listener.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Certificates, versions and what is asked of clients.
    pub config: Arc<ServerConfig>,
    /// Which part of a client's certificate is its user name.
    pub identity: Option<Identity>,
}

/// The part of a client's certificate that is its user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The first common name of the subject.
    CommonName,
    /// The whole subject as RFC 2253 writes it, last part first: `CN=device,O=Example`.
    Subject,
    /// The first DNS name or else e-mail address of the subject's alternative names.
    AlternativeName,
}

/// WebSocket at a listener (RFC 6455).
#[derive(Clone, Debug)]
pub struct WebSocketOptions {
    /// The paths a client may ask for, without query; every path if there is none.
    pub paths: Option<Vec<String>>,
    /// The values of `Origin` that are allowed, as `https://example.org`; every one if there is none. A client
    /// that sends no origin is no browser, and is allowed.
    pub origins: Vec<String>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted: Networks,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        let paths = Some(vec!["/mqtt".to_owned(), "/".to_owned()]);
        Self { paths, origins: Vec::new(), trusted: Networks::default() }
    }
}

impl Door {
    /// A door without layers.
    pub fn plain() -> Self {
        Self::default()
    }

    /// A door with these layers.
    pub fn new(options: DoorOptions) -> Self {
        Self { options }
    }

    /// Whether the bytes of the socket are those of MQTT.
    pub fn is_plain(&self) -> bool {
        self.options.proxy.is_none() && self.options.tls.is_none() && self.options.websocket.is_none()
    }

    /// The layers of a new connection; `peer` is the other end's address, if it has one.
    pub fn open(&self, peer: Option<SocketAddr>) -> Layers {
        let _ = peer;
        Layers::Plain
    }
}
