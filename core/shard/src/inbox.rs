//! The beginning of a packet waits in an inbox for its end. A large one has its inbox for itself, which grows in few
//! steps and, once the packet is complete, goes over to the message: its payload is not copied again.

use bytes::Bytes;
use ringmq_wire::frame;

/// Packets from here on have an inbox for themselves: below, a copy costs less than what is done to spare it.
const LARGE_BYTES_MIN: usize = 64 << 10;
/// How many times the bytes that have arrived an inbox may take: an announced length is only a claim.
const GROWTH_MAX: usize = 4;
/// A message keeps at most this part of its payload's length beside the payload.
const SLACK_PART: usize = 16;

/// How many bytes the large packet at the front of an inbox still lacks; nothing when it is not a large one, or
/// complete.
pub fn missing(inbox: &[u8]) -> Option<usize> {
    let announced = frame::announced(inbox).ok().flatten()?;
    (announced >= LARGE_BYTES_MIN && announced > inbox.len()).then(|| announced - inbox.len())
}

/// Appends bytes, with room for those that the packet at the front still lacks.
pub fn append(inbox: &mut Vec<u8>, bytes: &[u8]) {
    let arrived = inbox.len() + bytes.len();
    if arrived > inbox.capacity() {
        let announced = match missing(inbox) {
            Some(missing) => inbox.len() + missing,
            None if inbox.is_empty() => missing(bytes).map_or(0, |missing| bytes.len() + missing),
            None => 0,
        };
        if announced > arrived {
            inbox.reserve_exact(announced.min(arrived * GROWTH_MAX) - inbox.len());
        }
    }
    inbox.extend_from_slice(bytes);
}

/// Whether a message may keep this inbox for the sake of its payload, which is nearly all of it.
fn may_keep(inbox_bytes_max: usize, payload_bytes: usize) -> bool {
    inbox_bytes_max - payload_bytes <= payload_bytes / SLACK_PART
}

/// The inbox whose packet is being processed, if it holds that large packet and nothing else.
pub struct Whole {
    packet: Bytes,
    inbox_bytes_max: usize,
}

impl Whole {
    /// Of an inbox that is not needed any more; the inbox itself otherwise.
    ///
    /// # Errors
    /// The inbox, when it holds anything but one large packet.
    pub fn of(inbox: Vec<u8>) -> Result<Self, Vec<u8>> {
        if inbox.len() < LARGE_BYTES_MIN || frame::announced(&inbox) != Ok(Some(inbox.len())) {
            return Err(inbox);
        }
        let inbox_bytes_max = inbox.capacity();
        Ok(Self { packet: Bytes::from(inbox), inbox_bytes_max })
    }

    /// The packet.
    pub fn packet(&self) -> Bytes {
        self.packet.clone()
    }

    /// The payload as a part of the inbox, if it is one that a message may keep it for.
    pub fn payload(&self, payload: &[u8]) -> Option<Bytes> {
        let begin = payload.as_ptr().addr().checked_sub(self.packet.as_ptr().addr())?;
        let end = begin.checked_add(payload.len()).filter(|end| *end <= self.packet.len())?;
        (!payload.is_empty() && may_keep(self.inbox_bytes_max, payload.len()))
            .then(|| self.packet.slice(begin..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of so many bytes behind its fixed header.
    fn publish(body_bytes: usize) -> Vec<u8> {
        let mut packet = vec![0x30];
        let mut left = body_bytes;
        while left >= 0x80 {
            packet.push(left as u8 | 0x80);
            left >>= 7;
        }
        packet.push(left as u8);
        packet.resize(packet.len() + body_bytes, 7);
        packet
    }

    #[test]
    fn an_inbox_grows_with_what_arrived_and_never_past_the_packet() {
        let packet = publish(1 << 20);
        for step in [1, 1000, 65_536, 300_000, 2 << 20] {
            let (mut inbox, mut grown) = (Vec::new(), 0);
            for part in packet.chunks(step) {
                let before = inbox.capacity();
                append(&mut inbox, part);
                grown += usize::from(inbox.capacity() != before);
                assert!(
                    inbox.capacity() <= (inbox.len() * GROWTH_MAX).max(64),
                    "{} of {}",
                    inbox.len(),
                    step
                );
            }
            assert_eq!(inbox, packet);
            assert!(grown <= 14, "{grown} times by {step}");
            assert!(step < 1000 || inbox.capacity() == packet.len(), "{step}");
        }
    }

    #[test]
    fn a_claim_costs_nothing() {
        let mut inbox = Vec::new();
        append(&mut inbox, &[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        assert!(inbox.capacity() <= 64);
        assert_eq!(missing(&inbox), Some(268_435_455));
    }

    #[test]
    fn only_one_large_packet_alone_is_kept_and_only_for_nearly_all_of_it() {
        let packet = publish(100_000);
        let body = packet.len() - 100_000;
        let memory = packet.as_ptr();
        let whole = Whole::of(packet.clone()).ok().unwrap();
        assert_ne!(whole.packet.as_ptr(), memory);
        let inside = whole.packet();
        let payload = whole.payload(&inside[body + 10..]).unwrap();
        assert_eq!((payload.as_ptr(), payload.len()), (inside[body + 10..].as_ptr(), 99_990));
        assert!(whole.payload(&inside[50_000..]).is_none(), "half of it would be slack");
        assert!(whole.payload(&packet[body..]).is_none(), "it is elsewhere");
        assert!(Whole::of(publish(2000)).is_err(), "too short to be worth it");
        let small = publish(100);
        let two = [&packet[..], &small[..]].concat();
        for other in [&packet[1..], &packet[..packet.len() - 1], &two[..], &small[..], &[]] {
            assert!(Whole::of(other.to_vec()).is_err());
        }
        let mut roomy = Vec::with_capacity(200_000);
        roomy.extend_from_slice(&packet);
        let roomy = Whole::of(roomy).ok().unwrap();
        assert!(roomy.payload(&roomy.packet()[body..]).is_none(), "the room would be slack");
    }
}
