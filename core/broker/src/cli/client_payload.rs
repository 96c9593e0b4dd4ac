//! Where the payload of `ringmq pub` and `ringmq rr` comes from: the command line, a file, standard input or
//! nowhere. Reads it whole; never splits it into messages.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use bytes::Bytes;

/// The flags that say what to send; one of them is given.
#[derive(clap::Args, Debug)]
#[group(id = "payload", multiple = false)]
#[command(next_help_heading = "Message")]
pub struct PayloadOptions {
    /// Payload to send
    #[arg(short, long, value_name = "PAYLOAD", allow_hyphen_values = true)]
    message: Option<OsString>,
    /// Sends the content of a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Sends all of standard input as one message
    #[arg(short, long)]
    stdin_file: bool,
    /// Sends an empty payload
    #[arg(short, long)]
    null_message: bool,
}

impl PayloadOptions {
    /// Reads the payload; `None` when no flag asks for one. The error is a sentence for the user.
    pub fn load(self) -> Result<Option<Bytes>, String> {
        if let Some(message) = self.message {
            return checked(message.into_vec()).map(Some);
        }
        if let Some(file) = self.file {
            let content = std::fs::read(&file)
                .map_err(|error| format!("Cannot load input file \"{}\": {error}.", file.display()))?;
            return checked(content).map(Some);
        }
        if self.stdin_file {
            let mut content = Vec::new();
            // One byte over the bound is enough to know that it is too much.
            let most = u64::from(ringmq_wire::REMAINING_LENGTH_MAX) + 1;
            let read = io::stdin().lock().take(most).read_to_end(&mut content);
            read.map_err(|error| format!("Cannot load input from stdin: {error}."))?;
            return checked(content).map(Some);
        }
        Ok(self.null_message.then(Bytes::new))
    }
}

fn checked(content: Vec<u8>) -> Result<Bytes, String> {
    let most = ringmq_wire::REMAINING_LENGTH_MAX as usize;
    if content.len() > most {
        return Err(format!("Message payload is over {most} bytes."));
    }
    Ok(Bytes::from(content))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser, Debug)]
    #[command(disable_help_flag = true, args_override_self = true)]
    struct Line {
        #[command(flatten)]
        payload: PayloadOptions,
    }

    fn load(words: &[&str]) -> Result<Option<Bytes>, String> {
        let line = Line::try_parse_from([&["test"], words].concat()).map_err(|error| error.to_string())?;
        line.payload.load()
    }

    #[test]
    fn payloads_come_from_where_the_flags_say() {
        assert_eq!(load(&[]), Ok(None));
        assert_eq!(load(&["-n"]), Ok(Some(Bytes::new())));
        assert_eq!(load(&["-m", "-5 °C"]), Ok(Some(Bytes::from("-5 °C"))));
        assert_eq!(load(&["-m", ""]), Ok(Some(Bytes::new())));
        let path = std::env::temp_dir().join(format!("ringmq-payload-{}", std::process::id()));
        std::fs::write(&path, [0, 255, 10]).expect("the temporary folder can be written");
        assert_eq!(load(&["-f", path.to_str().expect("text")]), Ok(Some(Bytes::from_static(&[0, 255, 10]))));
        std::fs::remove_file(&path).expect("just written");
        assert!(load(&["-f", "/nonexistent/file"]).is_err_and(|error| error.contains("/nonexistent/file")));
    }

    #[test]
    fn only_one_payload_can_be_given() {
        for words in [&["-n", "-s"][..], &["-m", "a", "-n"], &["-f", "a", "-m", "b"]] {
            assert!(load(words).is_err_and(|error| error.contains("cannot be used with")), "{words:?}");
        }
    }
}
