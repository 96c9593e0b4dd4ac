//! `ringmq import mosquitto.conf`: the same configuration in RingMQ's own form.

use std::path::PathBuf;

use super::ExitCode;
use crate::config::file;
use crate::config::mosquitto::{DIRECTIVES, Meaning, Weight};

use super::{EXIT_CONFIGURATION, print, say};

/// Which file, or the list.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The translation goes to stdout, what could not be translated to stderr and into comments of the translation.
`ringmq serve -c mosquitto.conf` runs such a file without translating it first.

  ringmq import /etc/mosquitto/mosquitto.conf > ringmq.toml
  ringmq import --list          what becomes of each directive

Exit codes: 0 translated, perhaps with warnings, 2 something had to be left out without which the broker would
be another one.")]
pub struct Args {
    /// The mosquitto.conf; its include_dir is read as well.
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Prints every directive of mosquitto 2.0 and 2.1 and what becomes of it (Markdown), and ends.
    #[arg(long, conflicts_with = "file")]
    list: bool,
}

impl Args {
    /// Translates it.
    pub fn run(self) -> ExitCode {
        let Some(path) = self.file else { return print(&list()) };
        let translation = match file::import(&path) {
            Ok(translation) => translation,
            Err(error) => {
                say(&error);
                return ExitCode::from(EXIT_CONFIGURATION);
            }
        };
        for note in translation.notes() {
            match note.weight {
                Weight::Warning => say(&format!("warning: {note}")),
                Weight::Refused => say(&note.to_string()),
            }
        }
        let printed = print(&translation.to_toml());
        if translation.is_complete() { printed } else { ExitCode::from(EXIT_CONFIGURATION) }
    }
}

const INTRODUCTION: &str = "\
# mosquitto.conf

`ringmq serve -c mosquitto.conf` runs a configuration of mosquitto 2.0 or 2.1, `ringmq import mosquitto.conf` prints it
in RingMQ's own form, `ringmq check mosquitto.conf` says what is wrong with it. What is ignored is warned of by name;
what is refused stops the start, because the broker would not be the one that the file describes. This table is
`ringmq import --list`.

What the file does not say has RingMQ's defaults, which `ringmq config doc` lists, except who may come in without a
password: without a listener, this machine alone and everybody there; with one, nobody unless `allow_anonymous true`
says so. Relative paths start at the working directory, as mosquitto's do; in a translated file they start at its
folder.

| directive | becomes | remark |
|---|---|---|
";

/// The text of `ringmq import --list`.
fn list() -> String {
    let mut text = String::from(INTRODUCTION);
    for known in DIRECTIVES {
        let (becomes, remark) = match known.meaning {
            Meaning::Becomes { key, note, .. } if key.starts_with('(') => {
                (String::from(key), String::from(note))
            }
            Meaning::Becomes { key, note, .. } => (format!("`{key}`"), String::from(note)),
            Meaning::Ignored { harmless, why, .. } => (String::from("ignored"), remark(harmless, why)),
            Meaning::Refused { harmless, why, .. } => (String::from("**refused**"), remark(harmless, why)),
        };
        text.push_str(&format!("| `{}` | {becomes} | {remark} |\n", known.name));
    }
    text
}

fn remark(harmless: &str, why: &str) -> String {
    if harmless.is_empty() { why.to_owned() } else { format!("{why}; `{harmless}` is silently right") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_users_read_is_this_one() {
        let file = include_str!("../../MOSQUITTO.md");
        assert!(file == list(), "write it anew: ringmq import --list > core/broker/MOSQUITTO.md");
    }
}
