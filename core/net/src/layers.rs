//! The layers of one connection, one upon the other.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::stack::Stack;
use crate::{Broken, Layer, Plain, Sealed};

/// All layers of one connection. Nothing and no more than a pointer where there are none. It may go to another
/// thread with its connection at any time between two calls.
#[derive(Debug, Default)]
pub enum Layers {
    /// The bytes of the socket are those of MQTT.
    #[default]
    Plain,
    /// Some layers.
    Stack(Box<Stack>),
}

/// What is known of the other end once all handshakes are done, and before it has said a word of MQTT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// Where the client connects from, if a load balancer in between said so; else the socket's own peer.
    pub address: Option<SocketAddr>,
    /// The user name that the client's certificate proves.
    pub user_name: Option<Arc<str>>,
    /// The version of TLS, as `TLSv1.3`.
    pub tls: Option<&'static str>,
}

impl Layers {
    /// Whether all handshakes are done: until then there is no plaintext in either direction, and the runtime
    /// should bound the time that takes. Plain connections are established at once.
    pub fn is_established(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Stack(stack) => stack.is_established(),
        }
    }

    /// Who is at the other end, once, when the connection is established; nothing for a plain connection.
    ///
    /// Plaintext that came together with the end of the handshake is held back until this was asked. So after
    /// each `open` until there is an introduction: ask for it, and when it comes, call `open` again with no bytes
    /// for what was held back.
    pub fn introduction(&mut self) -> Option<Introduction> {
        match self {
            Self::Plain => None,
            Self::Stack(stack) => stack.introduction(),
        }
    }

    /// Nothing more will be said: puts a proper end (WebSocket Close, TLS close_notify) behind what was given to
    /// [`Layer::seal`] already, which [`Layer::has_own_output`] then tells. Behind a close_notify nothing is read any more. Does nothing while a handshake is
    /// not done, and the second time.
    pub fn goodbye(&mut self) {
        if let Self::Stack(stack) = self {
            stack.goodbye();
        }
    }

    /// Whether things go wrong on purpose here. Then [`Layers::pass_time`] is to be called after each `open`, and when
    /// [`Layer::seal`] had nothing to send, and [`Layer::sent`] with 0 in that case: plaintext may be done with although
    /// nothing of it is sent.
    #[inline]
    pub fn has_faults(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Stack(stack) => stack.has_faults(),
        }
    }

    /// It is so late, in milliseconds of any clock that never goes back: hands out what was kept late on purpose and is
    /// due now, and says when to ask again. What is due of the other direction is own output then.
    pub fn pass_time(&mut self, now: u64, plain: &mut dyn FnMut(&[u8])) -> Option<u64> {
        match self {
            Self::Plain => None,
            Self::Stack(stack) => stack.pass_time(now, plain),
        }
    }

    /// Whether the other end is to see a reset instead of an end.
    pub fn resets(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Stack(stack) => stack.resets(),
        }
    }

    /// How many bytes the layers hold on the heap, roughly.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Stack(stack) => stack.held_bytes(),
        }
    }
}

impl Layer for Layers {
    #[inline]
    fn open(&mut self, received: &mut [u8], plain: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        match self {
            Self::Plain => Plain.open(received, plain),
            Self::Stack(stack) => stack.open(received, plain),
        }
    }

    #[inline]
    fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a> {
        match self {
            Self::Plain => Sealed::Same(plain),
            Self::Stack(stack) => stack.seal(plain),
        }
    }

    #[inline]
    fn sent(&mut self, bytes: usize) -> usize {
        match self {
            Self::Plain => bytes,
            Self::Stack(stack) => stack.sent(bytes),
        }
    }

    #[inline]
    fn has_own_output(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Stack(stack) => stack.has_own_output(),
        }
    }
}

const _: () = assert!(size_of::<Layers>() == size_of::<usize>());

/// Connections move between threads, and doors are shared by all.
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    is_send::<Layers>();
    is_shared::<crate::Door>();
    is_shared::<crate::ClientDoor>();
};
