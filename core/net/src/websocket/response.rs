//! A server's answer to a request for a WebSocket, as a client checks it (RFC 6455 section 4.1).

use super::handshake::{accept_key, has_token, values};
use crate::Broken;
use crate::limits::WEBSOCKET_HEADERS_MAX;

/// The answer does not end.
pub(crate) const TOO_LONG: Broken = Broken("WebSocket: the head of the server's answer is too long");

/// Checks a whole answer.
pub(crate) fn check(head: &[u8], key: &str) -> Result<(), Broken> {
    let mut headers = [httparse::EMPTY_HEADER; WEBSOCKET_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    if !matches!(response.parse(head), Ok(httparse::Status::Complete(_))) {
        return Err(Broken("WebSocket: the server's answer is not HTTP"));
    }
    check_status(response.code.unwrap_or_default())?;
    let headers = &*response.headers;
    if !has_token(headers, "Upgrade", "websocket") || !has_token(headers, "Connection", "upgrade") {
        return Err(Broken("WebSocket: the server's answer is not about a WebSocket"));
    }
    if !values(headers, "Sec-WebSocket-Accept").eq([accept_key(key).as_str()]) {
        return Err(Broken("WebSocket: the server's answer is to another request"));
    }
    if !values(headers, "Sec-WebSocket-Protocol").eq(["mqtt"]) {
        return Err(Broken("WebSocket: the server did not agree on MQTT"));
    }
    if values(headers, "Sec-WebSocket-Extensions").next().is_some() {
        return Err(Broken("WebSocket: the server uses extensions that were not asked for"));
    }
    Ok(())
}

fn check_status(status: u16) -> Result<(), Broken> {
    Err(Broken(match status {
        101 => return Ok(()),
        300..=399 => "WebSocket: the server answers from elsewhere (HTTP redirect)",
        400 => "WebSocket: the server takes the request for a bad one (HTTP 400)",
        401 => "WebSocket: the server wants authentication by HTTP (HTTP 401)",
        403 => "WebSocket: the server forbids the connection (HTTP 403)",
        404 => "WebSocket: there is nothing at this path of the server (HTTP 404)",
        426 => "WebSocket: the server speaks another version of WebSocket (HTTP 426)",
        500..=599 => "WebSocket: the server has a problem (HTTP 5xx)",
        _ => "WebSocket: the server does not switch to WebSocket",
    }))
}
