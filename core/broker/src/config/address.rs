//! Where to listen, as it is typed in one line. What it means is `listener`'s business.

use std::str::FromStr;

/// A list of `HOST`, `HOST:PORT` or URLs; an IPv6 address with a port stands in brackets. What holds at one of
/// them alone stands behind it: `HOST?KEY=VALUE&KEY=VALUE`. The empty list means this machine only: 127.0.0.1,
/// and `[::1]` where the machine has IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

impl Addresses {
    /// Whether nobody named an address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The addresses as they were given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromStr for Addresses {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self(parts.map(str::to_owned).collect()))
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Addresses {
    fn from(addresses: [S; N]) -> Self {
        Self(addresses.into_iter().map(Into::into).collect())
    }
}

impl std::fmt::Display for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("127.0.0.1,[::1]");
        }
        f.write_str(&self.0.join(","))
    }
}
