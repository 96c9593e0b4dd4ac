//! Opens the connections of a run and measures what many subscriptions cost.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use ringmq_wire::Qos;

use super::churn::{self, Churner};
use super::{Load, READ_BYTES_MAX, polling};
use crate::connection::Connection;
use crate::handshake::{open_publisher, open_reader};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::meter::Mark;
use crate::pace::Pace;
use crate::poller::Poller;
use crate::population::Population;
use crate::stamp::STAMP_BYTES;
use crate::template::Template;
use crate::{Failure, Plan, Report, Scenario, Tell, WINDOW_MESSAGES_MAX, raise_descriptor_limit};

impl<'a, 't> Load<'a, 't> {
    /// Opens all connections, readers first, so that no message finds its reader missing.
    pub(super) fn open(plan: &'a Plan, tell: &'a mut Tell<'t>) -> Result<Load<'a, 't>, Failure> {
        raise_descriptor_limit();
        // Else the kernel may be 50 us late on purpose, which would count as the broker's.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut report = Report::new(plan);
        let population = match plan.scenario {
            Scenario::Subscriptions => Some(Population::new(plan).ok_or(Failure::TooFew)?),
            _ => None,
        };
        let templates = templates(plan, population.as_ref())?;
        let mut readers = open_readers(plan, population.as_ref(), &mut report, tell)?;
        let (mut connections, window) = open_publishers(plan, &templates)?;
        connections.append(&mut readers);
        for number in 0..plan.churners {
            connections.push(churn::open(plan, number)?);
        }
        let slow = (0..plan.slow_readers)
            .map(|number| open_reader(plan, plan.readers() + number, [plan.everything()]));
        let slow = slow.collect::<Result<Vec<_>, _>>()?;
        let poller = Poller::new().map_err(polling)?;
        for (index, connection) in connections.iter().enumerate() {
            poller.add(&connection.stream, index).map_err(polling)?;
        }
        let (now, publishers) = (Instant::now(), plan.publishers());
        let timed_places = if plan.latency && plan.rate.is_none() { publishers * window } else { 0 };
        let first = publishers + plan.readers();
        let orders = population.as_ref().map_or(plan.streams(), Population::orders);
        let mut load = Load {
            plan,
            tell,
            window,
            poller,
            connections,
            churners: (0..plan.churners).map(|number| Churner::new(plan, first + number, number)).collect(),
            slow,
            templates,
            population,
            filling: vec![0; plan.payload_bytes - STAMP_BYTES],
            ledger: Ledger::new(plan, window, orders),
            pace: plan.rate.map(|rate| Pace::new(rate, publishers, now)),
            counted: None,
            latency: plan.latency.then(Latency::new),
            published_at: vec![now; timed_places],
            moved: vec![now; publishers],
            longest_wait: Duration::ZERO,
            wake: (0..publishers).collect(),
            awake: vec![true; publishers],
            dirty: Vec::new(),
            publishing: true,
            now,
            stalls_scanned: now,
            told: now,
            read_buffer: vec![0; READ_BYTES_MAX],
            ready: Vec::new(),
            report,
        };
        (0..plan.churners).try_for_each(|number| load.churn(number))?;
        Ok(load)
    }
}

fn templates(plan: &Plan, population: Option<&Population>) -> Result<Vec<Template>, Failure> {
    match population {
        None => (0..plan.publishers())
            .map(|publisher| Template::new(plan, publisher, &plan.topic(publisher)))
            .collect(),
        Some(population) => (0..population.published())
            .map(|topic| Template::new(plan, 0, &population.topic(topic)))
            .collect(),
    }
}

/// Opens the readers; with many subscriptions it is measured what those cost.
fn open_readers(
    plan: &Plan,
    population: Option<&Population>,
    report: &mut Report,
    tell: &mut Tell<'_>,
) -> Result<Vec<Connection>, Failure> {
    let Some(population) = population else {
        return (0..plan.readers()).map(|reader| open_reader(plan, reader, [plan.filter(reader)])).collect();
    };
    tell("subscribing");
    let before = Mark::now(plan)?;
    let readers =
        (0..plan.readers()).map(|reader| open_reader(plan, reader, population.filters(reader))).collect();
    let after = Mark::now(plan)?;
    let subscriptions = population.subscriptions() as f64;
    report.figure("subscriptions", subscriptions);
    report.figure("subscriptions_per_second", subscriptions / after.seconds_since(&before));
    if let Some(seconds) = after.broker_seconds_since(&before) {
        report.figure("broker_us_per_subscription", seconds * 1e6 / subscriptions);
    }
    if let Some(bytes) = after.broker_growth_since(&before) {
        report.figure("broker_bytes_per_subscription", bytes / subscriptions);
    }
    readers
}

/// Opens the publishers; with them comes the window that the broker leaves them.
fn open_publishers(plan: &Plan, templates: &[Template]) -> Result<(Vec<Connection>, usize), Failure> {
    let mut window = plan.window_messages.min(WINDOW_MESSAGES_MAX);
    let mut publishers = Vec::with_capacity(plan.publishers() + plan.readers() + plan.churners);
    for (publisher, template) in templates.iter().enumerate().take(plan.publishers()) {
        let packet_bytes = template.packet_bytes(plan.payload_bytes);
        let (connection, receive_maximum) = open_publisher(plan, publisher, packet_bytes)?;
        if plan.qos != Qos::AtMostOnce {
            window = window.min(receive_maximum);
        }
        publishers.push(connection);
    }
    Ok((publishers, window))
}
