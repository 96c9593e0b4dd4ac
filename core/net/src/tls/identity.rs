//! Who a certificate is: the user name it proves, and the DNS names it is for.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, FromDer, ToDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::limits::USER_NAME_BYTES_MAX;
use crate::{Broken, Identity};

/// The user name in a client's certificate (DER).
pub(crate) fn user_name(certificate: &[u8], identity: Identity) -> Result<String, Broken> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| Broken("TLS: the client's certificate cannot be read for its user name"))?;
    let (name, missing) = match identity {
        Identity::CommonName => {
            (common_name(certificate.subject()), "TLS: the client's certificate has no common name")
        }
        Identity::Subject => (subject(certificate.subject()), "TLS: the client's certificate has no subject"),
        Identity::AlternativeName => (
            alternative_name(&certificate),
            "TLS: the client's certificate has no DNS name or e-mail address among its alternative names",
        ),
    };
    let name = name.filter(|name| !name.is_empty()).ok_or(Broken(missing))?;
    if name.len() > USER_NAME_BYTES_MAX || name.contains('\0') {
        return Err(Broken("TLS: the name in the client's certificate cannot be a user name"));
    }
    Ok(name)
}

/// The DNS names a server's certificate is for, in small letters.
pub(crate) fn dns_names(certificate: &[u8]) -> Result<Vec<String>, &'static str> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| "no X.509 certificate")?;
    let names = certificate.subject_alternative_name().map_err(|_| "its alternative names are malformed")?;
    let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Ok(names.collect())
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    text(name.iter_common_name().next()?)
}

fn alternative_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let dns = names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.or_else(|| {
        names.iter().find_map(|name| match name {
            GeneralName::RFC822Name(name) => Some((*name).to_owned()),
            _ => None,
        })
    })
}

/// The text of an attribute, whatever kind of string it is.
fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    // Universal tags of ASN.1 (X.680): UTF8String, NumericString, PrintableString, T61String, IA5String,
    // VisibleString, UniversalString, BMPString.
    match value.tag().0 {
        12 | 18 | 19 | 22 | 26 => std::str::from_utf8(value.data).ok().map(str::to_owned),
        20 => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        28 => value
            .data
            .chunks(4)
            .map(|four| char::from_u32(u32::from_be_bytes(four.try_into().ok()?)))
            .collect(),
        30 => {
            let units = value.data.chunks(2).map(|two| Some(u16::from_be_bytes(two.try_into().ok()?)));
            String::from_utf16(&units.collect::<Option<Vec<_>>>()?).ok()
        }
        _ => None,
    }
}

/// The subject as OpenSSL prints it for RFC 2253 (`XN_FLAG_RFC2253`), as brokers and their access lists have it.
fn subject(name: &X509Name<'_>) -> Option<String> {
    let mut printed = String::new();
    let sets: Vec<_> = name.iter().collect();
    for set in sets.iter().rev() {
        let attributes: Vec<_> = set.iter().collect();
        for (index, attribute) in attributes.iter().rev().enumerate() {
            if !printed.is_empty() {
                printed.push(if index == 0 { ',' } else { '+' });
            }
            print(attribute, &mut printed);
        }
    }
    Some(printed)
}

fn print(attribute: &AttributeTypeAndValue<'_>, printed: &mut String) {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
    printed.push_str(short.map_or(&oid, |(_, short)| short));
    printed.push('=');
    match (short, text(attribute)) {
        (Some(_), Some(text)) => escape(&text, printed),
        // Unknown attributes, and values that are no text, go as the bytes of their encoding.
        _ => dump(attribute.attr_value(), printed),
    }
}

fn dump(value: &Any<'_>, printed: &mut String) {
    printed.push('#');
    for byte in value.to_der_vec().unwrap_or_default() {
        let _ = write!(printed, "{byte:02X}");
    }
}

fn escape(text: &str, printed: &mut String) {
    let last = text.len().saturating_sub(1);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => printed.extend(['\\', char::from(byte)]),
            b'#' if index == 0 => printed.push_str("\\#"),
            b' ' if index == 0 || index == last => printed.push_str("\\ "),
            b' '..=b'~' => printed.push(char::from(byte)),
            _ => {
                let _ = write!(printed, "\\{byte:02X}");
            }
        }
    }
}

/// Short names of attributes, as OpenSSL has them.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];
