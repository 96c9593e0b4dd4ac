//! `ringmq passwd`: makes and changes password files, in the forms that mosquitto reads too. It asks for passwords
//! without showing them on a terminal, reads them from standard input elsewhere, and writes a file whole or not at all.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::ExitCode;
use crate::random_bytes;
use clap::ValueEnum;
use ringmq_auth::password_file::{PasswordFile, check_user_name};
use ringmq_auth::{PasswordHash, Scheme};

use super::replace_file::replace;

/// The command line is wrong.
const EXIT_USAGE: u8 = 2;
/// Longest password of MQTT, in bytes.
const PASSWORD_BYTES_MAX: usize = 65_535;

/// What is to be done to which file.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Makes a new file, in the place of one that is there
    #[arg(short, long, conflicts_with_all = ["delete", "upgrade"])]
    create: bool,
    /// Deletes the user
    #[arg(short = 'D', long, conflicts_with_all = ["batch", "upgrade"])]
    delete: bool,
    /// Takes the password from the command line, where others on this machine may see it
    #[arg(short, long, conflicts_with = "upgrade")]
    batch: bool,
    /// Hashes all passwords of a file that has plain ones
    #[arg(short = 'U', long)]
    upgrade: bool,
    /// How the password is hashed: sha512 and pbkdf2 are for mosquitto before 2.1; with scram-sha-256, which mosquitto
    /// cannot read, clients of MQTT 5.0 can prove that they know it without sending it
    #[arg(long, value_name = "SCHEME", default_value = "argon2id")]
    hash: Hash,
    /// The password file
    file: PathBuf,
    /// The user
    #[arg(required_unless_present = "upgrade", conflicts_with = "upgrade")]
    user: Option<String>,
    /// The password, with --batch
    #[arg(requires = "batch")]
    password: Option<String>,
}

/// How a password is hashed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hash {
    Argon2id,
    Pbkdf2,
    Sha512,
    #[value(name = "scram-sha-256")]
    ScramSha256,
}

impl From<Hash> for Scheme {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Argon2id => Self::Argon2id,
            Hash::Pbkdf2 => Self::Pbkdf2,
            Hash::Sha512 => Self::Sha512,
            Hash::ScramSha256 => Self::ScramSha256,
        }
    }
}

const EXAMPLES: &str = "\
A running broker reads its password file when it starts and when it is told to reload.

Examples:
  ringmq passwd -c /etc/ringmq/passwords anna            a new file with one user; asks for the password
  ringmq passwd /etc/ringmq/passwords bert               one more user, or another password for one
  pwgen 20 1 | ringmq passwd /etc/ringmq/passwords bert  the password from another program
  ringmq passwd -D /etc/ringmq/passwords bert            no longer a user
  ringmq passwd -U plain.txt                             a file of USER:PASSWORD lines, hashed in place

Exit codes: 0 done, 1 the file or the password is wrong, 2 the command line is wrong.";

impl Args {
    /// Does it.
    pub fn run(self) -> ExitCode {
        if self.batch && self.password.is_none() {
            let _ = writeln!(io::stderr(), "ringmq: --batch wants FILE USER PASSWORD");
            return ExitCode::from(EXIT_USAGE);
        }
        match self.change() {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                let _ = writeln!(io::stderr(), "ringmq: {problem}");
                ExitCode::FAILURE
            }
        }
    }

    fn change(&self) -> Result<(), String> {
        let Some(user) = &self.user else { return self.upgrade() };
        check_user_name(user)?;
        let text = if self.create { String::new() } else { self.read()? };
        if !self.create {
            self.check(&text)?;
        }
        if self.delete && !text.lines().any(|line| is_of(line, user)) {
            return Err(format!("there is no user {user:?} in {}", self.file.display()));
        }
        let line = if self.delete { None } else { Some(self.line(user, &self.password()?)?) };
        self.write(&with_line(&text, user, line.as_deref()))
    }

    /// What is wrong now would only be noticed when the broker reads it.
    fn check(&self, text: &str) -> Result<(), String> {
        let checked = PasswordFile::parse(text.as_bytes());
        checked
            .map(drop)
            .map_err(|error| format!("{}:{}: {}", self.file.display(), error.line, error.problem))
    }

    /// Hashes what is plain, line by line; comments and what is hashed already stay.
    fn upgrade(&self) -> Result<(), String> {
        let text = self.read()?;
        let mut upgraded = String::new();
        let mut count = 0;
        for (index, line) in text.lines().enumerate() {
            let problem = |problem: String| format!("{}:{}: {problem}", self.file.display(), index + 1);
            match line.split_once(':') {
                Some((user, password)) if !line.trim_start().starts_with('#') && !is_hashed(password) => {
                    let user = user.trim();
                    check_user_name(user).map_err(problem)?;
                    upgraded.push_str(&self.line(user, password.trim_end_matches('\r'))?);
                    count += 1;
                }
                _ => upgraded.push_str(line),
            }
            upgraded.push('\n');
        }
        self.check(&upgraded)?;
        self.write(&upgraded)?;
        println!("{count} passwords hashed");
        Ok(())
    }

    fn line(&self, user: &str, password: &str) -> Result<String, String> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX || password.contains('\0') {
            return Err(format!(
                "the password of {user:?} is none: it has 1 to {PASSWORD_BYTES_MAX} bytes, without null characters"
            ));
        }
        let salt = random_bytes().map_err(|error| format!("the system gives no random numbers: {error}"))?;
        Ok(format!("{user}:{}", PasswordHash::new(self.hash.into(), password.as_bytes(), salt)))
    }

    fn password(&self) -> Result<String, String> {
        if let Some(password) = &self.password {
            return Ok(password.clone());
        }
        if !io::stdin().is_terminal() {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            read.map_err(|error| format!("the password cannot be read from standard input: {error}"))?;
            return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
        }
        let ask = |prompt| {
            rpassword::prompt_password(prompt)
                .map_err(|error| format!("the password cannot be read: {error}"))
        };
        let password = ask("Password: ")?;
        if ask("Again: ")? == password {
            Ok(password)
        } else {
            Err("the two passwords are not the same".to_owned())
        }
    }

    fn read(&self) -> Result<String, String> {
        std::fs::read_to_string(&self.file).map_err(|error| {
            let hint = if error.kind() == io::ErrorKind::NotFound { "; -c makes a new file" } else { "" };
            format!("{} cannot be read: {error}{hint}", self.file.display())
        })
    }

    fn write(&self, text: &str) -> Result<(), String> {
        replace(&self.file, text.as_bytes()).map_err(|error| cannot_write(&self.file, &error))
    }
}

fn cannot_write(file: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", file.display())
}

fn is_hashed(password: &str) -> bool {
    PasswordHash::parse(password.trim()).is_ok()
}

fn is_of(line: &str, user: &str) -> bool {
    !line.trim_start().starts_with('#') && line.split_once(':').is_some_and(|(name, _)| name.trim() == user)
}

/// The file's text with this line for the user, in its old place or at the end; without one when there is no line.
fn with_line(text: &str, user: &str, line: Option<&str>) -> String {
    let mut line = line;
    let mut lines = Vec::new();
    for old in text.lines() {
        if is_of(old, user) {
            lines.extend(line.take());
        } else {
            lines.push(old);
        }
    }
    lines.extend(line);
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_into_its_old_place() {
        let text = "# users\nanna:1\n\n bert :2\n#carl:3";
        let rows = [
            ("anna", Some("anna:x"), "# users\nanna:x\n\n bert :2\n#carl:3\n"),
            ("bert", Some("bert:x"), "# users\nanna:1\n\nbert:x\n#carl:3\n"),
            ("carl", Some("carl:x"), "# users\nanna:1\n\n bert :2\n#carl:3\ncarl:x\n"),
            ("anna", None, "# users\n\n bert :2\n#carl:3\n"),
        ];
        for (user, line, expected) in rows {
            assert_eq!(with_line(text, user, line), expected, "{user}");
        }
        assert_eq!(with_line("", "a", Some("a:x")), "a:x\n");
    }
}
