//! How `ringmq sub` and `ringmq rr` print a message: the payload alone, topic and payload (`-v`), or the
//! format language of `-F`. A format is read once into pieces and refused at the start if it is wrong.
//! Works on values and a given time; never reads a clock and never writes to a stream itself.

use jiff::Zoned;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use ringmq_wire::{Properties, Property, PropertyValue};

use super::client_json::{JsonWriter, NotJson};

/// The widest field a format may ask for, in bytes.
const WIDTH_MAX: usize = 65_535;

/// What is known of a message that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The topic it was published to.
    pub topic: &'a str,
    /// Its payload.
    pub payload: &'a [u8],
    /// The QoS it was delivered with, 0 to 2.
    pub qos: u8,
    /// The retain flag it was delivered with.
    pub retain: bool,
    /// Its packet identifier; 0 at QoS 0.
    pub packet_id: u16,
    /// Its properties; empty below MQTT 5.
    pub properties: Properties<'a>,
}

/// Prints messages in one layout.
#[derive(Debug)]
pub struct Printer {
    /// The layout.
    pub layout: Layout,
    /// Whether each message ends with a line feed.
    pub end_of_line: bool,
    /// Whether `%j` and `%J` are indented.
    pub pretty: bool,
}

/// What of a message is printed.
#[derive(Debug)]
pub enum Layout {
    /// The payload; nothing at all for an empty one.
    Payload,
    /// Topic, blank and payload; `(null)` for an empty one.
    Verbose,
    /// By a format string.
    Format(Format),
}

impl Printer {
    /// Appends the message as it is to be printed. With `NotJson` everything but the `%J` was appended.
    pub fn print(&self, message: &Received<'_>, now: &Zoned, out: &mut Vec<u8>) -> Result<(), NotJson> {
        match &self.layout {
            Layout::Payload if message.payload.is_empty() => return Ok(()),
            Layout::Payload => out.extend_from_slice(message.payload),
            Layout::Verbose if message.payload.is_empty() && !self.end_of_line => return Ok(()),
            Layout::Verbose => {
                out.extend_from_slice(message.topic.as_bytes());
                out.push(b' ');
                out.extend_from_slice(if message.payload.is_empty() { b"(null)" } else { message.payload });
            }
            Layout::Format(format) => return self.print_format(format, message, now, out),
        }
        self.end_line(out);
        Ok(())
    }

    fn print_format(
        &self,
        format: &Format,
        message: &Received<'_>,
        now: &Zoned,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let mut outcome = Ok(());
        for piece in &format.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Time(specifier) => out.extend_from_slice(time_text(specifier, now).as_bytes()),
                Piece::Nanoseconds => {
                    out.extend_from_slice(format!("{:09}", now.subsec_nanosecond()).as_bytes())
                }
                Piece::Field('j', _) => write_json(message, now, self.pretty, false, out)?,
                Piece::Field('J', _) => {
                    let start = out.len();
                    outcome =
                        write_json(message, now, self.pretty, true, out).inspect_err(|_| out.truncate(start));
                }
                Piece::Field(name, width) => write_field(*name, *width, message, now, out),
            }
        }
        self.end_line(out);
        outcome
    }

    fn end_line(&self, out: &mut Vec<u8>) {
        if self.end_of_line {
            out.push(b'\n');
        }
    }
}

/// A format string that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// A specifier of `strftime`, with its percent sign.
    Time(String),
    Nanoseconds,
    Field(char, Width),
}

/// Flags, width and precision of a field, as in `printf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Width {
    left: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// The fields that `%` can name.
const FIELDS: &str = "%ACDEFIJPRSUXjlmpqrtx";

impl Format {
    /// Reads a format, or says in one sentence what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let piece = match letter {
                '%' => parse_field(&mut letters)?,
                '@' => parse_time(letters.next())?,
                '\\' => Piece::Literal(parse_escape(letters.next())?.to_string()),
                _ => Piece::Literal(letter.to_string()),
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Literal(before)), Piece::Literal(more)) => before.push_str(&more),
                (_, piece) => pieces.push(piece),
            }
        }
        Ok(Self { pieces })
    }
}

const INCOMPLETE: &str = "Incomplete format specifier.";

fn parse_field(letters: &mut std::str::Chars<'_>) -> Result<Piece, String> {
    let mut width = Width { left: take(letters, '-'), zero: take(letters, '0'), ..Width::default() };
    width.width = parse_width(letters)?;
    if take(letters, '.') {
        width.precision = Some(parse_width(letters)?);
    }
    match letters.next().ok_or(INCOMPLETE)? {
        '%' => Ok(Piece::Literal("%".to_owned())),
        name if FIELDS.contains(name) => Ok(Piece::Field(name, width)),
        other => Err(format!("Invalid format specifier '{other}'.")),
    }
}

fn take(letters: &mut std::str::Chars<'_>, wanted: char) -> bool {
    let found = letters.as_str().starts_with(wanted);
    if found {
        letters.next();
    }
    found
}

fn parse_width(letters: &mut std::str::Chars<'_>) -> Result<usize, String> {
    let rest = letters.as_str();
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    if digits == 0 {
        return Ok(0);
    }
    let number = rest[..digits].parse().ok().filter(|width| *width <= WIDTH_MAX);
    let number = number.ok_or_else(|| format!("Field width {} is over {WIDTH_MAX}.", &rest[..digits]))?;
    *letters = rest[digits..].chars();
    Ok(number)
}

fn parse_time(letter: Option<char>) -> Result<Piece, String> {
    match letter.ok_or(INCOMPLETE)? {
        '@' => Ok(Piece::Literal("@".to_owned())),
        'N' => Ok(Piece::Nanoseconds),
        letter => {
            let specifier = format!("%{letter}");
            let probe = BrokenDownTime::from(&Zoned::default());
            match letter.is_ascii_alphabetic() && probe.to_string_with_config(&posix(), &specifier).is_ok() {
                true => Ok(Piece::Time(specifier)),
                false => Err(format!("Invalid time specifier '@{letter}'.")),
            }
        }
    }
}

fn parse_escape(letter: Option<char>) -> Result<char, String> {
    Ok(match letter.ok_or("Incomplete escape specifier.")? {
        '\\' => '\\',
        '0' => '\0',
        'a' => '\x07',
        'e' => '\x1b',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other => return Err(format!("Invalid escape specifier '{other}'.")),
    })
}

fn write_field(name: char, width: Width, message: &Received<'_>, now: &Zoned, out: &mut Vec<u8>) {
    let properties = message.properties;
    match name {
        'A' => write_optional(properties.u16(Property::TopicAlias).map(u32::from), width, out),
        'C' => write_text(properties.str(Property::ContentType).unwrap_or(""), width, out),
        'D' => out.extend_from_slice(properties.bytes(Property::CorrelationData).unwrap_or(b"")),
        'E' => write_optional(properties.u32(Property::MessageExpiryInterval), width, out),
        'F' => write_optional(properties.u8(Property::PayloadFormatIndicator).map(u32::from), width, out),
        'I' => write_text(&time_text("%FT%T%z", now), width, out),
        'l' => write_number(message.payload.len() as u64, width, out),
        'm' => write_number(u64::from(message.packet_id), width, out),
        'P' => write_user_properties(properties, out),
        'p' => write_bytes(message.payload, width, 1, |byte, out| out.push(byte), out),
        'q' => out.push(b'0' + message.qos),
        'R' => {
            // An absent response topic takes no room, unlike every other absent property.
            if let Some(topic) = properties.str(Property::ResponseTopic) {
                write_text(topic, width, out);
            }
        }
        'r' => out.push(b'0' + u8::from(message.retain)),
        'S' => write_optional(properties.subscription_identifiers().next(), width, out),
        't' => write_text(message.topic, width, out),
        'U' => {
            let stamp = now.timestamp();
            out.extend_from_slice(
                format!("{}.{:09}", stamp.as_second(), stamp.subsec_nanosecond()).as_bytes(),
            );
        }
        'x' => {
            write_bytes(message.payload, width, 2, |byte, out| push_hex(byte, b"0123456789abcdef", out), out)
        }
        'X' => {
            write_bytes(message.payload, width, 2, |byte, out| push_hex(byte, b"0123456789ABCDEF", out), out)
        }
        _ => {}
    }
}

fn write_optional(number: Option<u32>, width: Width, out: &mut Vec<u8>) {
    match number {
        Some(number) => write_number(u64::from(number), width, out),
        None => pad(width.width, if width.zero { b'0' } else { b' ' }, out),
    }
}

fn write_number(number: u64, width: Width, out: &mut Vec<u8>) {
    let digits = number.to_string();
    let filler = if width.zero && !width.left { b'0' } else { b' ' };
    write_aligned(digits.as_bytes(), width, filler, out);
}

fn write_text(text: &str, width: Width, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let shown = width.precision.map_or(bytes.len(), |most| most.min(bytes.len()));
    write_aligned(&bytes[..shown], width, b' ', out);
}

fn write_aligned(bytes: &[u8], width: Width, filler: u8, out: &mut Vec<u8>) {
    let missing = width.width.saturating_sub(bytes.len());
    if !width.left {
        pad(missing, filler, out);
    }
    out.extend_from_slice(bytes);
    if width.left {
        pad(missing, b' ', out);
    }
}

/// A payload field: its width is both the least and the most it takes.
fn write_bytes(
    bytes: &[u8],
    width: Width,
    columns: usize,
    push: impl Fn(u8, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let most = if width.width == 0 { bytes.len() } else { width.width / columns };
    let shown = &bytes[..bytes.len().min(most)];
    let missing = width.width.saturating_sub(shown.len() * columns);
    if !width.left {
        pad(missing, if width.zero { b'0' } else { b' ' }, out);
    }
    for byte in shown {
        push(*byte, out);
    }
    if width.left {
        pad(missing, b' ', out);
    }
}

fn push_hex(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.push(digits[usize::from(byte >> 4)]);
    out.push(digits[usize::from(byte & 15)]);
}

fn pad(count: usize, filler: u8, out: &mut Vec<u8>) {
    out.extend(std::iter::repeat_n(filler, count));
}

fn write_user_properties(properties: Properties<'_>, out: &mut Vec<u8>) {
    for (position, (name, value)) in properties.user_properties().enumerate() {
        if position > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(format!("{name}:{value}").as_bytes());
    }
}

fn write_json(
    message: &Received<'_>,
    now: &Zoned,
    pretty: bool,
    payload_is_json: bool,
    out: &mut Vec<u8>,
) -> Result<(), NotJson> {
    let mut json = JsonWriter::new(out, pretty);
    json.begin_object();
    json.key("tst");
    let micros = now.subsec_nanosecond() / 1000;
    json.text(&format!("{}.{micros:06}Z{}", time_text("%FT%T", now), time_text("%z", now)));
    json.key("topic");
    json.text(message.topic);
    json.key("qos");
    json.number(u64::from(message.qos));
    json.key("retain");
    json.number(u64::from(message.retain));
    json.key("payloadlen");
    json.number(message.payload.len() as u64);
    if message.qos > 0 {
        json.key("mid");
        json.number(u64::from(message.packet_id));
    }
    if !message.properties.is_empty() {
        write_json_properties(message.properties, &mut json);
    }
    json.key("payload");
    match (message.payload, payload_is_json) {
        ([], _) => json.null(),
        (payload, false) => json.bytes(payload),
        (payload, true) => json.value(payload)?,
    }
    json.end_object();
    Ok(())
}

/// User properties stand together where the first of them stood, and a name may come twice, as in the packet.
fn write_json_properties(properties: Properties<'_>, json: &mut JsonWriter<'_>) {
    json.key("properties");
    json.begin_object();
    let mut user_properties_written = false;
    for (property, value) in properties.iter() {
        if property != Property::UserProperty {
            json.key(&option_name(property));
            write_json_value(value, json);
        } else if !user_properties_written {
            user_properties_written = true;
            json.key("user-properties");
            json.begin_object();
            for (name, value) in properties.user_properties() {
                json.key(name);
                json.text(value);
            }
            json.end_object();
        }
    }
    json.end_object();
}

fn write_json_value(value: PropertyValue<'_>, json: &mut JsonWriter<'_>) {
    match value {
        PropertyValue::U8(number) => json.number(u64::from(number)),
        PropertyValue::U16(number) => json.number(u64::from(number)),
        PropertyValue::U32(number) | PropertyValue::Variable(number) => json.number(u64::from(number)),
        PropertyValue::Str(text) => json.text(text),
        PropertyValue::Bytes(bytes) => json.bytes(bytes),
        PropertyValue::Pair(_, value) => json.text(value),
    }
}

/// The name of a property as the command line and JSON write it: `content-type`.
pub fn option_name(property: Property) -> String {
    property.name().to_ascii_lowercase().replace(' ', "-")
}

/// Formats with `strftime`'s language and the texts of the C locale.
fn time_text(format: &str, now: &Zoned) -> String {
    // Formats were tried when they were read; one that fails all the same prints nothing.
    BrokenDownTime::from(now).to_string_with_config(&posix(), format).unwrap_or_default()
}

fn posix() -> Config<PosixCustom> {
    Config::new().custom(PosixCustom::new())
}

#[cfg(test)]
mod tests;
