//! The address of a server as a URL.

use crate::{Options, Tls};
use std::fmt;

/// A text that is no URL of an MQTT server; says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUrl(pub &'static str);

impl fmt::Display for InvalidUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for InvalidUrl {}

/// How bytes go to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `mqtt`: over TCP.
    Mqtt,
    /// `mqtts`: over TLS.
    Mqtts,
    /// `ws`: over WebSocket.
    Ws,
    /// `wss`: over WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// The scheme of this name, in whatever letters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "mqtt" => Some(Self::Mqtt),
            "mqtts" => Some(Self::Mqtts),
            "ws" => Some(Self::Ws),
            "wss" => Some(Self::Wss),
            _ => None,
        }
    }

    /// Whether TLS is under it.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether it is WebSocket.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port where none is given.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl Options {
    /// Connects to the server of a URL, otherwise as [`Options::new`]: `mqtt://HOST[:PORT]`,
    /// `mqtts://HOST[:PORT]`, `ws://HOST[:PORT][/PATH]`, `wss://HOST[:PORT][/PATH]`, each with `USER[:PASSWORD]@`
    /// before the host if need be, or `unix:PATH`. The path of a WebSocket is `/mqtt` where none is given. User
    /// and password stand as they are, without percent signs for other characters.
    ///
    /// # Errors
    /// [`InvalidUrl`] says what is wrong.
    pub fn from_url(url: &str) -> Result<Self, InvalidUrl> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.is_empty() {
                true => Err(InvalidUrl("a path must follow unix:")),
                false => Ok(Self::new("localhost", 0).unix(path)),
            };
        }
        let schemes = InvalidUrl("a URL begins with mqtt://, mqtts://, ws://, wss:// or unix:");
        let (scheme, rest) = url.split_once("://").ok_or(schemes)?;
        let scheme = Scheme::parse(scheme).ok_or(schemes)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) = split_address(address)?;
        let mut options = Self::new(host, port.unwrap_or(scheme.port()));
        match login.map(|login| login.split_once(':').ok_or(login)) {
            Some(Ok((user, password))) => options = options.credentials(user, password.as_bytes().to_vec()),
            Some(Err(user)) => options = options.user_name(user),
            None => {}
        }
        if scheme.is_secure() {
            options = options.tls(Tls::new());
        }
        match (scheme.is_websocket(), path) {
            (true, "") => Ok(options.websocket("/mqtt")),
            (true, path) => Ok(options.websocket(path)),
            (false, "" | "/") => Ok(options),
            (false, _) => Err(InvalidUrl("nothing can follow the port of an mqtt:// or mqtts:// URL")),
        }
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_address(address: &str) -> Result<(&str, Option<u16>), InvalidUrl> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(InvalidUrl("the URL has no host"));
    }
    let port = port.map(str::parse).transpose();
    Ok((host, port.map_err(|_| InvalidUrl("the URL's port is no number up to 65535"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        for (url, host, port, is_secure, path) in [
            ("mqtt://h", "h", 1883, false, None),
            ("MQTT://h/", "h", 1883, false, None),
            ("mqtt://h:99", "h", 99, false, None),
            ("mqtts://[::1]", "::1", 8883, true, None),
            ("mqtts://u:p@h:1", "h", 1, true, None),
            ("ws://h", "h", 80, false, Some("/mqtt")),
            ("ws://h:8080/", "h", 8080, false, Some("/")),
            ("wss://[::1]:9/a/b?c=d", "::1", 9, true, Some("/a/b?c=d")),
            ("wss://u@h/x@y", "h", 443, true, Some("/x@y")),
        ] {
            let options = Options::from_url(url).expect(url);
            assert_eq!((options.host.as_str(), options.port), (host, port), "{url}");
            assert_eq!((options.tls.is_some(), options.websocket.as_deref()), (is_secure, path), "{url}");
            assert_eq!(options.unix, None);
        }
        for url in ["unix:/run/x", "unix:///run/x"] {
            let options = Options::from_url(url).expect(url);
            assert_eq!(options.unix.as_deref(), Some(std::path::Path::new("/run/x")));
        }
        let options = Options::from_url("mqtt://me:a:b@h").unwrap();
        assert_eq!(options.peer.user_name.as_deref(), Some("me"));
        assert_eq!(options.peer.password.as_deref(), Some(&b"a:b"[..]));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (url, why) in [
            ("h", "begins with"),
            ("http://h", "begins with"),
            ("mqtt://", "no host"),
            ("mqtt://:1", "no host"),
            ("mqtt://h:x", "port"),
            ("mqtt://h:65536", "port"),
            ("mqtt://[::1]x", "port"),
            ("mqtt://h/topic", "nothing can follow"),
            ("unix:", "path"),
        ] {
            assert!(Options::from_url(url).unwrap_err().0.contains(why), "{url}");
        }
    }
}
