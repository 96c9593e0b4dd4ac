//! Frames that are sent (RFC 6455 section 5): a server's have a small head before plaintext from its place, a
//! client's are masked copies. Pongs and the Close frame go between data frames.

use std::io::IoSlice;

use smallvec::SmallVec;

use super::frames::NO_CODE;
use super::mask::{self, Masks};
use crate::limits::WEBSOCKET_FRAME_BYTES_MAX;
use crate::outgoing::Outgoing;
use crate::sealed::total;
use crate::{Framed, Sealed};

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8A;

/// What is sent, and how far.
#[derive(Debug)]
pub(crate) struct Sending {
    /// Where plaintext stands in the frame that is being sent, and how frames are masked.
    way: Way,
    /// The payload of the latest ping that was not answered yet. Earlier ones need no answer (section 5.5.3).
    pong: Option<Box<[u8]>>,
    close: Close,
}

#[derive(Debug)]
enum Way {
    /// A server's: bytes of the layer, then plaintext from its place.
    Place { head: SmallVec<[u8; 16]>, head_sent: usize, body_left: usize },
    /// A client's: all is a copy.
    Copy { out: Outgoing, masks: Masks },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    No,
    /// To be sent with this code.
    Due(u16),
    /// Nothing goes behind what is there.
    Done,
}

impl Sending {
    /// Frames are masked with `masks`, if there are any.
    pub(crate) fn new(masks: Option<Masks>) -> Self {
        let way = match masks {
            None => Way::Place { head: SmallVec::new(), head_sent: 0, body_left: 0 },
            Some(masks) => Way::Copy { out: Outgoing::default(), masks },
        };
        Self { way, pong: None, close: Close::No }
    }

    /// Sends these bytes of the handshake.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        match &mut self.way {
            Way::Place { head, .. } => head.extend_from_slice(bytes),
            Way::Copy { out, .. } => out.bytes().extend_from_slice(bytes),
        }
    }

    /// Nothing will be sent behind what is there.
    pub(crate) fn end(&mut self) {
        self.close = Close::Done;
    }

    /// Answers a ping.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        if self.close == Close::No {
            self.pong = Some(payload.into());
        }
    }

    /// Sends a Close frame behind what was begun, unless there was one.
    pub(crate) fn close(&mut self, code: u16) {
        if self.close == Close::No {
            self.close = Close::Due(code);
        }
    }

    pub(crate) fn seal<'a>(&'a mut self, plain: &'a [IoSlice<'a>]) -> Sealed<'a> {
        if !self.is_in_frame() {
            self.begin(plain);
        }
        match &self.way {
            Way::Place { head, head_sent, body_left } => Sealed::Framed(Framed {
                head: &head[*head_sent..],
                body: plain,
                body_bytes: (*body_left).min(total(plain)),
            }),
            Way::Copy { out, .. } => Sealed::Other(out.waiting()),
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) -> usize {
        match &mut self.way {
            Way::Place { head, head_sent, body_left } => {
                let of_head = bytes.min(head.len() - *head_sent);
                *head_sent += of_head;
                if *head_sent == head.len() {
                    // What was on the heap is given back.
                    *head = SmallVec::new();
                    *head_sent = 0;
                }
                *body_left -= bytes - of_head;
                bytes - of_head
            }
            Way::Copy { out, .. } => out.take_sent(bytes),
        }
    }

    pub(crate) fn has_own_output(&self) -> bool {
        let has_control = self.pong.is_some() || matches!(self.close, Close::Due(_));
        self.has_bytes() || (has_control && !self.is_in_frame())
    }

    pub(crate) fn held_bytes(&self) -> usize {
        let bytes = match &self.way {
            Way::Place { head, .. } if head.spilled() => head.capacity(),
            Way::Place { .. } => 0,
            Way::Copy { out, .. } => out.held_bytes(),
        };
        bytes + self.pong.as_ref().map_or(0, |payload| payload.len())
    }

    /// Whether bytes of the layer wait.
    fn has_bytes(&self) -> bool {
        match &self.way {
            Way::Place { head, .. } => !head.is_empty(),
            Way::Copy { out, .. } => !out.is_empty(),
        }
    }

    /// Whether a data frame was begun whose plaintext is not done with.
    fn is_in_frame(&self) -> bool {
        match &self.way {
            Way::Place { body_left, .. } => *body_left > 0,
            Way::Copy { out, .. } => out.has_plain(),
        }
    }

    /// Begins what is to be sent next: a pong, then a data frame or the Close frame.
    fn begin(&mut self, plain: &[IoSlice<'_>]) {
        // One at a time: pongs for an other end that asks and does not read do not pile up.
        if !self.has_bytes()
            && let Some(payload) = self.pong.take()
        {
            self.control(PONG, &payload);
        }
        match self.close {
            Close::Due(NO_CODE) => self.control(CLOSE, &[]),
            Close::Due(code) => self.control(CLOSE, &code.to_be_bytes()),
            Close::Done => (),
            Close::No => self.data(plain),
        }
        if matches!(self.close, Close::Due(_)) {
            self.close = Close::Done;
        }
    }

    fn control(&mut self, kind: u8, payload: &[u8]) {
        match &mut self.way {
            Way::Place { head, .. } => {
                write_head(kind, payload.len(), None, head);
                head.extend_from_slice(payload);
            }
            Way::Copy { out, masks } => copy(kind, &[IoSlice::new(payload)], payload.len(), masks, out),
        }
    }

    fn data(&mut self, plain: &[IoSlice<'_>]) {
        let bytes = total(plain).min(WEBSOCKET_FRAME_BYTES_MAX);
        if bytes == 0 {
            return;
        }
        match &mut self.way {
            Way::Place { head, body_left, .. } => {
                write_head(BINARY, bytes, None, head);
                *body_left = bytes;
            }
            Way::Copy { out, masks } => {
                copy(BINARY, plain, bytes, masks, out);
                out.note_plain(bytes);
            }
        }
    }
}

/// A masked frame with the first `bytes` bytes of `plain`.
fn copy(kind: u8, plain: &[IoSlice<'_>], bytes: usize, masks: &mut Masks, out: &mut Outgoing) {
    let mask = masks.next();
    let out = out.bytes();
    write_head(kind, bytes, Some(mask), out);
    let start = out.len();
    for slice in plain {
        let room = bytes - (out.len() - start);
        out.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    mask::apply(mask, &mut out[start..]);
}

pub(super) fn write_head(kind: u8, bytes: usize, mask: Option<[u8; 4]>, out: &mut impl Extend<u8>) {
    let is_masked = if mask.is_some() { 0x80 } else { 0 };
    out.extend([kind]);
    // No frame here is longer than that.
    let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
    match bytes {
        0..126 => out.extend([is_masked | bytes as u8]),
        126.. => {
            out.extend([is_masked | 126]);
            out.extend(bytes.to_be_bytes());
        }
    }
    out.extend(mask.into_iter().flatten());
}

const _: () = assert!(WEBSOCKET_FRAME_BYTES_MAX <= u16::MAX as usize);
