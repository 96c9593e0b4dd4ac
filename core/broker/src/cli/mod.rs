//! The command line of the `ringmq` program: one file per subcommand, each with its arguments and `run`.
//! Exit codes of the broker's own commands: 0 done, 1 it could not start or failed, 2 the command line or
//! the configuration is wrong.

use std::ffi::OsString;
use std::io::{self, Write as _};

pub mod bench;
pub mod check;
mod client_failure;
mod client_json;
pub mod client_options;
mod client_output;
mod client_payload;
mod client_property;
mod client_session;
mod client_tls;
pub mod completions;
pub mod config_doc;
mod config_example;
mod config_schema;
pub mod explain;
pub mod import;
mod log_format;
mod log_queue;
pub mod message_format;
mod named_files;
pub mod passwd;
mod pid_file;
pub mod publish;
pub mod reload;
mod replace_file;
pub mod request;
pub mod serve;
pub mod shard_of;
pub mod subscribe;
mod watch;

/// What a program ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ExitCode(u8);

impl ExitCode {
    /// All went well.
    pub const SUCCESS: Self = Self(0);
    /// It did not.
    pub const FAILURE: Self = Self(1);

    /// The number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl From<u8> for ExitCode {
    fn from(value: u8) -> Self {
        Self(value)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.0.into()
    }
}

/// Runs the program with these arguments, the first being its own name: prints, reads and, to serve, takes over the
/// process's signals. For a process that does nothing else.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match <Command as clap::Parser>::try_parse_from(arguments) {
        Ok(command) => command.run(),
        Err(said) => {
            // Help and version are no errors to clap's exit code. Nobody is left to tell when printing fails.
            let _ = said.print();
            ExitCode(u8::try_from(said.exit_code()).unwrap_or(1))
        }
    }
}

/// What the program was asked to do.
#[derive(clap::Parser, Debug)]
#[command(name = "ringmq", version, about = "An MQTT broker for 3.1, 3.1.1 and 5.0, and its clients", after_help = EXAMPLES)]
pub enum Command {
    /// Runs the broker until it is told to stop.
    Serve(serve::Args),
    /// Reads a configuration file and says what is wrong with it; starts nothing.
    Check(check::Args),
    /// Prints what can be configured: all keys, an example file, a schema for editors.
    #[command(subcommand)]
    Config(config_doc::Config),
    /// Translates a mosquitto.conf into RingMQ's own form.
    Import(import::Args),
    /// Tells a running server to read its configuration anew.
    Reload(reload::Args),
    /// Makes and changes password files.
    Passwd(passwd::Args),
    /// Says what an ACL file allows one client, and which line says so.
    Explain(explain::Args),
    /// Publishes messages, with mosquitto_pub's flags.
    Pub(publish::Args),
    /// Subscribes and prints messages, with mosquitto_sub's flags.
    Sub(subscribe::Args),
    /// Sends a request and prints the response, with mosquitto_rr's flags.
    Rr(request::Args),
    /// Drives a broker and says how much goes through and how fast.
    Bench(bench::Args),
    /// Prints the completion script for a shell.
    Completions(completions::Args),
    /// Prints the home shard of ClientIDs, for tests.
    #[command(hide = true)]
    ShardOf(shard_of::Args),
}

const EXAMPLES: &str = "\
Examples:
  ringmq serve                                          a broker for this machine, port 1883
  ringmq serve --bind 0.0.0.0 --allow-anonymous         a broker for everybody who reaches it
  ringmq serve -c ringmq.toml                           a broker as the file says; a mosquitto.conf works too
  ringmq config example > ringmq.toml                   a file with every key to begin with
  ringmq check ringmq.toml                              what is wrong with it, without starting anything
  ringmq passwd -c passwords anna                       a password file with one user
  ringmq serve --bind 0.0.0.0 --password-file passwords a broker for those who have a password
  ringmq sub -t 'home/+/temperature' -v                 print what arrives, with topics
  ringmq pub -t home/kitchen/temperature -m 21.5        publish one message
  ringmq bench p2p                                      how much goes through the broker on port 1883
  ringmq completions bash > ~/.local/share/bash-completion/completions/ringmq";

impl Command {
    /// Does it.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Serve(arguments) => arguments.run(),
            Self::Check(arguments) => arguments.run(),
            Self::Config(what) => what.run(),
            Self::Import(arguments) => arguments.run(),
            Self::Reload(arguments) => arguments.run(),
            Self::Passwd(arguments) => arguments.run(),
            Self::Explain(arguments) => arguments.run(),
            Self::Pub(arguments) => arguments.run(),
            Self::Sub(arguments) => arguments.run(),
            Self::Rr(arguments) => arguments.run(),
            Self::Bench(arguments) => arguments.run(),
            Self::Completions(arguments) => arguments.run(),
            Self::ShardOf(arguments) => arguments.run(),
        }
    }
}

/// The command line or the configuration is wrong.
const EXIT_CONFIGURATION: u8 = 2;

/// Writes to stdout. A reader that went away early is no error.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("cannot write: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Writes lines to stderr, with the program's name in front. Nobody is left to tell when that fails.
fn say(text: &str) {
    for line in text.lines() {
        let _ = writeln!(io::stderr(), "ringmq: {line}");
    }
}
