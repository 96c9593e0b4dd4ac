//! The configuration file: TOML with one key per line at the top, named as the flags are, a `[[listener]]` table for
//! each listener and a `[[role]]` table for each role. Types are TOML's; what has a unit may be a text like "5s". Nothing is judged here but
//! shape and type.

use std::path::Path;

use ringmq_auth::Role;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};
use toml_writer::ToTomlValue as _;

use super::ConfigError;
use super::key::{Range, Source, Unit, key};
use super::listener::{Given, LISTENER_KEYS, RawListener};
use super::raw::Raw;
use super::role::{ROLE_KEYS, RoleKey, RoleOptions, filter_problem, rule};

/// What a value is called in an error, at most so many characters of it.
const SHOWN_MAX: usize = 60;

/// With more places that are no TOML the file is something else, and nobody reads a line about each.
const SYNTAX_ERRORS_MAX: usize = 20;

/// Reads the text of a file; everything that is wrong is in what comes back.
pub(super) fn read(path: &Path, text: &str) -> Raw {
    let mut file = File { path, text, lines: line_starts(text), raw: Raw::default(), broken: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    let more = errors.len().saturating_sub(SYNTAX_ERRORS_MAX);
    for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
        let at = error.span().map_or(0, |span| span.start);
        let source = file.source(at);
        file.broken.push(file.line(at));
        file.raw.add_error(ConfigError::at(&source, error.message().trim_end_matches('.')));
    }
    if more > 0 {
        let text = format!("{}: {more} more places are no TOML", path.display());
        file.raw.add_error(ConfigError::Conflict(text));
        return file.raw;
    }
    for (name, value) in table.get_ref().iter() {
        file.top(name, value);
    }
    file.raw
}

/// A value as it could be typed, in the type that a file wants for keys of this range.
#[must_use]
pub fn toml_value(range: Range, text: &str) -> String {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match range {
        Range::Number(..) | Range::WordOrNumber(..) if is_number => text.to_owned(),
        Range::Bool | Range::Words(_) if matches!(text, "true" | "false") => text.to_owned(),
        Range::List(_) | Range::Paths(_) => {
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            format!("[{}]", texts.map(|text| text.to_toml_value()).collect::<Vec<_>>().join(", "))
        }
        _ => text.to_toml_value(),
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    raw: Raw,
    /// Lines, from 0, that are no TOML: whatever else is found there follows from that.
    broken: Vec<usize>,
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
        .collect()
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Found<'a> = Spanned<DeValue<'a>>;

impl File<'_> {
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }
    fn source(&self, at: usize) -> Source {
        let line = self.line(at);
        let before = self.text.get(self.lines[line]..at).unwrap_or("");
        Source::File {
            path: self.path.to_owned(),
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
        }
    }
    fn wrong(&mut self, at: usize, error: impl FnOnce(Source) -> ConfigError) {
        self.raw.add_error(error(self.source(at)));
    }
    fn is_broken(&self, name: &Name<'_>) -> bool {
        self.broken.contains(&self.line(name.span().start))
    }
    /// One key at the top.
    fn top(&mut self, name: &Name<'_>, value: &Found<'_>) {
        let at = name.span().start;
        if self.is_broken(name) {
            return;
        }
        let text = name.get_ref().as_ref();
        match text {
            "listener" => return self.listeners(at, value),
            "role" => return self.roles(at, value),
            _ => {}
        }
        match key(text).ok().filter(|key| key.name == text) {
            Some(key) => match self.given(key.range, value) {
                Some(Given::Text(text)) => self.raw.set(key.name, &text, self.source(value.span().start)),
                Some(Given::List(texts)) => {
                    self.raw.set(key.name, &texts.join(","), self.source(value.span().start));
                }
                _ => self.not_a_value(key.name, key.range, key.unit, value),
            },
            None if matches!(value.get_ref(), DeValue::Table(_)) => self.wrong(at, |source| {
                let text = format!(
                    "there is no table `{text}`: keys stand at the top of the file, and [[listener]] and [[role]] are the only tables"
                );
                ConfigError::at(&source, text)
            }),
            None => self.wrong(at, |source| ConfigError::UnknownKey {
                name: text.to_owned(),
                nearest: key(text).map_or_else(|near| near, |key| Some(key.name)),
                source,
            }),
        }
    }
    fn not_a_value(&mut self, name: &'static str, range: Range, unit: Unit, value: &Found<'_>) {
        let shown = shown(self.text.get(value.span()).unwrap_or(""));
        self.wrong(value.span().start, |source| ConfigError::value(name, range, unit, &shown, source));
    }
    fn listeners(&mut self, at: usize, value: &Found<'_>) {
        let wrong = "listeners are tables with two brackets: [[listener]]";
        let DeValue::Array(tables) = value.get_ref() else {
            return self.wrong(at, |source| ConfigError::at(&source, wrong));
        };
        for table in tables.iter() {
            match table.get_ref() {
                DeValue::Table(keys) => {
                    let listener = self.listener(table.span().start, keys);
                    self.raw.add_listener(listener);
                }
                _ => self.wrong(table.span().start, |source| ConfigError::at(&source, wrong)),
            }
        }
    }
    fn listener(&mut self, at: usize, keys: &DeTable<'_>) -> RawListener {
        let mut entries = Vec::new();
        for (name, value) in keys.iter().filter(|(name, _)| !self.is_broken(name)).collect::<Vec<_>>() {
            let text = name.get_ref().as_ref();
            let own =
                LISTENER_KEYS.iter().find(|key| key.name == text).map(|key| (key.name, key.range, key.unit));
            let shared =
                || key(text).ok().filter(|key| key.name == text).map(|key| (key.name, key.range, key.unit));
            match own.or_else(shared) {
                Some((known, range, unit)) => match self.given(range, value) {
                    Some(given) => {
                        entries.push((String::from(known), given, self.source(value.span().start)))
                    }
                    None => self.not_a_value(known, range, unit, value),
                },
                // That there is no such key is told by whoever judges the listener.
                None => {
                    let place = self.source(name.span().start);
                    entries.push((text.to_owned(), Given::Text(String::new()), place));
                }
            }
        }
        entries.sort_by_key(|(_, _, source)| match source {
            Source::File { line, column, .. } => (*line, *column),
            _ => (0, 0),
        });
        RawListener { source: self.source(at), entries }
    }
    fn roles(&mut self, at: usize, value: &Found<'_>) {
        let wrong = "roles are tables with two brackets: [[role]]";
        let DeValue::Array(tables) = value.get_ref() else {
            return self.wrong(at, |source| ConfigError::at(&source, wrong));
        };
        for table in tables.iter() {
            match table.get_ref() {
                DeValue::Table(keys) => self.role(table.span().start, keys),
                _ => self.wrong(table.span().start, |source| ConfigError::at(&source, wrong)),
            }
        }
    }
    fn role(&mut self, at: usize, keys: &DeTable<'_>) {
        let mut given = RoleOptions { role: Role::default(), source: self.source(at) };
        for (name, value) in keys.iter().filter(|(name, _)| !self.is_broken(name)).collect::<Vec<_>>() {
            let typed = name.get_ref().as_ref();
            match ROLE_KEYS.iter().find(|key| key.name == typed) {
                Some(key) => self.role_key(&mut given.role, key, value),
                None => self.wrong(name.span().start, |source| {
                    let names: Vec<_> = ROLE_KEYS.iter().map(|key| key.name).collect();
                    let names = names.join(", ");
                    ConfigError::at(&source, format!("a role has no key `{typed}`: it has {names}"))
                }),
            }
        }
        // In the order of the file, so that of several rules the first is named as the reason.
        given.role.permissions.rules.sort_by_key(|rule| rule.line);
        if given.role.name.is_empty() {
            return self.wrong(at, |source| ConfigError::at(&source, "a role needs a name: name = \"...\""));
        }
        self.raw.add_role(given);
    }
    fn role_key(&mut self, role: &mut Role, key: &RoleKey, value: &Found<'_>) {
        let texts: Option<Vec<(&str, usize)>> = match value.get_ref() {
            DeValue::String(text) if key.is_text => Some(vec![(text.as_ref(), value.span().start)]),
            DeValue::Array(texts) if !key.is_text => {
                texts.iter().map(|text| Some((text.get_ref().as_str()?, text.span().start))).collect()
            }
            _ => None,
        };
        let Some(texts) = texts else {
            let takes = if key.is_text { "a text" } else { "a list of texts: [\"...\", \"...\"]" };
            let text = format!("`{}` of a role takes {takes}", key.name);
            return self.wrong(value.span().start, |source| ConfigError::at(&source, text));
        };
        for (text, at) in texts {
            match key.effect {
                None if key.is_text => role.name = text.into(),
                None => role.members.push(text.into()),
                Some(effect) => match filter_problem(text) {
                    None => {
                        let line = u32::try_from(self.line(at) + 1).unwrap_or(u32::MAX);
                        role.permissions.rules.push(rule(text, effect, line));
                    }
                    Some(problem) => self.wrong(at, |source| ConfigError::at(&source, problem)),
                },
            }
        }
    }
    /// A value of the type that a range asks for; paths as seen from the file's folder.
    fn given(&self, range: Range, value: &Found<'_>) -> Option<Given> {
        match (range, value.get_ref()) {
            (Range::Number(..) | Range::WordOrNumber(..) | Range::Form(_), DeValue::Integer(number)) => {
                Some(Given::Text(digits(number)))
            }
            (Range::Bool, DeValue::Boolean(value)) => Some(Given::Text(value.to_string())),
            (Range::Words(words), DeValue::Boolean(value)) => {
                let text = value.to_string();
                words.contains(&text.as_str()).then_some(Given::Text(text))
            }
            (Range::Bool, _) => None,
            (Range::Path(_), DeValue::String(text)) => Some(Given::Text(self.path_of(text))),
            (Range::Path(_), DeValue::Array(pairs)) => {
                pairs.iter().map(|pair| self.pair(pair.get_ref())).collect::<Option<_>>().map(Given::Pairs)
            }
            (Range::Paths(_), DeValue::String(text)) => {
                let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
                Some(Given::List(paths.map(|path| self.path_of(path)).collect()))
            }
            (Range::Paths(_), DeValue::Array(texts)) => texts
                .iter()
                .map(|text| text.get_ref().as_str().map(|path| self.path_of(path)))
                .collect::<Option<_>>()
                .map(Given::List),
            (_, DeValue::String(text)) => Some(Given::Text(text.to_string())),
            (Range::List(_), DeValue::Array(texts)) => texts
                .iter()
                .map(|text| text.get_ref().as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .map(Given::List),
            _ => None,
        }
    }
    /// `{ certificate = FILE, key = FILE }`.
    fn pair(&self, value: &DeValue<'_>) -> Option<(String, String)> {
        let table = value.as_table().filter(|table| table.len() == 2)?;
        let text = |name| table.get(name).and_then(|value| value.get_ref().as_str());
        Some((self.path_of(text("certificate")?), self.path_of(text("key")?)))
    }
    fn path_of(&self, text: &str) -> String {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        match text {
            "" => String::new(),
            _ => folder.join(text).display().to_string(),
        }
    }
}

/// The number in decimal digits; as it was typed where it is too large for any key.
fn digits(number: &DeInteger<'_>) -> String {
    match i64::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) => value.to_string(),
        Err(_) => number.as_str().to_owned(),
    }
}

/// The beginning of what was typed, in one line.
fn shown(typed: &str) -> String {
    let line = typed.lines().next().unwrap_or("");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None if line.len() < typed.len() => format!("{line}..."),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KEYS, Options};

    fn judged(text: &str) -> (Options, Vec<String>) {
        let (options, errors) = read(Path::new("r.toml"), text).judge(Options::default());
        (options, errors.iter().map(ToString::to_string).collect())
    }

    fn value(options: &Options, name: &str) -> String {
        key(name).unwrap().text(options)
    }

    #[test]
    fn values_have_the_types_of_toml() {
        let rows: &[(&str, &str, &str)] = &[
            ("port = 7", "port", "7"),
            ("port = 0x10", "port", "16"),
            ("port = \"7\"", "port", "7"),
            ("publish_hold = 250", "publish_hold", "250"),
            ("publish_hold = \"2s\"", "publish_hold", "2000"),
            ("queue_bytes_max = \"64KiB\"", "queue_bytes_max", "65536"),
            ("queue_bytes_max = 1_000", "queue_bytes_max", "1000"),
            ("server_keep_alive = \"client\"", "server_keep_alive", "client"),
            ("server_keep_alive = 30", "server_keep_alive", "30"),
            ("allow_anonymous = true", "allow_anonymous", "true"),
            ("allow_anonymous = \"local\"", "allow_anonymous", "local"),
            ("moving = false", "moving", "false"),
            ("cores = 3", "cores", "3"),
            ("cores = \"0,2-5\"", "cores", "0,2-5"),
            ("shards = \"auto\"", "shards", "auto"),
            ("versions = \"3.1.1+5.0\"", "versions", "3.1.1+5.0"),
            ("bind = \"127.0.0.1, ::1\"", "bind", "127.0.0.1,::1"),
            ("bind = [\"127.0.0.1\", \"::1\"]", "bind", "127.0.0.1,::1"),
            ("response_information = 'a/b'", "response_information", "a/b"),
            ("\"port\" = 7 # quoted", "port", "7"),
        ];
        for (text, name, expected) in rows {
            let (options, errors) = judged(text);
            assert_eq!(errors, [""; 0], "{text}");
            assert_eq!(value(&options, name), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let rows: &[(&str, &[&str])] = &[
            (
                "# comment\nqueue_polcy = \"end\"",
                &["r.toml:2:1: there is no configuration key `queue_polcy`; did you mean `queue_policy`?"],
            ),
            (
                "queue_policy = \"drpo\"",
                &["r.toml:1:16: queue_policy = `drpo` is not possible: queue_policy takes drop, end, refuse"],
            ),
            (
                "maximum_qos = 3",
                &["r.toml:1:15: maximum_qos = `3` is not possible: maximum_qos takes 0 to 2"],
            ),
            (
                "publish_hold = 1.5",
                &["r.toml:1:16: publish_hold = `1.5` is not possible: publish_hold takes 0 to 86400000 ms"],
            ),
            (
                "moving = \"no\"",
                &["r.toml:1:10: moving = `\"no\"` is not possible: moving takes true, false"],
            ),
            (
                "queue_policy = true",
                &["r.toml:1:16: queue_policy = `true` is not possible: queue_policy takes drop, end, refuse"],
            ),
            ("port = [\n1]", &["r.toml:1:8: port = `[...` is not possible: port takes 0 to 65535"]),
            (
                "zzzzzzzzzzzz = 1",
                &[
                    "r.toml:1:1: there is no configuration key `zzzzzzzzzzzz`; `ringmq config doc` shows all keys",
                ],
            ),
            (
                "[limits]\nport = 1",
                &[
                    "r.toml:1:2: there is no table `limits`: keys stand at the top of the file, and [[listener]] and [[role]] are the only tables",
                ],
            ),
            (
                "[listener]\naddress = \"::1\"",
                &["r.toml:1:2: listeners are tables with two brackets: [[listener]]"],
            ),
            ("listener = [1]", &["r.toml:1:13: listeners are tables with two brackets: [[listener]]"]),
            (
                "\"a\\nb\\u001b\" = 1",
                &[
                    "r.toml:1:1: there is no configuration key `a\\nb\\u{1b}`; `ringmq config doc` shows all keys",
                ],
            ),
            ("role = 'a'", &["r.toml:1:1: roles are tables with two brackets: [[role]]"]),
            ("[[role]]\nmembers = ['a']", &["r.toml:1:1: a role needs a name: name = \"...\""]),
            (
                "[[role]]\nname = 'a'\nmember = ['b']",
                &[
                    "r.toml:3:1: a role has no key `member`: it has name, members, publish, subscribe, all, deny",
                ],
            ),
            (
                "[[role]]\nname = ['a']\nmembers = 'b'\npublish = ['x',\n  7]",
                &[
                    "r.toml:1:1: a role needs a name: name = \"...\"",
                    "r.toml:2:8: `name` of a role takes a text",
                    "r.toml:3:11: `members` of a role takes a list of texts: [\"...\", \"...\"]",
                    "r.toml:4:11: `publish` of a role takes a list of texts: [\"...\", \"...\"]",
                ],
            ),
            (
                "[[role]]\nname = 'a'\ndeny = ['b',\n  'a/#/b']",
                &[
                    "r.toml:4:3: \"a/#/b\" is no topic filter: The wildcard # is not a whole level at the end of the filter.",
                ],
            ),
            ("port = 1\nport = 2", &["r.toml:2:1: duplicate key"]),
            ("öffnung = 1", &["r.toml:1:1: invalid unquoted key, expected letters, numbers, `-`, `_`"]),
        ];
        for (text, expected) in rows {
            assert_eq!(judged(text).1, *expected, "{text}");
        }
    }

    #[test]
    fn all_mistakes_are_told_in_the_order_of_lines() {
        let text = "port = 70000\nqueue_polcy = 1\nmoving = 1\nmaximum_qos = \nsys_interval = \"1x\"\n";
        let lines: Vec<String> =
            judged(text).1.iter().map(|error| error.split(": ").next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["r.toml:1:8", "r.toml:2:1", "r.toml:3:10", "r.toml:4:15", "r.toml:5:16"]);
    }

    #[test]
    fn a_file_that_is_something_else_is_told_in_few_lines() {
        let errors = judged(&"no TOML at all\n".repeat(100)).1;
        assert_eq!(errors.len(), SYNTAX_ERRORS_MAX + 1);
        assert_eq!(errors[SYNTAX_ERRORS_MAX], "r.toml: 80 more places are no TOML");
    }

    #[test]
    fn every_key_takes_its_default_as_text() {
        for key in KEYS.iter().filter(|key| !matches!(key.range, Range::Bool)) {
            let text = format!("{} = '{}'", key.name, key.text(&Options::default()));
            assert_eq!(judged(&text).1, [""; 0], "{text}");
        }
    }

    #[test]
    fn roles_are_read_with_their_lines() {
        let text = "[[role]]\nname = 'operators'\nmembers = ['anna', 'bert']\npublish = [\n  'cmd/#',\n  'x/%u']\n\
                    deny = ['cmd/no']\nsubscribe = []\n[[role]]\nname = 'all'\nmembers = ['*']\nall = ['own/%c']\n";
        let (options, errors) = judged(text);
        assert_eq!(errors, [""; 0]);
        let roles: Vec<_> = options.roles.iter().map(|given| &given.role).collect();
        let rules = |role: &Role| {
            let rules = role.permissions.rules.iter();
            rules.map(|rule| (rule.filter.to_string(), rule.line)).collect::<Vec<_>>()
        };
        assert_eq!((&*roles[0].name, roles[0].members.len()), ("operators", 2));
        let expected = [("cmd/#".to_owned(), 5), ("x/%u".to_owned(), 6), ("cmd/no".to_owned(), 7)];
        assert_eq!(rules(roles[0]), expected);
        assert_eq!(rules(roles[1]), [("own/%c".to_owned(), 12)]);
        assert!(options.roles().is_ok_and(|roles| roles.is_some()));
        let twice = judged("[[role]]\nname = 'a'\n[[role]]\nname = 'a'\n").0;
        let error = twice.roles().unwrap_err().to_string();
        assert_eq!(error, "r.toml:3:1: there are two roles with the name \"a\"");
    }
}
