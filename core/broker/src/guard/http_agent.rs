//! How this broker asks anybody over HTTP: no redirections, no proxy of the environment, certificates checked.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::GuardError;
use super::snapshot::read;
use crate::config::HttpUrl;

/// Bytes that one connection keeps for reading and for writing each.
const BUFFER_BYTES: usize = 16 << 10;

/// One that keeps so many connections, and believes the certificates of the file (named by this key), or else those that the
/// system trusts.
///
/// # Errors
/// What is wrong with the file.
pub fn agent(
    url: &HttpUrl,
    parallel: usize,
    ca_file: (&'static str, Option<&Path>),
) -> Result<Agent, GuardError> {
    let tls = url.is_https().then(|| tls(ca_file)).transpose()?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // A redirection would take secrets elsewhere, and so would a proxy of the environment.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_connections(parallel)
        .max_idle_connections_per_host(parallel)
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES)
        .user_agent(concat!("ringmq/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.unwrap_or_default())
        .build();
    Ok(config.into())
}

/// Asks, and once more where a connection that stayed from before had been closed meanwhile, which is no failure.
pub fn ask_again<T>(ask: impl Fn() -> Result<T, ureq::Error>) -> Result<T, ureq::Error> {
    match ask() {
        Err(ureq::Error::Io(error)) if is_closed(&error) => ask(),
        asked => asked,
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn tls((key, file): (&'static str, Option<&Path>)) -> Result<TlsConfig, GuardError> {
    let certificates = match file {
        Some(path) => authorities(key, path)?,
        None => {
            let found = rustls_native_certs::load_native_certs();
            found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
        }
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

fn authorities(key: &'static str, path: &Path) -> Result<Vec<Certificate<'static>>, GuardError> {
    let bytes = read(path).map_err(|error| GuardError::Read { key, path: path.to_owned(), error })?;
    let wrong = |problem: &str| GuardError::Key { key, path: path.to_owned(), problem: problem.to_owned() };
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(wrong("it is no PEM")),
        }
    }
    if found.is_empty() {
        return Err(wrong("it has no certificate (`-----BEGIN CERTIFICATE-----`)"));
    }
    Ok(found)
}
