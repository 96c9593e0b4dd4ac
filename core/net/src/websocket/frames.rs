//! Received frames (RFC 6455 section 5): the payload of binary messages is handed out as it comes, from its place.

use smallvec::SmallVec;

use super::mask;
use crate::Broken;

/// Codes of a Close frame (RFC 6455 section 7.4.1).
pub(crate) const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED_DATA: u16 = 1003;
const INVALID_DATA: u16 = 1007;
/// Stands for a Close frame without code; never in a frame.
pub(crate) const NO_CODE: u16 = 1005;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The longest payload of a control frame (section 5.5).
const CONTROL_BYTES_MAX: usize = 125;
const HEAD_BYTES_MAX: usize = 14;

/// What frames say.
pub(crate) enum Heard<'a> {
    /// Some bytes of a binary message.
    Data(&'a [u8]),
    /// A ping with this payload.
    Ping(&'a [u8]),
}

/// No more frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// What to say in a Close frame.
    pub(crate) code: u16,
    /// Why.
    pub(crate) broken: Broken,
}

/// Reads frames in pieces of any length.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Whether frames are masked: those of clients, and only those.
    masked: bool,
    /// A message has begun and not ended.
    in_message: bool,
    /// The head of the next frame as far as it has arrived, or of the current one.
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: u8,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// The payload of a control frame as far as it has arrived.
    control: SmallVec<[u8; 16]>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    left: u64,
    mask: [u8; 4],
}

impl Frames {
    pub(crate) fn new(masked: bool) -> Self {
        Self {
            masked,
            in_message: false,
            head: [0; HEAD_BYTES_MAX],
            head_bytes: 0,
            frame: None,
            control: SmallVec::new(),
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        if self.control.spilled() { self.control.capacity() } else { 0 }
    }

    /// Reads these bytes and tells what frames say. An end is final.
    pub(crate) fn read(
        &mut self,
        mut received: &mut [u8],
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(), End> {
        loop {
            let frame = match &mut self.frame {
                Some(frame) => frame,
                None => {
                    let used = self.take_head(received)?;
                    received = &mut received[used..];
                    match &mut self.frame {
                        Some(frame) => frame,
                        None => return Ok(()),
                    }
                }
            };
            let bytes = usize::try_from(frame.left).unwrap_or(usize::MAX).min(received.len());
            let (payload, rest) = std::mem::take(&mut received).split_at_mut(bytes);
            received = rest;
            frame.left -= bytes as u64;
            frame.mask = if self.masked { mask::apply(frame.mask, payload) } else { frame.mask };
            let (opcode, is_over) = (frame.opcode, frame.left == 0);
            if opcode < CLOSE {
                if !payload.is_empty() {
                    heard(Heard::Data(payload));
                }
            } else {
                self.control.extend_from_slice(payload);
            }
            if !is_over {
                return Ok(());
            }
            self.frame = None;
            if opcode >= CLOSE {
                self.take_control(opcode, heard)?;
            }
        }
    }

    /// Completes the head of the next frame and begins it. Returns how many bytes that took.
    fn take_head(&mut self, received: &[u8]) -> Result<usize, End> {
        let mut used = 0;
        loop {
            let have = usize::from(self.head_bytes);
            let need = head_bytes(&self.head[..have], self.masked)?;
            if have == need {
                break;
            }
            let bytes = (need - have).min(received.len() - used);
            if bytes == 0 {
                return Ok(used);
            }
            self.head[have..have + bytes].copy_from_slice(&received[used..used + bytes]);
            self.head_bytes += bytes as u8;
            used += bytes;
        }
        self.begin()?;
        self.head_bytes = 0;
        Ok(used)
    }

    /// Begins the frame with the head that is there.
    fn begin(&mut self) -> Result<(), End> {
        let head = &self.head[..usize::from(self.head_bytes)];
        let (is_final, opcode) = (head[0] & 0x80 != 0, head[0] & 0x0F);
        let (length, mask) = length_and_mask(head)?;
        match opcode {
            CONTINUATION if !self.in_message => {
                return Err(violation("WebSocket: a continuation of no message"));
            }
            TEXT => {
                let broken = Broken("WebSocket: a text message, and MQTT's are binary");
                return Err(End { code: UNSUPPORTED_DATA, broken });
            }
            BINARY if self.in_message => return Err(violation("WebSocket: a message within a message")),
            CONTINUATION | BINARY => self.in_message = !is_final,
            CLOSE | PING | PONG if !is_final || length > CONTROL_BYTES_MAX as u64 => {
                return Err(violation("WebSocket: a control frame in parts or too long"));
            }
            CLOSE | PING | PONG => (),
            _ => return Err(violation("WebSocket: an unknown kind of frame")),
        }
        self.frame = Some(Frame { opcode, left: length, mask });
        Ok(())
    }

    fn take_control(&mut self, opcode: u8, heard: &mut dyn FnMut(Heard<'_>)) -> Result<(), End> {
        let payload = std::mem::take(&mut self.control);
        match opcode {
            PING => heard(Heard::Ping(&payload)),
            CLOSE => return Err(closed(&payload)),
            _ => (),
        }
        Ok(())
    }
}

/// How many bytes a head has, as far as its first ones tell.
fn head_bytes(head: &[u8], masked: bool) -> Result<usize, End> {
    let Some(first) = head.first() else { return Ok(2) };
    if first & 0x70 != 0 {
        return Err(violation("WebSocket: a frame of an extension that was not agreed on"));
    }
    let Some(second) = head.get(1) else { return Ok(2) };
    if (second & 0x80 != 0) != masked {
        return Err(violation("WebSocket: a frame of a client without mask, or one of a server with a mask"));
    }
    let length = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    Ok(2 + length + if masked { 4 } else { 0 })
}

/// The length and the mask in a whole head; zeros are the mask of a frame that has none.
fn length_and_mask(head: &[u8]) -> Result<(u64, [u8; 4]), End> {
    let (extended, rest) = match head[1] & 0x7F {
        126 => head[2..].split_at(2),
        127 => head[2..].split_at(8),
        _ => head[2..].split_at(0),
    };
    let extended = extended.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let (length, least) = match head[1] & 0x7F {
        126 => (extended, 126),
        127 => (extended, 1 << 16),
        length => (u64::from(length), 0),
    };
    if length < least || length >> 63 != 0 {
        return Err(violation("WebSocket: a length that is not written as it must be"));
    }
    Ok((length, rest.try_into().unwrap_or_default()))
}

/// What a Close frame with this payload ends the connection with (sections 5.5.1 and 7.4).
fn closed(payload: &[u8]) -> End {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => End { code: NO_CODE, broken: Broken::GOODBYE },
            _ => violation("WebSocket: a Close frame with half a code"),
        };
    };
    match u16::from_be_bytes(*code) {
        _ if std::str::from_utf8(reason).is_err() => End {
            code: INVALID_DATA,
            broken: Broken("WebSocket: a Close frame with a reason that is no UTF-8"),
        },
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => End { code, broken: Broken::GOODBYE },
        _ => violation("WebSocket: a Close frame with a code that is none"),
    }
}

fn violation(why: &'static str) -> End {
    End { code: PROTOCOL_ERROR, broken: Broken(why) }
}
