//! What lies between the load's sockets and MQTT: nothing, or TLS, WebSocket or both, as the client's layers of
//! `ringmq-net`. It opens no socket.

use std::io;
use std::sync::Arc;

use ringmq_net::rustls::client::Resumption;
use ringmq_net::rustls::pki_types::pem::PemObject as _;
use ringmq_net::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use ringmq_net::rustls::version::{TLS12, TLS13};
use ringmq_net::rustls::{self, ClientConfig, RootCertStore, SupportedProtocolVersion};
use ringmq_net::{ClientDoor, Layers, WebSocketRequest};

/// The name that a broker's certificate must have.
const SERVER_NAME: &str = "localhost";

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    V1_2,
    /// TLS 1.3, RFC 8446.
    V1_3,
}

/// TLS as the clients of a load speak it. Everything is PEM text.
#[derive(Clone, Debug)]
pub struct TlsPlan {
    /// Whom to trust; the broker's certificate must be for `localhost`.
    pub authorities: Vec<u8>,
    /// The only version to offer.
    pub version: TlsVersion,
    /// A client's certificate and its key.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether sessions are resumed.
    pub resumes: bool,
}

impl TlsPlan {
    /// The configuration of all connections.
    ///
    /// # Errors
    /// What is wrong with the certificates, as a sentence.
    pub fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&self.authorities) {
            let authority = authority.map_err(|error| format!("no certificate of an authority: {error}"))?;
            roots.add(authority).map_err(|error| format!("no certificate of an authority: {error}"))?;
        }
        let versions: &[&SupportedProtocolVersion] = match self.version {
            TlsVersion::V1_2 => &[&TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>();
                let chain = chain.map_err(|error| format!("no certificate of a client: {error}"))?;
                let key = PrivateKeyDer::from_pem_slice(key);
                let key = key.map_err(|error| format!("no key of a client: {error}"))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
            }
        };
        if !self.resumes {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

/// The name to ask for.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).expect("it is a name")
}

/// What all connections of a load have between socket and MQTT.
#[derive(Clone, Debug, Default)]
pub struct Transport(ClientDoor);

impl Transport {
    /// TLS, if there is a plan for it, and WebSocket, if there is a path for it.
    ///
    /// # Errors
    /// What is wrong with the certificates or the path, as a sentence.
    pub fn new(tls: Option<&TlsPlan>, websocket_path: Option<&str>) -> Result<Transport, String> {
        let tls = tls.map(TlsPlan::config).transpose()?.map(|config| (config, server_name()));
        let request =
            |path: &str| WebSocketRequest { host: String::from(SERVER_NAME), path: String::from(path) };
        let websocket = websocket_path.map(request);
        if websocket.as_ref().is_some_and(|request| !request.is_valid()) {
            return Err(String::from("the path of a WebSocket begins with / and has no spaces"));
        }
        Ok(Transport(ClientDoor { tls, websocket }))
    }

    /// Whether the bytes of the sockets are those of MQTT.
    pub fn is_plain(&self) -> bool {
        self.0.tls.is_none() && self.0.websocket.is_none()
    }

    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match (self.0.tls.is_some(), self.0.websocket.is_some()) {
            (false, false) => "tcp",
            (true, false) => "tls",
            (false, true) => "ws",
            (true, true) => "wss",
        }
    }

    /// The layers of a new connection.
    pub(crate) fn open(&self) -> io::Result<Layers> {
        // Masks need not be hard to guess where nobody has anything to hide.
        let random = std::array::from_fn(|_| fastrand::u8(..));
        self.0.open(random).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_named() {
        assert!(Transport::default().is_plain());
        let rows = [(None, "tcp"), (Some("/mqtt"), "ws")];
        for (path, name) in rows {
            assert_eq!(Transport::new(None, path).unwrap().name(), name);
        }
        assert!(Transport::new(None, Some("mqtt")).unwrap_err().contains("begins with /"));
    }

    #[test]
    fn certificates_that_are_none_are_told() {
        let plan = TlsPlan {
            authorities: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
            version: TlsVersion::V1_3,
            certificate: None,
            resumes: false,
        };
        assert!(plan.config().unwrap_err().contains("authority"));
    }
}
