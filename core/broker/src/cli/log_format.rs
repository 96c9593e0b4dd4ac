//! The broker's log on stderr: `<seconds since 1970>: text`, as mosquitto writes it, or one JSON object a line.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::{LogFormat, LogLevel};
use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use super::client_json::JsonWriter;
use super::log_queue::LogQueue;

/// Which lines the log has, while the server runs.
pub struct Filter(reload::Handle<Targets, Registry>);

impl Filter {
    /// Only these lines from now on.
    pub fn set(&self, level: &LogLevel, packets: bool) {
        // Fails only when the subscriber is gone, and then there is no log either.
        let _ = self.0.reload(targets(level, packets));
    }
}

/// What is wanted, with each packet where that is.
fn targets(level: &LogLevel, packets: bool) -> Targets {
    match packets {
        true => level.targets().with_target("ringmq", Level::DEBUG),
        false => level.targets(),
    }
}

/// Sends events to the log.
pub fn install(level: &LogLevel, packets: bool, format: LogFormat, log: &LogQueue) -> Filter {
    let (filter, handle) = reload::Layer::new(targets(level, packets));
    let log = log.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || log.clone())
        .log_internal_errors(false)
        .event_format(Lines(format))
        .with_filter(filter);
    // Only fails when a subscriber is installed already, which `main` never does twice.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines));
    Filter(handle)
}

/// A line of the server itself, not of its broker.
pub fn own_line(format: LogFormat, text: &str) -> String {
    match format {
        LogFormat::Human => format!("ringmq: {text}\n"),
        LogFormat::Json => json_line(Level::INFO, "ringmq", text),
    }
}

fn json_line(level: Level, target: &str, message: &str) -> String {
    let mut bytes = Vec::new();
    let mut json = JsonWriter::new(&mut bytes, false);
    json.begin_object();
    for (key, value) in [
        ("time", Timestamp::now().to_string().as_str()),
        ("level", level.as_str()),
        ("target", target),
        ("message", message),
    ] {
        json.key(key);
        json.text(value);
    }
    json.end_object();
    bytes.push(b'\n');
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let metadata = event.metadata();
        if self.0 == LogFormat::Json {
            let mut raw = Raw(String::new());
            event.record(&mut raw);
            return writer.write_str(&json_line(*metadata.level(), metadata.target(), &raw.0));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut text = Text::default();
        event.record(&mut text);
        let severity = match *metadata.level() {
            Level::ERROR => "Error: ",
            Level::WARN => "Warning: ",
            _ => "",
        };
        writeln!(writer, "{now}: {severity}{}", text.0)
    }
}

/// The text of an event as it is: JSON has a way to write everything.
struct Raw(String);

impl Visit for Raw {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// The text of an event; control characters of clients' names must not reach a terminal.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let plain = format!("{value:?}");
            plain.chars().for_each(|character| self.push(character));
        }
    }
}

impl Text {
    fn push(&mut self, character: char) {
        if character.is_control() {
            let _ = write!(self.0, "{}", character.escape_default());
        } else {
            self.0.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_one_line_whatever_it_says() {
        let line = json_line(Level::WARN, "ringmq::guard", "user 'a\"\n\u{1b}' \u{e9}");
        assert!(line.ends_with("\n") && line.matches('\n').count() == 1, "{line}");
        assert!(line.contains("\"level\":\"WARN\",\"target\":\"ringmq::guard\""), "{line}");
        assert!(line.contains("user 'a\\\"\\n\\u001b' \u{e9}"), "{line}");
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        let mut text = Text::default();
        "a\x1b[2J\nb\u{e9}".chars().for_each(|character| text.push(character));
        assert_eq!(text.0, "a\\u{1b}[2J\\nb\u{e9}");
    }
}
