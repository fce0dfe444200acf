//! Asks the person for a signal, for fuel, for approval or for a word, and reads stdin without ever being in the way.
//!
//! Reading a line blocks, and nothing can end it. So a thread of its own reads, only when there is a question, and is
//! left where it is when the program ends.

pub(super) mod grant;

use std::io::{self, BufRead as _, Read as _};
use std::sync::mpsc as blocking;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::{ApprovalAsk, SignalKey};

use super::{environment, text};

/// Bytes of an answer. A person types less, and a pasted file shall not fill the memory.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a guest's reason that a question shows, so that the question itself stays in sight.
const REASON_BYTES_MAX: usize = 300;

/// Bytes of the keys that a question names.
const KEYS_BYTES_MAX: usize = 600;

/// What a typed line means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// A signal with this payload.
    Payload(Option<Value>),
    /// Nothing that can be sent; why, for the person.
    Unclear(String),
}

/// What a line typed for one of several signals means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    /// A signal with this key and payload.
    Signal(SignalKey, Option<Value>),
    /// Nothing that can be sent; why, for the person.
    Unclear(String),
}

/// What is decided about a question for approval.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Yes, perhaps with something else than what was asked for.
    Approve(Option<Value>),
    /// No, and why; may be empty.
    Deny(String),
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

/// The question for one of several signals.
pub(super) fn choice_question(keys: &[SignalKey]) -> String {
    let named: Vec<String> = keys.iter().zip(1..).map(|(key, number)| format!("{number} `{key}`")).collect();
    format!(
        "The task waits for one of the signals {}. Its number, and then y, n, JSON, or nothing for a signal without \
         payload:",
        text::clip(&named.join(", "), KEYS_BYTES_MAX)
    )
}

/// Reads which signal is sent, and with what.
pub(super) fn choice(line: &str, keys: &[SignalKey]) -> Choice {
    let line = line.trim();
    let (number, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let key = place.and_then(|place| keys.get(place)).or_else(|| keys.iter().find(|key| key.as_str() == number));
    match (key, answer(rest)) {
        (Some(key), Answer::Payload(payload)) => Choice::Signal(key.clone(), payload),
        (Some(_), Answer::Unclear(why)) => Choice::Unclear(why),
        (None, _) => Choice::Unclear(format!("Which signal? A number from 1 to {}, as in `1 y`.", keys.len())),
    }
}

/// The question for approval.
pub(super) fn approval_question(ask: &ApprovalAsk) -> String {
    if ask.kind == ApprovalAsk::GRANT {
        return grant::question(ask);
    }
    format!("{} [y]es, [n]o, `n` and a reason, or JSON to approve of that instead:", approval_wish(ask))
}

/// What a task asks approval for, and why, in its own words.
pub(super) fn approval_wish(ask: &ApprovalAsk) -> String {
    if ask.kind == ApprovalAsk::GRANT {
        return grant::wish(ask);
    }
    let (kind, summary) = (&ask.kind, text::clip(&ask.summary, REASON_BYTES_MAX));
    let wish = format!("The task asks for approval ({kind}): {summary}");
    if ask.reason.is_empty() { wish } else { format!("{wish} - reason: {}", text::clip(&ask.reason, REASON_BYTES_MAX)) }
}

/// Reads a decision about a question.
pub(super) fn verdict_about(ask: &ApprovalAsk, line: &str) -> Result<Verdict, String> {
    if ask.kind == ApprovalAsk::GRANT { grant::verdict(line) } else { verdict(line) }
}

/// Reads a decision. Only a clear yes is one; JSON that could be meant as a yes or a no is neither.
fn verdict(line: &str) -> Result<Verdict, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word.to_ascii_lowercase().as_str(), rest.trim()) {
        ("y" | "yes", "") => Ok(Verdict::Approve(None)),
        ("n" | "no", reason) => Ok(Verdict::Deny(reason.to_owned())),
        _ => match serde_json::from_str(line) {
            Ok(Value::Null | Value::Bool(_)) | Err(_) => {
                Err("That is neither y, nor n, nor JSON that says what to do instead.".to_owned())
            }
            Ok(input) => Ok(Verdict::Approve(Some(input))),
        },
    }
}

/// The question for a message.
pub(super) const MESSAGE_QUESTION: &str = "The task waits to be told something:";

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
    fn one_of_several_signals_is_chosen_by_its_number_or_key() {
        let keys = ["yes", "no", "1", "two words"].map(|key| SignalKey::new(key).unwrap());
        let asked = choice_question(&keys);
        assert!(asked.contains("1 `yes`, 2 `no`, 3 `1`, 4 `two words`."), "{asked}");
        let cases = [
            ("1", "yes", None),
            ("2 y", "no", Some(json!(true))),
            (" no  {\"a\": 1} ", "no", Some(json!({"a": 1}))),
            ("4 \"text\"", "two words", Some(json!("text"))),
        ];
        for (line, key, payload) in cases {
            assert_eq!(choice(line, &keys), Choice::Signal(SignalKey::new(key).unwrap(), payload), "{line}");
        }
        for line in ["", "0", "5", "maybe", "y", "1 maybe"] {
            assert!(matches!(choice(line, &keys), Choice::Unclear(_)), "{line}");
        }
    }

    #[test]
    fn approval_is_given_by_a_clear_yes_and_by_nothing_else() {
        let deny = |reason: &str| Verdict::Deny(reason.to_owned());
        let cases = [
            ("y", Verdict::Approve(None)),
            (" YES ", Verdict::Approve(None)),
            ("n", deny("")),
            ("No  not on a Friday ", deny("not on a Friday")),
            ("{\"version\": 6}", Verdict::Approve(Some(json!({"version": 6})))),
            ("7", Verdict::Approve(Some(json!(7)))),
        ];
        for (line, meant) in cases {
            assert_eq!(verdict(line), Ok(meant), "{line}");
        }
        for line in ["", "true", "false", "null", "y but", "maybe", "{"] {
            assert!(verdict(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_question_for_approval_says_what_and_why() {
        let ask = ApprovalAsk::new("deploy", "", "version 7");
        assert_eq!(approval_wish(&ask), "The task asks for approval (deploy): version 7");
        let ask = ApprovalAsk::new("deploy", "all tests pass", "version 7");
        assert!(
            approval_question(&ask).starts_with("The task asks for approval (deploy): version 7 - reason: all tests")
        );
        let long = ApprovalAsk::new("deploy", "x".repeat(10_000), "y".repeat(10_000));
        assert!(approval_question(&long).len() < 1_000, "the question stays in sight");
    }

    #[test]
    fn the_question_says_how_to_answer() {
        let question = question(&SignalKey::new("approval").unwrap());
        assert!(question.contains("`approval`") && question.contains("Enter"), "{question}");
    }
}
