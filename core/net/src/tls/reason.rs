//! Why TLS failed, in a few words for the log.

use rustls::{AlertDescription, CertificateError, Error};

use crate::Broken;

pub(crate) const CANNOT_SEND: Broken =
    Broken("TLS: nothing more can be encrypted with this connection's keys");
pub(crate) const UNEXPECTED: Broken = Broken("TLS: unexpected state");

/// What to say of an error of rustls.
pub(crate) fn of(error: &Error) -> Broken {
    Broken(match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::NoCertificatesPresented => "TLS: the other end showed no certificate, and one is required",
        Error::AlertReceived(alert) => received(*alert),
        Error::InvalidMessage(_) => "TLS: malformed bytes, as from a client that does not speak TLS",
        Error::PeerIncompatible(_) => "TLS: the other end offers no version or cipher that is spoken here",
        Error::NoApplicationProtocol => "TLS: the other end offers other application protocols (ALPN) only",
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => "TLS: the other end broke the rules of TLS",
        Error::DecryptError => "TLS: a record that cannot be decrypted",
        Error::PeerSentOversizedRecord => "TLS: a record that is too long",
        Error::General(_) => "TLS: no certificate suits the other end",
        _ => "TLS: failed",
    })
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "TLS: the other end's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "TLS: the other end's certificate is not valid yet"
        }
        CertificateError::Revoked => "TLS: the other end's certificate is revoked",
        CertificateError::UnknownIssuer => "TLS: the other end's certificate is from nobody that is trusted",
        CertificateError::UnknownRevocationStatus => {
            "TLS: no revocation list is there for the issuer of the other end's certificate"
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "TLS: the revocation list has expired"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "TLS: the other end's certificate is for another name"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "TLS: the other end's certificate is for another purpose"
        }
        CertificateError::BadSignature => "TLS: the other end's certificate has a bad signature",
        _ => "TLS: the other end's certificate is not acceptable",
    }
}

fn received(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => "TLS: the other end does not trust the issuer of the certificate here",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "TLS: the other end does not accept the certificate here"
        }
        AlertDescription::CertificateExpired => {
            "TLS: the other end says that the certificate here has expired"
        }
        AlertDescription::CertificateRevoked => {
            "TLS: the other end says that the certificate here is revoked"
        }
        AlertDescription::CertificateRequired => "TLS: the other end requires a certificate",
        AlertDescription::ProtocolVersion => "TLS: the other end speaks no common version",
        AlertDescription::HandshakeFailure => "TLS: the other end found nothing in common",
        AlertDescription::NoApplicationProtocol => "TLS: the other end speaks no common application protocol",
        AlertDescription::UnrecognisedName => "TLS: the other end does not know the name it was asked for",
        AlertDescription::AccessDenied => "TLS: the other end denies access",
        _ => "TLS: the other end ended the connection with an alert",
    }
}
