//! A translated mosquitto.conf as a file of RingMQ's own form.

use toml_writer::ToTomlValue as _;

use super::{Translation, Weight};
use crate::config::key::{Range, key};
use crate::config::listener::{Given, LISTENER_KEYS};
use crate::config::toml_value;

/// The text. It reads back as what was translated.
pub(super) fn write(translation: &Translation) -> String {
    let mut text = String::from("# Written by `ringmq import`. What is not here has RingMQ's defaults.\n");
    for note in &translation.notes {
        let weight = match note.weight {
            Weight::Warning => "left out",
            Weight::Refused => "REFUSED",
        };
        text.push_str(&comment(&format!("{weight}: {note}")));
    }
    if !translation.settings.is_empty() {
        text.push('\n');
    }
    for setting in &translation.settings {
        text.push_str(&pair(setting.name, &Given::Text(setting.value.clone())));
    }
    for listener in &translation.listeners {
        text.push_str("\n[[listener]]\n");
        for (name, value, _) in &listener.entries {
            text.push_str(&pair(name, value));
        }
    }
    text
}

/// What a key takes; nothing where there is no such key.
fn range(name: &str) -> Option<Range> {
    let own = LISTENER_KEYS.iter().find(|key| key.name == name).map(|key| key.range);
    own.or_else(|| key(name).ok().map(|key| key.range))
}

/// A comment of one line, whatever stands in the text: only a tab may be there unescaped.
fn comment(text: &str) -> String {
    let text: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    format!("# {text}\n")
}

fn pair(name: &str, value: &Given) -> String {
    let value = match value {
        Given::Text(text) => match range(name) {
            Some(range) => toml_value(range, text),
            None => text.as_str().to_toml_value(),
        },
        Given::List(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| text.as_str().to_toml_value()).collect();
            format!("[{}]", texts.join(", "))
        }
        Given::Pairs(pairs) => {
            let one = |(certificate, key): &(String, String)| {
                let (certificate, key) = (certificate.as_str().to_toml_value(), key.as_str().to_toml_value());
                format!("{{ certificate = {certificate}, key = {key} }}")
            };
            format!("[{}]", pairs.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    };
    format!("{name} = {value}\n")
}
