//! `ringmq rr`: sends one request and prints the response, with mosquitto_rr's flags. The response topic goes
//! with the request in MQTT 5; below that, requester and responder must have agreed on it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmq_wire::{Place, Property, Qos, RetainHandling, SubscriptionOptions, Version};

use super::ExitCode;
use super::client_failure::{EXIT_HELP, Failure, warn};
use super::client_options::{Connection, Target, Tool, check_name, parse_qos};
use super::client_output::{FORMAT_HELP, Output, OutputOptions, Printed};
use super::client_payload::PayloadOptions;
use super::client_session::{Next, Session, received};

/// Its arguments.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true, args_override_self = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{FORMAT_HELP}\n\n{EXIT_HELP}"))]
pub struct Args {
    /// Topic to send the request to
    #[arg(short, long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = "Message")]
    topic: Option<String>,
    /// Topic to wait on for the response
    #[arg(short = 'e', long, value_name = "TOPIC", allow_hyphen_values = true, help_heading = "Message")]
    response_topic: Option<String>,
    #[command(flatten)]
    payload: PayloadOptions,
    /// QoS of request and response: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", value_parser = parse_qos, default_value = "0", help_heading = "Message")]
    qos: Qos,
    /// Takes no retained message for the response
    #[arg(short = 'R', help_heading = "Message")]
    no_retained: bool,
    /// Ends after this many seconds without a response, with exit code 27
    #[arg(short = 'W', value_name = "SECONDS", help_heading = "Message",
          value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  ringmq rr -t calculator/add -e answers/me -m '2 3' -W 5
  ringmq rr -t who -e answers/me -n -F '%p (%P)' -D publish correlation-data 17";

/// What to do, once everything is checked.
struct Job {
    topic: String,
    response_topic: String,
    payload: Bytes,
    qos: Qos,
    no_retained: bool,
    timeout: Option<u64>,
    output: Output,
    quiet: bool,
}

impl Args {
    /// Asks and prints the response.
    pub fn run(self) -> ExitCode {
        let quiet = self.connection.quiet();
        match self.resolve().and_then(|(job, target)| job.run(target)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(Tool::Request, quiet),
        }
    }

    fn resolve(self) -> Result<(Job, Target), Failure> {
        let mut target = self.connection.resolve(Tool::Request).map_err(Failure::Usage)?;
        let topic = self.topic.or_else(|| target.url_topic.clone());
        for (topic, purpose) in [(&topic, "publish"), (&self.response_topic, "response")] {
            topic.iter().try_for_each(|topic| check_name(topic, purpose)).map_err(Failure::Usage)?;
        }
        let output = self.output.open().map_err(Failure::Usage)?;
        let payload = self.payload.load().map_err(Failure::Failed)?;
        let (Some(topic), Some(response_topic), Some(payload)) = (topic, self.response_topic, payload) else {
            let text = "All of topic, message, and response topic must be supplied.";
            return Err(Failure::Usage(text.to_owned()));
        };
        if target.version == Version::V5 {
            let properties = &mut target.properties.publish;
            properties.push_str(Property::ResponseTopic, &response_topic);
            if properties.check(Place::Publish).is_err() {
                return Err(Failure::Usage("Duplicate response topic in -D.".to_owned()));
            }
        }
        let (qos, no_retained, timeout, quiet) = (self.qos, self.no_retained, self.timeout, target.quiet);
        Ok((Job { topic, response_topic, payload, qos, no_retained, timeout, output, quiet }, target))
    }
}

impl Job {
    fn run(mut self, target: Target) -> Result<(), Failure> {
        let deadline =
            self.timeout.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        let session = Session::open(target, Tool::Request, false)?;
        let outcome = self.ask(&session).and_then(|()| self.print_response(&session, deadline));
        let closed = session.close();
        outcome.and(closed)
    }

    fn ask(&self, session: &Session) -> Result<(), Failure> {
        let retain_handling =
            if self.no_retained { RetainHandling::DoNotSend } else { RetainHandling::SendAtSubscribe };
        let options = SubscriptionOptions { retain_handling, ..SubscriptionOptions::qos(self.qos) };
        let codes = session.subscribe(std::slice::from_ref(&self.response_topic), options)?;
        if let Some(code) = codes.into_iter().find(|code| code.is_error()) {
            return Err(Failure::Denied(format!("Subscription to '{}'", self.response_topic), code));
        }
        session.wait(session.publish(&self.topic, self.payload.clone(), self.qos, false)?)
    }

    fn print_response(&mut self, session: &Session, deadline: Option<Instant>) -> Result<(), Failure> {
        loop {
            let message = match session.next(deadline, || Ok(()))? {
                Next::Message(message) => message,
                Next::Stopped => return Ok(()),
                Next::TimedOut => return Err(Failure::TimedOut),
            };
            if message.retain() && self.no_retained {
                session.acknowledge(&message);
                continue;
            }
            let printed = self.output.message(&received(&message))?;
            if printed == Printed::PayloadNotJson && !self.quiet {
                warn(&format!("Error: Message payload is not valid JSON on topic {}.\n", message.topic()));
            }
            self.output.flush()?;
            session.acknowledge(&message);
            return Ok(());
        }
    }
}
