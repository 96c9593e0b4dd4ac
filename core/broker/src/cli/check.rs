//! `ringmq check FILE`: everything that can be said about a configuration file without starting a broker.

use std::path::{Path, PathBuf};

use super::ExitCode;
use crate::Options;
use crate::config::listener::ListenerOptions;
use crate::config::{KEYS, file};

use super::named_files::{Named, named_files};
use super::serve::base;
use super::{EXIT_CONFIGURATION, print, say};

/// Which file.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Prints the listeners, the files that are named and what differs from the defaults. Every mistake is one line with
file, line and column. Ports are not opened; files that are named are opened and not read. Environment variables
are left out: `ringmq serve` puts them over the file.

Exit codes: 0 good, 2 something is wrong.")]
pub struct Args {
    /// The file: RingMQ's own form, or a mosquitto.conf.
    file: PathBuf,
}

impl Args {
    /// Checks it.
    pub fn run(self) -> ExitCode {
        let raw = file::read(&self.file);
        for warning in raw.warnings() {
            say(&format!("warning: {warning}"));
        }
        let options = match raw.over(base()) {
            Ok(options) => options,
            Err(errors) => return refuse(&errors.to_string()),
        };
        if let Err(errors) = options.check() {
            return refuse(&errors.to_string());
        }
        let listeners = match options.listeners() {
            Ok(listeners) => listeners,
            Err(errors) => return refuse(&errors.to_string()),
        };
        let files = named_files(&options, &listeners);
        let missing: Vec<_> = files.iter().filter_map(unreadable).collect();
        if !missing.is_empty() {
            return refuse(&missing.join("\n"));
        }
        print(&summary(&self.file, &options, &listeners, &files))
    }
}

fn refuse(text: &str) -> ExitCode {
    say(text);
    ExitCode::from(EXIT_CONFIGURATION)
}

fn unreadable(named: &Named) -> Option<String> {
    let Named { key, path, source } = named;
    let error = std::fs::File::open(path).err()?;
    Some(format!("{source}: {key}: {}: {error}", path.display()))
}

fn summary(file: &Path, options: &Options, listeners: &[ListenerOptions], files: &[Named]) -> String {
    let mut text = format!("{}: good\n\nlisteners:\n", file.display());
    for listener in listeners {
        text.push_str(&format!("  {listener}  ({})\n", listener.source));
    }
    if !files.is_empty() {
        text.push_str("\nfiles:\n");
    }
    for named in files {
        text.push_str(&format!("  {} {}\n", named.key, named.path.display()));
    }
    let names: Vec<_> = options.role_names().collect();
    if !names.is_empty() {
        text.push_str(&format!("\nroles: {}\n", names.join(", ")));
    }
    let (base, mut differing) = (base(), String::new());
    for key in KEYS.iter().filter(|key| key.text(options) != key.text(&base)) {
        // Whoever knows it can choose on which shard a client lives.
        let value = if key.name == "partition_key" { String::from("(set)") } else { key.text(options) };
        differing.push_str(&format!("  {} = {value}  (default {})\n", key.name, key.text(&base)));
    }
    match differing.as_str() {
        "" => text.push_str("\nnothing else differs from the defaults\n"),
        _ => text.push_str(&format!("\ndiffers from the defaults:\n{differing}")),
    }
    text
}
