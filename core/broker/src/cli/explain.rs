//! `ringmq explain`: what an ACL file says to one client and topic, and which line says it. It only reads the files;
//! it never talks to a broker.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use ringmq_auth::acl::{Acl, Reason};
use ringmq_auth::{Action, Effect, FileError, PasswordFile, Rule, Who};

/// It may not.
const EXIT_DENIED: u8 = 1;
/// The command line or a file is wrong.
const EXIT_USAGE: u8 = 2;

/// Who wants what.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The ACL file
    #[arg(long, value_name = "FILE")]
    acl_file: PathBuf,
    /// The password file: says whether there is such a user
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
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
        let acl = load(&self.acl_file, Acl::parse)?;
        let mut text = String::new();
        for warning in acl.warnings() {
            text.push_str(&format!(
                "warning: {}:{}: {}\n",
                self.acl_file.display(),
                warning.line,
                warning.problem
            ));
        }
        if let Some(stranger) = self.stranger()? {
            text.push_str(&format!("warning: {stranger}\n"));
        }
        let all = [Access::Read, Access::Write, Access::Subscribe];
        let asked: Vec<Access> = self.access.map_or(all.to_vec(), |access| vec![access]);
        let mut allowed = true;
        for access in asked {
            let (may, line) = self.explain(&acl, access);
            allowed &= may;
            text.push_str(&line);
        }
        Ok((text, allowed))
    }

    /// What is to be said when the password file does not know the user.
    fn stranger(&self) -> Result<Option<String>, String> {
        let Some((path, user)) = self.password_file.as_ref().zip(self.user.as_ref()) else { return Ok(None) };
        let users = load(path, PasswordFile::parse)?;
        let known = users.find(user).is_some();
        Ok((!known)
            .then(|| format!("there is no user {user:?} in {}, so nobody comes in as that", path.display())))
    }

    fn explain(&self, acl: &Acl, access: Access) -> (bool, String) {
        let who = Who { client_id: &self.client, user_name: self.user.as_deref() };
        let (word, action) = match access {
            Access::Read => ("read", Action::Read),
            Access::Write => ("write", Action::Write),
            Access::Subscribe => {
                let why = "an ACL file does not restrict subscribing; each message is checked with read";
                return (true, format!("subscribe {}: allowed; {why}\n", self.topic));
            }
        };
        let reason = acl.explain(who, action, &self.topic);
        let may = reason.allows();
        let verdict = if may { "allowed" } else { "denied" };
        (may, format!("{word} {}: {verdict} {}\n", self.topic, self.because(reason)))
    }

    fn because(&self, reason: Reason<'_>) -> String {
        match reason {
            Reason::Own(rule) => self.by(rule, "topic"),
            Reason::Pattern(rule) => self.by(rule, "pattern"),
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

    fn by(&self, rule: &Rule, word: &str) -> String {
        let access = match rule.effect {
            Effect::Deny => "deny",
            Effect::Allow(ringmq_auth::Access::Read) => "read",
            Effect::Allow(ringmq_auth::Access::Write) => "write",
            Effect::Allow(ringmq_auth::Access::ReadWrite) => "readwrite",
        };
        format!("by {}:{}: {word} {access} {}", self.acl_file.display(), rule.line, rule.filter)
    }
}

fn load<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, FileError>) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    parse(&text).map_err(|error| format!("{}:{}: {}", path.display(), error.line, error.problem))
}
