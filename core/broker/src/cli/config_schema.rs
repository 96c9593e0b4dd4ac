//! `ringmq config schema`: a JSON Schema (2020-12) of the configuration file, for editors that complete and check
//! while somebody types. It knows types, ranges and words; what goes together is `ringmq check`'s business.

use crate::config::listener::LISTENER_KEYS;
use crate::config::{KEYS, ROLE_KEYS, ROLES_DOC, Range, Unit};

use super::client_json::JsonWriter;
use super::serve::base;

/// The text of `ringmq config schema`.
pub fn schema() -> String {
    let mut out = Vec::new();
    let mut json = JsonWriter::new(&mut out, true);
    json.begin_object();
    pair(&mut json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    pair(&mut json, "title", "Configuration of RingMQ");
    begin_table(&mut json);
    let base = base();
    for key in KEYS {
        json.key(key.name);
        let default = key.text(&base);
        let described = described(key.doc, &key.accepts(), &default);
        property(&mut json, &described, |json| values(json, key.range, key.unit));
    }
    json.key("listener");
    listeners(&mut json);
    json.key("role");
    roles(&mut json);
    end_table(&mut json);
    json.end_object();
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_default()
}

fn listeners(json: &mut JsonWriter<'_>) {
    json.begin_object();
    pair(json, "description", "One listener for each table; without any, `bind` says where.");
    pair(json, "type", "array");
    json.key("items");
    json.begin_object();
    json.key("required");
    json.begin_array();
    json.text("address");
    json.end_array();
    begin_table(json);
    for key in LISTENER_KEYS {
        json.key(key.name);
        let described = described(key.doc, &key.accepts(), key.default);
        property(json, &described, |json| match key.name {
            "certificate" => any_of(json, |json| {
                of_type(json, "string");
                array_of(json, certificate);
            }),
            _ => values(json, key.range, key.unit),
        });
    }
    for key in KEYS.iter().filter(|key| key.is_per_listener()) {
        json.key(key.name);
        let described = described(key.doc, &key.accepts(), "");
        property(json, &described, |json| values(json, key.range, key.unit));
    }
    end_table(json);
    json.end_object();
    json.end_object();
}

fn roles(json: &mut JsonWriter<'_>) {
    json.begin_object();
    pair(json, "description", ROLES_DOC);
    pair(json, "type", "array");
    json.key("items");
    json.begin_object();
    json.key("required");
    json.begin_array();
    json.text("name");
    json.end_array();
    begin_table(json);
    for key in ROLE_KEYS {
        json.key(key.name);
        property(json, key.doc, |json| {
            if key.is_text {
                return pair(json, "type", "string");
            }
            pair(json, "type", "array");
            json.key("items");
            of_type(json, "string");
        });
    }
    end_table(json);
    json.end_object();
    json.end_object();
}

fn described(doc: &str, accepts: &str, default: &str) -> String {
    match default {
        "" => format!("{doc} Takes {accepts}."),
        _ => format!("{doc} Takes {accepts}; default {default}."),
    }
}

fn pair(json: &mut JsonWriter<'_>, name: &str, text: &str) {
    json.key(name);
    json.text(text);
}

fn begin_table(json: &mut JsonWriter<'_>) {
    pair(json, "type", "object");
    json.key("properties");
    json.begin_object();
}

fn end_table(json: &mut JsonWriter<'_>) {
    json.end_object();
    json.key("additionalProperties");
    json.boolean(false);
}

fn property(json: &mut JsonWriter<'_>, description: &str, values: impl FnOnce(&mut JsonWriter<'_>)) {
    json.begin_object();
    pair(json, "description", description);
    values(json);
    json.end_object();
}

/// What a key of this range may have.
fn values(json: &mut JsonWriter<'_>, range: Range, unit: Unit) {
    match range {
        Range::Bool => pair(json, "type", "boolean"),
        Range::Number(least, most) => any_of(json, |json| {
            number(json, least, most);
            text_of_number(json, unit);
        }),
        Range::WordOrNumber(word, least, most) => any_of(json, |json| {
            words(json, &[word]);
            number(json, least, most);
            text_of_number(json, unit);
        }),
        Range::Words(allowed) => {
            json.key("enum");
            enumeration(json, allowed);
        }
        Range::Form(_) => types(json, &["string", "integer"]),
        Range::List(_) | Range::Paths(_) => any_of(json, |json| {
            of_type(json, "string");
            array_of(json, |json| of_type(json, "string"));
        }),
        Range::Path(_) => pair(json, "type", "string"),
    }
}

fn any_of(json: &mut JsonWriter<'_>, choices: impl FnOnce(&mut JsonWriter<'_>)) {
    json.key("anyOf");
    json.begin_array();
    choices(json);
    json.end_array();
}

fn types(json: &mut JsonWriter<'_>, names: &[&str]) {
    json.key("type");
    json.begin_array();
    names.iter().for_each(|name| json.text(name));
    json.end_array();
}

fn of_type(json: &mut JsonWriter<'_>, name: &str) {
    json.begin_object();
    pair(json, "type", name);
    json.end_object();
}

fn array_of(json: &mut JsonWriter<'_>, item: impl FnOnce(&mut JsonWriter<'_>)) {
    json.begin_object();
    pair(json, "type", "array");
    json.key("items");
    item(json);
    json.end_object();
}

/// One of several certificates of a listener.
fn certificate(json: &mut JsonWriter<'_>) {
    json.begin_object();
    json.key("required");
    json.begin_array();
    json.text("certificate");
    json.text("key");
    json.end_array();
    begin_table(json);
    for name in ["certificate", "key"] {
        json.key(name);
        of_type(json, "string");
    }
    end_table(json);
    json.end_object();
}

fn number(json: &mut JsonWriter<'_>, least: u64, most: u64) {
    json.begin_object();
    pair(json, "type", "integer");
    json.key("minimum");
    json.number(least);
    json.key("maximum");
    json.number(most);
    json.end_object();
}

/// A number with a unit, in quotes.
fn text_of_number(json: &mut JsonWriter<'_>, unit: Unit) {
    let suffixes: Vec<_> = unit.suffixes().iter().map(|(suffix, _)| *suffix).collect();
    let suffix = if suffixes.is_empty() { String::new() } else { format!(" *({})?", suffixes.join("|")) };
    json.begin_object();
    pair(json, "type", "string");
    pair(json, "pattern", &format!("^[0-9][0-9_]*{suffix}$"));
    json.end_object();
}

fn words(json: &mut JsonWriter<'_>, allowed: &[&str]) {
    json.begin_object();
    json.key("enum");
    enumeration(json, allowed);
    json.end_object();
}

/// The words; `true` and `false` are TOML's own as well.
fn enumeration(json: &mut JsonWriter<'_>, allowed: &[&str]) {
    json.begin_array();
    for word in allowed {
        json.text(word);
        match *word {
            "true" => json.boolean(true),
            "false" => json.boolean(false),
            _ => {}
        }
    }
    json.end_array();
}
