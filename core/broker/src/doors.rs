//! From what is configured of listeners to what the runtime opens: certificates, keys and lists are read and checked,
//! users and groups looked up. Nothing is opened here, and nothing has changed when something is wrong.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ringmq_net::faults::Faults;
use ringmq_net::rustls::ServerConfig;
use ringmq_net::rustls::time_provider::DefaultTimeProvider;
use ringmq_net::tls::{
    self, ClientAuthorities, ClientCertificates, Input, ServerCertificate, ServerSettings, TlsError,
};
use ringmq_net::{Door, DoorOptions, Networks, ProxyOptions, TlsOptions, WebSocketOptions};
use ringmq_rt::{Listen, Place, UnixPlace};

use crate::config::listener::{
    Address, ClientCertificate, EVERY_PATH, Identity, ListenerOptions, TlsVersion,
};
use crate::config::{ConfigError, ConfigErrors};

/// A file of certificates, keys or lists is no longer than this: bundles of every authority there is have less than
/// a tenth of it.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the runtime is to open for these listeners; all of them have the faults.
///
/// # Errors
/// Everything that is wrong with files, users and groups they name.
pub(crate) fn listens(
    listeners: &[ListenerOptions],
    faults: Option<&Arc<Faults>>,
) -> Result<Vec<Listen>, ConfigErrors> {
    let mut errors = Vec::new();
    let mut listens = Vec::new();
    for listener in listeners {
        match listen(listener, faults) {
            Ok(listen) => listens.push(listen),
            Err(text) => {
                errors.push(ConfigError::at(&listener.source, format!("listener {listener}: {text}")));
            }
        }
    }
    ConfigErrors::none_of(errors, listens)
}

fn listen(listener: &ListenerOptions, faults: Option<&Arc<Faults>>) -> Result<Listen, String> {
    let handshake_timeout = listener.handshake_timeout;
    Ok(Listen { place: place(listener)?, door: Arc::new(door(listener, faults)?), handshake_timeout })
}

fn place(listener: &ListenerOptions) -> Result<Place, String> {
    Ok(match &listener.address {
        Address::Tcp(address) => Place::Tcp(*address),
        Address::Unix(path) => Place::Unix(UnixPlace {
            path: path.clone(),
            mode: listener.unix_mode,
            owner: listener.unix_owner.as_deref().map(user).transpose()?,
            group: listener.unix_group.as_deref().map(group).transpose()?,
        }),
        Address::Activated(name) => {
            let socket = ringmq_rt::activated(name).map_err(|error| error.to_string())?;
            Place::Open(Arc::new(socket))
        }
    })
}

/// The number of a user, by name or number.
fn user(text: &str) -> Result<u32, String> {
    let found = || uzers::get_user_by_name(text).map(|user| user.uid());
    text.parse().ok().or_else(found).ok_or_else(|| format!("unix_owner: there is no user `{text}`"))
}

fn group(text: &str) -> Result<u32, String> {
    let found = || uzers::get_group_by_name(text).map(|group| group.gid());
    text.parse().ok().or_else(found).ok_or_else(|| format!("unix_group: there is no group `{text}`"))
}

/// What stands between the sockets of a listener and MQTT.
fn door(listener: &ListenerOptions, faults: Option<&Arc<Faults>>) -> Result<Door, String> {
    let tls = match listener.tls {
        true => Some(TlsOptions { config: tls_config(listener)?, identity: identity(listener.identity) }),
        false => None,
    };
    let proxy = listener
        .proxy_protocol
        .then(|| Ok(ProxyOptions { trusted: networks(&listener.proxy_protocol_from)?, required: true }));
    let websocket = listener.websocket.then(|| {
        Ok::<_, String>(WebSocketOptions {
            paths: (listener.websocket_path != EVERY_PATH).then(|| vec![listener.websocket_path.clone()]),
            origins: listener.websocket_origins.clone(),
            subprotocol_required: listener.websocket_subprotocol_required,
            trusted: networks(&listener.forwarded_from)?,
        })
    });
    let proxy = proxy.transpose().map_err(|text: String| text)?;
    Ok(Door::new(DoorOptions { proxy, tls, websocket: websocket.transpose()?, faults: faults.cloned() }))
}

fn networks(from: &[ipnet::IpNet]) -> Result<Networks, String> {
    let texts: Vec<String> = from.iter().map(|network| network.trunc().to_string()).collect();
    texts.join(",").parse().map_err(|error: ringmq_net::InvalidNetwork| error.to_string())
}

const fn identity(identity: Identity) -> Option<ringmq_net::Identity> {
    match identity {
        Identity::None => None,
        Identity::CommonName => Some(ringmq_net::Identity::CommonName),
        Identity::AlternativeName => Some(ringmq_net::Identity::AlternativeName),
        Identity::Subject => Some(ringmq_net::Identity::Subject),
    }
}

fn tls_config(listener: &ListenerOptions) -> Result<Arc<ServerConfig>, String> {
    let certificates = listener.certificates.iter().map(|files| {
        let chain = read("certificate", &files.certificate)?;
        Ok(ServerCertificate { chain, key: read("certificate_key", &files.key)? })
    });
    let settings = ServerSettings {
        certificates: certificates.collect::<Result<_, String>>()?,
        clients: clients(listener)?,
        version_min: match listener.tls_version_min {
            TlsVersion::Tls12 => tls::TlsVersion::V1_2,
            TlsVersion::Tls13 => tls::TlsVersion::V1_3,
        },
        alpn: vec![if listener.websocket { b"http/1.1".to_vec() } else { b"mqtt".to_vec() }],
    };
    tls::server(&settings, Arc::new(DefaultTimeProvider)).map_err(|error| explain(listener, &error))
}

fn clients(listener: &ListenerOptions) -> Result<ClientCertificates, String> {
    let authorities = || -> Result<ClientAuthorities, String> {
        let all = |key, path: &Option<_>| -> Result<Vec<Vec<u8>>, String> {
            path.iter().map(|path: &std::path::PathBuf| read(key, path)).collect()
        };
        Ok(ClientAuthorities {
            authorities: all("client_ca", &listener.client_ca)?,
            revocation_lists: all("client_crl", &listener.client_crl)?,
        })
    };
    Ok(match listener.client_certificate {
        ClientCertificate::Off => ClientCertificates::None,
        ClientCertificate::Optional => ClientCertificates::Optional(authorities()?),
        ClientCertificate::Required => ClientCertificates::Required(authorities()?),
    })
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{key} {}: {error}", path.display());
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("{key} {}: {bytes} bytes are more than such a file has", path.display()));
    }
    fs::read(path).map_err(failed)
}

/// Which file it was that TLS cannot be made of.
fn explain(listener: &ListenerOptions, error: &TlsError) -> String {
    let pair = |number: usize| listener.certificates.get(number);
    let file = match error.input {
        Input::Certificate(number) => pair(number).map(|pair| ("certificate", &pair.certificate)),
        Input::Key(number) => pair(number).map(|pair| ("certificate_key", &pair.key)),
        Input::Authorities(_) => listener.client_ca.as_ref().map(|path| ("client_ca", path)),
        Input::RevocationList(_) => listener.client_crl.as_ref().map(|path| ("client_crl", path)),
        _ => None,
    };
    match file {
        Some((key, path)) => format!("{key} {}: {error}", path.display()),
        None => error.to_string(),
    }
}
