//! PROXY under TLS under WebSocket under faults on purpose: those of them that a connection has.

use std::io::IoSlice;
use std::net::SocketAddr;

use crate::faults::FaultLayer;
use crate::limits::HELD_BYTES_MAX;
use crate::outgoing::Outgoing;
use crate::proxy::Proxy;
use crate::tls::{Tls, user_name};
use crate::websocket::WebSocket;
use crate::{Broken, Identity, Introduction, Layer, Sealed};

/// The layers of a connection that has some.
#[derive(Debug)]
pub struct Stack {
    /// Gone once there was a header, or no header.
    proxy: Option<Proxy>,
    tls: Option<Box<Tls>>,
    websocket: Option<WebSocket>,
    faults: Option<Box<Faulty>>,
    identity: Option<Identity>,
    /// Where the client connects from, as far as is known.
    address: Option<SocketAddr>,
    stage: Stage,
    /// Plaintext that came before the introduction was taken.
    held: Vec<u8>,
    broken: Option<Broken>,
    leaving: bool,
}

/// Faults, and what has gone through them and the WebSocket on its way out.
#[derive(Debug)]
struct Faulty {
    layer: FaultLayer,
    out: Outgoing,
}

impl Faulty {
    fn has_output(&self) -> bool {
        !self.out.is_empty() || self.layer.has_passed()
    }
}

#[derive(Debug)]
enum Stage {
    Handshake,
    /// The introduction was not taken yet.
    Established(Box<Introduction>),
    Introduced,
}

impl Stack {
    pub(crate) fn new(
        proxy: Option<Proxy>,
        tls: Option<Tls>,
        websocket: Option<WebSocket>,
        identity: Option<Identity>,
        address: Option<SocketAddr>,
    ) -> Self {
        Self {
            proxy,
            tls: tls.map(Box::new),
            websocket,
            faults: None,
            identity,
            address,
            stage: Stage::Handshake,
            held: Vec::new(),
            broken: None,
            leaving: false,
        }
    }

    /// The same, with faults.
    pub(crate) fn with_faults(mut self, layer: Option<FaultLayer>) -> Self {
        let has_handshake = self.proxy.is_some() || self.tls.is_some() || self.websocket.is_some();
        if layer.is_some() && !has_handshake {
            // Nobody is introduced.
            self.stage = Stage::Introduced;
        }
        self.faults = layer.map(|layer| Box::new(Faulty { layer, out: Outgoing::default() }));
        self
    }

    pub(crate) fn has_faults(&self) -> bool {
        self.faults.is_some()
    }

    pub(crate) fn pass_time(&mut self, now: u64, plain: &mut dyn FnMut(&[u8])) -> Option<u64> {
        self.faults.as_mut()?.layer.pass_time(now, plain)
    }

    pub(crate) fn resets(&self) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.layer.resets())
    }

    pub(crate) fn is_established(&self) -> bool {
        !matches!(self.stage, Stage::Handshake)
    }

    pub(crate) fn introduction(&mut self) -> Option<Introduction> {
        match std::mem::replace(&mut self.stage, Stage::Introduced) {
            Stage::Established(introduction) => Some(*introduction),
            other => {
                self.stage = other;
                None
            }
        }
    }

    pub(crate) fn goodbye(&mut self) {
        if self.is_established() && !self.leaving {
            self.leaving = true;
            if let Some(websocket) = &mut self.websocket {
                websocket.goodbye();
            }
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + self.held.capacity()
            + self.proxy.as_ref().map_or(0, Proxy::held_bytes)
            + self.tls.as_ref().map_or(0, |tls| tls.held_bytes())
            + self.websocket.as_ref().map_or(0, WebSocket::held_bytes)
            + self.faults.as_ref().map_or(0, |faults| faults.layer.held_bytes() + faults.out.held_bytes())
    }

    #[cfg(test)]
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// Gives an end that was found while plaintext before it was held back, once that is gone.
    fn ended(&self) -> Result<(), Broken> {
        match (&self.stage, self.broken) {
            (Stage::Established(_), _) | (_, None) => Ok(()),
            (_, Some(broken)) => Err(broken),
        }
    }

    fn open_held(&mut self, received: &mut [u8]) -> Result<(), Broken> {
        let mut held = std::mem::take(&mut self.held);
        let opened = self.open_proxy(received, &mut |piece| held.extend_from_slice(piece));
        self.held = held;
        opened?;
        if self.held.len() > HELD_BYTES_MAX {
            return Err(Broken("too much was sent before the connection was accepted"));
        }
        Ok(())
    }

    fn open_proxy(&mut self, mut received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        if let Some(proxy) = &mut self.proxy {
            let Some(mut told) = proxy.read(received)? else { return Ok(()) };
            self.proxy = None;
            self.address = told.address.or(self.address);
            self.open_tls(&mut told.before, plain)?;
            received = &mut received[told.used..];
        }
        self.open_tls(received, plain)
    }

    fn open_tls(&mut self, received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let (websocket, address) = (&mut self.websocket, &mut self.address);
        let mut inside = Ok(());
        let opened = match (&mut self.tls, websocket) {
            (None, None) => {
                if !received.is_empty() {
                    plain(received);
                }
                Ok(())
            }
            (None, Some(websocket)) => websocket.open(received, address, plain),
            (Some(tls), None) => tls.open(received, plain),
            (Some(tls), Some(websocket)) => tls.open(received, &mut |piece| {
                if inside.is_ok() {
                    // rustls hands out plaintext that cannot be unmasked in its place.
                    inside = websocket.open(&mut piece.to_vec(), address, plain);
                }
            }),
        };
        inside.and(opened)
    }

    /// Establishes the connection when the last handshake is done.
    fn advance(&mut self) -> Result<(), Broken> {
        let is_done = self.proxy.is_none()
            && self.tls.as_ref().is_none_or(|tls| tls.is_established())
            && self.websocket.as_ref().is_none_or(WebSocket::is_open);
        if self.is_established() || !is_done {
            return Ok(());
        }
        let mut introduction = Introduction { address: self.address, user_name: None, tls: None };
        if let Some(tls) = &self.tls {
            introduction.tls = tls.version();
            if let (Some(identity), Some(certificate)) = (self.identity, tls.certificate()) {
                introduction.user_name = Some(user_name(certificate, identity)?.into());
            }
        }
        self.stage = Stage::Established(Box::new(introduction));
        Ok(())
    }

    /// What to send, before TLS.
    fn seal_websocket<'a>(websocket: Option<&'a mut WebSocket>, plain: &'a [IoSlice<'a>]) -> Sealed<'a> {
        match websocket {
            Some(websocket) => websocket.seal(plain),
            None => Sealed::Same(plain),
        }
    }
}

impl Stack {
    fn open_layers(&mut self, received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let is_introduced = matches!(self.stage, Stage::Introduced);
        if is_introduced && !self.held.is_empty() {
            plain(&std::mem::take(&mut self.held));
        }
        if self.broken.is_some() {
            return self.ended();
        }
        let opened = if is_introduced { self.open_proxy(received, plain) } else { self.open_held(received) };
        // A handshake may be done although bytes behind it broke something.
        let advanced = self.advance();
        if let (Err(_), Some(tls)) = (advanced, &mut self.tls) {
            tls.close();
        }
        self.broken = opened.and(advanced).err();
        self.ended()
    }

    /// What has gone through the faults goes through the others as a copy.
    fn seal_faulty(&mut self, plain: &[IoSlice<'_>]) -> &[u8] {
        let Some(Faulty { layer, out }) = self.faults.as_deref_mut() else { return &[] };
        layer.take(plain);
        if out.is_empty() {
            let passed = [IoSlice::new(layer.passed())];
            let inside = Self::seal_websocket(self.websocket.as_mut(), &passed);
            inside.pieces().for_each(|piece| out.bytes().extend_from_slice(piece));
            let bytes = inside.len();
            let done = self.websocket.as_mut().map_or(bytes, |websocket| websocket.sent(bytes));
            layer.went(done);
        }
        let Some(tls) = &mut self.tls else { return out.waiting() };
        if tls.has_room() {
            let bytes = out.waiting().len();
            tls.seal(std::iter::once(out.waiting()));
            if self.leaving && bytes == 0 {
                tls.close();
            }
        }
        tls.seal(std::iter::empty())
    }
}

impl Layer for Stack {
    fn open(&mut self, received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let Some(mut faults) = self.faults.take() else { return self.open_layers(received, plain) };
        let opened = self.open_layers(received, &mut |piece| faults.layer.open(piece, plain));
        let ended = faults.layer.ended();
        self.faults = Some(faults);
        ended.map_or(opened, Err)
    }

    fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a> {
        let plain = if self.is_established() { plain } else { &[] };
        if self.faults.is_some() {
            return Sealed::Other(self.seal_faulty(plain));
        }
        let Some(tls) = &mut self.tls else {
            return Self::seal_websocket(self.websocket.as_mut(), plain);
        };
        if tls.has_room() {
            let inside = Self::seal_websocket(self.websocket.as_mut(), plain);
            tls.seal(inside.pieces());
            if self.leaving && inside.is_empty() {
                tls.close();
            }
        }
        Sealed::Other(tls.seal(std::iter::empty()))
    }

    fn sent(&mut self, bytes: usize) -> usize {
        let bytes = self.tls.as_mut().map_or(bytes, |tls| tls.sent(bytes));
        if let Some(faults) = &mut self.faults {
            faults.out.take_sent(bytes);
            return faults.layer.done();
        }
        self.websocket.as_mut().map_or(bytes, |websocket| websocket.sent(bytes))
    }

    fn has_own_output(&self) -> bool {
        let faults = self.faults.as_ref().is_some_and(|faults| faults.has_output());
        let inside = faults || self.websocket.as_ref().is_some_and(WebSocket::has_own_output);
        match &self.tls {
            None => inside,
            Some(tls) => tls.has_own_output() || (tls.is_open() && (inside || self.leaving)),
        }
    }
}
