//! What a storm's payload says of itself: which run and stream it belongs to, its place in the stream and when it
//! was due to be sent. The rest is filling.

/// Bytes at the front that carry meaning, and so the smallest payload.
pub(crate) const PARCEL_BYTES: usize = 32;

/// Marks payloads of a storm.
const MAGIC: u32 = 0x5354_4F52;

/// One message of a storm. A stream is what one publisher sends at one QoS: its messages have an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) run_id: u32,
    pub(crate) stream: u32,
    pub(crate) sequence: u64,
    /// Nanoseconds since the start of the run.
    pub(crate) due_nanos: u64,
    /// Length of the payload in bytes, at least [`PARCEL_BYTES`].
    pub(crate) bytes: u32,
}

impl Parcel {
    /// The payload.
    pub(crate) fn to_payload(self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.bytes as usize);
        payload.extend_from_slice(&MAGIC.to_be_bytes());
        payload.extend_from_slice(&self.run_id.to_be_bytes());
        payload.extend_from_slice(&self.stream.to_be_bytes());
        payload.extend_from_slice(&self.bytes.to_be_bytes());
        payload.extend_from_slice(&self.sequence.to_be_bytes());
        payload.extend_from_slice(&self.due_nanos.to_be_bytes());
        payload.resize(self.bytes as usize, self.filling());
        payload
    }

    /// The parcel of a payload; nothing when no storm has made it or it is not whole.
    pub(crate) fn of(payload: &[u8]) -> Option<Parcel> {
        let (magic, rest) = payload.split_first_chunk()?;
        let (run_id, rest) = rest.split_first_chunk()?;
        let (stream, rest) = rest.split_first_chunk()?;
        let (bytes, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (due_nanos, filling) = rest.split_first_chunk()?;
        let parcel = Parcel {
            run_id: u32::from_be_bytes(*run_id),
            stream: u32::from_be_bytes(*stream),
            sequence: u64::from_be_bytes(*sequence),
            due_nanos: u64::from_be_bytes(*due_nanos),
            bytes: u32::from_be_bytes(*bytes),
        };
        let whole = u32::from_be_bytes(*magic) == MAGIC
            && payload.len() == parcel.bytes as usize
            && filling.iter().all(|&byte| byte == parcel.filling());
        whole.then_some(parcel)
    }

    /// Differs between neighbours, so that pieces of two messages cannot pass for one.
    fn filling(self) -> u8 {
        (self.sequence as u8) ^ (self.stream as u8).rotate_left(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back_and_damage_is_seen() {
        for bytes in [PARCEL_BYTES, 33, 5000] {
            let parcel =
                Parcel { run_id: 7, stream: 0x0102, sequence: 1 << 40, due_nanos: 99, bytes: bytes as u32 };
            let payload = parcel.to_payload();
            assert_eq!(Parcel::of(&payload), Some(parcel));
            assert_eq!(Parcel::of(&payload[..payload.len() - 1]), None);
            let mut damaged = payload;
            damaged[0] ^= 1;
            assert_eq!(Parcel::of(&damaged), None);
            damaged[0] ^= 1;
            if bytes > PARCEL_BYTES {
                damaged[bytes - 1] ^= 1;
                assert_eq!(Parcel::of(&damaged), None);
            }
        }
    }
}
