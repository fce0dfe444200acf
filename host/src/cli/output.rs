//! The only printer: data to stdout, talk to stderr, both made safe for a terminal.
//!
//! Nothing here panics when the reader has gone away: whoever closes a pipe has seen enough.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use crate::escape;

use super::text::clip;

/// Bytes of one line of talk. A guest's message may have megabytes, and a person reads a line.
const LINE_BYTES_MAX: usize = 4000;

/// Writes one line to stderr, escaped. When stderr is closed there is nobody to tell.
pub(super) fn talk(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", safe_line(line));
}

/// A line as it may be shown: one line, no control characters, of bearable length.
pub(super) fn safe_line(line: &str) -> String {
    clip(&escape(line), LINE_BYTES_MAX)
}

/// Writes to stderr what is not a whole line: a prompt, or the removal of one. Our own text only.
pub(super) fn talk_raw(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Writes lines of text to stdout, each escaped.
pub(super) fn lines(lines: &[String]) -> io::Result<()> {
    let text: String = lines.iter().flat_map(|line| [escape(line), "\n".into()]).collect();
    data(text.as_bytes())
}

/// Writes a value as JSON to stdout, over many lines if `pretty`.
pub(super) fn json(value: &impl Serialize, pretty: bool) -> io::Result<()> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }?;
    data(format!("{}\n", safe_json(&text)).as_bytes())
}

/// Writes a line of text to stdout, escaped. Says whether somebody still reads.
pub(super) fn line(line: &str) -> io::Result<bool> {
    is_read(format!("{}\n", escape(line)).as_bytes())
}

/// Writes a value as one line of JSON to stdout. Says whether somebody still reads.
pub(super) fn json_line(value: &impl Serialize) -> io::Result<bool> {
    is_read(format!("{}\n", safe_json(&serde_json::to_string(value)?)).as_bytes())
}

/// Writes a line of JSON that stands somewhere, as it stands there but for what plays tricks. Says whether somebody still
/// reads.
pub(super) fn json_as_it_is(text: &str) -> io::Result<bool> {
    is_read(format!("{}\n", safe_json(text)).as_bytes())
}

fn is_read(bytes: &[u8]) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes bytes to stdout. A closed pipe is no error.
pub(super) fn data(bytes: &[u8]) -> io::Result<()> {
    is_read(bytes).map(drop)
}

/// The same JSON, with every character that could play tricks on a terminal in its `\u` form. Such characters occur in
/// JSON only inside strings, where that form means the same.
fn safe_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let mut buffer = [0; 4];
        let alone: &str = c.encode_utf8(&mut buffer);
        if c == '\n' || escape(alone) == alone {
            safe.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn json_is_safe_to_show_and_means_the_same() {
        let nasty = json!({"a\u{9b}31m": "x\u{202e}y\u{1b}[2J\u{7f}\u{e0041}\n", "b": "ünïcode 😀"});
        let text = safe_json(&serde_json::to_string_pretty(&nasty).unwrap());
        assert!(text.lines().all(|line| escape(line) == line), "{text}");
        assert!(text.contains("ünïcode 😀"));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), nasty);
    }

    #[test]
    fn a_line_of_talk_is_one_line_of_bearable_length() {
        assert_eq!(safe_line("a\nb\u{1b}[31m"), r"a\nb\u{1b}[31m");
        assert!(safe_line(&"€".repeat(100_000)).len() < 4100);
    }
}
