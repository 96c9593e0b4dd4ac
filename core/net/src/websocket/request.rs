//! The request for a WebSocket (RFC 6455 section 4): a client writes it, a server checks and answers it.

use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE64;

use super::WebSocketRequest;
use super::handshake::{accept_key, has_token, tokens, values};
use crate::limits::{WEBSOCKET_HEAD_BYTES_MAX, WEBSOCKET_HEADERS_MAX};
use crate::{Networks, WebSocketOptions};

/// Subprotocols that are MQTT, best first: the registered name, and the one of MQTT 3.1.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// A request that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// What to answer.
    pub(crate) response: String,
    /// Where a proxy says the client connects from.
    pub(crate) address: Option<SocketAddr>,
}

/// A request that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status of HTTP.
    pub(crate) status: u16,
    /// Why, for the client and for the log.
    pub(crate) why: &'static str,
}

impl Refusal {
    /// What to answer.
    pub(crate) fn response(self) -> String {
        let (phrase, more) = match self.status {
            403 => ("Forbidden", ""),
            404 => ("Not Found", ""),
            405 => ("Method Not Allowed", "Allow: GET\r\n"),
            426 => (
                "Upgrade Required",
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n",
            ),
            431 => ("Request Header Fields Too Large", ""),
            _ => ("Bad Request", ""),
        };
        let connection = if self.status == 426 { "upgrade, close" } else { "close" };
        let (status, why, length) = (self.status, self.why, self.why.len() + 1);
        format!(
            "HTTP/1.1 {status} {phrase}\r\nConnection: {connection}\r\n{more}Content-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{why}\n"
        )
    }
}

fn refuse(status: u16, why: &'static str) -> Refusal {
    Refusal { status, why }
}

/// Checks the beginning of a request that is not whole: that it can become one.
pub(crate) fn check_beginning(head: &[u8]) -> Result<(), Refusal> {
    if head.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        return Err(refuse(400, "WebSocket: no request of HTTP"));
    }
    if head.len() >= WEBSOCKET_HEAD_BYTES_MAX {
        return Err(refuse(431, "WebSocket: the head of the request is too long"));
    }
    Ok(())
}

/// Checks a whole request. `peer` is where it comes from as far as is known.
pub(crate) fn accept(
    head: &[u8],
    options: &WebSocketOptions,
    peer: Option<SocketAddr>,
) -> Result<Option<Accepted>, Refusal> {
    check_beginning(&head[..1])?;
    let mut headers = [httparse::EMPTY_HEADER; WEBSOCKET_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => (),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(refuse(431, "WebSocket: the request has too many headers"));
        }
        _ => return Err(refuse(400, "WebSocket: malformed request of HTTP")),
    }
    if request.method != Some("GET") {
        return Err(refuse(405, "WebSocket: the method is not GET"));
    }
    if request.version != Some(1) {
        return Err(refuse(400, "WebSocket: the version of HTTP is not 1.1"));
    }
    check_target(request.path.unwrap_or_default(), request.headers, options)?;
    let key = check_upgrade(request.headers)?;
    let offered =
        |name: &&&str| tokens(request.headers, "Sec-WebSocket-Protocol").any(|token| token == **name);
    let subprotocol = match SUBPROTOCOLS.iter().find(offered) {
        Some(subprotocol) => format!("Sec-WebSocket-Protocol: {subprotocol}\r\n"),
        None if options.subprotocol_required => {
            return Err(refuse(400, "WebSocket: the subprotocol mqtt was not offered"));
        }
        None => String::new(),
    };
    let accept = accept_key(key);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
    );
    Ok(Some(Accepted { response, address: forwarded(request.headers, &options.trusted, peer) }))
}

/// Path and origin.
fn check_target(
    target: &str,
    headers: &[httparse::Header<'_>],
    options: &WebSocketOptions,
) -> Result<(), Refusal> {
    let path = target.split('?').next().unwrap_or_default();
    if options.paths.as_ref().is_some_and(|paths| !paths.iter().any(|known| known == path)) {
        return Err(refuse(404, "WebSocket: there is nothing at this path"));
    }
    let is_allowed = |origin: &str| options.origins.iter().any(|known| known.eq_ignore_ascii_case(origin));
    if !options.origins.is_empty() && !values(headers, "Origin").all(is_allowed) {
        return Err(refuse(403, "WebSocket: the origin is not allowed"));
    }
    Ok(())
}

/// That a WebSocket is what is asked for; returns the key.
fn check_upgrade<'h>(headers: &'h [httparse::Header<'_>]) -> Result<&'h str, Refusal> {
    if values(headers, "Host").count() != 1 {
        return Err(refuse(400, "WebSocket: there is not one Host"));
    }
    if !has_token(headers, "Upgrade", "websocket") {
        return Err(refuse(426, "this is a WebSocket for MQTT, and no WebSocket was asked for"));
    }
    if !has_token(headers, "Connection", "upgrade") {
        return Err(refuse(400, "WebSocket: Connection is not Upgrade"));
    }
    if !values(headers, "Sec-WebSocket-Version").eq(["13"]) {
        return Err(refuse(426, "WebSocket: the version is not 13"));
    }
    let mut keys = values(headers, "Sec-WebSocket-Key");
    let is_key = |key: &&str| BASE64.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16);
    match (keys.next().filter(is_key), keys.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(refuse(400, "WebSocket: Sec-WebSocket-Key is not one of 16 bytes")),
    }
}

/// Where the client connects from, if the connection is from a proxy that is trusted: the last address in
/// `X-Forwarded-For` that is no such proxy itself. Those before it could be written by anyone.
fn forwarded(
    headers: &[httparse::Header<'_>],
    trusted: &Networks,
    peer: Option<SocketAddr>,
) -> Option<SocketAddr> {
    let is_trusted = peer.map_or(!trusted.is_empty(), |peer| trusted.contains(peer.ip()));
    if !is_trusted {
        return None;
    }
    let mut client = None;
    let hops: Vec<&str> = tokens(headers, "X-Forwarded-For").collect();
    for hop in hops.iter().rev() {
        let address = hop_address(hop)?;
        client = Some(address);
        if !trusted.contains(address.ip()) {
            break;
        }
    }
    client
}

/// An address, with or without port and brackets; port 0 is none.
fn hop_address(hop: &str) -> Option<SocketAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let ip = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    ip.or_else(|_| hop.parse()).ok()
}

/// A client's request.
pub(crate) fn write(request: &WebSocketRequest, key: &str) -> String {
    let WebSocketRequest { host, path } = request;
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
}
