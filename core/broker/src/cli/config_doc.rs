//! `ringmq config`: every key as a table for people, as an example file, as a schema for editors. All three are
//! made from the declarations.

use super::ExitCode;
use crate::config::listener::LISTENER_KEYS;
use crate::config::{KEYS, ROLE_KEYS, ROLES_DOC};

use super::serve::base;
use super::{config_example, config_schema, print};

/// What is printed.
#[derive(clap::Subcommand, Debug)]
pub enum Config {
    /// A table of all keys with meaning, range, default and when a change takes effect (Markdown).
    Doc,
    /// A configuration file with every key, commented out.
    Example,
    /// A JSON Schema of the configuration file, for editors.
    Schema,
}

impl Config {
    /// Prints it.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Doc => print(&document()),
            Self::Example => print(&config_example::example()),
            Self::Schema => print(&config_schema::schema()),
        }
    }
}

const INTRODUCTION: &str = "\
# Configuration of RingMQ

`ringmq serve -c FILE` reads a TOML file. Each key below stands at the top of it, before the first table;
numbers may be texts with a unit (`\"5s\"`, `\"64KiB\"`). Each key is a flag too, with dashes (`--queue-policy end`, or
`--set queue_policy=end`), and an environment variable (`RINGMQ_CONFIG_QUEUE_POLICY=end`). Flags go before variables,
variables before the file, the file before the default. `ringmq check FILE` tells everything that is wrong with a file,
`ringmq config example` prints one to begin with.

## Keys

| key | meaning | takes | default | a change takes effect |
|---|---|---|---|---|
";

const LISTENERS: &str = "
## Listeners

Each `[[listener]]` table is one listener; `bind` is the short form, with the same keys behind a `?`:
`--bind 'tls://0.0.0.0?certificate=server.pem&certificate_key=server.key'`. Relative paths start at the file's folder,
in `bind` at the working directory. The last rows are keys of the whole broker that a listener may have for itself.

| key | meaning | takes | default | for |
|---|---|---|---|---|
";

/// The text of `ringmq config doc`.
fn document() -> String {
    let base = base();
    let mut text = String::from(INTRODUCTION);
    for key in KEYS {
        let cells = [key.doc, &key.accepts(), &code(&key.text(&base)), key.change.name()];
        text.push_str(&row(key.name, &cells));
    }
    text.push_str(LISTENERS);
    for key in LISTENER_KEYS {
        let cells = [key.doc, &key.accepts(), &code(key.default), key.concerns.name()];
        text.push_str(&row(key.name, &cells));
    }
    for key in KEYS.iter().filter(|key| key.is_per_listener()) {
        text.push_str(&row(key.name, &[key.doc, &key.accepts(), "the broker's", "every listener"]));
    }
    text.push_str(&format!(
        "\n## Roles\n\n{ROLES_DOC}\n\n| key of `[[role]]` | meaning | takes |\n|---|---|---|\n"
    ));
    for key in ROLE_KEYS {
        text.push_str(&row(key.name, &[key.doc, if key.is_text { "a text" } else { "a list of texts" }]));
    }
    text
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn row(name: &str, cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| `{name}` | {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_row_with_as_many_cells_as_the_head() {
        let text = document();
        for name in KEYS.iter().map(|key| key.name).chain(LISTENER_KEYS.iter().map(|key| key.name)) {
            assert!(text.contains(&format!("\n| `{name}` | ")), "{name}");
        }
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let is_of_roles = text.split("## Roles").nth(1).is_some_and(|roles| roles.contains(line));
            let expected = if is_of_roles { 4 } else { 6 };
            assert_eq!(line.replace("\\|", "").matches('|').count(), expected, "{line}");
        }
    }
}
