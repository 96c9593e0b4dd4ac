//! `ringmq explain`: what roles and an ACL file say to one client and topic, and which line says it. It only reads the
//! files; it never talks to a broker.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ExitCode;
use crate::config::file;
use clap::ValueEnum;
use ringmq_auth::acl::{Acl, Reason};
use ringmq_auth::roles::RoleReason;
use ringmq_auth::{Action, Effect, FileError, PasswordFile, Roles, Rule, Who};

use super::serve::base;

/// It may not.
const EXIT_DENIED: u8 = 1;
/// The command line or a file is wrong.
const EXIT_USAGE: u8 = 2;

/// Who wants what.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration file: names roles, ACL file and password file
    #[arg(long, short, value_name = "FILE", required_unless_present = "acl_file")]
    config: Option<PathBuf>,
    /// The ACL file; with --config instead of the one that is named there
    #[arg(long, value_name = "FILE")]
    acl_file: Option<PathBuf>,
    /// The password file: says whether there is such a user
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A role that the client has by its token, beside those of its user name; may come several times
    #[arg(long, value_name = "NAME", requires = "config")]
    role: Vec<Box<str>>,
    /// The ClientID
    #[arg(long, value_name = "CLIENTID", default_value = "")]
    client: String,
    /// The user name; without it the client is anonymous
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The topic, or the filter for subscribe
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// What it wants; without it everything is looked at
    #[arg(long, value_name = "ACCESS")]
    access: Option<Access>,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Access {
    /// To be given a message of the topic
    Read,
    /// To publish to the topic
    Write,
    /// To subscribe to the filter
    Subscribe,
}

const EXAMPLES: &str = "\
Example:
  ringmq explain --acl-file acl --client sensor-7 --user anna --topic home/cellar/temperature
  ringmq explain --config ringmq.toml --user anna --role operators --topic cmd/pump --access write

Roles are asked first, then the ACL file: that of the whole broker, so for a listener that has its own name it with
--acl-file. Permissions that a token has of its own are not known here.

Exit codes: 0 allowed (all that was asked), 1 denied, 2 the command line or a file is wrong.";

impl Args {
    /// Prints one line for each access.
    pub fn run(self) -> ExitCode {
        match self.answer() {
            Ok((text, allowed)) => match io::stdout().write_all(text.as_bytes()) {
                Ok(()) if allowed => ExitCode::SUCCESS,
                Ok(()) => ExitCode::from(EXIT_DENIED),
                Err(_) => ExitCode::from(EXIT_USAGE),
            },
            Err(problem) => {
                let _ = writeln!(io::stderr(), "ringmq: {problem}");
                ExitCode::from(EXIT_USAGE)
            }
        }
    }

    fn answer(&self) -> Result<(String, bool), String> {
        let rules = self.rules()?;
        let mut text = String::new();
        for warning in rules.acl.iter().flat_map(|(path, acl)| acl.warnings().iter().map(move |w| (path, w)))
        {
            let (path, FileError { line, problem }) = warning;
            text.push_str(&format!("warning: {}:{line}: {problem}\n", path.display()));
        }
        for name in self.role.iter().filter(|name| rules.roles.as_ref().is_none_or(|roles| !roles.has(name)))
        {
            text.push_str(&format!("warning: there is no role {name:?}, so it gives nothing\n"));
        }
        if let Some(stranger) = self.stranger(rules.password_file.as_deref())? {
            text.push_str(&format!("warning: {stranger}\n"));
        }
        let all = [Access::Read, Access::Write, Access::Subscribe];
        let asked: Vec<Access> = self.access.map_or(all.to_vec(), |access| vec![access]);
        let mut allowed = true;
        for access in asked {
            let (may, line) = self.explain(&rules, access);
            allowed &= may;
            text.push_str(&line);
        }
        Ok((text, allowed))
    }

    /// What is said about permissions, by the configuration and by flags over it.
    fn rules(&self) -> Result<Rules, String> {
        let mut rules = Rules::default();
        let mut acl_file = None;
        if let Some(path) = &self.config {
            let options = file::read(path).over(base()).map_err(|errors| errors.to_string())?;
            rules.roles = options.roles().map_err(|error| error.to_string())?;
            rules.config = path.clone();
            rules.password_file = options.password_file_wanted().map(Path::to_owned);
            acl_file = options.acl_file_wanted().map(Path::to_owned);
        }
        if let Some(path) = self.acl_file.clone().or(acl_file) {
            let acl = load(&path, Acl::parse)?;
            rules.acl = Some((path, acl));
        }
        rules.password_file = self.password_file.clone().or(rules.password_file);
        Ok(rules)
    }

    /// What is to be said when the password file does not know the user.
    fn stranger(&self, password_file: Option<&Path>) -> Result<Option<String>, String> {
        let Some((path, user)) = password_file.zip(self.user.as_ref()) else { return Ok(None) };
        let users = load(path, PasswordFile::parse)?;
        let known = users.find(user).is_some();
        Ok((!known)
            .then(|| format!("there is no user {user:?} in {}, so nobody comes in as that", path.display())))
    }

    fn explain(&self, rules: &Rules, access: Access) -> (bool, String) {
        let who = Who { client_id: &self.client, user_name: self.user.as_deref() };
        let (word, action) = match access {
            Access::Read => ("read", Action::Read),
            Access::Write => ("write", Action::Write),
            Access::Subscribe => {
                let why = "subscribing is not restricted; each message is checked with read";
                return (true, format!("subscribe {}: allowed; {why}\n", self.topic));
            }
        };
        let (may, why) = self.decide(rules, who, action);
        let verdict = if may { "allowed" } else { "denied" };
        (may, format!("{word} {}: {verdict} {why}\n", self.topic))
    }

    fn decide(&self, rules: &Rules, who: Who<'_>, action: Action) -> (bool, String) {
        let roles = rules.roles.as_ref();
        if let Some(reason) = roles.and_then(|roles| roles.explain(who, &self.role, action, &self.topic)) {
            return (reason.allows(), self.because_of_role(&rules.config, reason));
        }
        match &rules.acl {
            Some((path, acl)) => {
                let reason = acl.explain(who, action, &self.topic);
                (reason.allows(), self.because(path, reason))
            }
            None if roles.is_some() => {
                (false, "because no role allows it and there is no ACL file".to_owned())
            }
            None => (true, "because there are no roles and no ACL file".to_owned()),
        }
    }

    fn because_of_role(&self, config: &Path, reason: RoleReason<'_>) -> String {
        match reason {
            RoleReason::Rule(role, rule) => {
                let word = match rule.effect {
                    Effect::Deny => "deny",
                    Effect::Allow(ringmq_auth::Access::Read) => "subscribe",
                    Effect::Allow(ringmq_auth::Access::Write) => "publish",
                    Effect::Allow(ringmq_auth::Access::ReadWrite) => "all",
                };
                format!("by {}:{}: role {:?}, {word} {}", config.display(), rule.line, role.name, rule.filter)
            }
            RoleReason::Name(role) => format!(
                "because role {:?} denies something by name, and names with +, # or / in them cannot be compared",
                role.name
            ),
        }
    }

    fn because(&self, acl_file: &Path, reason: Reason<'_>) -> String {
        match reason {
            Reason::Own(rule) => by(acl_file, rule, "topic"),
            Reason::Pattern(rule) => by(acl_file, rule, "pattern"),
            Reason::NoRule => {
                let whose = match &self.user {
                    Some(user) => format!("user {user:?}"),
                    None => "anonymous clients".to_owned(),
                };
                format!("because no rule for {whose} and no pattern allows it")
            }
            Reason::Name => {
                "because names with +, # or / in them get nothing by patterns like these".to_owned()
            }
        }
    }
}

/// What decides.
#[derive(Default)]
struct Rules {
    config: PathBuf,
    roles: Option<Arc<Roles>>,
    acl: Option<(PathBuf, Acl)>,
    password_file: Option<PathBuf>,
}

fn by(acl_file: &Path, rule: &Rule, word: &str) -> String {
    let access = match rule.effect {
        Effect::Deny => "deny",
        Effect::Allow(ringmq_auth::Access::Read) => "read",
        Effect::Allow(ringmq_auth::Access::Write) => "write",
        Effect::Allow(ringmq_auth::Access::ReadWrite) => "readwrite",
    };
    format!("by {}:{}: {word} {access} {}", acl_file.display(), rule.line, rule.filter)
}

fn load<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, FileError>) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    parse(&text).map_err(|error| format!("{}:{}: {}", path.display(), error.line, error.problem))
}
