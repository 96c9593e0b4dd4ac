//! Texts of a listener's keys to values. Each function puts the value into its place and says whether there
//! was one.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::key::Draft;
use super::{CertificateFiles, Given};
use crate::config::Anonymous;

/// The text, where one was given.
pub(super) fn text(given: &Given) -> Option<&str> {
    match given {
        Given::Text(text) => Some(text),
        Given::List(_) | Given::Pairs(_) => None,
    }
}

/// The texts of a list; in one text they are joined by `+`, like versions.
fn list(given: &Given) -> Option<Vec<&str>> {
    match given {
        Given::Text(text) => Some(text.split('+').map(str::trim).collect()),
        Given::List(texts) => Some(texts.iter().map(String::as_str).collect()),
        Given::Pairs(_) => None,
    }
}

fn file(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

pub(super) fn addresses(place: &mut String, given: &Given) -> bool {
    text(given).map(|text| *place = text.to_owned()).is_some()
}

pub(super) fn path(place: &mut Option<PathBuf>, given: &Given) -> bool {
    *place = text(given).and_then(file);
    place.is_some()
}

pub(super) fn word<T: Copy>(place: &mut T, given: &Given, words: &[(&str, T)]) -> bool {
    let found = text(given).and_then(|text| words.iter().find(|(word, _)| *word == text));
    found.map(|(_, value)| *place = *value).is_some()
}

pub(super) fn anonymous(place: &mut Option<Anonymous>, given: &Given) -> bool {
    let words = [
        ("local", Some(Anonymous::Local)),
        ("true", Some(Anonymous::Everybody)),
        ("false", Some(Anonymous::Nobody)),
    ];
    word(place, given, &words)
}

/// A single certificate waits for its key; several bring theirs.
pub(super) fn certificate(here: &mut Draft, given: &Given) -> bool {
    let Given::Pairs(pairs) = given else { return path(&mut here.certificate, given) };
    let pairs: Option<Vec<_>> = pairs
        .iter()
        .map(|(certificate, key)| Some(CertificateFiles { certificate: file(certificate)?, key: file(key)? }))
        .collect();
    here.options.certificates = pairs.unwrap_or_default();
    !here.options.certificates.is_empty()
}

pub(super) fn texts(place: &mut Vec<String>, given: &Given) -> bool {
    let found = list(given).filter(|texts| texts.iter().all(|text| !text.is_empty()));
    found.map(|texts| *place = texts.into_iter().map(str::to_owned).collect()).is_some()
}

/// Networks; an address alone is the network of itself.
pub(super) fn networks(place: &mut Vec<IpNet>, given: &Given) -> bool {
    let one = |text: &&str| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let found = list(given).and_then(|texts| texts.iter().map(one).collect::<Option<Vec<IpNet>>>());
    found.map(|networks| *place = networks).is_some()
}

/// Permission bits in octal.
pub(super) fn mode(place: &mut Option<u32>, given: &Given) -> bool {
    let octal =
        |text: &&str| (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    *place = text(given).filter(octal).and_then(|text| u32::from_str_radix(text, 8).ok());
    place.is_some()
}
