//! One direction of a connection: whole packets are found in its bytes, judged, and pass, or do not, or later.

use std::collections::VecDeque;

use ringmq_wire::frame;

use super::Fault;
use crate::limits::{FAULT_HELD_BYTES_MAX, FAULT_PACKET_BYTES_MAX};

/// Why nothing more passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The fault of a packet.
    Fault(Fault),
    /// More is late than may be.
    Full,
}

/// The bytes of one direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The beginning of a packet.
    part: Vec<u8>,
    /// Bytes of a packet that is too large to be judged.
    passing: usize,
    held: VecDeque<Held>,
    held_bytes: usize,
}

#[derive(Debug)]
struct Held {
    due: Due,
    bytes: Vec<u8>,
}

/// When it may pass, once all before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// So many milliseconds after it came, which is not noted yet.
    After(u64),
    At(u64),
}

impl Flow {
    /// Takes bytes, has each whole packet judged, and gives out what passes now.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        judge: &mut dyn FnMut(&[u8]) -> Option<Fault>,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Stop> {
        while !bytes.is_empty() {
            if self.passing > 0 {
                let (now, rest) = bytes.split_at(self.passing.min(bytes.len()));
                self.passing -= now.len();
                bytes = rest;
                self.give(now, out)?;
            } else if self.part.is_empty() && missing(bytes) == Some(0) {
                let whole = frame::announced(bytes).ok().flatten().unwrap_or(bytes.len());
                let (packet, rest) = bytes.split_at(whole);
                bytes = rest;
                self.act(packet, judge, out)?;
            } else {
                let Some(missing) = missing(&self.part) else {
                    self.passing = frame::announced(&self.part).ok().flatten().unwrap_or(usize::MAX);
                    self.passing = self.passing.saturating_sub(self.part.len());
                    let part = std::mem::take(&mut self.part);
                    self.give(&part, out)?;
                    continue;
                };
                let (more, rest) = bytes.split_at(missing.min(bytes.len()));
                self.part.extend_from_slice(more);
                bytes = rest;
                if self::missing(&self.part) == Some(0) {
                    let packet = std::mem::take(&mut self.part);
                    self.act(&packet, judge, out)?;
                }
            }
        }
        Ok(())
    }

    fn act(
        &mut self,
        packet: &[u8],
        judge: &mut dyn FnMut(&[u8]) -> Option<Fault>,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Stop> {
        match judge(packet) {
            None => self.give(packet, out),
            Some(Fault::Drop) => Ok(()),
            Some(Fault::Duplicate) => {
                self.give(packet, out)?;
                self.give(packet, out)
            }
            Some(Fault::Delay(by)) => self.hold(packet, u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
            Some(fault @ (Fault::Reset | Fault::Refuse(_))) => Err(Stop::Fault(fault)),
        }
    }

    /// What is behind something late is late, too.
    fn give(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Stop> {
        if self.held.is_empty() {
            out(bytes);
            return Ok(());
        }
        self.hold(bytes, 0)
    }

    fn hold(&mut self, bytes: &[u8], milliseconds: u64) -> Result<(), Stop> {
        self.held_bytes += bytes.len();
        if self.held_bytes > FAULT_HELD_BYTES_MAX {
            return Err(Stop::Full);
        }
        self.held.push_back(Held { due: Due::After(milliseconds), bytes: bytes.to_vec() });
        Ok(())
    }

    /// It is so late, in milliseconds: gives out what is due, and says when more is.
    pub(super) fn pass_time(&mut self, now: u64, out: &mut dyn FnMut(&[u8])) -> Option<u64> {
        for held in &mut self.held {
            if let Due::After(milliseconds) = held.due {
                // The present millisecond may be as good as over.
                let later = if milliseconds == 0 { 0 } else { milliseconds.saturating_add(1) };
                held.due = Due::At(now.saturating_add(later));
            }
        }
        while let Some(held) = self.held.pop_front_if(|held| matches!(held.due, Due::At(at) if at <= now)) {
            self.held_bytes -= held.bytes.len();
            out(&held.bytes);
        }
        match self.held.front()?.due {
            Due::At(at) => Some(at),
            Due::After(_) => None,
        }
    }

    /// Bytes that are late.
    pub(super) fn late_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Bytes that are here.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes + self.part.capacity()
    }
}

/// How many bytes the packet at the front lacks, as far as is known; nothing where it is too large or no packet.
fn missing(bytes: &[u8]) -> Option<usize> {
    match frame::announced(bytes) {
        Ok(Some(whole)) => (whole <= FAULT_PACKET_BYTES_MAX).then(|| whole.saturating_sub(bytes.len())),
        Ok(None) => Some(1),
        Err(_) => None,
    }
}
