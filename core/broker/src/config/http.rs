//! What is said about a service that is asked over HTTP who may come in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ureq::http::Uri;

/// Where a service is: an `http://` or `https://` URL without credentials in it, because it is shown. At most 2,048
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUrl(String);

/// Bytes of a URL: what servers are known to take.
const URL_BYTES_MAX: usize = 2048;

impl HttpUrl {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Whether it is asked under TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// Whether what it is sent leaves this machine unencrypted.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        let uri: Result<Uri, _> = self.0.parse();
        let host = uri.as_ref().ok().and_then(Uri::host).unwrap_or_default();
        let address: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
        let is_here = address.map_or_else(
            |_| host.eq_ignore_ascii_case("localhost"),
            |address| address.to_canonical().is_loopback(),
        );
        !self.is_https() && !is_here
    }
}

impl FromStr for HttpUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| ())?;
        let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_good = uri.authority().is_some_and(|at| !at.as_str().contains('@') && !at.host().is_empty());
        (is_known && is_good && text.len() <= URL_BYTES_MAX).then(|| Self(text.to_owned())).ok_or(())
    }
}

impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What holds when a service does not answer, or not as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpFailure {
    /// The client is refused.
    #[default]
    Deny,
    /// The client comes in.
    Allow,
    /// The files decide, as if the service had not been asked.
    Ignore,
}

/// How a service is asked who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRules {
    /// Where it is; without it nobody is asked.
    pub auth_url: Option<HttpUrl>,
    /// What the request bears to show that it is the broker's.
    pub auth_token_file: Option<PathBuf>,
    /// Who may vouch for the service under TLS; without it those whom the system trusts.
    pub auth_ca_file: Option<PathBuf>,
    /// How long one answer may take, in milliseconds.
    pub auth_timeout: u64,
    /// How long an answer is kept, in seconds; 0 keeps none.
    pub auth_cache_seconds: u32,
    /// What holds when it does not answer.
    pub auth_failure: HttpFailure,
    /// Requests under way at one time.
    pub auth_parallel_max: u16,
}

impl Default for HttpRules {
    fn default() -> Self {
        Self {
            auth_url: None,
            auth_token_file: None,
            auth_ca_file: None,
            auth_timeout: 3_000,
            auth_cache_seconds: 10,
            auth_failure: HttpFailure::Deny,
            auth_parallel_max: 16,
        }
    }
}

impl HttpRules {
    /// How long one answer may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.auth_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_keeps_no_secret() {
        let rows = [
            ("http://127.0.0.1:8080/mqtt/auth", Some(false)),
            ("https://auth.example/a?b=c", Some(true)),
            ("http://[::1]:80", Some(false)),
            ("", None),
            ("nonsense", None),
            ("/auth", None),
            ("ftp://a/b", None),
            ("http://", None),
            ("http://user:secret@host/", None),
        ];
        for (text, expected) in rows {
            let is_https = text.parse::<HttpUrl>().ok().map(|url| url.is_https());
            assert_eq!(is_https, expected, "{text}");
        }
        for (text, exposed) in [
            ("http://127.0.0.1:8080/mqtt/auth", false),
            ("http://[::1]/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("http://LocalHost:1/", false),
            ("https://auth.example/", false),
            ("http://auth.example/", true),
            ("HTTP://192.0.2.1/", true),
            ("http://localhost.example/", true),
            ("http://[2001:db8::1]/", true),
        ] {
            assert_eq!(text.parse::<HttpUrl>().map(|url| url.is_exposed()), Ok(exposed), "{text}");
        }
        assert!(format!("http://a/{}", "x".repeat(URL_BYTES_MAX)).parse::<HttpUrl>().is_err());
    }
}
