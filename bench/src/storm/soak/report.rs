//! What a soak says at its end.

use std::fmt::Write as _;
use std::time::Duration;

use super::{PATIENCE, Running, WAITING_MAX};
use crate::report::Object;
use crate::storm::StormReport;
use crate::storm::memory::mib;

impl Running<'_> {
    pub(super) fn report(mut self, rest: Duration) -> StormReport {
        let lost = self.account.lost();
        let counts = self.account.counts();
        let late = self.takeovers_late();
        let unfinished: usize =
            (0..self.first_subscriber).map(|client| self.field.session(client).unfinished()).sum();
        let flat = self.memory.is_flat(self.plan.settling, self.plan.length);
        let faults = self.account.faults() + lost[1] + lost[2] + unfinished as u64 + late as u64;
        let kept = faults == 0 && rest < PATIENCE && flat.0;
        StormReport {
            text: self.text(lost, unfinished, late, rest, flat),
            json: self.json(&counts, lost, kept),
            kept,
        }
    }

    fn text(
        &self,
        lost: [u64; 3],
        unfinished: usize,
        late: usize,
        rest: Duration,
        flat: (bool, u64, u64),
    ) -> String {
        let counts = self.account.counts();
        let mut text = String::new();
        let _ = writeln!(
            text,
            "seed {}, {} connections, {:.0} s",
            self.plan.seed,
            self.clients(),
            self.plan.length.as_secs_f64()
        );
        let _ = writeln!(
            text,
            "what happened to clients: {:?}; old connections closed after a takeover: {}",
            self.blows, self.field.takeovers_seen
        );
        let _ = writeln!(text, "               QoS 0      QoS 1      QoS 2");
        let mut row = |name: &str, numbers: [u64; 3]| {
            let _ = writeln!(text, "{name:<10} {:>10} {:>10} {:>10}", numbers[0], numbers[1], numbers[2]);
        };
        row("published", counts.published);
        row("delivered", counts.delivered);
        row("lost", [0, lost[1], lost[2]]);
        let _ = writeln!(
            text,
            "lawful: {} missed (QoS 0, or a session that ended), {} again (QoS 1)",
            counts.missed + lost[0],
            counts.again
        );
        let _ = writeln!(
            text,
            "publishes not made because a subscriber had {WAITING_MAX} messages to take: {}",
            self.held_back
        );
        let _ = writeln!(
            text,
            "faults: twice {}, out of order {}, foreign {}, wrong QoS {}, protocol {}, unacknowledged {unfinished}, \
             taken over and not closed {late}",
            counts.twice, counts.out_of_order, counts.foreign, counts.wrong_qos, counts.protocol
        );
        for word in self.account.words() {
            let _ = writeln!(text, "  {word}");
        }
        let _ = writeln!(text, "at rest after {:.1} s", rest.as_secs_f64());
        let _ = writeln!(text, "broker memory, second:MiB: {}", self.memory.series(60));
        let verdict = if flat.0 { "flat" } else { "GROWS" };
        let _ = writeln!(
            text,
            "memory from second {:.0} on: {verdict}, at most {:.1} MiB in the first half, {:.1} in the second",
            self.plan.settling.as_secs_f64(),
            mib(flat.1),
            mib(flat.2)
        );
        text
    }

    fn json(&self, counts: &crate::storm::account::Counts, lost: [u64; 3], kept: bool) -> String {
        let mut json = Object::new();
        json.text("scenario", "soak");
        json.number("seed", self.plan.seed as f64);
        json.number("connections", self.clients() as f64);
        json.number("seconds", self.plan.length.as_secs_f64());
        json.number("published", counts.published.iter().sum::<u64>() as f64);
        json.number("held_back", self.held_back as f64);
        json.number("acknowledged", counts.acknowledged as f64);
        json.number("delivered", counts.delivered.iter().sum::<u64>() as f64);
        json.number("blows", self.blows.values().sum::<u64>() as f64);
        json.number("takeovers", self.field.takeovers_seen as f64);
        json.number("lost_qos1", lost[1] as f64);
        json.number("lost_qos2", lost[2] as f64);
        json.number("twice", counts.twice as f64);
        json.number("out_of_order", counts.out_of_order as f64);
        json.number("faults", self.account.faults() as f64);
        json.number("broker_resident_bytes_max", self.memory.max_bytes() as f64);
        json.number("kept", f64::from(u8::from(kept)));
        json.end()
    }
}
