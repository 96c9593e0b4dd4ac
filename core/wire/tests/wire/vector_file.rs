//! Reads the packet vectors of the testsuite, which describes their form. It reads no more of TOML than they
//! use, and panics at anything else, because a vector that is skipped tests nothing.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::Path;

use ringmq_wire::{Sender, Version};

/// One packet with its meaning.
#[derive(Debug)]
pub struct Vector {
    pub name: String,
    pub version: Version,
    pub sender: Sender,
    pub bytes: Vec<u8>,
    pub verdict: Verdict,
    pub answer: Option<String>,
}

/// What the packet is.
#[derive(Debug)]
pub enum Verdict {
    /// A good packet: its fields in words, and how it is written again.
    Means { text: String, again: Vec<u8> },
    /// A bad one: the clause and the reason code.
    Breaks { clause: String, reason: u8 },
}

/// Every vector of every file, in the order of their names.
pub fn all() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testsuite/vectors");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder's entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let vectors: Vec<Vector> = paths.iter().flat_map(|path| read(path)).collect();
    assert!(vectors.len() >= 400, "only {} vectors", vectors.len());
    vectors
}

fn read(path: &Path) -> Vec<Vector> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let mut blocks = text.split("[[vector]]\n");
    let head = blocks.next().expect("what stands before the first vector");
    assert!(head.lines().all(|line| line.is_empty() || line.starts_with('#')), "{}: {head}", path.display());
    blocks.map(vector).collect()
}

fn vector(block: &str) -> Vector {
    let mut fields = Fields { lines: block.lines().filter(|line| !line.is_empty()).map(field).collect() };
    let name = fields.take("name").expect("a name");
    let bytes = hexadecimal(&fields.take("bytes").expect("bytes"));
    let version = match fields.take("version").as_deref() {
        Some("3") => Version::V31,
        Some("4") => Version::V311,
        Some("5") => Version::V5,
        other => panic!("{name}: version {other:?}"),
    };
    let sender = match fields.take("from").as_deref() {
        Some("client") => Sender::Client,
        Some("server") => Sender::Server,
        other => panic!("{name}: from {other:?}"),
    };
    let verdict = match (fields.take("means"), fields.take("breaks")) {
        (Some(text), None) => {
            let again = fields.take("again").map_or_else(|| bytes.clone(), |again| hexadecimal(&again));
            Verdict::Means { text, again }
        }
        (None, Some(clause)) => {
            let reason = fields.take("reason").expect("a reason");
            let digits = reason.strip_prefix("0x").expect("a reason in hexadecimal");
            Verdict::Breaks { clause, reason: u8::from_str_radix(digits, 16).expect("hexadecimal digits") }
        }
        _ => panic!("{name}: either `means` or `breaks`"),
    };
    let answer = fields.take("answer");
    // Only the broker cares whether it comes first.
    fields.take("alone");
    assert!(fields.lines.is_empty(), "{name}: {:?}", fields.lines);
    Vector { name, version, sender, bytes, verdict, answer }
}

struct Fields {
    lines: Vec<(String, String)>,
}

impl Fields {
    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.lines.iter().position(|(found, _)| found == key)?;
        Some(self.lines.remove(at).1)
    }
}

fn field(line: &str) -> (String, String) {
    let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("no field: {line}"));
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    (key.to_owned(), value.to_owned())
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|character| *character != ' ').collect();
    assert!(digits.len().is_multiple_of(2), "whole bytes: {text}");
    let byte = |pair: &[char]| pair.iter().collect::<String>();
    digits.chunks(2).map(|pair| u8::from_str_radix(&byte(pair), 16).expect("hexadecimal digits")).collect()
}
