//! The committed header is what the functions say. `RINGMQ_ACCEPT=1` writes it anew.

use std::fs;
use std::path::Path;

#[test]
fn the_header_is_what_the_functions_say() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(crate_folder.join("cbindgen.toml")).expect("its settings");
    let bindings = cbindgen::generate_with_config(crate_folder, config).expect("a header");
    let mut made = Vec::new();
    bindings.write(&mut made);
    let made = without_safety(&String::from_utf8(made).expect("a text"));
    let path = crate_folder.join("../include/ringmq.h");
    if std::env::var_os("RINGMQ_ACCEPT").is_some() {
        fs::write(&path, &made).expect("the header can be written");
    }
    let committed = fs::read_to_string(&path).expect("the header");
    assert!(
        committed == made,
        "include/ringmq.h is old: RINGMQ_ACCEPT=1 cargo test -p ringmq-ffi --test header"
    );
}

/// What Rust calls safety goes without saying in C, and stands at the top of the header.
fn without_safety(header: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut in_safety = false;
    for line in header.lines() {
        if line.trim_start() == "// # Safety" {
            in_safety = true;
            if kept.last().is_some_and(|last| last.trim() == "//") {
                kept.pop();
            }
        }
        in_safety &= line.trim_start().starts_with("//");
        if !in_safety {
            kept.push(line.trim_end());
        }
    }
    kept.push("");
    kept.join("\n")
}
