//! What is encoded decodes to the same, for every packet and version, however the stream is cut.

use proptest::prelude::*;
use ringmq_wire::{Frame, frame};

use crate::notation::{decode_bytes, encoded};
use crate::parts::any_parts;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packets_come_back(parts in any_parts()) {
        parts.with_packet(|packet| {
            prop_assert_eq!(packet.check(parts.version), Ok(()));
            let bytes = encoded(parts.version, &packet);
            let decoded = decode_bytes(parts.version, parts.sender, &bytes);
            prop_assert_eq!(decoded, Ok(packet));
            Ok(())
        })?;
    }

    /// A packet that ends early is refused or means something else, but is never read past its end; one that
    /// goes on too long is refused unless its last field takes all.
    #[test]
    fn a_body_cut_short_is_never_the_same(parts in any_parts()) {
        parts.with_packet(|packet| {
            let bytes = encoded(parts.version, &packet);
            let whole = frame::split(&bytes, u32::MAX).expect("fine").expect("whole");
            for length in 0..whole.body.len() {
                let cut = Frame { body: &whole.body[..length], ..whole };
                prop_assert_ne!(ringmq_wire::decode(parts.version, parts.sender, &cut), Ok(packet));
            }
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_frames(
        packets in proptest::collection::vec(any_parts(), 1..8),
        cuts in proptest::collection::vec(1..40_usize, 1..40),
    ) {
        let whole: Vec<Vec<u8>> =
            packets.iter().map(|parts| parts.with_packet(|packet| encoded(parts.version, &packet))).collect();
        let stream = whole.concat();
        let (mut buffer, mut found, mut at) = (Vec::new(), Vec::new(), 0);
        for cut in cuts.iter().cycle() {
            if at == stream.len() {
                break;
            }
            let end = (at + cut).min(stream.len());
            buffer.extend_from_slice(&stream[at..end]);
            at = end;
            while let Some(frame) = frame::split(&buffer, u32::MAX).expect("good lengths") {
                prop_assert_eq!(frame::announced(&buffer), Ok(Some(frame.bytes)));
                prop_assert_eq!(frame.first, buffer[0]);
                let bytes = frame.bytes;
                found.push(buffer.drain(..bytes).collect::<Vec<_>>());
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(found, whole);
    }
}
