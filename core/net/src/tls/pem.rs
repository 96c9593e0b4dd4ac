//! Certificates, keys and revocation lists from PEM text, and what is wrong with it. Files are the caller's: an
//! error names the input, and the caller knows its file.

use std::fmt;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Which input is wrong; numbers count from 0 in the order of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The certificate (with its chain) of this number; at a client its only one.
    Certificate(usize),
    /// The private key of this number.
    Key(usize),
    /// The trusted authorities of this number.
    Authorities(usize),
    /// The revocation list of this number.
    RevocationList(usize),
    /// All of the settings together.
    Settings,
}

/// What is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It has no PEM section of the kind that is needed.
    Missing,
    /// It is no PEM, or what is inside cannot be read.
    Malformed(String),
    /// The key is encrypted; only keys in the clear can be used.
    EncryptedKey,
    /// The key is not the one of the certificate.
    OtherKey,
    /// rustls does not take it.
    Refused(String),
}

/// An input that TLS cannot be set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// Which.
    pub input: Input,
    /// And why.
    pub problem: Problem,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.input {
            Input::Certificate(_) => "certificate",
            Input::Key(_) => "private key",
            Input::Authorities(_) => "authorities (CA) bundle",
            Input::RevocationList(_) => "revocation list (CRL)",
            Input::Settings => "TLS settings",
        };
        let section = match self.input {
            Input::Key(_) => "PRIVATE KEY",
            Input::RevocationList(_) => "X509 CRL",
            _ => "CERTIFICATE",
        };
        match &self.problem {
            Problem::Missing => {
                write!(f, "{kind}: there is no section -----BEGIN {section}-----; it must be PEM text")
            }
            Problem::Malformed(why) => write!(f, "{kind}: cannot be read: {why}"),
            Problem::EncryptedKey => write!(
                f,
                "{kind}: it is encrypted; write it in the clear: openssl pkey -in KEY -out KEY.plain, readable by \
                 the broker's user only"
            ),
            Problem::OtherKey => write!(f, "{kind}: it is not the key of its certificate"),
            Problem::Refused(why) => write!(f, "{kind}: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

pub(crate) fn error(input: Input, problem: Problem) -> TlsError {
    TlsError { input, problem }
}

pub(crate) fn refused(input: Input, error: impl fmt::Display) -> TlsError {
    TlsError { input, problem: Problem::Refused(error.to_string()) }
}

fn sections<T: PemObject>(text: &[u8], input: Input) -> Result<Vec<T>, TlsError> {
    let found: Result<Vec<T>, _> = T::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(error(input, Problem::Missing)),
        Ok(found) => Ok(found),
        Err(why) => Err(error(input, Problem::Malformed(why.to_string()))),
    }
}

/// A chain of certificates, the own one first, and its key.
pub(crate) fn certified_key(
    certificate: &[u8],
    key: &[u8],
    number: usize,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<CertificateDer<'static>> = sections(certificate, Input::Certificate(number))?;
    let input = Input::Key(number);
    let key = match PrivateKeyDer::from_pem_slice(key) {
        Ok(key) => key,
        Err(pem::Error::NoItemsFound) if is_encrypted(key) => {
            return Err(error(input, Problem::EncryptedKey));
        }
        Err(pem::Error::NoItemsFound) => return Err(error(input, Problem::Missing)),
        Err(why) => return Err(error(input, Problem::Malformed(why.to_string()))),
    };
    let key = provider.key_provider.load_private_key(key).map_err(|why| refused(input, why))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(error(input, Problem::OtherKey)),
        Err(why) => Err(error(Input::Certificate(number), Problem::Malformed(why.to_string()))),
    }
}

fn is_encrypted(key: &[u8]) -> bool {
    key.windows(9).any(|window| window == b"ENCRYPTED")
}

/// All authorities of these texts.
pub(crate) fn authorities<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for (number, text) in texts.enumerate() {
        let input = Input::Authorities(number);
        for authority in sections::<CertificateDer<'static>>(text, input)? {
            store.add(authority).map_err(|why| error(input, Problem::Malformed(why.to_string())))?;
        }
    }
    Ok(store)
}

/// All revocation lists of these texts.
pub(crate) fn revocation_lists<'a>(
    texts: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut lists = Vec::new();
    for (number, text) in texts.enumerate() {
        lists.extend(sections(text, Input::RevocationList(number))?);
    }
    Ok(lists)
}
