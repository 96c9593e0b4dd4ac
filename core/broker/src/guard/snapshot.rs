//! What holds at one time: all files, read once, by listener. Never changed, only replaced.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringmq_auth::{Acl, FileError, PasswordFile, Roles};

use super::http::Service;
use super::key_set::KeySet;
use super::{DoorRules, GuardError, GuardOptions};
use crate::config::{ClientIdRules, JwtRules};

/// Bytes of one file: a million users or rules.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What holds at one listener.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Whether it still is a listener.
    pub is_open: bool,
    /// Users and their passwords.
    pub users: Option<Arc<PasswordFile>>,
    /// Who may read and write what.
    pub acl: Option<Arc<Acl>>,
    /// Keys of tokens.
    pub tokens: Option<Arc<KeySet>>,
    /// Whether a token may say what its bearer may do.
    pub tokens_grant: bool,
    /// Whether clients without a user name come in; without users, whether anybody does.
    pub allow_anonymous: bool,
    /// Which ClientIDs clients may have.
    pub client_ids: Arc<ClientIdRules>,
}

/// What holds at all listeners.
#[derive(Debug)]
pub struct Snapshot {
    everywhere: Rules,
    listeners: Vec<Rules>,
    /// The service that is asked first.
    pub http: Option<Arc<Service>>,
    /// What users may do by their roles.
    pub roles: Option<Arc<Roles>>,
    /// How long a login may wait for its hash.
    pub decision_timeout: std::time::Duration,
    /// Whether it is remembered of each login by what it came in.
    pub reload_kicks: bool,
}

/// Files that were read already: listeners may share them.
#[derive(Default)]
struct Files<'a> {
    /// What held before: what was fetched stays.
    former: Option<&'a Snapshot>,
    users: HashMap<PathBuf, Arc<PasswordFile>>,
    acls: HashMap<PathBuf, Arc<Acl>>,
    key_sets: HashMap<JwtRules, Arc<KeySet>>,
}

impl Snapshot {
    /// Reads all files. Of listeners that have closed, `former` holds what held there.
    pub fn load(options: &GuardOptions, former: Option<&Self>) -> Result<Self, GuardError> {
        let mut files = Files { former, ..Files::default() };
        let everywhere = files.rules(&options.rules)?;
        let numbered = options.listeners.iter().zip(0..);
        let listeners = numbered.map(|(own, number)| match own {
            Some(own) => files.rules(own),
            None => {
                let rules = former.map_or(&everywhere, |former| former.rules(number));
                Ok(Rules { is_open: false, ..rules.clone() })
            }
        });
        let listeners = listeners.collect::<Result<_, _>>()?;
        let (decision_timeout, reload_kicks) = (options.decision_timeout, options.reload_kicks);
        let http = Service::load(&options.http)?.map(Arc::new);
        let roles = options.roles.clone();
        Ok(Self { everywhere, listeners, http, roles, decision_timeout, reload_kicks })
    }

    /// What holds at a listener.
    pub fn rules(&self, listener: u16) -> &Rules {
        self.listeners.get(usize::from(listener)).unwrap_or(&self.everywhere)
    }

    /// The keys of tokens of listeners that are open, each once or several times.
    pub fn key_sets(&self) -> impl Iterator<Item = &KeySet> {
        let all = self.listeners.iter().chain([&self.everywhere]).filter(|rules| rules.is_open);
        all.filter_map(|rules| rules.tokens.as_deref())
    }

    /// Whether there is something to compare or verify.
    pub fn has_users(&self) -> bool {
        let all = self.listeners.iter().chain([&self.everywhere]);
        all.into_iter().any(|rules| rules.users.is_some() || rules.tokens.is_some())
    }

    /// Whether somebody may not do everything.
    pub fn has_acl(&self) -> bool {
        let all = self.listeners.iter().chain([&self.everywhere]);
        // What the service says of a client stands with that client.
        self.http.is_some()
            || self.roles.is_some()
            || all.into_iter().any(|rules| rules.acl.is_some() || rules.tokens_grant)
    }
}

impl Files<'_> {
    fn rules(&mut self, own: &DoorRules) -> Result<Rules, GuardError> {
        let users = own
            .password_file
            .as_ref()
            .map(|path| once(&mut self.users, path, || load("password_file", path, PasswordFile::parse)));
        let acl = own.acl_file.as_ref().map(|path| once(&mut self.acls, path, || load_acl(path)));
        let (users, acl) = (users.transpose()?, acl.transpose()?);
        let tokens = own.jwt.takes_tokens().then(|| self.key_set(&own.jwt)).transpose()?;
        let tokens_grant = tokens.is_some() && own.jwt.permissions_claim.is_some();
        let client_ids = Arc::new(own.client_ids.clone());
        let allow_anonymous = own.allow_anonymous;
        Ok(Rules { is_open: true, users, acl, tokens, tokens_grant, allow_anonymous, client_ids })
    }

    fn key_set(&mut self, own: &JwtRules) -> Result<Arc<KeySet>, GuardError> {
        if let Some(keys) = self.key_sets.get(own) {
            return Ok(Arc::clone(keys));
        }
        let former = self.former.into_iter().flat_map(Snapshot::key_sets);
        let keys = Arc::new(KeySet::load(own, former)?);
        self.key_sets.insert(own.clone(), Arc::clone(&keys));
        Ok(keys)
    }
}

fn once<T>(
    known: &mut HashMap<PathBuf, Arc<T>>,
    path: &Path,
    load: impl FnOnce() -> Result<T, GuardError>,
) -> Result<Arc<T>, GuardError> {
    if let Some(value) = known.get(path) {
        return Ok(Arc::clone(value));
    }
    let value = Arc::new(load()?);
    known.insert(path.to_owned(), Arc::clone(&value));
    Ok(value)
}

fn load_acl(path: &Path) -> Result<Acl, GuardError> {
    let acl = load("acl_file", path, Acl::parse)?;
    for warning in acl.warnings() {
        tracing::warn!("acl_file: {}:{}: {}", path.display(), warning.line, warning.problem);
    }
    Ok(acl)
}

/// Reads a file as what `parse` makes of it.
pub(super) fn load<T>(
    key: &'static str,
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, FileError>,
) -> Result<T, GuardError> {
    let text = read(path).map_err(|error| GuardError::Read { key, path: path.to_owned(), error })?;
    parse(&text).map_err(|error| GuardError::Line { key, path: path.to_owned(), error })
}

/// The bytes of a file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let most = format!("it has more than {} MiB, the most that is read", FILE_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, most));
    }
    Ok(text)
}
