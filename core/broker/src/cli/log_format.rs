//! The broker's log on stderr: `<seconds since 1970>: text`, as mosquitto writes it.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::log_queue::LogQueue;

/// Sends events to the log: with `packets` each packet, else what happens to connections and worse.
pub fn install(packets: bool, log: &LogQueue) {
    let level = if packets { Level::DEBUG } else { Level::INFO };
    let log = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(move || log.clone())
        .log_internal_errors(false)
        .event_format(Lines)
        .finish();
    // Only fails when a subscriber is installed already, which `main` never does twice.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Lines;

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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut text = Text::default();
        event.record(&mut text);
        let severity = match *event.metadata().level() {
            Level::ERROR => "Error: ",
            Level::WARN => "Warning: ",
            _ => "",
        };
        writeln!(writer, "{now}: {severity}{}", text.0)
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
    fn control_characters_are_shown_not_sent() {
        let mut text = Text::default();
        "a\x1b[2J\nb\u{e9}".chars().for_each(|character| text.push(character));
        assert_eq!(text.0, "a\\u{1b}[2J\\nb\u{e9}");
    }
}
