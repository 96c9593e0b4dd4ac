//! One listener of a mosquitto.conf: what its lines said, and the table that they come to together.

use std::net::IpAddr;

use super::super::Source;
use super::super::listener::{EVERY_PATH, Given, RawListener};
use super::translate::Notes;
use super::{Weight, entry};

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A port, at one address or at all.
    Port(u16, Option<String>),
    /// A path.
    Unix(String),
}

/// Which family of addresses alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    V4,
    V6,
}

/// A value with its line.
pub(super) type Said<T> = Option<(T, Source)>;

/// What the lines of one listener said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub source: Source,
    pub place: Place,
    pub websockets: bool,
    pub domain: Said<Domain>,
    pub certfile: Said<String>,
    pub keyfile: Said<String>,
    pub cafile: Said<String>,
    pub crlfile: Said<String>,
    pub require_certificate: Said<bool>,
    /// `cn` or `subject`.
    pub identity: Said<&'static str>,
    pub proxy: Said<()>,
    pub origins: Vec<(String, Source)>,
    /// Everything that stands for itself.
    pub entries: Vec<(String, Given, Source)>,
}

impl Listener {
    pub fn new(source: Source, place: Place) -> Self {
        Self {
            source,
            place,
            websockets: false,
            domain: None,
            certfile: None,
            keyfile: None,
            cafile: None,
            crlfile: None,
            require_certificate: None,
            identity: None,
            proxy: None,
            origins: Vec::new(),
            entries: Vec::new(),
        }
    }
    /// Whether any line but the one that opened it was about this listener.
    pub fn is_touched(&self) -> bool {
        *self != Self::new(self.source.clone(), self.place.clone())
    }
    /// The table for RingMQ.
    pub fn finish(mut self, notes: &mut Notes) -> RawListener {
        let tls = self.certfile.is_some() || self.keyfile.is_some();
        let mut entries = vec![entry("address", self.address(tls), &self.source)];
        if !self.websockets && !self.origins.is_empty() {
            let source = self.origins[0].1.clone();
            self.origins.clear();
            notes.add(
                &source,
                Weight::Warning,
                "websockets_origin has no effect without protocol websockets",
            );
        }
        if tls {
            self.finish_tls(&mut entries, notes);
        } else {
            self.warn_without_tls(notes);
        }
        if self.proxy.is_some() {
            self.finish_proxy(&mut entries, notes);
        }
        if let Some((_, source)) = self.origins.first() {
            let origins = self.origins.iter().map(|(origin, _)| origin.clone()).collect();
            entries.push((String::from("websocket_origins"), Given::List(origins), source.clone()));
        }
        entries.append(&mut self.entries);
        RawListener { source: self.source, entries }
    }
    fn address(&self, tls: bool) -> String {
        let scheme = match (self.websockets, tls) {
            (false, false) => "tcp",
            (false, true) => "tls",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        // mosquitto answers at any path.
        let path = if self.websockets { EVERY_PATH } else { "" };
        match &self.place {
            Place::Unix(path) => format!("unix:{path}"),
            Place::Port(port, host) => {
                let host = match (host.as_deref(), self.domain.as_ref().map(|(domain, _)| *domain)) {
                    (Some(host), _) => bracketed(host),
                    (None, None) => String::from("*"),
                    (None, Some(Domain::V4)) => String::from("0.0.0.0"),
                    (None, Some(Domain::V6)) => String::from("[::]"),
                };
                format!("{scheme}://{host}:{port}{path}")
            }
        }
    }
    fn finish_tls(&mut self, entries: &mut Vec<(String, Given, Source)>, notes: &mut Notes) {
        let mut push = |name: &str, said: Said<String>| {
            entries.extend(said.map(|(value, source)| entry(name, value, &source)));
        };
        push("certificate", self.certfile.take());
        push("certificate_key", self.keyfile.take());
        let required = self.require_certificate.take().filter(|(required, _)| *required);
        match required {
            Some((_, source)) => {
                push("client_certificate", Some((String::from("required"), source)));
                push("client_ca", self.cafile.take());
                push("client_crl", self.crlfile.take());
                push("identity", self.identity.take().map(|(word, source)| (String::from(word), source)));
            }
            None => {
                let unasked = [("cafile", self.cafile.take()), ("crlfile", self.crlfile.take())];
                for (name, said) in unasked {
                    if let Some((_, source)) = said {
                        let text = format!(
                            "{name} is not needed without require_certificate: certfile must hold the whole chain"
                        );
                        notes.add(&source, Weight::Warning, &text);
                    }
                }
                if let Some((_, source)) = self.identity.take() {
                    notes.add(
                        &source,
                        Weight::Refused,
                        "a user name from a certificate needs require_certificate true",
                    );
                }
            }
        }
    }
    fn warn_without_tls(&mut self, notes: &mut Notes) {
        let paths = [("cafile", self.cafile.take()), ("crlfile", self.crlfile.take())];
        let mut said: Vec<_> = paths.into_iter().filter_map(|(name, said)| Some((name, said?.1))).collect();
        let required = self.require_certificate.take().filter(|(required, _)| *required);
        said.extend(required.map(|(_, source)| ("require_certificate", source)));
        said.extend(self.identity.take().map(|(_, source)| ("a user name from a certificate", source)));
        for (name, source) in said {
            notes.add(
                &source,
                Weight::Refused,
                &format!("{name} needs certfile and keyfile at the same listener"),
            );
        }
    }
    fn finish_proxy(&mut self, entries: &mut Vec<(String, Given, Source)>, notes: &mut Notes) {
        let Some((_, source)) = self.proxy.take() else { return };
        entries.push(entry("proxy_protocol", "required", &source));
        let anybody = vec![String::from("0.0.0.0/0"), String::from("::/0")];
        entries.push((String::from("proxy_protocol_from"), Given::List(anybody), source.clone()));
        notes.add(
            &source,
            Weight::Warning,
            "anybody who reaches the listener may send PROXY headers, as with mosquitto: \
             proxy_protocol_from can name the proxies",
        );
    }
}

fn bracketed(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V6(_)) => format!("[{host}]"),
        _ => host.to_owned(),
    }
}
