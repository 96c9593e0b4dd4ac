//! Listeners as they were typed to listeners as they are to be: every key judged, every address resolved, and
//! what does not go together named.

use std::collections::BTreeMap;

use super::address::{Location, LookUp, parse, resolve as resolve_address};
use super::key::{Concerns, Draft, LISTENER_KEYS, listener_key_names};
use super::{
    Address, CertificateFiles, ClientCertificate, Given, Identity, ListenerOptions, RawListener, TlsVersion,
};
use crate::config::key::{key, nearest};
use crate::config::{ClientIdFromUser, ConfigError, Options, Source};

const HANDSHAKE_TIMEOUT: u64 = 10_000;
const WEBSOCKET_PATH: &str = "/mqtt";

/// Every listener of `options`: those of `bind`, then those with a table of their own; this machine's loopback
/// addresses when there are none.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(in crate::config) fn resolve(
    options: &Options,
    ipv6: bool,
    look_up: &LookUp<'_>,
) -> Result<Vec<ListenerOptions>, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut all: Vec<ListenerOptions> = Vec::new();
    for raw in typed(options, ipv6, &mut errors) {
        for listener in resolve_one(options, &raw, (ipv6, look_up), &mut errors) {
            errors.extend(add(&mut all, listener).err());
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

/// Adds a listener unless it is there already. Port 0 is another number each time.
fn add(all: &mut Vec<ListenerOptions>, listener: ListenerOptions) -> Result<(), ConfigError> {
    let mut at_its_address = all.iter().filter(|other| other.address == listener.address).peekable();
    let is_free = matches!(listener.address, Address::Tcp(address) if address.port() == 0);
    match at_its_address.peek().copied() {
        None => all.push(listener),
        Some(_) if at_its_address.any(|other| is_same(other, &listener)) => {}
        Some(_) if is_free => all.push(listener),
        Some(other) => {
            return Err(ConfigError::at(
                &listener.source,
                format!(
                    "`{}` is named twice, with different settings: here and at {}",
                    listener.address, other.source
                ),
            ));
        }
    }
    Ok(())
}

/// Whether they differ in nothing but where they were typed.
fn is_same(one: &ListenerOptions, other: &ListenerOptions) -> bool {
    ListenerOptions { source: other.source.clone(), ..one.clone() } == *other
}

/// All listeners in one form, those of `bind` taken apart.
fn typed(options: &Options, ipv6: bool, errors: &mut Vec<ConfigError>) -> Vec<RawListener> {
    let source = key("bind").map(|bind| options.source(bind)).unwrap_or_default();
    let mut all = Vec::new();
    for text in options.bind.iter() {
        match of_bind(text, &source) {
            Ok(listener) => all.push(listener),
            Err(error) => errors.push(error),
        }
    }
    all.extend(options.listeners.iter().cloned());
    if all.is_empty() && options.bind.is_empty() {
        let local: &[&str] = if ipv6 { &["127.0.0.1", "::1"] } else { &["127.0.0.1"] };
        all.extend(local.iter().map(|text| RawListener {
            source: Source::Default,
            entries: vec![(String::from("address"), Given::Text(String::from(*text)), Source::Default)],
        }));
    }
    all
}

/// `ADDRESS?KEY=VALUE&KEY=VALUE`.
fn of_bind(text: &str, source: &Source) -> Result<RawListener, ConfigError> {
    let (address, own) = text.split_once('?').unwrap_or((text, ""));
    let mut entries = vec![(String::from("address"), Given::Text(address.to_owned()), source.clone())];
    let place = match source {
        Source::File { .. } | Source::Environment(_) => source.clone(),
        _ => Source::Flag(format!("bind ...?{own}")),
    };
    for pair in own.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            ConfigError::at(&place, format!("`{pair}` behind an address names no value: write KEY=VALUE"))
        })?;
        entries.push((name.replace('-', "_"), Given::Text(value.to_owned()), place.clone()));
    }
    Ok(RawListener { source: source.clone(), entries })
}

/// What one listener as it was typed becomes: as many as its host has addresses.
fn resolve_one(
    options: &Options,
    raw: &RawListener,
    (ipv6, look_up): (bool, &LookUp<'_>),
    errors: &mut Vec<ConfigError>,
) -> Vec<ListenerOptions> {
    let before = errors.len();
    let mut here = Draft {
        options: defaults(raw.source.clone(), options),
        address: String::new(),
        certificate: None,
        certificate_key: None,
    };
    let mut given = BTreeMap::new();
    for (name, value, source) in &raw.entries {
        errors.extend(put(options, &mut here, name, value, source).err());
        if let Some(name) = listener_key_names().find(|known| known == name) {
            given.insert(name, source.clone());
        }
    }
    let Some(source) = given.get("address") else {
        let text = "a listener needs an address: address = \"tcp://127.0.0.1:1883\"";
        errors.push(ConfigError::at(&raw.source, text));
        return Vec::new();
    };
    let location = match parse(&here.address) {
        Ok(location) => location,
        Err(text) => {
            errors.push(ConfigError::at(source, format!("address: {text}")));
            return Vec::new();
        }
    };
    finish(&mut here, &location, &given, errors);
    here.options.offer.client_id_is_user_name =
        here.options.client_ids.from_user == ClientIdFromUser::Replace;
    match resolve_address(&location.target, options.port, ipv6, look_up) {
        Ok(addresses) if errors.len() == before => {
            let with = |address| ListenerOptions { address, ..here.options.clone() };
            addresses.into_iter().map(with).collect()
        }
        Ok(_) => Vec::new(),
        Err(text) => {
            errors.push(ConfigError::at(source, format!("address: {text}")));
            Vec::new()
        }
    }
}

fn defaults(source: Source, options: &Options) -> ListenerOptions {
    ListenerOptions {
        // Until the text has been read.
        address: Address::Activated(String::new()),
        source,
        offer: options.settings.offer.clone(),
        tls: false,
        certificates: Vec::new(),
        client_certificate: ClientCertificate::default(),
        client_ca: None,
        client_crl: None,
        identity: Identity::default(),
        tls_version_min: TlsVersion::default(),
        handshake_timeout: HANDSHAKE_TIMEOUT,
        websocket: false,
        websocket_path: String::from(WEBSOCKET_PATH),
        websocket_origins: Vec::new(),
        websocket_subprotocol_required: true,
        proxy_protocol: false,
        proxy_protocol_from: Vec::new(),
        forwarded_from: Vec::new(),
        unix_mode: None,
        unix_owner: None,
        unix_group: None,
        allow_anonymous: None,
        password_file: None,
        acl_file: None,
        jwt: options.jwt.clone(),
        client_ids: options.client_ids.clone(),
    }
}

/// Puts one value into its place.
fn put(
    options: &Options,
    here: &mut Draft,
    name: &str,
    value: &Given,
    source: &Source,
) -> Result<(), ConfigError> {
    if let Some(own) = LISTENER_KEYS.iter().find(|key| key.name == name) {
        return match (own.put)(here, value) {
            true => Ok(()),
            false => {
                Err(ConfigError::value(own.name, own.range, own.unit, &value.to_string(), source.clone()))
            }
        };
    }
    match key(name) {
        Ok(key) if key.is_per_listener() => {
            let mut with = options.clone();
            with.settings.offer = here.options.offer.clone();
            with.jwt = here.options.jwt.clone();
            with.client_ids = here.options.client_ids.clone();
            // Behind an address a comma would end it.
            let text = if key.is_list() { value.to_string().replace('+', ",") } else { value.to_string() };
            if !((key.parse_into)(&mut with, &text) && key.holds(&with)) {
                return Err(ConfigError::value(
                    key.name,
                    key.range,
                    key.unit,
                    &value.to_string(),
                    source.clone(),
                ));
            }
            (here.options.offer, here.options.jwt) = (with.settings.offer, with.jwt);
            here.options.client_ids = with.client_ids;
            Ok(())
        }
        Ok(_) => {
            let names: Vec<_> = listener_key_names().collect();
            let above = match source {
                Source::File { .. } => "; a key of the whole broker stands above the first [[listener]]",
                _ => "",
            };
            Err(ConfigError::at(
                source,
                format!("{name} cannot differ between listeners{above}; these can: {}", names.join(", ")),
            ))
        }
        Err(_) => Err(ConfigError::UnknownKey {
            name: name.to_owned(),
            nearest: nearest(name, listener_key_names()),
            source: source.clone(),
        }),
    }
}

type Givens = BTreeMap<&'static str, Source>;

/// Takes from the address what it says, and checks the keys against it and each other.
fn finish(here: &mut Draft, location: &Location, given: &Givens, errors: &mut Vec<ConfigError>) {
    let has = |name: &str| given.contains_key(name);
    let options = &mut here.options;
    options.tls = location.tls.unwrap_or(has("certificate"));
    options.websocket = location.websocket.unwrap_or(has("websocket_path"));
    if let Some(path) = &location.path {
        if has("websocket_path") && *path != options.websocket_path {
            let text = format!("websocket_path: the address has another path, `{path}`: name one of them");
            errors.push(ConfigError::at(&given["websocket_path"], text));
        }
        options.websocket_path.clone_from(path);
    }
    check_concerns(options, location, given, errors);
    let pair = (here.certificate.take(), here.certificate_key.take());
    match pair {
        (Some(certificate), Some(key)) => options.certificates = vec![CertificateFiles { certificate, key }],
        (Some(_), None) => {
            let text = "certificate needs certificate_key, the file of its private key";
            errors.push(ConfigError::at(&given["certificate"], text));
        }
        (None, Some(_)) if !has("certificate") => {
            let text = "certificate_key belongs to one certificate: name it in certificate";
            errors.push(ConfigError::at(&given["certificate_key"], text));
        }
        (None, None) if options.tls && !has("certificate") => {
            let text = format!("address: {} needs certificate and certificate_key", scheme(options));
            errors.push(ConfigError::at(&given["address"], text));
        }
        _ => {}
    }
    check_clients(options, given, errors);
    check_proxies(options, given, errors);
}

fn scheme(options: &ListenerOptions) -> &'static str {
    if options.websocket { "wss://" } else { "tls://" }
}

/// A key for another kind of listener would be without effect, and somebody relies on it.
fn check_concerns(
    options: &ListenerOptions,
    location: &Location,
    given: &Givens,
    errors: &mut Vec<ConfigError>,
) {
    let local = matches!(location.target, super::address::Target::Unix(_));
    for key in LISTENER_KEYS {
        let fits = match key.concerns {
            Concerns::All => true,
            Concerns::Tls => options.tls,
            Concerns::WebSocket => options.websocket,
            Concerns::Unix => local,
        };
        if let (false, Some(source)) = (fits, given.get(key.name)) {
            let text = format!(
                "{} is for {} alone, and this listener is none of them",
                key.name,
                key.concerns.name()
            );
            errors.push(ConfigError::at(source, text));
        }
    }
}

/// Certificates of clients.
fn check_clients(options: &ListenerOptions, given: &Givens, errors: &mut Vec<ConfigError>) {
    let mut wrong = |name: &str, text: &str| {
        if let Some(source) = given.get(name) {
            errors.push(ConfigError::at(source, text));
        }
    };
    let asked = options.client_certificate != ClientCertificate::Off;
    if asked && options.client_ca.is_none() {
        wrong(
            "client_certificate",
            "client_certificate needs client_ca, the file of those who vouch for clients",
        );
    }
    if !asked {
        let text = "needs client_certificate = \"required\" or \"optional\": no client is asked for one";
        for name in ["client_ca", "client_crl"] {
            wrong(name, &format!("{name} {text}"));
        }
        if options.identity != Identity::None {
            wrong("identity", &format!("identity {text}"));
        }
    }
}

/// Who may say that a connection is somebody else's.
fn check_proxies(options: &ListenerOptions, given: &Givens, errors: &mut Vec<ConfigError>) {
    match (options.proxy_protocol, given.get("proxy_protocol_from")) {
        (true, None) => {
            let text = "proxy_protocol needs proxy_protocol_from, the addresses of the proxies: \
                        whoever else sent a header could claim any address";
            errors.push(ConfigError::at(&given["proxy_protocol"], text));
        }
        (false, Some(source)) => {
            errors.push(ConfigError::at(source, "proxy_protocol_from needs proxy_protocol = \"required\""));
        }
        _ => {}
    }
}
