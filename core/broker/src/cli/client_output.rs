//! How `ringmq sub` and `ringmq rr` write what arrives to standard output. A reader that went away is told
//! apart from a failure, so that `ringmq sub | head -1` ends quietly.

use std::io::{self, BufWriter, Write as _};

use jiff::Zoned;

use super::message_format::{Format, Layout, Printer, Received};

/// The flags of the output.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Prints the topic before each payload
    #[arg(short, long)]
    verbose: bool,
    /// Prints by a format, as in '%I %t %p' (see below)
    #[arg(short = 'F', value_name = "FORMAT", allow_hyphen_values = true)]
    format: Option<String>,
    /// Ends no message with a line feed
    #[arg(short = 'N')]
    no_line_end: bool,
    /// Indents the JSON of %j and %J
    #[arg(long)]
    pretty: bool,
}

/// The part of `--help` about `-F`.
pub const FORMAT_HELP: &str = "\
Format of -F:
  %t topic   %p payload   %x %X payload in hexadecimal   %l bytes of payload
  %q QoS   %r retain flag   %m packet identifier   %% a percent sign
  %I date and time (ISO 8601)   %U Unix time with nanoseconds
  @X what strftime makes of %X, as in @H:@M:@S   @N nanoseconds   @@ an at sign
  %j everything as JSON, the payload as text   %J the same, the payload is JSON itself
  MQTT 5: %A topic alias   %C content type   %D correlation data   %E message expiry
          %F payload format   %P user properties   %R response topic
          %S subscription identifier
  Between % and letter: - aligns left, 0 fills with zeros, then a width, then .N for the
  most a text may take
  \\n \\t \\r \\e \\a \\v \\0 \\\\ as in C";

impl OutputOptions {
    /// Opens the output. The error is a sentence for the user.
    pub fn open(self) -> Result<Output, String> {
        let layout = match self.format {
            Some(format) => Layout::Format(Format::parse(&format)?),
            None if self.verbose => Layout::Verbose,
            None => Layout::Payload,
        };
        Ok(Output {
            printer: Printer { layout, end_of_line: !self.no_line_end, pretty: self.pretty },
            stdout: BufWriter::with_capacity(64 * 1024, io::stdout()),
            line: Vec::new(),
        })
    }
}

/// Standard output, buffered; nothing is seen before [`Output::flush`].
pub struct Output {
    printer: Printer,
    stdout: BufWriter<io::Stdout>,
    line: Vec<u8>,
}

/// How a message was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Printed {
    /// Whole.
    Whole,
    /// Without its `%J`: the payload is not JSON.
    PayloadNotJson,
}

impl Output {
    /// Prints a message.
    pub fn message(&mut self, message: &Received<'_>) -> io::Result<Printed> {
        self.line.clear();
        let printed = self.printer.print(message, &Zoned::now(), &mut self.line);
        self.stdout.write_all(&self.line)?;
        Ok(if printed.is_ok() { Printed::Whole } else { Printed::PayloadNotJson })
    }

    /// Hands everything printed to the reader.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}
