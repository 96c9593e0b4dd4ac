//! Writes the seeds of one target: `seeds TARGET FOLDER`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = &arguments[..] else {
        eprintln!("usage: seeds TARGET FOLDER");
        return ExitCode::from(2);
    };
    match ringmq_fuzz::write_seeds(target, Path::new(folder)) {
        Ok(count) => {
            println!("{target}: {count} seeds");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write the seeds of {target} to {folder}: {error}");
            ExitCode::FAILURE
        }
    }
}
