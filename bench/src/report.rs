//! What a run found, as one line of JSON. Names carry their units.

use std::fmt::Write as _;

use crate::Plan;
use crate::ledger::Counts;
use crate::process::CpuTime;

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) plan: Plan,
    /// The window that was used, which the broker's receive maximum may have made smaller.
    pub(crate) window_messages: usize,
    /// Length of what was measured.
    pub(crate) seconds: f64,
    /// Sent and delivered while it was measured.
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    /// The longest that any publisher saw nothing of its messages move before something did.
    pub(crate) longest_wait_seconds: f64,
    /// Over the whole run, warm-up and end included.
    pub(crate) totals: Counts,
    pub(crate) broker_cpu: Option<CpuTime>,
    pub(crate) broker_resident_bytes: Option<u64>,
    pub(crate) load_cpu: CpuTime,
    /// Time that all CPUs were busy, and that the host took away.
    pub(crate) machine_busy_seconds: f64,
    pub(crate) machine_stolen_seconds: f64,
}

impl Report {
    /// Whether every message arrived exactly once and in order.
    pub fn is_clean(&self) -> bool {
        self.faults().iter().all(|(_, count)| *count == 0)
    }

    /// Messages delivered while it was measured; to `n` readers is `n` messages.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How many messages had which fault, over the whole run.
    pub fn faults(&self) -> [(&'static str, u64); 7] {
        let totals = &self.totals;
        [
            ("lost", totals.lost),
            ("duplicated", totals.duplicated),
            ("reordered", totals.reordered),
            ("late", totals.late),
            ("foreign", totals.foreign),
            ("acks_lost", totals.acks_lost),
            ("acks_unexpected", totals.acks_unexpected),
        ]
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        let mut json = Object::new();
        json.text("scenario", self.plan.scenario.name());
        json.text("mqtt", self.plan.version.name());
        json.number("qos", f64::from(self.plan.qos.value()));
        json.number("count", self.plan.count as f64);
        json.number("window_messages", self.window_messages as f64);
        json.number("payload_bytes", self.plan.payload_bytes as f64);
        json.number("seconds", self.seconds);
        json.number("published", self.published as f64);
        json.number("delivered", self.delivered as f64);
        json.number("messages_per_second", self.delivered as f64 / self.seconds);
        json.number("longest_wait_seconds", self.longest_wait_seconds);
        json.number("published_in_all", self.totals.published as f64);
        json.number("delivered_in_all", self.totals.delivered as f64);
        for (name, count) in self.faults() {
            json.number(name, count as f64);
        }
        if let Some(cpu) = self.broker_cpu {
            json.number("broker_user_seconds", cpu.user_seconds);
            json.number("broker_system_seconds", cpu.system_seconds);
            json.number("broker_us_per_message", cpu.total_seconds() * 1e6 / self.delivered.max(1) as f64);
        }
        if let Some(bytes) = self.broker_resident_bytes {
            json.number("broker_resident_bytes", bytes as f64);
        }
        json.number("load_cpu_seconds", self.load_cpu.total_seconds());
        json.number("machine_busy_seconds", self.machine_busy_seconds);
        json.number("machine_stolen_seconds", self.machine_stolen_seconds);
        json.end()
    }
}

/// A flat JSON object being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Object {
        Object(String::from("{"))
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push_str(", ");
        }
        let _ = write!(self.0, "\"{name}\": ");
    }

    /// Adds a text of ours, which needs no escapes.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        let _ = write!(self.0, "\"{text}\"");
    }

    pub(crate) fn number(&mut self, name: &str, number: f64) {
        self.name(name);
        let _ = write!(self.0, "{number}");
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
