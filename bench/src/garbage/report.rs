//! What came of a run, as one line of JSON. Names carry their units.

use std::fmt::Write as _;
use std::time::Duration;

use super::Plan;
use super::damage::KINDS;
use super::honest::Honest;
use super::hostile::Tally;
use super::memory::Series;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    seed: u64,
    seconds: f64,
    tally: Tally,
    honest_rounds: u64,
    honest_slowest: Duration,
    memory: Series,
}

impl Report {
    pub(super) fn new(plan: &Plan, took: Duration, tally: Tally, honest: &Honest, memory: Series) -> Self {
        let (honest_rounds, honest_slowest) = (honest.rounds(), honest.slowest());
        Self { seed: plan.seed, seconds: took.as_secs_f64(), tally, honest_rounds, honest_slowest, memory }
    }

    /// Whether the broker's memory stayed flat; also true when nobody could look.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.memory.is_flat().unwrap_or(true)
    }

    /// One line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let tally = &self.tally;
        let mut json = format!(
            "{{\"seed\":{},\"seconds\":{:.3},\"packets\":{},\"bytes\":{},\"received_bytes\":{},\
             \"connections\":{},\"closed_by_broker\":{},\"unread\":{},\"honest_rounds\":{},\"honest_slowest_ms\":{}",
            self.seed,
            self.seconds,
            tally.packets,
            tally.bytes,
            tally.received_bytes,
            tally.connections,
            tally.closed_by_broker,
            tally.unread,
            self.honest_rounds,
            self.honest_slowest.as_millis(),
        );
        self.write_kinds(&mut json);
        self.write_memory(&mut json);
        json.push('}');
        json
    }

    fn write_kinds(&self, json: &mut String) {
        let kinds = KINDS.iter().zip(self.tally.kinds).map(|(kind, count)| format!("\"{kind}\":{count}"));
        // Writing to a string never fails.
        let _ = write!(json, ",\"kinds\":{{{}}}", kinds.collect::<Vec<_>>().join(","));
    }

    fn write_memory(&self, json: &mut String) {
        let Some((first, second)) = self.memory.halves() else {
            json.push_str(",\"memory\":null");
            return;
        };
        let samples = self.memory.samples().iter().map(|(packets, bytes)| format!("[{packets},{bytes}]"));
        let _ = write!(
            json,
            ",\"memory\":{{\"first_half_bytes_max\":{first},\"second_half_bytes_max\":{second},\
             \"growth_bytes_max\":{},\"flat\":{},\"packets_and_bytes\":[{}]}}",
            self.memory.growth_bytes_max(),
            self.is_flat(),
            samples.collect::<Vec<_>>().join(",")
        );
    }
}
