//! `ringmq pub`: publishes one message, the same one several times, or one for each line of standard input,
//! with mosquitto_pub's flags. Ends when every message was taken by the server.

use std::collections::VecDeque;
use std::io::{self, BufRead as _};
use std::time::Duration;

use bytes::Bytes;
use ringmq_wire::Qos;

use super::ExitCode;
use super::client_failure::{EXIT_HELP, Failure};
use super::client_options::{Connection, Target, Tool, check_name, parse_qos};
use super::client_payload::PayloadOptions;
use super::client_session::{Publication, Session};

/// Its arguments.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true, args_override_self = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_HELP}"))]
pub struct Args {
    /// Topic to publish to
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = "Message")]
    topic: Option<String>,
    #[command(flatten)]
    payload: PayloadOptions,
    /// Sends each line of standard input as a message of its own
    #[arg(short = 'l', long, conflicts_with = "payload", help_heading = "Message")]
    stdin_line: bool,
    /// QoS of the messages: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", value_parser = parse_qos, default_value = "0", help_heading = "Message")]
    qos: Qos,
    /// Asks the server to keep the message for later subscribers
    #[arg(short, long, help_heading = "Message")]
    retain: bool,
    /// Publishes the message this often
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = "Message",
          value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Seconds between repeats, as in 0.5
    #[arg(long, value_name = "SECONDS", value_parser = parse_delay, default_value = "0", help_heading = "Message")]
    repeat_delay: Duration,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  ringmq pub -t home/kitchen/temperature -m 21.5
  ringmq pub -h broker.local -t alarm -m on -q 1 -r
  sensors | ringmq pub -t log -l
  ringmq pub -t job -m '{}' -D publish content-type application/json";

/// What to publish, once everything is checked.
struct Job {
    topic: String,
    source: Source,
    qos: Qos,
    retain: bool,
    repeat: u64,
    repeat_delay: Duration,
}

enum Source {
    Payload(Bytes),
    Lines,
}

impl Args {
    /// Publishes.
    pub fn run(self) -> ExitCode {
        let quiet = self.connection.quiet();
        match self.resolve().and_then(|(job, target)| job.run(target)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(Tool::Publish, quiet),
        }
    }

    fn resolve(self) -> Result<(Job, Target), Failure> {
        let target = self.connection.resolve(Tool::Publish).map_err(Failure::Usage)?;
        let topic = self.topic.or_else(|| target.url_topic.clone());
        if let Some(topic) = &topic {
            check_name(topic, "publish").map_err(Failure::Usage)?;
        }
        let source = match self.stdin_line {
            true => Some(Source::Lines),
            false => self.payload.load().map_err(Failure::Failed)?.map(Source::Payload),
        };
        let (Some(topic), Some(source)) = (topic, source) else {
            return Err(Failure::Usage("Both topic and message must be supplied.".to_owned()));
        };
        let (qos, retain, repeat, repeat_delay) = (self.qos, self.retain, self.repeat, self.repeat_delay);
        Ok((Job { topic, source, qos, retain, repeat, repeat_delay }, target))
    }
}

impl Job {
    fn run(self, target: Target) -> Result<(), Failure> {
        // Only lines may come for so long that a lost connection is worth making again.
        let lines = matches!(self.source, Source::Lines);
        let session = Session::open(target, Tool::Publish, lines)?;
        match &self.source {
            Source::Payload(payload) => self.publish_repeatedly(&session, payload)?,
            Source::Lines => self.publish_lines(&session)?,
        }
        session.close()
    }

    fn publish_repeatedly(&self, session: &Session, payload: &Bytes) -> Result<(), Failure> {
        for round in 0..self.repeat {
            if round > 0 {
                std::thread::sleep(self.repeat_delay);
            }
            session.wait(self.publish(session, payload.clone())?)?;
        }
        Ok(())
    }

    /// Lines are sent one behind the other without waiting for each; the first refusal ends it.
    fn publish_lines(&self, session: &Session) -> Result<(), Failure> {
        let mut unconfirmed = VecDeque::new();
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = input.read_until(b'\n', &mut line);
            if read.map_err(|error| Failure::Failed(format!("Cannot read from stdin: {error}.")))? == 0 {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            unconfirmed.push_back(self.publish(session, Bytes::from(line))?);
            if unconfirmed.len() > LINES_UNCONFIRMED_MAX
                && let Some(oldest) = unconfirmed.pop_front()
            {
                session.wait(oldest)?;
            }
        }
        unconfirmed.into_iter().try_for_each(|publication| session.wait(publication))
    }

    fn publish(&self, session: &Session, payload: Bytes) -> Result<Publication, Failure> {
        session.publish(&self.topic, payload, self.qos, self.retain)
    }
}

/// How many lines may be on their way; more would only take memory.
const LINES_UNCONFIRMED_MAX: usize = 1000;

fn parse_delay(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
