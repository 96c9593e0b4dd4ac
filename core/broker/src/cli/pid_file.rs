//! The file with the number of the server's process, for whoever sends it signals. It belongs to the server as long as
//! that runs, and one left behind by a server that was killed is replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid};

/// Removes the file when it is dropped.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The system's.
    pub fn write(path: &Path) -> io::Result<Self> {
        let fresh = path.with_extension("pid.new");
        fs::write(&fresh, format!("{}\n", getpid().as_raw_nonzero()))?;
        fs::rename(&fresh, path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another server may have taken it over.
        if read(&self.0).is_ok_and(|pid| pid == getpid()) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// The process that a file names.
///
/// # Errors
/// The system's, or that the file says no number.
pub fn read(path: &Path) -> io::Result<Pid> {
    let text = fs::read_to_string(path)?;
    let number = text.trim().parse().ok().and_then(Pid::from_raw);
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no process number"))
}
