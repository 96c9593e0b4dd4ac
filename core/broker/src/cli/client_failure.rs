//! How a client command ends badly: the line it prints to standard error and its exit code, as scripts know
//! them from mosquitto's clients.

use std::io::{self, Write as _};

use ringmq_wire::{ReasonCode, Version};

use super::ExitCode;
use super::client_options::Tool;

/// The part of `--help` about exit codes.
pub const EXIT_HELP: &str = "\
Exit codes:
  0 done   1 no connection, or flags that do not fit together   2 a wrong flag
  7 connection lost   27 time of -W is over
  1 to 5 (MQTT 3) or 128 and above (MQTT 5): the server refused the connection with this code
  128 and above: the server refused the message or the subscription with this code";

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The flags make no sense; correct them.
    Usage(String),
    /// It could not be done: no file, no server, no memory.
    Failed(String),
    /// The server refused the connection.
    Refused(Version, ReasonCode),
    /// The server refused what was asked; the line says what.
    Denied(String, ReasonCode),
    /// The connection was lost by a command that does not connect again.
    Lost,
    /// The time of `-W` is over.
    TimedOut,
    /// The reader of standard output went away: nobody is left to tell.
    NoReader,
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Failed(_) => 1,
            Failure::Refused(Version::V5, reason) => reason.value(),
            Failure::Refused(_, reason) => reason.connect_return_code_v3(),
            Failure::Denied(_, reason) => reason.value(),
            Failure::Lost => 7,
            Failure::TimedOut => 27,
            Failure::NoReader => 0,
        }
    }

    /// What is printed, with line ends; `None` where silence is right.
    fn text(&self, tool: Tool) -> Option<String> {
        Some(match self {
            Failure::Usage(text) => {
                format!("Error: {text}\n\nUse 'ringmq {} --help' to see usage.\n", tool.name())
            }
            Failure::Failed(text) => format!("Error: {text}\n"),
            Failure::Refused(version, reason) => {
                format!("Connection error: {}\n", refusal_text(*version, *reason))
            }
            Failure::Denied(text, reason) => format!("Error: {text}: {}.\n", reason.name()),
            Failure::Lost => "Error: The connection was lost.\n".to_owned(),
            Failure::TimedOut => "Timed out\n".to_owned(),
            Failure::NoReader => return None,
        })
    }

    /// Tells the user, unless `--quiet`, and gives the exit code.
    pub fn report(&self, tool: Tool, quiet: bool) -> ExitCode {
        if let Some(text) = self.text(tool).filter(|_| !quiet) {
            warn(&text);
        }
        ExitCode::from(self.code())
    }
}

impl From<io::Error> for Failure {
    /// An error of standard output.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::NoReader,
            _ => Failure::Failed(format!("Cannot write to standard output: {error}.")),
        }
    }
}

/// Writes to standard error; if even that is gone, there is nobody to tell.
pub fn warn(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn refusal_text(version: Version, reason: ReasonCode) -> String {
    if version == Version::V5 {
        let advice = match reason {
            ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => ". Try connecting with -V mqttv311",
            _ => "",
        };
        return format!("{}{advice}", reason.name());
    }
    let text = match reason.connect_return_code_v3() {
        1 => "unacceptable protocol version",
        2 => "identifier rejected",
        3 => "broker unavailable",
        4 => "bad user name or password",
        5 => "not authorised",
        _ => "unknown reason",
    };
    format!("Connection Refused: {text}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_texts() {
        let rows = [
            (Failure::Failed("Connection refused".to_owned()), 1, Some("Error: Connection refused\n")),
            (
                Failure::Usage("No.".to_owned()),
                1,
                Some("Error: No.\n\nUse 'ringmq sub --help' to see usage.\n"),
            ),
            (
                Failure::Refused(Version::V311, ReasonCode::NOT_AUTHORIZED),
                5,
                Some("Connection error: Connection Refused: not authorised.\n"),
            ),
            (
                Failure::Refused(Version::V31, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
                4,
                Some("Connection error: Connection Refused: bad user name or password.\n"),
            ),
            (
                Failure::Refused(Version::V5, ReasonCode::NOT_AUTHORIZED),
                135,
                Some("Connection error: Not authorized\n"),
            ),
            (
                Failure::Denied("Subscription to 'a'".to_owned(), ReasonCode::NOT_AUTHORIZED),
                135,
                Some("Error: Subscription to 'a': Not authorized.\n"),
            ),
            (Failure::Lost, 7, Some("Error: The connection was lost.\n")),
            (Failure::TimedOut, 27, Some("Timed out\n")),
            (Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), 0, None),
        ];
        for (failure, code, text) in rows {
            assert_eq!(failure.code(), code, "{failure:?}");
            assert_eq!(failure.text(Tool::Subscribe).as_deref(), text, "{failure:?}");
        }
    }
}
