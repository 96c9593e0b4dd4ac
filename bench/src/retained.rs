//! Retained messages, and readers that come later and subscribe to all of them with one filter.

use std::collections::HashSet;
use std::time::Instant;

use ringmq_wire::{Ack, Packet, PacketId, PacketKind, Properties, Publish, Qos, ReasonCode, TopicName};

use crate::handshake::{Handshake, KEEP_ALIVE, Session, granted};
use crate::latency::Latency;
use crate::meter::Mark;
use crate::stamp::{STAMP_BYTES, Stamp};
use crate::{Failure, Plan, Report, Tell, raise_descriptor_limit};

/// Retained messages on their way to the broker at once; few enough for any broker's receive maximum.
const WINDOW: usize = 16;

/// Keeps messages at the broker, has every reader fetch them and takes them back.
pub(crate) fn run(plan: &Plan, tell: &mut Tell<'_>) -> Result<Report, Failure> {
    raise_descriptor_limit();
    let mut report = Report::new(plan);
    tell("publishing what is to be retained");
    let empty = Mark::now(plan)?;
    keep(plan, plan.payload_bytes)?;
    let full = Mark::now(plan)?;
    let retained = plan.retained as f64;
    report.figure("retained", retained);
    report.figure("retained_per_second", retained / full.seconds_since(&empty));
    if let Some(seconds) = full.broker_seconds_since(&empty) {
        report.figure("broker_us_per_retained", seconds * 1e6 / retained);
    }
    if let Some(bytes) = full.broker_growth_since(&empty) {
        report.figure("broker_bytes_per_retained", bytes / retained);
    }
    let before = Mark::now(plan)?;
    let (mut latency, mut faults) = (Latency::new(), [0; 3]);
    for reader in 0..plan.count {
        tell(&format!("reader {} of {}", reader + 1, plan.count));
        let since = Instant::now();
        fetch(plan, reader, &mut faults)?;
        latency.record(since.elapsed());
    }
    let after = Mark::now(plan)?;
    let delivered = retained * plan.count as f64;
    report.figures(after.figures_since(&before));
    report.figure("delivered", delivered);
    report.figure("messages_per_second", delivered / after.seconds_since(&before));
    if let Some(seconds) = after.broker_seconds_since(&before) {
        report.figure("broker_us_per_message", seconds * 1e6 / delivered);
    }
    let names = ["duplicated", "foreign", "not_marked_retained"];
    names.into_iter().zip(faults).for_each(|(name, count)| report.fault(name, count));
    report.latency(latency);
    keep(plan, 0)?;
    Ok(report)
}

/// Publishes a retained message to every topic; an empty one takes it back.
fn keep(plan: &Plan, payload_bytes: usize) -> Result<(), Failure> {
    let mut handshake = Handshake::open(plan, "p", 0)?;
    handshake.connect(Session::Clean, KEEP_ALIVE)?;
    let mut payload = vec![0; payload_bytes];
    for first in (0..plan.retained).step_by(WINDOW) {
        let numbers = first..plan.retained.min(first + WINDOW);
        let mut bytes = Vec::new();
        for number in numbers.clone() {
            let stamp = Stamp { run_id: plan.run_id, publisher: 0, sequence: number as u64 };
            payload.iter_mut().zip(stamp.to_bytes()).for_each(|(place, byte)| *place = byte);
            Packet::Publish(Publish {
                dup: false,
                qos: Qos::AtLeastOnce,
                retain: true,
                topic: TopicName::new(&plan.topic(number))?,
                packet_id: PacketId::new((number - first) as u16 + 1),
                properties: Properties::EMPTY,
                payload: &payload,
            })
            .encode(plan.version, &mut bytes);
        }
        handshake.send(&bytes)?;
        for _ in numbers {
            handshake.answer(|packet| match packet {
                Packet::Puback(ack) if !ack.reason.is_error() => Ok(()),
                Packet::Puback(ack) => Err(Failure::Refused(PacketKind::Puback, ack.reason)),
                other => Err(Failure::Unexpected(other.kind())),
            })?;
        }
    }
    handshake.send_packet(&Packet::Disconnect(ringmq_wire::Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)))
}

/// Subscribes and takes all that is retained. What is missing ends the run: the broker does not answer any more.
fn fetch(plan: &Plan, reader: usize, faults: &mut [u64; 3]) -> Result<(), Failure> {
    let [duplicated, foreign, not_marked] = faults;
    let mut handshake = Handshake::open(plan, "r", reader)?;
    handshake.connect(Session::Clean, KEEP_ALIVE)?;
    handshake.ask_for(plan.everything())?;
    let mut seen = HashSet::with_capacity(plan.retained);
    while seen.len() < plan.retained {
        let answer = handshake.answer(|packet| match packet {
            Packet::Publish(publish) => {
                let stamp = Stamp::of(publish.payload).filter(|stamp| stamp.run_id == plan.run_id);
                match stamp.filter(|_| publish.payload.len() >= STAMP_BYTES) {
                    Some(stamp) if seen.insert(stamp.sequence) => *not_marked += u64::from(!publish.retain),
                    Some(_) => *duplicated += 1,
                    None => *foreign += 1,
                }
                Ok(publish.packet_id.map(|id| match publish.qos {
                    Qos::ExactlyOnce => Packet::Pubrec(Ack::success(id)),
                    _ => Packet::Puback(Ack::success(id)),
                }))
            }
            Packet::Pubrel(ack) => Ok(Some(Packet::Pubcomp(Ack::success(ack.packet_id)))),
            Packet::Suback(suback) => granted(suback, plan.qos.value(), 1).map(|()| None),
            other => Err(Failure::Unexpected(other.kind())),
        })?;
        if let Some(answer) = answer {
            handshake.send_packet(&answer)?;
        }
    }
    handshake.send_packet(&Packet::Disconnect(ringmq_wire::Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)))
}
