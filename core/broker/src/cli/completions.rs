//! `ringmq completions SHELL`: prints a completion script made from the same declarations as `--help`.

use super::ExitCode;
use std::io::{self, Write as _};

use clap::CommandFactory as _;

/// Which shell.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell to complete for.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Args {
    /// Prints the script. A reader that went away early is no error.
    pub fn run(self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Command::command(), "ringmq", &mut script);
        match io::stdout().write_all(&script) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = writeln!(io::stderr(), "ringmq: cannot write the completions: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        }
    }
}
