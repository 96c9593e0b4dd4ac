//! A server's TLS: its certificates, chosen by the name a client asks for, and what it asks of clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;

use super::TlsVersion;
use super::identity::dns_names;
use super::pem::{Input, Problem, TlsError, authorities, certified_key, error, refused, revocation_lists};

/// What a server's TLS is made of. Everything from files is PEM text.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// At least one. A client gets the first whose DNS names have the name it asks for and whose key it can
    /// check, and else the first of all.
    pub certificates: Vec<ServerCertificate>,
    /// What is asked of clients.
    pub clients: ClientCertificates,
    /// The oldest version.
    pub version_min: TlsVersion,
    /// Application protocols to agree on (RFC 7301), best first: `mqtt`, or `http/1.1` for WebSocket. A client
    /// that offers some, but none of these, is refused; one that offers none is not.
    pub alpn: Vec<Vec<u8>>,
}

/// A certificate of a server.
#[derive(Clone, Default)]
pub struct ServerCertificate {
    /// The certificate and those of its issuers up to, and without, the root.
    pub chain: Vec<u8>,
    /// Its key: PKCS #8, PKCS #1 or SEC 1, in the clear.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Whether clients show a certificate.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    None,
    /// They may; a bad one is refused.
    Optional(ClientAuthorities),
    /// They must.
    Required(ClientAuthorities),
}

/// Whose certificates of clients are good.
#[derive(Clone, Debug, Default)]
pub struct ClientAuthorities {
    /// Certificates of authorities; at least one.
    pub authorities: Vec<Vec<u8>>,
    /// Revocation lists. If there is any, there must be a current one of the issuer of each client's
    /// certificate; issuers themselves are not looked up.
    pub revocation_lists: Vec<Vec<u8>>,
}

/// Sets up a server's TLS. `time` says what time it is, when certificates are checked.
///
/// Sessions are resumed by tickets (RFC 5077, RFC 8446 section 2.2), encrypted with keys of this configuration
/// that are nowhere else and change every six hours: so no memory is needed for sessions, and a configuration that
/// is made anew, with a new revocation list say, resumes none of the former one's.
///
/// # Errors
/// [`TlsError`] names the input that cannot be used.
pub fn server(settings: &ServerSettings, time: Arc<dyn TimeProvider>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chooser = Chooser::new(&settings.certificates, &provider)?;
    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), time)
        .with_protocol_versions(settings.version_min.and_newer())
        .map_err(|why| refused(Input::Settings, why))?;
    let builder = match &settings.clients {
        ClientCertificates::None => builder.with_no_client_auth(),
        ClientCertificates::Optional(of) => builder.with_client_cert_verifier(verifier(of, provider, true)?),
        ClientCertificates::Required(of) => builder.with_client_cert_verifier(verifier(of, provider, false)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(chooser));
    config.alpn_protocols.clone_from(&settings.alpn);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|why| refused(Input::Settings, why))?;
    // A device has one connection, and the next handshake brings the next ticket.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn verifier(
    of: &ClientAuthorities,
    provider: Arc<CryptoProvider>,
    is_optional: bool,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let roots = authorities(of.authorities.iter().map(Vec::as_slice))?;
    let lists = revocation_lists(of.revocation_lists.iter().map(Vec::as_slice))?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if is_optional {
        builder = builder.allow_unauthenticated();
    }
    if !lists.is_empty() {
        builder = builder.with_crls(lists).only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    builder.build().map_err(|why| match why {
        VerifierBuilderError::NoRootAnchors => error(Input::Authorities(0), Problem::Missing),
        VerifierBuilderError::InvalidCrl(why) => refused(Input::RevocationList(0), format!("{why:?}")),
        _ => refused(Input::Settings, why),
    })
}

/// Chooses the certificate for a client. Names are in small letters, wildcards as `*.example.org`.
#[derive(Debug)]
struct Chooser {
    by_name: BTreeMap<String, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
}

impl Chooser {
    fn new(certificates: &[ServerCertificate], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let mut chooser = Self { by_name: BTreeMap::new(), all: Vec::new() };
        for (number, certificate) in certificates.iter().enumerate() {
            let key = certified_key(&certificate.chain, &certificate.key, number, provider)?;
            let names = dns_names(&key.cert[0])
                .map_err(|why| error(Input::Certificate(number), Problem::Malformed(why.to_owned())))?;
            let key = Arc::new(key);
            for name in names {
                chooser.by_name.entry(name).or_default().push(Arc::clone(&key));
            }
            chooser.all.push(key);
        }
        match chooser.all.is_empty() {
            true => Err(error(Input::Certificate(0), Problem::Missing)),
            false => Ok(chooser),
        }
    }

    fn named(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let exact = self.by_name.get(&name);
        exact.or_else(|| self.by_name.get(&wildcard?)).map_or(&[], Vec::as_slice)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().map_or(&[][..], |name| self.named(name));
        let suits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let chosen = named.iter().find(suits).or_else(|| self.all.iter().find(suits));
        chosen.or(self.all.first()).cloned()
    }
}
