//! A client's TLS: whom it trusts, and the certificate it shows.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::TlsVersion;
use super::pem::{Input, Problem, TlsError, authorities, certified_key, error, refused};

/// What a client's TLS is made of. Everything from files is PEM text.
#[derive(Clone, Default)]
pub struct ClientSettings {
    /// Certificates of authorities, as PEM.
    pub authorities: Vec<Vec<u8>>,
    /// More certificates of authorities, as DER; what cannot be read is left out, because nobody chose it: this
    /// is for what the operating system has.
    pub system_authorities: Vec<CertificateDer<'static>>,
    /// A certificate with its chain and its key, as PEM.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// How much of the server's certificate is checked.
    pub verification: Verification,
    /// The oldest version.
    pub version_min: TlsVersion,
    /// Application protocols to offer (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
}

impl std::fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No keys.
        f.debug_struct("ClientSettings").field("verification", &self.verification).finish_non_exhaustive()
    }
}

/// How much of a server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// That it is from a trusted authority and for the server's name.
    #[default]
    Full,
    /// That it is from a trusted authority, for any name.
    AnyName,
}

/// Sets up a client's TLS. `time` says what time it is, when certificates are checked.
///
/// # Errors
/// [`TlsError`] names the input that cannot be used.
pub fn client(settings: &ClientSettings, time: Arc<dyn TimeProvider>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots: RootCertStore = authorities(settings.authorities.iter().map(Vec::as_slice))?;
    roots.add_parsable_certificates(settings.system_authorities.iter().cloned());
    if roots.is_empty() {
        return Err(error(Input::Authorities(0), Problem::Missing));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|why| refused(Input::Authorities(0), why))?;
    let verifier: Arc<dyn ServerCertVerifier> = match settings.verification {
        Verification::Full => verifier,
        Verification::AnyName => Arc::new(AnyName(verifier)),
    };
    let builder = ClientConfig::builder_with_details(Arc::clone(&provider), time)
        .with_protocol_versions(settings.version_min.and_newer())
        .map_err(|why| refused(Input::Settings, why))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &settings.certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = certified_key(chain, key, 0, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.alpn_protocols.clone_from(&settings.alpn);
    Ok(Arc::new(config))
}

/// Checks all but the name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is what is checked last.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
