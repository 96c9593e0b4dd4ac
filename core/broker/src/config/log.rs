//! What the server's log says and how it looks.

use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// Which lines the log has: a level for all, and levels for modules, as `info,ringmq::guard=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel {
    /// A text that the filter takes.
    text: String,
}

impl Default for LogLevel {
    fn default() -> Self {
        Self { text: String::from("info") }
    }
}

impl LogLevel {
    /// As a filter of `tracing`.
    #[must_use]
    pub fn targets(&self) -> Targets {
        self.text.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO))
    }
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let text = text.trim().to_ascii_lowercase();
        // The filter takes any word for a module; a level that is mistyped would be one that never speaks.
        let is_right = |part: &str| match part.split_once('=') {
            Some((module, level)) => !module.trim().is_empty() && LEVELS.contains(&level.trim()),
            None => LEVELS.contains(&part.trim()),
        };
        let is_filter = text.split(',').all(is_right) && text.parse::<Targets>().is_ok();
        is_filter.then_some(Self { text }).ok_or(())
    }
}

impl std::fmt::Display for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Seconds since 1970 and a sentence, as mosquitto writes it.
    #[default]
    Human,
    /// One JSON object: `time`, `level`, `target`, `message`.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_and_mistyped_ones_are_refused() {
        for text in ["info", "warn,ringmq::guard=debug", "off", "Error", "info, ringmq=trace"] {
            assert!(text.parse::<LogLevel>().is_ok(), "{text}");
        }
        for text in ["", "inof", "info,", "ringmq=loud", "=info", "info;debug"] {
            assert!(text.parse::<LogLevel>().is_err(), "{text}");
        }
    }
}
