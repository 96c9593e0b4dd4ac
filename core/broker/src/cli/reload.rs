//! `ringmq reload`: tells a running server to read its configuration anew.

use std::io::{self, Write as _};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use super::ExitCode;
use super::pid_file;

/// Which server.
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER)]
#[group(required = true, multiple = false)]
pub struct Args {
    /// Number of the server's process.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pid: Option<i32>,
    /// File that the server was started with as --pid-file.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
}

const AFTER: &str = "\
The server reads its configuration file, certificates, keys, password and ACL files anew, and goes on with all of it or,
when anything is wrong, with none; its log says which. Clients stay connected. The same as kill -HUP.";

impl Args {
    /// Sends the signal.
    pub fn run(self) -> ExitCode {
        match self.send() {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => {
                let _ = writeln!(io::stderr(), "ringmq reload: {text}");
                ExitCode::FAILURE
            }
        }
    }

    fn send(&self) -> Result<(), String> {
        let pid = match &self.pid_file {
            Some(path) => pid_file::read(path)
                .map_err(|error| format!("{}: {error}; is the server running?", path.display()))?,
            None => self.pid.and_then(Pid::from_raw).ok_or("no process is named")?,
        };
        let failed = |error| format!("process {}: {}", pid.as_raw_nonzero(), io::Error::from(error));
        kill_process(pid, Signal::HUP).map_err(failed)
    }
}
