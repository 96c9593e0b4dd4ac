//! What stands at the front of every payload: run, publisher and sequence number.

/// The bytes of a stamp, and so the smallest payload.
pub const STAMP_BYTES: usize = 16;

/// Where the sequence number stands in a stamp, in bytes.
const SEQUENCE_AT: usize = 8;

/// Run, publisher and sequence number of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) run_id: u32,
    pub(crate) publisher: u32,
    pub(crate) sequence: u64,
}

impl Stamp {
    pub(crate) fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&self.run_id.to_be_bytes());
        bytes[4..SEQUENCE_AT].copy_from_slice(&self.publisher.to_be_bytes());
        bytes[SEQUENCE_AT..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    /// The stamp of a payload; nothing when it is too short to have one.
    pub(crate) fn of(payload: &[u8]) -> Option<Stamp> {
        let (run_id, rest) = payload.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (sequence, _) = rest.split_first_chunk()?;
        Some(Stamp {
            run_id: u32::from_be_bytes(*run_id),
            publisher: u32::from_be_bytes(*publisher),
            sequence: u64::from_be_bytes(*sequence),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_from_any_payload_that_holds_it() {
        let stamp = Stamp { run_id: 0x0102_0304, publisher: 7, sequence: u64::MAX - 1 };
        let mut payload = stamp.to_bytes().to_vec();
        assert_eq!(Stamp::of(&payload), Some(stamp));
        payload.extend_from_slice(b"filling");
        assert_eq!(Stamp::of(&payload), Some(stamp));
        assert_eq!(Stamp::of(&payload[..STAMP_BYTES - 1]), None);
    }
}
