//! What one listener puts between its sockets and MQTT: made once for a configuration, shared by all its
//! connections. On the wire come the PROXY header first, then TLS, then WebSocket, then MQTT.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::faults::{FaultLayer, Faults};
use crate::proxy::Proxy;
use crate::stack::Stack;
use crate::tls::Tls;
use crate::websocket::{WebSocket, WebSocketRequest};
use crate::{Broken, Layers, Networks};

/// The layers that connections of a listener have. Cheap to share in an [`Arc`]; made anew when the
/// configuration or a certificate changes, for connections to come.
#[derive(Debug, Default)]
pub struct Door {
    proxy: Option<ProxyOptions>,
    tls: Option<TlsOptions>,
    websocket: Option<Arc<WebSocketOptions>>,
    faults: Option<Arc<Faults>>,
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
    /// What goes wrong on purpose.
    pub faults: Option<Arc<Faults>>,
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
    /// Certificates, versions and what is asked of clients; see [`crate::tls::server`].
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
    /// Whether a client must ask for the subprotocol `mqtt` [MQTT-6.0.0-3]. Without need one that asks for none, or
    /// for others, is admitted and gets no answer to that.
    pub subprotocol_required: bool,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted: Networks,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        let paths = Some(vec!["/mqtt".to_owned(), "/".to_owned()]);
        Self { paths, origins: Vec::new(), subprotocol_required: true, trusted: Networks::default() }
    }
}

impl Door {
    /// A door without layers.
    pub fn plain() -> Self {
        Self::default()
    }

    /// A door with these layers.
    ///
    /// # Panics
    /// When the TLS configuration has a `max_fragment_size` that TLS does not allow.
    pub fn new(options: DoorOptions) -> Self {
        let DoorOptions { proxy, tls, websocket, faults } = options;
        if let Some(tls) = &tls {
            // Now, and not at the first connection.
            Tls::server(&tls.config);
        }
        Self { proxy, tls, websocket: websocket.map(Arc::new), faults }
    }

    /// Whether the bytes of the socket are those of MQTT.
    pub fn is_plain(&self) -> bool {
        self.proxy.is_none() && self.tls.is_none() && self.websocket.is_none() && self.faults.is_none()
    }

    /// The layers of a new connection; `peer` is the other end's address, if it has one.
    pub fn open(&self, peer: Option<SocketAddr>) -> Layers {
        if self.is_plain() {
            return Layers::Plain;
        }
        let proxy = self.proxy.as_ref().and_then(|proxy| {
            let is_trusted = peer.is_none_or(|peer| proxy.trusted.contains(peer.ip()));
            (is_trusted || proxy.required).then(|| Proxy::new(proxy.required, !is_trusted))
        });
        let tls = self.tls.as_ref().map(|tls| Tls::server(&tls.config));
        let websocket = self.websocket.as_ref().map(WebSocket::server);
        let identity = self.tls.as_ref().and_then(|tls| tls.identity);
        let faults = self.faults.as_ref().map(|faults| FaultLayer::new(Arc::clone(faults)));
        Layers::Stack(Box::new(Stack::new(proxy, tls, websocket, identity, peer).with_faults(faults)))
    }
}

/// How clients connect to one server: made once, for any number of connections one after the other.
#[derive(Clone, Debug, Default)]
pub struct ClientDoor {
    /// TLS, with the name that the server's certificate must have; see [`crate::tls::client`].
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// MQTT in WebSocket messages.
    pub websocket: Option<WebSocketRequest>,
}

impl ClientDoor {
    /// The layers of a new connection, with something to send at once. `random` are bytes that nobody can guess,
    /// others for each connection.
    ///
    /// # Errors
    /// [`Broken`] when TLS cannot even begin.
    pub fn open(&self, random: [u8; 32]) -> Result<Layers, Broken> {
        if self.tls.is_none() && self.websocket.is_none() {
            return Ok(Layers::Plain);
        }
        let tls = self.tls.as_ref().map(|(config, name)| Tls::client(config, name.clone())).transpose()?;
        let websocket = self.websocket.as_ref().map(|request| WebSocket::client(request, random));
        Ok(Layers::Stack(Box::new(Stack::new(None, tls, websocket, None, None))))
    }
}
