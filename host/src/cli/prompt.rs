//! Asks the person for a signal or for fuel, and reads stdin without ever being in the way.
//!
//! Reading a line blocks, and nothing can end it. So a thread of its own reads, only when there is a question, and is
//! left where it is when the program ends.

use std::io::{self, BufRead as _, Read as _};
use std::sync::mpsc as blocking;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::SignalKey;

use super::{environment, text};

/// Bytes of an answer. A person types less, and a pasted file shall not fill the memory.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a guest's reason that a question shows, so that the question itself stays in sight.
const REASON_BYTES_MAX: usize = 300;

/// What a typed line means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// A signal with this payload.
    Payload(Option<Value>),
    /// Nothing that can be sent; why, for the person.
    Unclear(String),
}

/// What came from stdin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line, without its end.
    Line(String),
    /// Nobody types any more.
    Closed,
}

/// The person at the terminal.
#[derive(Debug, Default)]
pub(super) struct Person {
    reader: Option<Reader>,
}

#[derive(Debug)]
struct Reader {
    wanted: blocking::Sender<()>,
    typed: mpsc::UnboundedReceiver<Typed>,
    /// Whether a line was asked for that has not come yet, for this question or one that was withdrawn.
    reading: bool,
}

/// The question for a signal.
pub(super) fn question(key: &SignalKey) -> String {
    format!("The task waits for the signal `{key}`. [y]es, [n]o, JSON, or Enter for a signal without payload:")
}

/// Reads an answer: y is `true`, n is `false`, nothing is no payload, everything else must be JSON.
pub(super) fn answer(line: &str) -> Answer {
    let line = line.trim();
    match line.to_ascii_lowercase().as_str() {
        "" => Answer::Payload(None),
        "y" | "yes" => Answer::Payload(Some(Value::Bool(true))),
        "n" | "no" => Answer::Payload(Some(Value::Bool(false))),
        _ => match serde_json::from_str(line) {
            Ok(payload) => Answer::Payload(Some(payload)),
            Err(error) => {
                Answer::Unclear(format!("That is neither y, nor n, nor JSON ({error}); a text needs \"quotes\"."))
            }
        },
    }
}

/// The question for more fuel.
pub(super) fn fuel_question(units: u64, reason: &str) -> String {
    format!("{} [y/N]", fuel_wish(units, reason))
}

/// What a task asks for: so much fuel, and why, in its own words.
pub(super) fn fuel_wish(units: u64, reason: &str) -> String {
    let wish = format!("The task asks for {} units of fuel more ({})", text::fuel(units), text::cpu_seconds(units));
    if reason.is_empty() { wish } else { format!("{wish}: {}", text::clip(reason, REASON_BYTES_MAX)) }
}

/// Reads a yes or a no; Enter is a no. `None` for anything else.
pub(super) fn consent(line: &str) -> Option<bool> {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "" | "n" | "no" => Some(false),
        _ => None,
    }
}

impl Person {
    /// Begins to listen for the answer to a question that is about to be asked.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        environment::forget_typed();
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::start()?),
        };
        // What came for a question that was withdrawn answers nothing.
        while reader.typed.try_recv().is_ok() {
            reader.reading = false;
        }
        if !reader.reading {
            reader.reading = reader.wanted.send(()).is_ok();
        }
        Ok(())
    }

    /// What the person types next; never, if nothing is being listened for.
    ///
    /// Cancel safety: nothing is lost.
    pub(super) async fn typed(&mut self) -> Typed {
        match &mut self.reader {
            Some(reader) if reader.reading => {
                let typed = reader.typed.recv().await;
                reader.reading = false;
                typed.unwrap_or(Typed::Closed)
            }
            _ => std::future::pending().await,
        }
    }
}

impl Reader {
    fn start() -> io::Result<Self> {
        let (wanted, asked) = blocking::channel();
        let (tell, typed) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            while asked.recv().is_ok() {
                if tell.send(read_line()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { wanted, typed, reading: false })
    }
}

fn read_line() -> Typed {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut bytes);
    match read {
        Ok(1..) => Typed::Line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned()),
        Ok(0) | Err(_) => Typed::Closed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_answers_and_json_are_understood() {
        let cases = [
            ("y", Some(json!(true))),
            (" Yes ", Some(json!(true))),
            ("N", Some(json!(false))),
            ("", None),
            ("null", Some(Value::Null)),
            ("{\"approved\": true}", Some(json!({"approved": true}))),
            ("7", Some(json!(7))),
        ];
        for (line, payload) in cases {
            assert_eq!(answer(line), Answer::Payload(payload), "{line}");
        }
    }

    #[test]
    fn anything_else_is_asked_again() {
        for line in ["maybe", "{", "yes please"] {
            assert!(matches!(answer(line), Answer::Unclear(_)), "{line}");
        }
    }

    #[test]
    fn fuel_is_given_by_a_yes_and_by_nothing_else() {
        let cases = [("y", Some(true)), (" YES", Some(true)), ("n", Some(false)), ("", Some(false)), ("5G", None)];
        for (line, meant) in cases {
            assert_eq!(consent(line), meant, "{line}");
        }
        let asked = "The task asks for 5G units of fuel more (≈ 0.50 CPU seconds)";
        assert_eq!(fuel_question(5_000_000_000, "one more page"), format!("{asked}: one more page [y/N]"));
        assert_eq!(fuel_question(5_000_000_000, ""), format!("{asked} [y/N]"));
        assert!(fuel_question(1, &"x".repeat(10_000)).len() < 500, "the question stays in sight");
    }

    #[test]
    fn the_question_says_how_to_answer() {
        let question = question(&SignalKey::new("approval").unwrap());
        assert!(question.contains("`approval`") && question.contains("Enter"), "{question}");
    }
}
