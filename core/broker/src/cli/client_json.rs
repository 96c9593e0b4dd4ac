//! Writes the JSON of `-F %j` and `-F %J`, minimal or indented, in the layout mosquitto's users parse today.
//! Copies a payload that is JSON itself by its tokens, so that numbers and escapes stay as they were sent;
//! never interprets a value and never writes half of an invalid one for the caller to keep.

/// How deep a payload may nest: it comes from a peer, and each level costs a stack frame.
const DEPTH_MAX: usize = 1000;

/// The payload is not one JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// Appends JSON to a buffer and places the commas, tabs and line ends.
pub struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    pretty: bool,
    levels: Vec<Level>,
}

struct Level {
    object: bool,
    empty: bool,
}

impl<'a> JsonWriter<'a> {
    /// A writer for one value at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, pretty: bool) -> Self {
        Self { out, pretty, levels: Vec::new() }
    }

    /// Opens an object.
    pub fn begin_object(&mut self) {
        self.before_element();
        self.out.push(b'{');
        self.levels.push(Level { object: true, empty: true });
    }

    /// Closes the object opened last.
    pub fn end_object(&mut self) {
        self.levels.pop();
        if self.pretty {
            self.new_line();
        }
        self.out.push(b'}');
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.before_element();
        self.out.push(b'[');
        self.levels.push(Level { object: false, empty: true });
    }

    /// Closes the array opened last.
    pub fn end_array(&mut self) {
        self.levels.pop();
        self.out.push(b']');
    }

    /// The name of the next value in an object.
    pub fn key(&mut self, name: &str) {
        self.before_key();
        escape(name, self.out);
        self.after_key();
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.before_element();
        escape(text, self.out);
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) {
        self.raw(number.to_string().as_bytes());
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// `null`.
    pub fn null(&mut self) {
        self.raw(b"null");
    }

    /// Bytes as text where they are UTF-8, else as an array of numbers: JSON has no other way to hold them.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text),
            Err(_) => {
                self.begin_array();
                for byte in bytes {
                    self.number(u64::from(*byte));
                }
                self.end_array();
            }
        }
    }

    /// One JSON value that somebody else wrote. After an error, what was appended must be thrown away.
    pub fn value(&mut self, bytes: &[u8]) -> Result<(), NotJson> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotJson)?;
        let mut reader = Reader { bytes: text.as_bytes(), position: 0, depth: 0 };
        reader.copy_value(self)?;
        reader.skip_space();
        if reader.position == bytes.len() { Ok(()) } else { Err(NotJson) }
    }

    fn raw(&mut self, token: &[u8]) {
        self.before_element();
        self.out.extend_from_slice(token);
    }

    fn raw_key(&mut self, token: &[u8]) {
        self.before_key();
        self.out.extend_from_slice(token);
        self.after_key();
    }

    fn before_key(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            if !level.empty {
                self.out.push(b',');
            }
            level.empty = false;
        }
        if self.pretty {
            self.new_line();
        }
    }

    fn after_key(&mut self) {
        self.out.push(b':');
        if self.pretty {
            self.out.push(b'\t');
        }
    }

    /// The comma between elements of an array; in an object the key has already placed it.
    fn before_element(&mut self) {
        let Some(level) = self.levels.last_mut().filter(|level| !level.object) else { return };
        if !level.empty {
            self.out.extend_from_slice(if self.pretty { b", " } else { b"," });
        }
        level.empty = false;
    }

    fn new_line(&mut self) {
        self.out.push(b'\n');
        self.out.extend(std::iter::repeat_n(b'\t', self.levels.len()));
    }
}

fn escape(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Reads one value and copies its tokens.
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn copy_value(&mut self, writer: &mut JsonWriter<'_>) -> Result<(), NotJson> {
        self.skip_space();
        match self.peek().ok_or(NotJson)? {
            b'{' => self.nested(writer, Self::copy_object),
            b'[' => self.nested(writer, Self::copy_array),
            b'"' => {
                let token = self.string()?;
                writer.raw(token);
                Ok(())
            }
            b'-' | b'0'..=b'9' => {
                let token = self.number()?;
                writer.raw(token);
                Ok(())
            }
            _ => {
                let token = self.word()?;
                writer.raw(token);
                Ok(())
            }
        }
    }

    fn nested(
        &mut self,
        writer: &mut JsonWriter<'_>,
        copy: fn(&mut Self, &mut JsonWriter<'_>) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        if self.depth == DEPTH_MAX {
            return Err(NotJson);
        }
        self.depth += 1;
        self.position += 1;
        copy(self, writer)?;
        self.depth -= 1;
        Ok(())
    }

    fn copy_object(&mut self, writer: &mut JsonWriter<'_>) -> Result<(), NotJson> {
        writer.begin_object();
        if !self.take_after_space(b'}') {
            loop {
                self.skip_space();
                let name = self.string()?;
                writer.raw_key(name);
                self.expect(b':')?;
                self.copy_value(writer)?;
                if self.take_after_space(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        writer.end_object();
        Ok(())
    }

    fn copy_array(&mut self, writer: &mut JsonWriter<'_>) -> Result<(), NotJson> {
        writer.begin_array();
        if !self.take_after_space(b']') {
            loop {
                self.copy_value(writer)?;
                if self.take_after_space(b']') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        writer.end_array();
        Ok(())
    }

    fn string(&mut self) -> Result<&'a [u8], NotJson> {
        let start = self.position;
        if self.next() != Some(b'"') {
            return Err(NotJson);
        }
        loop {
            match self.next().ok_or(NotJson)? {
                b'"' => return Ok(&self.bytes[start..self.position]),
                b'\\' => self.escape_sequence()?,
                0..=0x1F => return Err(NotJson),
                _ => {}
            }
        }
    }

    fn escape_sequence(&mut self) -> Result<(), NotJson> {
        match self.next().ok_or(NotJson)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    if !self.next().is_some_and(|digit| digit.is_ascii_hexdigit()) {
                        return Err(NotJson);
                    }
                }
                Ok(())
            }
            _ => Err(NotJson),
        }
    }

    fn number(&mut self) -> Result<&'a [u8], NotJson> {
        let start = self.position;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(&self.bytes[start..self.position])
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        if self.position == start { Err(NotJson) } else { Ok(()) }
    }

    fn word(&mut self) -> Result<&'a [u8], NotJson> {
        let rest = &self.bytes[self.position..];
        for word in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(word) {
                self.position += word.len();
                return Ok(&rest[..word.len()]);
            }
        }
        Err(NotJson)
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.take_after_space(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn take_after_space(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.take(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(text: &[u8], pretty: bool) -> Result<String, NotJson> {
        let mut out = Vec::new();
        JsonWriter::new(&mut out, pretty).value(text)?;
        Ok(String::from_utf8(out).expect("copied from UTF-8"))
    }

    #[test]
    fn values_are_copied_without_space() {
        let rows: &[(&str, &str)] = &[
            ("1", "1"),
            (" -0.50e+7 ", "-0.50e+7"),
            ("0", "0"),
            ("true", "true"),
            ("null", "null"),
            (r#" "a\u0041\/" "#, r#""a\u0041\/""#),
            ("[ ]", "[]"),
            ("{ }", "{}"),
            (r#"{ "x" : 27.0, "a": [1, 2, {"b": "ö"}] }"#, r#"{"x":27.0,"a":[1,2,{"b":"ö"}]}"#),
        ];
        for (text, expected) in rows {
            assert_eq!(copied(text.as_bytes(), false).as_deref(), Ok(*expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        let rows: &[&[u8]] = &[
            b"",
            b" ",
            b"hello",
            b"1 2",
            b"01",
            b"1.",
            b"-",
            b"1e",
            b"\"",
            b"\"\\x\"",
            b"\"\\u12\"",
            b"\"\n\"",
            b"[1,]",
            b"[1",
            b"{\"a\"}",
            b"{\"a\":1,}",
            b"{a:1}",
            b"tru",
            b"\"\xff\"",
            b"{\"a\":1}}",
        ];
        for text in rows {
            assert_eq!(copied(text, false), Err(NotJson), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(copied(&[b"[".repeat(DEPTH_MAX), b"]".repeat(DEPTH_MAX)].concat(), false).is_ok());
        assert_eq!(copied(&b"[".repeat(1_000_000), false), Err(NotJson));
    }

    #[test]
    fn the_indented_layout() {
        let text = br#"{"x":1,"a":[1,2,{"b":"c"}],"e":{}}"#;
        let expected =
            "{\n\t\"x\":\t1,\n\t\"a\":\t[1, 2, {\n\t\t\t\"b\":\t\"c\"\n\t\t}],\n\t\"e\":\t{\n\t}\n}";
        assert_eq!(copied(text, true).as_deref(), Ok(expected));
    }

    #[test]
    fn texts_are_escaped() {
        let mut out = Vec::new();
        JsonWriter::new(&mut out, false).text("h\"i\\\tö\u{1}\u{8}\u{c}\n\r\u{7f}");
        assert_eq!(out, "\"h\\\"i\\\\\\tö\\u0001\\b\\f\\n\\r\u{7f}\"".as_bytes());
    }

    #[test]
    fn bytes_that_are_no_text_become_numbers() {
        let mut out = Vec::new();
        JsonWriter::new(&mut out, false).bytes(&[0xFF, 0, 7]);
        assert_eq!(out, b"[255,0,7]");
    }
}
