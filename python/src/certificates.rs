//! Certificates for tests. They vouch for this machine's own names alone, and no key of an authority is kept.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// What a client on the same machine may call its server.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// An authority's certificate, and a certificate that it vouches for with its key, for a server on this machine; all as
/// PEM, new with each call, and valid at whatever time a test makes it.
#[pyfunction]
pub fn local_certificates(py: Python<'_>) -> PyResult<(String, String, String)> {
    py.detach(make).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

fn make() -> Result<(String, String, String), Error> {
    let authority_key = KeyPair::generate()?;
    let authority = authority()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let key = KeyPair::generate()?;
    let certificate = server()?.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok((authority_pem, certificate.pem(), key.serialize_pem()))
}

fn authority() -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name.push(DnType::CommonName, "RingMQ test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server() -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(NAMES.map(String::from))?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Checkers that are strict want to find the authority by its key.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
