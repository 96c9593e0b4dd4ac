//! The whole `ringmq` program around a decider of one's own, as a program with its own rules would be built;
//! this one's decider panics on purpose, to see what that does to `serve`.
//!
//! A client `fatal` makes it panic at once, `speechless` with something that is no text, and `delayed` when
//! its shard leaves.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use ringmq::cli;
use ringmq::{Answer, Cores, Decider, Decisions, Options, Question, ShardId, Ticket, Verdict};

/// Lets everybody in, as far as it gets.
#[derive(Default)]
struct Fragile {
    delayed: bool,
}

impl Decider for Fragile {
    fn decide(&mut self, _: Ticket, question: &Question<'_>) -> Answer {
        if let Question::Connect { client_id, .. } = question {
            match *client_id {
                "fatal" => panic!("a fatal client"),
                "speechless" => std::panic::panic_any(7),
                "delayed" => self.delayed = true,
                _ => {}
            }
        }
        Answer::Now(Verdict::Allow)
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.delayed, "a delayed panic");
    }
}

fn main() -> ExitCode {
    let factory = |_: ShardId, _: Decisions| -> Box<dyn Decider> { Box::<Fragile>::default() };
    match cli::Command::parse() {
        cli::Command::Serve(arguments) => {
            arguments.run_over(Options::default().cores(Cores::All).decider(Arc::new(factory))).into()
        }
        other => other.run().into(),
    }
}
