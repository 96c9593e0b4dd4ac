//! Lines of the files that people write: numbered, bounded, UTF-8.

/// What is wrong with a file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what was expected. Never contains a password or a hash.
    pub problem: String,
}

impl FileError {
    pub(crate) fn new(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for FileError {}

/// The lines that say something, with their numbers and without white space around them: empty lines and those that
/// begin with `#` are left out.
pub fn statements(
    text: &[u8],
    line_bytes_max: usize,
) -> impl Iterator<Item = Result<(usize, &str), FileError>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
    lines.filter_map(move |(number, line)| {
        if line.len() > line_bytes_max {
            let problem = format!("a line of {} bytes; at most {line_bytes_max} are read", line.len());
            return Some(Err(FileError::new(number, problem)));
        }
        let Ok(line) = str::from_utf8(line) else {
            return Some(Err(FileError::new(number, "not UTF-8 text; save the file as UTF-8")));
        };
        let line = line.trim();
        (!line.is_empty() && !line.starts_with('#')).then_some(Ok((number, line)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_count_and_say_nothing() {
        let text = b"\xef\xbb\xbfa\r\n\n# b\n  # c\n d \n";
        let lines: Vec<_> = statements(text, 10).map(Result::unwrap).collect();
        assert_eq!(lines, [(1, "a"), (5, "d")]);
    }

    #[test]
    fn long_lines_and_foreign_bytes_are_named_by_their_line() {
        let lines: Vec<_> = statements(b"ok\n0123456789x\n\xff\n", 10).collect();
        assert_eq!(lines[0], Ok((2 - 1, "ok")));
        assert_eq!(lines[1].as_ref().unwrap_err().line, 2);
        assert_eq!(
            lines[2].as_ref().unwrap_err().to_string(),
            "line 3: not UTF-8 text; save the file as UTF-8"
        );
    }
}
