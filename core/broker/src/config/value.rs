//! Text to values and back, one implementation per kind of value. Bounds are not checked here.

use std::path::PathBuf;

use ringmq_rt::DriverChoice;
use ringmq_shard::{DenyPublish, QueuePolicy, Versions};

use super::key::Unit;
use super::log::{LogFormat, LogLevel};
use super::{
    Addresses, Anonymous, ClaimText, ClientIdFromUser, ClientIdList, Cores, HttpFailure, HttpUrl, KeyFiles,
    PartitionKey, Shards,
};

/// A value of a key.
pub(super) trait Value: Sized {
    /// The value for what was typed; nothing when it is none.
    fn parse(text: &str, unit: Unit) -> Option<Self>;
    /// As it could be typed.
    fn text(&self) -> String;
    /// The number to hold against the range, where there is one.
    fn number(&self) -> Option<u64> {
        None
    }
}

/// A whole number, perhaps with a suffix of the unit. Underscores may group digits.
pub(super) fn parse_number(text: &str, unit: Unit) -> Option<u64> {
    let text = text.trim();
    let suffixed = unit.suffixes().iter().find_map(|(suffix, factor)| {
        let head = text.strip_suffix(suffix)?;
        Some((head.trim_end(), *factor))
    });
    let (digits, factor) = suffixed.unwrap_or((text, 1));
    let plain: String = digits.chars().filter(|character| *character != '_').collect();
    let digits_only = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| plain.parse::<u64>().ok()?.checked_mul(factor)).flatten()
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str, unit: Unit) -> Option<Self> {
                parse_number(text, unit)?.try_into().ok()
            }
            fn text(&self) -> String {
                self.to_string()
            }
            fn number(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, usize);

impl Value for bool {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        match text {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for Option<u16> {
    fn parse(text: &str, unit: Unit) -> Option<Self> {
        if text == "client" { Some(None) } else { u16::parse(text, unit).map(Some) }
    }
    fn text(&self) -> String {
        self.map_or_else(|| String::from("client"), |value| value.to_string())
    }
    fn number(&self) -> Option<u64> {
        self.map(u64::from)
    }
}

impl Value for Option<String> {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        let fits = text.len() <= ringmq_wire::FIELD_BYTES_MAX && !text.contains(['\0', '+', '#']);
        fits.then(|| (!text.is_empty()).then(|| text.to_owned()))
    }
    fn text(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

impl Value for LogLevel {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for LogFormat {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        match text {
            "human" => Some(Self::Human),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
    fn text(&self) -> String {
        String::from(match self {
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

impl Value for ClaimText {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        Self::new(text)
    }
    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Value for Option<ClaimText> {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        Some(ClaimText::new(text))
    }
    fn text(&self) -> String {
        self.as_ref().map_or_else(String::new, Value::text)
    }
}

impl Value for Option<HttpUrl> {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }
    fn text(&self) -> String {
        self.as_ref().map_or_else(String::new, HttpUrl::to_string)
    }
}

impl Value for Option<PathBuf> {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        (!text.contains('\0')).then(|| (!text.is_empty()).then(|| text.into()))
    }
    fn text(&self) -> String {
        self.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }
}

impl Value for Option<PartitionKey> {
    fn parse(text: &str, _: Unit) -> Option<Self> {
        if text == "random" { Some(None) } else { text.parse().ok().map(Some) }
    }
    fn text(&self) -> String {
        self.map_or_else(|| String::from("random"), |key| key.to_string())
    }
}

/// Implements [`Value`] for values that are one of a few words, from one list of pairs.
macro_rules! words {
    ($type:ty, $($word:literal = $value:path),+) => {
        impl Value for $type {
            fn parse(text: &str, _: Unit) -> Option<Self> {
                match text {
                    $($word => Some($value),)+
                    _ => None,
                }
            }
            fn text(&self) -> String {
                match self {
                    $($value => String::from($word),)+
                }
            }
        }
    };
}
words!(QueuePolicy, "drop" = QueuePolicy::Drop, "end" = QueuePolicy::End, "refuse" = QueuePolicy::Refuse);
words!(DenyPublish, "drop" = DenyPublish::Drop, "disconnect" = DenyPublish::Disconnect);
words!(HttpFailure, "deny" = HttpFailure::Deny, "allow" = HttpFailure::Allow, "ignore" = HttpFailure::Ignore);
words!(
    DriverChoice,
    "auto" = DriverChoice::Auto,
    "uring" = DriverChoice::Uring,
    "epoll" = DriverChoice::Epoll
);
words!(
    ClientIdFromUser,
    "none" = ClientIdFromUser::None,
    "equal" = ClientIdFromUser::Equal,
    "prefix" = ClientIdFromUser::Prefix,
    "replace" = ClientIdFromUser::Replace
);
words!(Anonymous, "local" = Anonymous::Local, "true" = Anonymous::Everybody, "false" = Anonymous::Nobody);

/// Implements [`Value`] for values that know their own text.
macro_rules! texts {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str, _: Unit) -> Option<Self> {
                text.parse().ok()
            }
            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
texts!(Addresses, ClientIdList, Cores, KeyFiles, Shards, Versions);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_suffixes_of_their_unit() {
        let rows: &[(&str, Unit, Option<u64>)] = &[
            ("0", Unit::Count("messages"), Some(0)),
            ("1_000", Unit::Count("messages"), Some(1000)),
            ("5s", Unit::Count("messages"), None),
            ("5s", Unit::Milliseconds, Some(5000)),
            ("250ms", Unit::Milliseconds, Some(250)),
            ("2 min", Unit::Milliseconds, Some(120_000)),
            ("2 min", Unit::Seconds, Some(120)),
            ("1d", Unit::Seconds, Some(86_400)),
            ("64KiB", Unit::Bytes, Some(65_536)),
            ("4GiB", Unit::Bytes, Some(4 << 30)),
            ("", Unit::Bytes, None),
            ("KiB", Unit::Bytes, None),
            ("-1", Unit::Bytes, None),
            ("+1", Unit::Bytes, None),
            ("1.5", Unit::Seconds, None),
            ("18446744073709551616", Unit::Bytes, None),
            ("18446744073709551615KiB", Unit::Bytes, None),
        ];
        for (text, unit, expected) in rows {
            assert_eq!(parse_number(text, *unit), *expected, "{text} {unit:?}");
        }
    }

    #[test]
    fn too_large_for_the_type_is_no_value() {
        assert_eq!(u16::parse("65536", Unit::None), None);
        assert_eq!(u16::parse("65535", Unit::None), Some(65535));
    }
}
