//! The extension module loads into the interpreter that is here. What it does is tested from Python.

use std::path::PathBuf;
use std::process::Command;

/// Where cargo has put it.
fn module() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap();
    let places = [folder.join("lib_ringmq.so"), folder.parent().unwrap().join("lib_ringmq.so")];
    places.into_iter().find(|place| place.is_file()).expect("cargo builds the library before its tests")
}

#[test]
fn the_interpreter_loads_it_and_needs_no_other() {
    const PROGRAM: &str = "
import importlib.util, sys
spec = importlib.util.spec_from_file_location('ringmq._ringmq', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
maps = open('/proc/self/maps').read()
assert sum('libpython' in line and 'r-xp' in line for line in maps.splitlines()) <= 1, maps
print(module.__version__, len(module.option_keys()))
";
    let python = Command::new("python3").args(["-c", PROGRAM]).arg(module()).output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&python.stdout), String::from_utf8_lossy(&python.stderr));
    assert!(python.status.success(), "{errors}");
    let keys = ringmq::config::KEYS.len();
    assert_eq!(said.trim(), format!("{} {keys}", env!("CARGO_PKG_VERSION")));
}
