//! What a run found, as one line of JSON or a table for people. Names carry their units.

use std::fmt::Write as _;

use crate::{Latency, Plan};

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was run: names and texts.
    head: Vec<(&'static str, &'static str)>,
    figures: Vec<(&'static str, f64)>,
    faults: Vec<(&'static str, u64)>,
    /// The latency of every delivery, connection or answer, where it was measured.
    pub latency: Option<Latency>,
}

impl Report {
    /// A report on a plan, with nothing found yet.
    pub(crate) fn new(plan: &Plan) -> Report {
        let mut figures = vec![
            ("qos", f64::from(plan.qos.value())),
            ("count", plan.count as f64),
            ("payload_bytes", plan.payload_bytes as f64),
        ];
        figures.extend(plan.rate.map(|rate| ("rate", rate)));
        let head = vec![
            ("scenario", plan.scenario.name()),
            ("mqtt", plan.version.name()),
            ("transport", plan.transport.name()),
        ];
        Report { head, figures, faults: Vec::new(), latency: None }
    }

    pub(crate) fn figure(&mut self, name: &'static str, value: f64) {
        self.figures.push((name, value));
    }

    pub(crate) fn figures(&mut self, figures: impl IntoIterator<Item = (&'static str, f64)>) {
        self.figures.extend(figures);
    }

    pub(crate) fn fault(&mut self, name: &'static str, count: u64) {
        self.faults.push((name, count));
    }

    /// Takes the latencies over.
    pub(crate) fn latency(&mut self, latency: Latency) {
        self.figures(latency.figures());
        self.latency = Some(latency);
    }

    /// Whether every message arrived exactly once and in order, and all else was as promised.
    pub fn is_clean(&self) -> bool {
        self.faults.iter().all(|(_, count)| *count == 0)
    }

    /// A figure by its name in the JSON.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// How many messages had which fault, over the whole run.
    pub fn faults(&self) -> &[(&'static str, u64)] {
        &self.faults
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        let mut json = Object::new();
        self.head.iter().for_each(|(name, text)| json.text(name, text));
        self.figures.iter().for_each(|(name, value)| json.number(name, *value));
        self.faults.iter().for_each(|(name, count)| json.number(name, *count as f64));
        json.end()
    }

    /// A table of two columns, and a last line that says whether all is well.
    pub fn to_table(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.head {
            let _ = writeln!(text, "{:32} {value:>18}", name.replace('_', " "));
        }
        for (name, value) in &self.figures {
            let _ = writeln!(text, "{:32} {:>18}", name.replace('_', " "), readable(*value));
        }
        let found: Vec<String> = self.faults.iter().filter(|(_, count)| *count > 0).map(fault_text).collect();
        let names: Vec<&str> = self.faults.iter().map(|(name, _)| *name).collect();
        let _ = match found.is_empty() {
            true => writeln!(text, "none {}", names.join(", ").replace('_', " ")),
            false => writeln!(text, "WRONG: {}", found.join(", ")),
        };
        text
    }
}

fn fault_text((name, count): &(&'static str, u64)) -> String {
    format!("{count} {}", name.replace('_', " "))
}

/// A number with as many digits as it is worth, and its thousands apart.
fn readable(value: f64) -> String {
    let text = match value.abs() {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    let digits = text.find('.').unwrap_or(text.len());
    let mut apart = String::new();
    for (place, character) in text.chars().enumerate() {
        if place > usize::from(value < 0.0) && place < digits && (digits - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(character);
    }
    apart
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;

    #[test]
    fn numbers_are_readable() {
        let rows = [
            (0.0, "0"),
            (-1234.0, "-1,234"),
            (0.71234, "0.7123"),
            (12.345, "12.35"),
            (766_938.4, "766,938"),
            (1e6, "1,000,000"),
        ];
        for (value, text) in rows {
            assert_eq!(readable(value), text);
        }
    }

    #[test]
    fn the_table_names_what_is_wrong_and_the_json_says_the_same() {
        let mut report = Report::new(&Plan::new(([127, 0, 0, 1], 1).into(), Scenario::FanIn, 3));
        report.figure("messages_per_second", 5.5);
        report.fault("lost", 0);
        report.fault("acks_lost", 0);
        assert!(report.is_clean() && report.to_table().ends_with("none lost, acks lost\n"));
        report.fault("late", 2);
        assert!(!report.is_clean() && report.to_table().ends_with("WRONG: 2 late\n"));
        let json = report.to_json();
        assert!(json.contains("\"scenario\": \"fan-in\"") && json.contains("\"messages_per_second\": 5.5"));
        assert!(json.contains("\"late\": 2"), "{json}");
    }
}
