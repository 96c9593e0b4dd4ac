//! `ringmq sub`: subscribes and prints what arrives, with mosquitto_sub's flags, until it is told to stop.
//! Connects again when the connection is lost. A message is acknowledged once it was printed.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use ringmq_client::Message;
use ringmq_wire::{Qos, ReasonCode, RetainHandling, SubscriptionOptions as SubscribeOptions, topic_matches};

use super::ExitCode;
use super::client_failure::{EXIT_HELP, Failure, warn};
use super::client_options::{Connection, Target, Tool, check_filter, parse_qos};
use super::client_output::{FORMAT_HELP, Output, OutputOptions, Printed};
use super::client_session::{Next, Publication, Session, received};

/// Its arguments.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true, args_override_self = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{FORMAT_HELP}\n\n{EXIT_HELP}"))]
pub struct Args {
    #[command(flatten)]
    subscription: SubscriptionOptions,
    #[command(flatten)]
    selection: SelectionOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Subscription")]
struct SubscriptionOptions {
    /// Topic filter to subscribe to, with + and # as wildcards; may be given several times
    #[arg(short, long, value_name = "FILTER", allow_hyphen_values = true)]
    topic: Vec<String>,
    /// Topic filter to unsubscribe from; may be given several times
    #[arg(short = 'U', long, value_name = "FILTER", allow_hyphen_values = true)]
    unsubscribe: Vec<String>,
    /// QoS of the subscriptions: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", value_parser = parse_qos, default_value = "0")]
    qos: Qos,
    /// Leaves the retain flag of messages as they were published (MQTT 5)
    #[arg(long)]
    retain_as_published: bool,
    /// Ends once the server has confirmed the subscriptions
    #[arg(short = 'E')]
    exit_after_subscribe: bool,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Selection")]
struct SelectionOptions {
    /// Topic filter of messages that are not printed; may be given several times
    #[arg(short = 'T', long, value_name = "FILTER", allow_hyphen_values = true)]
    filter_out: Vec<String>,
    /// Ends after this many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Ends after this many seconds, with exit code 27
    #[arg(short = 'W', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Prints no retained messages
    #[arg(short = 'R', conflicts_with = "retained_only")]
    no_retained: bool,
    /// Prints retained messages only, and ends with the first that is not
    #[arg(long)]
    retained_only: bool,
    /// Asks the server to forget each retained message that was printed
    #[arg(long)]
    remove_retained: bool,
    /// Prints this share of the messages, drawn at random, in percent
    #[arg(long, value_name = "PERCENT", value_parser = parse_share)]
    random_filter: Option<f64>,
}

const EXAMPLES: &str = "\
Examples:
  ringmq sub -t 'home/+/temperature' -v
  ringmq sub -t '#' -F '%I %t %p' -T 'home/#'
  ringmq sub -t job -C 1 -W 10 && echo 'a job came within ten seconds'
  ringmq sub -t 'orders/#' -q 1 -c -i printer      (messages wait for printer while it is away)
  ringmq sub -t '$share/workers/jobs' -q 1 -V 5    (each job goes to one worker)";

impl Args {
    /// Subscribes and prints.
    pub fn run(self) -> ExitCode {
        let quiet = self.connection.quiet();
        match self.resolve().and_then(|(job, target)| job.run(target)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(Tool::Subscribe, quiet),
        }
    }

    fn resolve(self) -> Result<(Job, Target), Failure> {
        let target = self.connection.resolve(Tool::Subscribe).map_err(Failure::Usage)?;
        let mut subscription = self.subscription;
        subscription.topic.extend(target.url_topic.clone());
        let checks = [
            (&subscription.topic, "subscription"),
            (&subscription.unsubscribe, "unsubscribe"),
            (&self.selection.filter_out, "filter"),
        ];
        for (filters, purpose) in checks {
            filters.iter().try_for_each(|filter| check_filter(filter, purpose)).map_err(Failure::Usage)?;
        }
        if subscription.topic.is_empty() && subscription.unsubscribe.is_empty() {
            let text = "You must specify a topic to subscribe to (-t) or unsubscribe from (-U).";
            return Err(Failure::Usage(text.to_owned()));
        }
        let output = self.output.open().map_err(Failure::Usage)?;
        let selection = Selection::new(self.selection);
        Ok((Job { subscription, selection, output, quiet: target.quiet }, target))
    }
}

/// What to do, once everything is checked.
struct Job {
    subscription: SubscriptionOptions,
    selection: Selection,
    output: Output,
    quiet: bool,
}

impl Job {
    fn run(mut self, target: Target) -> Result<(), Failure> {
        let deadline = self
            .selection
            .options
            .timeout
            .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        let session = Session::open(target, Tool::Subscribe, true)?;
        session.stop_on_signals()?;
        let mut outcome = self.subscribe(&session);
        if outcome.is_ok() && !self.subscription.exit_after_subscribe {
            outcome = self.print_all(&session, deadline);
        }
        let closed = session.close();
        outcome.and(closed)
    }

    fn subscribe(&self, session: &Session) -> Result<(), Failure> {
        let no_retained = self.selection.options.no_retained;
        let options = SubscribeOptions {
            qos: self.subscription.qos,
            no_local: false,
            retain_as_published: self.subscription.retain_as_published,
            retain_handling: if no_retained {
                RetainHandling::DoNotSend
            } else {
                RetainHandling::SendAtSubscribe
            },
        };
        if !self.subscription.topic.is_empty() {
            let codes = session.subscribe(&self.subscription.topic, options)?;
            self.judge(&codes)?;
        }
        if !self.subscription.unsubscribe.is_empty() {
            session.unsubscribe(&self.subscription.unsubscribe)?;
        }
        Ok(())
    }

    /// A refusal of all filters ends the command; one of several is only told.
    fn judge(&self, codes: &[ReasonCode]) -> Result<(), Failure> {
        let denied = self.subscription.topic.iter().zip(codes).filter(|(_, code)| code.is_error());
        let denied: Vec<_> = denied.collect();
        let everything = denied.len() == self.subscription.topic.len();
        for (filter, code) in denied {
            if everything {
                return Err(Failure::Denied(format!("Subscription to '{filter}'"), *code));
            }
            self.warn(&format!("Warning: Subscription to '{filter}': {}.\n", code.name()));
        }
        Ok(())
    }

    fn print_all(&mut self, session: &Session, deadline: Option<Instant>) -> Result<(), Failure> {
        let (mut removed, mut printed) = (Vec::new(), Vec::new());
        let outcome = self.print_until_done(session, deadline, &mut removed, &mut printed);
        self.output.flush()?;
        printed.iter().for_each(|message| session.acknowledge(message));
        outcome?;
        removed.into_iter().try_for_each(|publication| session.wait_among_messages(publication))
    }

    fn print_until_done(
        &mut self,
        session: &Session,
        deadline: Option<Instant>,
        removed: &mut Vec<Publication>,
        printed: &mut Vec<Message>,
    ) -> Result<(), Failure> {
        loop {
            // Lines are held back only as long as the next message is already there, and acknowledgements as
            // long as the lines.
            let output = &mut self.output;
            let idle = || {
                output.flush()?;
                printed.drain(..).for_each(|message| session.acknowledge(&message));
                Ok(())
            };
            let message = match session.next(deadline, idle)? {
                Next::Message(message) => message,
                Next::Stopped => return Ok(()),
                Next::TimedOut => return Err(Failure::TimedOut),
            };
            let verdict = self.selection.judge(message.topic(), message.retain());
            if verdict == Verdict::End {
                return Ok(());
            }
            if verdict != Verdict::Skip && message.retain() && self.selection.options.remove_retained {
                removed.retain(|publication: &Publication| !publication.is_done());
                removed.push(session.forget(message.topic())?);
            }
            if verdict == Verdict::Print {
                self.print(&message)?;
            }
            printed.push(message);
            if printed.len() >= PRINTED_MAX {
                self.output.flush()?;
                printed.drain(..).for_each(|message| session.acknowledge(&message));
            }
            if verdict != Verdict::Skip && self.selection.count() {
                return Ok(());
            }
        }
    }

    fn print(&mut self, message: &Message) -> Result<(), Failure> {
        if self.output.message(&received(message))? == Printed::PayloadNotJson {
            self.warn(&format!("Error: Message payload is not valid JSON on topic {}.\n", message.topic()));
        }
        Ok(())
    }

    fn warn(&self, text: &str) {
        if !self.quiet {
            warn(text);
        }
    }
}

/// Messages printed and not yet acknowledged, at most: a part of any server's window.
const PRINTED_MAX: usize = 16;

/// Which messages are printed, and when it is enough.
struct Selection {
    options: SelectionOptions,
    counted: u64,
    dice: u64,
}

/// What is done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is printed and counted.
    Print,
    /// It is counted, but the dice hid it.
    Hide,
    /// It is passed over.
    Skip,
    /// It ends the command.
    End,
}

impl Selection {
    fn new(options: SelectionOptions) -> Self {
        // The hasher's keys are the standard library's only random numbers; 0 would never change.
        let dice = RandomState::new().build_hasher().finish() | 1;
        Self { options, counted: 0, dice }
    }

    fn judge(&mut self, topic: &str, retain: bool) -> Verdict {
        if self.options.retained_only && !retain {
            return Verdict::End;
        }
        let filtered_out = || self.options.filter_out.iter().any(|filter| topic_matches(filter, topic));
        if (retain && self.options.no_retained) || filtered_out() {
            return Verdict::Skip;
        }
        let share = self.options.random_filter.unwrap_or(100.0);
        if self.roll() < share { Verdict::Print } else { Verdict::Hide }
    }

    /// Counts a message; true when it was the last one wanted.
    fn count(&mut self) -> bool {
        self.counted += 1;
        self.options.count == Some(self.counted)
    }

    /// A number from 0 to under 100, by xorshift.
    fn roll(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % 10_000) as f64 / 100.0
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.1..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a percentage from 0.1 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser, Debug)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        selection: SelectionOptions,
    }

    fn selection(text: &str) -> Selection {
        let words = std::iter::once("test").chain(text.split_whitespace());
        Selection::new(Line::try_parse_from(words).expect(text).selection)
    }

    #[test]
    fn verdicts() {
        let rows = [
            ("", "a", false, Verdict::Print),
            ("", "a", true, Verdict::Print),
            ("-R", "a", true, Verdict::Skip),
            ("-R", "a", false, Verdict::Print),
            ("--retained-only", "a", true, Verdict::Print),
            ("--retained-only", "a", false, Verdict::End),
            ("-T a/+", "a/b", false, Verdict::Skip),
            ("-T a/+ -T c", "c", false, Verdict::Skip),
            ("-T a/+", "a/b/c", false, Verdict::Print),
            ("--random-filter 100", "a", false, Verdict::Print),
        ];
        for (text, topic, retain, expected) in rows {
            assert_eq!(selection(text).judge(topic, retain), expected, "{text} {topic} {retain}");
        }
    }

    #[test]
    fn counting() {
        let mut two = selection("-C 2");
        assert_eq!([two.count(), two.count()], [false, true]);
        let mut endless = selection("");
        assert!((0..100).all(|_| !endless.count()));
    }

    #[test]
    fn the_dice_are_fair_enough() {
        let mut third = selection("--random-filter 33.3");
        let printed = (0..30_000).filter(|_| third.judge("a", false) == Verdict::Print).count();
        assert!((9_000..11_000).contains(&printed), "{printed} of 30000");
    }

    #[test]
    fn flags_that_exclude_each_other() {
        for text in ["-R --retained-only", "-C 0", "-W 0", "--random-filter 0", "--random-filter 101"] {
            assert!(Line::try_parse_from(std::iter::once("test").chain(text.split(' '))).is_err(), "{text}");
        }
    }
}
