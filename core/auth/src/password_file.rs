//! A password file: `user:hash` lines as mosquitto writes them, comments with `#`, empty lines. Unlike mosquitto, which
//! leaves out what it cannot read and lets that user find out, a bad line is an error that names it.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::line::{FileError, statements};
use crate::password_hash::PasswordHash;

/// Bytes of one line: the longest user name of MQTT and the longest hash.
const LINE_BYTES_MAX: usize = 65_535 + 512;
/// Users of one file: some 300 MiB of memory, and more than such a file is made for.
const USERS_MAX: usize = 1_000_000;

/// Users and their stored passwords.
#[derive(Debug, Default)]
pub struct PasswordFile {
    /// Names come from the file alone, so nobody chooses them to collide: a fixed hash will do.
    by_name: HashMap<Box<str>, u32, FixedState>,
    hashes: Vec<Arc<PasswordHash>>,
    has_scram: bool,
}

impl PasswordFile {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, FileError> {
        let mut file = Self::default();
        for statement in statements(text, LINE_BYTES_MAX) {
            let (number, line) = statement?;
            let (name, hash) = entry(line).map_err(|problem| FileError::new(number, problem))?;
            let hash = PasswordHash::parse(hash)
                .map_err(|problem| FileError::new(number, format!("user {name:?}: {problem}")))?;
            if file.hashes.len() == USERS_MAX {
                return Err(FileError::new(number, format!("more than {USERS_MAX} users")));
            }
            let index = file.hashes.len() as u32;
            if file.by_name.insert(name.into(), index).is_some() {
                let problem = format!("user {name:?} stands in the file twice; remove one of the lines");
                return Err(FileError::new(number, problem));
            }
            file.has_scram |= hash.scram().is_some();
            file.hashes.push(Arc::new(hash));
        }
        Ok(file)
    }

    /// The stored password of a user.
    #[must_use]
    pub fn find(&self, user_name: &str) -> Option<&Arc<PasswordHash>> {
        self.hashes.get(*self.by_name.get(user_name)? as usize)
    }

    /// A stored password to compare an unknown user's with, in vain: so that an unknown user takes as long as a known
    /// one. `pick` is to be the same for a name each time and not to be guessed from it; nothing without users.
    #[must_use]
    pub fn decoy(&self, pick: u64) -> Option<&Arc<PasswordHash>> {
        let count = self.hashes.len() as u64;
        self.hashes.get(pick.checked_rem(count)? as usize)
    }

    /// Whether any password is stored for SCRAM.
    #[must_use]
    pub const fn has_scram(&self) -> bool {
        self.has_scram
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// What stands on either side of the first colon.
fn entry(line: &str) -> Result<(&str, &str), String> {
    let (name, hash) = line.split_once(':').ok_or("expected USER:HASH, as `ringmq passwd` writes")?;
    let (name, hash) = (name.trim(), hash.trim());
    check_user_name(name)?;
    Ok((name, hash))
}

/// Whether a name can stand in a password file.
///
/// # Errors
/// What is wrong with it.
pub fn check_user_name(name: &str) -> Result<(), String> {
    let wrong = match name {
        "" => "it is empty",
        _ if name.len() > 65_535 => "it is longer than MQTT's 65,535 bytes",
        _ if name.trim() != name => "it begins or ends with white space",
        _ if name.starts_with('#') => "it begins with #, which makes a comment",
        _ if name.contains(':') => "it contains a colon, which separates it from the password",
        _ if name.contains(char::is_control) => "it contains control characters",
        _ => return Ok(()),
    };
    Err(format!("not a user name that a password file can have: {wrong}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password_hash::{HashMemory, Scheme};

    fn stored(password: &str) -> String {
        PasswordHash::new(Scheme::Sha512, password.as_bytes(), *b"0123456789ab").to_string()
    }

    #[test]
    fn users_are_found_by_their_whole_name() {
        let text = format!("# users\n\n anna : {} \r\nbert:{}\njörg x:{0}", stored("a"), stored("b"));
        let file = PasswordFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.len(), 3);
        let memory = &mut HashMemory::default();
        for (user, password, expected) in [
            ("anna", "a", Some(true)),
            ("anna", "b", Some(false)),
            ("bert", "b", Some(true)),
            ("jörg x", "a", Some(true)),
            ("ann", "a", None),
            ("anna ", "a", None),
            ("# users", "", None),
            ("", "", None),
        ] {
            let found = file.find(user).map(|hash| hash.verify(password.as_bytes(), memory));
            assert_eq!(found, expected, "{user} {password}");
        }
    }

    #[test]
    fn a_password_for_scram_is_one_like_others() {
        let hash = PasswordHash::new(Scheme::ScramSha256, b"pencil", *b"0123456789ab");
        let file = PasswordFile::parse(format!("anna:{hash}\nbert:{}", stored("b")).as_bytes()).unwrap();
        assert!(
            file.has_scram()
                && !PasswordFile::parse(stored("b").replace("$6", "b:$6").as_bytes()).unwrap().has_scram()
        );
        let (anna, bert) = (file.find("anna").unwrap(), file.find("bert").unwrap());
        assert!(**anna == hash && anna.scram().is_some() && bert.scram().is_none());
        let memory = &mut HashMemory::default();
        assert!(anna.verify(b"pencil", memory));
        for wrong in [&b"Pencil"[..], b"", b"pencil\0"] {
            assert!(!anna.verify(wrong, memory), "{wrong:?}");
        }
        let error = PasswordFile::parse(b"anna:SCRAM-SHA-256$1:x$y:z").unwrap_err().to_string();
        assert!(error.contains("line 1: user \"anna\": expected SCRAM-SHA-256$ITERATIONS"), "{error}");
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = stored("a");
        let rows: &[(&str, &str)] = &[
            ("anna", "line 2: expected USER:HASH"),
            (":x", "line 2: not a user name that a password file can have: it is empty"),
            ("anna:secret", "line 2: user \"anna\": the password is not hashed: `ringmq passwd -U FILE`"),
            ("anna:", "line 2: user \"anna\": the password is not hashed"),
            ("anna:$9$x", "line 2: user \"anna\": an unknown form"),
            ("a\x07:$9$x", "line 2: not a user name that a password file can have: it contains control"),
        ];
        for (line, expected) in rows {
            let error = PasswordFile::parse(format!("#\n{line}\n").as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{line}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let twice = PasswordFile::parse(format!("a:{good}\nb:{good}\na:{good}").as_bytes()).unwrap_err();
        assert_eq!(twice.to_string(), "line 3: user \"a\" stands in the file twice; remove one of the lines");
    }

    #[test]
    fn a_decoy_is_there_as_soon_as_there_are_users() {
        assert!(PasswordFile::default().decoy(7).is_none());
        let file = PasswordFile::parse(format!("a:{}", stored("a")).as_bytes()).unwrap();
        assert!(file.decoy(u64::MAX).is_some());
    }
}
