//! The PROXY protocol of HAProxy, versions 1 and 2: a load balancer says in front of everything whose connection
//! it passes on. Only the source's address is taken from it; extensions of version 2 are skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Broken;
use crate::limits::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX};

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;

/// What some first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The beginning of a header.
    Incomplete,
    /// No header.
    None,
    /// A header of so many bytes, and the address it tells, if any.
    Header(usize, Option<SocketAddr>),
}

/// Waits for the header at the beginning of a connection.
#[derive(Debug)]
pub(crate) struct Proxy {
    required: bool,
    refused: bool,
    header: Vec<u8>,
}

/// The end of waiting for a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The address that was told, if any.
    pub(crate) address: Option<SocketAddr>,
    /// How many of the received bytes are used up.
    pub(crate) used: usize,
    /// Bytes of earlier reads that are no header after all.
    pub(crate) before: Vec<u8>,
}

impl Proxy {
    /// Waits for a header; `refused` if it must come but its source is not trusted.
    pub(crate) fn new(required: bool, refused: bool) -> Self {
        Self { required, refused, header: Vec::new() }
    }

    /// Takes what was received; `None` as long as more is needed.
    pub(crate) fn read(&mut self, received: &[u8]) -> Result<Option<Told>, Broken> {
        if self.refused {
            return Err(Broken("a PROXY header is required, and its source is not trusted"));
        }
        let before = self.header.len();
        let room = PROXY_V2_BYTES_MAX - before;
        self.header.extend_from_slice(&received[..received.len().min(room)]);
        match parse(&self.header)? {
            Parsed::Incomplete => Ok(None),
            Parsed::None if self.required => Err(Broken("a PROXY header is required and did not come")),
            Parsed::None => {
                self.header.truncate(before);
                Ok(Some(Told { address: None, used: 0, before: std::mem::take(&mut self.header) }))
            }
            // All earlier reads together were incomplete, so the header ends in this one.
            Parsed::Header(bytes, address) => {
                Ok(Some(Told { address, used: bytes - before, before: Vec::new() }))
            }
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.header.capacity()
    }
}

/// Says what the first bytes of a connection are.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, Broken> {
    let starts = |start: &[u8]| bytes.iter().zip(start).all(|(is, should)| is == should);
    if starts(V1_START) {
        v1(bytes)
    } else if starts(V2_START) {
        v2(bytes)
    } else {
        Ok(Parsed::None)
    }
}

/// Version 1: a line of text (section 2.1).
fn v1(bytes: &[u8]) -> Result<Parsed, Broken> {
    let line = &bytes[..bytes.len().min(PROXY_V1_BYTES_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return match line.len() {
            PROXY_V1_BYTES_MAX => Err(Broken("a PROXY header of version 1 without end")),
            _ => Ok(Parsed::Incomplete),
        };
    };
    let wrong = Broken("a malformed PROXY header of version 1");
    let line = std::str::from_utf8(&line[V1_START.len()..end]).map_err(|_| wrong)?;
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Parsed::Header(end + 2, None));
    }
    let mut next = || words.next().ok_or(wrong);
    let (source, target) = (address(family, next()?), address(family, next()?));
    let (source_port, target_port) = (port(next()?), port(next()?));
    match (source, target, source_port, target_port, words.next()) {
        (Some(source), Some(_), Some(port), Some(_), None) => {
            Ok(Parsed::Header(end + 2, Some(SocketAddr::new(source, port))))
        }
        _ => Err(wrong),
    }
}

fn address(family: Option<&str>, text: &str) -> Option<IpAddr> {
    match family {
        Some("TCP4") => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some("TCP6") => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    }
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Version 2: binary (section 2.2).
fn v2(bytes: &[u8]) -> Result<Parsed, Broken> {
    let Some(fixed) = bytes.first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(Parsed::Incomplete);
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let total = V2_FIXED_BYTES + length;
    if total > PROXY_V2_BYTES_MAX {
        return Err(Broken("a PROXY header of version 2 that is too long"));
    }
    let is_local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Broken("a PROXY header of version 2 with an unknown version or command")),
    };
    let Some(body) = bytes.get(V2_FIXED_BYTES..total) else {
        return Ok(Parsed::Incomplete);
    };
    // The balancer's own connection, as for a health check: the address of the socket is the right one.
    if is_local {
        return Ok(Parsed::Header(total, None));
    }
    let short = Broken("a PROXY header of version 2 without room for its addresses");
    let address = match fixed[13] {
        0x00 => None,
        0x11 | 0x12 => {
            let body = body.first_chunk::<12>().ok_or(short)?;
            let source = Ipv4Addr::new(body[0], body[1], body[2], body[3]);
            Some(SocketAddr::new(source.into(), u16::from_be_bytes([body[8], body[9]])))
        }
        0x21 | 0x22 => {
            let body = body.first_chunk::<36>().ok_or(short)?;
            let source = Ipv6Addr::from(*body.first_chunk::<16>().ok_or(short)?);
            Some(SocketAddr::new(source.into(), u16::from_be_bytes([body[32], body[33]])))
        }
        0x31 | 0x32 if body.len() >= 216 => None,
        0x31 | 0x32 => return Err(short),
        _ => return Err(Broken("a PROXY header of version 2 with an unknown family")),
    };
    Ok(Parsed::Header(total, address))
}

#[cfg(test)]
mod tests;
