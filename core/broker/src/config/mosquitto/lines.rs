//! The lines of a mosquitto.conf: a directive, then its value to the end of the line. A line whose first
//! character is `#` is a comment; a `#` behind a value belongs to the value, except behind values that are one
//! word, of which only the first word counts.

/// One line with a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// Where the directive begins, in characters from 1.
    pub column: u32,
    /// The directive.
    pub name: &'a str,
    /// What follows it, without blanks around it.
    pub value: &'a str,
}

/// Every line with a directive.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').enumerate().filter_map(|(index, line)| {
        let line = line.trim_end_matches('\r');
        let start = line.trim_start_matches([' ', '\t']);
        if start.is_empty() || start.starts_with('#') {
            return None;
        }
        let (name, value) = start.split_once([' ', '\t']).unwrap_or((start, ""));
        let blanks = line.len() - start.len();
        Some(Line {
            number: u32::try_from(index + 1).unwrap_or(u32::MAX),
            column: u32::try_from(blanks + 1).unwrap_or(u32::MAX),
            name,
            value: value.trim_matches([' ', '\t']),
        })
    })
}

impl<'a> Line<'a> {
    fn takes(&self, what: &str, found: &str) -> String {
        match found {
            "" => format!("{} has no value: it takes {what}", self.name),
            _ => format!("{} = `{found}` is not possible: {} takes {what}", self.name, self.name),
        }
    }
    /// The first word of the value.
    pub fn word(&self) -> &'a str {
        self.value.split([' ', '\t']).next().unwrap_or("")
    }
    /// The whole value.
    ///
    /// # Errors
    /// There is none.
    pub fn text(&self) -> Result<&'a str, String> {
        if self.value.is_empty() { Err(self.takes("a text", "")) } else { Ok(self.value) }
    }
    /// `true` or `false`, or 1 or 0.
    ///
    /// # Errors
    /// It is something else.
    pub fn bool(&self) -> Result<bool, String> {
        match self.word() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(self.takes("true or false", other)),
        }
    }
    /// A whole number from `least` to `most`, decimal, octal with 0 or hexadecimal with 0x in front.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self, least: i64, most: i64) -> Result<i64, String> {
        let word = self.word();
        let (sign, digits) = match word.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, word.strip_prefix('+').unwrap_or(word)),
        };
        let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
            None => (digits, 10),
        };
        let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let value =
            plain.then(|| i64::from_str_radix(digits, radix).ok()).flatten().map(|value| sign * value);
        let value = value.filter(|value| (least..=most).contains(value));
        value.ok_or_else(|| self.takes(&format!("a number from {least} to {most}"), word))
    }
    /// One of these words, by its place among them.
    ///
    /// # Errors
    /// It is something else.
    pub fn one_of(&self, words: &[&str]) -> Result<usize, String> {
        let word = self.word();
        words.iter().position(|known| *known == word).ok_or_else(|| self.takes(&words.join(", "), word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line<'_> {
        lines(text).next().unwrap()
    }

    #[test]
    fn comments_and_blank_lines_are_none() {
        let text = "\u{feff}# a\r\n\n  \t\r\n  # b\nlistener 1883 \tlocalhost # x\r\n\tuser a  b\nquiet";
        let found: Vec<_> =
            lines(text).map(|line| (line.number, line.column, line.name, line.value)).collect();
        assert_eq!(
            found,
            [(5, 1, "listener", "1883 \tlocalhost # x"), (6, 2, "user", "a  b"), (7, 1, "quiet", "")]
        );
    }

    #[test]
    fn values_are_read_as_mosquitto_reads_them() {
        for (text, expected) in [
            ("x 10", Ok(10)),
            ("x 0x10 # comment", Ok(16)),
            ("x 010", Ok(8)),
            ("x 0", Ok(0)),
            ("x -1", Ok(-1)),
            ("x +1", Ok(1)),
            ("x", Err("x has no value: it takes a number from -1 to 100")),
            ("x 101", Err("x = `101` is not possible: x takes a number from -1 to 100")),
            ("x 1a", Err("x = `1a` is not possible: x takes a number from -1 to 100")),
            ("x --1", Err("x = `--1` is not possible: x takes a number from -1 to 100")),
            (
                "x 99999999999999999999",
                Err("x = `99999999999999999999` is not possible: x takes a number from -1 to 100"),
            ),
        ] {
            assert_eq!(line(text).number(-1, 100), expected.map_err(String::from), "{text}");
        }
        assert_eq!(line("x true #").bool(), Ok(true));
        assert_eq!(line("x 0").bool(), Ok(false));
        assert_eq!(line("x yes").bool().unwrap_err(), "x = `yes` is not possible: x takes true or false");
        assert_eq!(line("x /a b # c").text(), Ok("/a b # c"));
        assert!(line("x").text().is_err());
    }
}
