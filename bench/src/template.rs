//! The PUBLISH of one publisher, encoded once: only the sequence number and the packet identifier change, so
//! that the load costs a copy per message and not an encoding.

use ringmq_wire::{Packet, PacketId, PropertiesBuffer, Publish, Qos, TopicName, Version};

use crate::stamp::{STAMP_BYTES, Stamp};
use crate::{Failure, Plan};

/// Where the sequence number stands within a stamp.
const SEQUENCE_BYTES: usize = 8;

/// Everything of a PUBLISH up to and with the stamp; what fills the payload up is the same for all.
pub(crate) struct Template {
    bytes: Vec<u8>,
    packet_id_at: Option<usize>,
}

impl Template {
    /// The template of a publisher's messages to one topic. Errors: a packet past the protocol's maximum.
    pub(crate) fn new(plan: &Plan, publisher: usize, topic: &str) -> Result<Template, Failure> {
        let mut payload = vec![0; plan.payload_bytes];
        let stamp = Stamp { run_id: plan.run_id, publisher: publisher as u32, sequence: 0 };
        payload[..STAMP_BYTES].copy_from_slice(&stamp.to_bytes());
        let properties = properties(plan);
        let packet = Packet::Publish(Publish {
            dup: false,
            qos: plan.qos,
            retain: false,
            topic: TopicName::new(topic)?,
            packet_id: (plan.qos != Qos::AtMostOnce).then_some(PacketId::MIN),
            properties: properties.as_properties(),
            payload: &payload,
        });
        packet.check(plan.version)?;
        let mut bytes = Vec::new();
        packet.encode(plan.version, &mut bytes);
        let payload_at = bytes.len() - payload.len();
        bytes.truncate(payload_at + STAMP_BYTES);
        // The identifier stands behind the topic and its length.
        let remaining_bytes = bytes[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
        let packet_id_at = 1 + remaining_bytes + 2 + topic.len();
        Ok(Template { bytes, packet_id_at: (plan.qos != Qos::AtMostOnce).then_some(packet_id_at) })
    }

    /// The bytes of the whole packet.
    pub(crate) fn packet_bytes(&self, payload_bytes: usize) -> usize {
        self.bytes.len() + payload_bytes - STAMP_BYTES
    }

    /// Appends the PUBLISH with this number; `filling` is the payload behind the stamp.
    #[inline]
    pub(crate) fn put(&self, sequence: u64, packet_id: PacketId, filling: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let end = out.len();
        out[end - SEQUENCE_BYTES..].copy_from_slice(&sequence.to_be_bytes());
        if let Some(at) = self.packet_id_at {
            out[start + at..start + at + 2].copy_from_slice(&packet_id.value().to_be_bytes());
        }
        out.extend_from_slice(filling);
    }
}

/// What goes with every publish in 5.0.
fn properties(plan: &Plan) -> PropertiesBuffer {
    let mut properties = PropertiesBuffer::new();
    if plan.version == Version::V5 {
        for number in 0..plan.user_properties {
            properties.push_user(&format!("property-{number}"), "of the load");
        }
    }
    properties
}

#[cfg(test)]
mod tests {
    use ringmq_wire::{Sender, decode, frame};

    use super::*;
    use crate::Scenario;

    fn plan(qos: Qos, version: Version, payload_bytes: usize) -> Plan {
        Plan {
            qos,
            payload_bytes,
            version,
            user_properties: 20,
            run_id: 5,
            ..Plan::new(([127, 0, 0, 1], 1883).into(), Scenario::Pairs, 9)
        }
    }

    #[test]
    fn what_is_patched_decodes_as_what_was_meant() {
        for version in [Version::V31, Version::V311, Version::V5] {
            for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
                for payload_bytes in [STAMP_BYTES, 200, 70_000] {
                    let plan = plan(qos, version, payload_bytes);
                    let template = Template::new(&plan, 7, &plan.topic(7)).unwrap();
                    let mut out = b"before".to_vec();
                    let id = PacketId::new(0x0302).unwrap();
                    template.put(0x0A0B_0C0D, id, &vec![0; payload_bytes - STAMP_BYTES], &mut out);
                    let frame = frame::split(&out[6..], u32::MAX).unwrap().unwrap();
                    assert_eq!(frame.bytes, out.len() - 6);
                    assert_eq!(frame.bytes, template.packet_bytes(payload_bytes));
                    let Ok(Packet::Publish(publish)) = decode(version, Sender::Client, &frame) else {
                        panic!("{version:?} {qos:?} {payload_bytes} did not decode");
                    };
                    assert_eq!(publish.packet_id, (qos != Qos::AtMostOnce).then_some(id));
                    assert_eq!((publish.qos, publish.payload.len()), (qos, payload_bytes));
                    let properties = if version == Version::V5 { 20 } else { 0 };
                    assert_eq!(publish.properties.user_properties().count(), properties);
                    assert_eq!(publish.topic.as_str(), plan.topic(7));
                    let stamp = Stamp { run_id: 5, publisher: 7, sequence: 0x0A0B_0C0D };
                    assert_eq!(Stamp::of(publish.payload), Some(stamp));
                }
            }
        }
    }
}
