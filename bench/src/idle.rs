//! Connections with a subscription each on which nothing happens: what each costs the broker in memory, and all of them in time.

use std::time::{Duration, Instant};

use ringmq_wire::{Packet, PacketKind};

use crate::handshake::{Handshake, Session};
use crate::latency::Latency;
use crate::meter::Mark;
use crate::{Failure, Plan, Report, Tell, raise_descriptor_limit};

/// Keep-alive of the connections, in seconds: long enough that none is due within a run.
const KEEP_ALIVE: u16 = 900;
/// Connections between two words of progress.
const TELL_EVERY: usize = 2000;

/// Opens the connections, leaves them alone for the measured time and then asks each whether it is still there.
pub(crate) fn run(plan: &Plan, tell: &mut Tell<'_>) -> Result<Report, Failure> {
    raise_descriptor_limit();
    let empty = Mark::now(plan)?;
    let mut connections = Vec::with_capacity(plan.count);
    for number in 0..plan.count {
        let mut handshake = Handshake::open(plan, "i", number)?;
        handshake.connect(Session::Clean, KEEP_ALIVE)?;
        handshake.subscribe([plan.topic(number)])?;
        connections.push(handshake);
        if number % TELL_EVERY == TELL_EVERY - 1 {
            tell(&format!("{} connections are open", number + 1));
        }
    }
    std::thread::sleep(plan.warmup);
    let before = Mark::now(plan)?;
    rest(plan.measured, tell);
    let after = Mark::now(plan)?;
    let mut report = Report::new(plan);
    report.figures(after.figures_since(&before));
    report.figure("connects_per_second", plan.count as f64 / before.seconds_since(&empty));
    if let Some(bytes) = before.broker_growth_since(&empty) {
        report.figure("broker_bytes_per_connection", bytes / plan.count as f64);
    }
    if let Some(seconds) = after.broker_seconds_since(&before) {
        report.figure("broker_cpu_percent_idle", 100.0 * seconds / after.seconds_since(&before));
    }
    let (latency, lost) = ask(&mut connections);
    report.latency(latency);
    report.fault("connections_lost", lost);
    Ok(report)
}

/// Does nothing for so long.
fn rest(duration: Duration, tell: &mut Tell<'_>) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        tell(&format!("resting, {:.0} s left", left.as_secs_f64()));
        std::thread::sleep(left.min(Duration::from_secs(1)));
    }
}

/// Sends every connection a PINGREQ; gives how long the answers took, and how many did not come.
fn ask(connections: &mut [Handshake<'_>]) -> (Latency, u64) {
    let (mut latency, mut lost) = (Latency::new(), 0);
    for connection in connections {
        let since = Instant::now();
        let answered = connection.send_packet(&Packet::Pingreq).and_then(|()| {
            connection.answer(|packet| match packet.kind() {
                PacketKind::Pingresp => Ok(()),
                other => Err(Failure::Unexpected(other)),
            })
        });
        match answered {
            Ok(()) => latency.record(since.elapsed()),
            Err(_) => lost += 1,
        }
    }
    (latency, lost)
}
