//! What is said about tokens: where their keys stand and what they must say.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use super::HttpUrl;

/// Files of keys; a path with a comma in it cannot be named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyFiles(Vec<PathBuf>);

impl KeyFiles {
    /// The files as they were given.
    pub fn iter(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.iter()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<P: Into<PathBuf>, const N: usize> From<[P; N]> for KeyFiles {
    fn from(files: [P; N]) -> Self {
        Self(files.into_iter().map(Into::into).collect())
    }
}

impl FromStr for KeyFiles {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self(parts.map(PathBuf::from).collect()))
    }
}

impl std::fmt::Display for KeyFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&files.join(","))
    }
}

/// A word that stands in a token: the name of a claim, or what one must say. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimText(String);

impl ClaimText {
    /// The word; nothing when it is empty.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What holds for tokens, where there is a key for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwtRules {
    /// Public keys: PEM, or sets of keys as JSON (RFC 7517).
    pub keys: KeyFiles,
    /// Where a set of keys is fetched, beside those of the files.
    pub keys_url: Option<HttpUrl>,
    /// Who may vouch for that under TLS; without it those whom the system trusts.
    pub keys_ca_file: Option<PathBuf>,
    /// How often it is fetched, in seconds.
    pub keys_refresh_seconds: u32,
    /// The secret of HS256, HS384 and HS512.
    pub secret_file: Option<PathBuf>,
    /// Who must be among a token's audience.
    pub audience: Option<ClaimText>,
    /// Who must have issued it.
    pub issuer: Option<ClaimText>,
    /// The claim that is the user name.
    pub user_claim: ClaimText,
    /// The claim that is the only ClientID a token is good for.
    pub client_id_claim: Option<ClaimText>,
    /// The claim that says what its bearer may do.
    pub permissions_claim: Option<ClaimText>,
    /// The claim that names roles of its bearer.
    pub roles_claim: Option<ClaimText>,
    /// Seconds that clocks may differ.
    pub leeway_seconds: u32,
}

impl Default for JwtRules {
    fn default() -> Self {
        Self {
            keys: KeyFiles::default(),
            keys_url: None,
            keys_ca_file: None,
            keys_refresh_seconds: 300,
            secret_file: None,
            audience: None,
            issuer: None,
            user_claim: ClaimText("sub".to_owned()),
            client_id_claim: None,
            permissions_claim: None,
            roles_claim: None,
            leeway_seconds: 30,
        }
    }
}

impl JwtRules {
    /// Whether tokens are taken.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        !self.keys.is_empty() || self.secret_file.is_some() || self.keys_url.is_some()
    }
    /// Every file it names, with the key that names it.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        self.key_files().chain(self.keys_ca_file.iter().map(|path| ("jwt_keys_ca_file", path)))
    }
    /// Every file of keys it names, with the key that names it.
    pub fn key_files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let keys = self.keys.iter().map(|path| ("jwt_keys", path));
        keys.chain(self.secret_file.iter().map(|path| ("jwt_secret_file", path)))
    }
}
