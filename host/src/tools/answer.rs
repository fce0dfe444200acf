//! What a model is answered: short, safe to show, and never longer than it can bear.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::escape;

/// Bytes of a fault's sentence. Protects the model from its own input, which a fault may quote.
const FAULT_BYTES_MAX: usize = 2_000;

/// What a call of a tool came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolAnswer {
    /// For the model: compact JSON in one line, or for a fault a sentence that says what to do. Nothing in it can move a
    /// cursor, end the line or hide text. At most about 64 KiB.
    pub content: String,
    /// The same for a program; a fault is an object with `error`. The texts in it are as they were said: escape them
    /// before showing them.
    pub structured: Value,
    /// Whether the tool could not do what it was asked to. Then nothing has happened.
    pub is_error: bool,
}

/// What a tool has to say, or why it did nothing.
pub(super) type Told = Result<Value, String>;

impl ToolAnswer {
    pub(super) fn of(told: Told) -> Self {
        match told {
            Ok(structured) => Self { content: line(&structured), structured, is_error: false },
            Err(fault) => {
                let content = escape(&head(&fault, FAULT_BYTES_MAX)).into_owned();
                Self { structured: json!({ "error": content }), content, is_error: true }
            }
        }
    }
}

/// JSON in one line that shows everything there is in it. It is still JSON, and says the same.
pub(super) fn line(value: &Value) -> String {
    let text = value.to_string();
    if matches!(escape(&text), Cow::Borrowed(_)) {
        return text;
    }
    // What has to be escaped stands inside strings only, where JSON has a way to write it.
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_hidden(c: char) -> bool {
    matches!(escape(c.encode_utf8(&mut [0; 4])), Cow::Owned(_))
}

/// Bytes that a character takes in such a line.
fn cost(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if is_hidden(c) => 6 * c.len_utf16(),
        c => c.len_utf8(),
    }
}

/// The beginning of a text, as much of it as takes this many bytes in an answer, with a mark where it was cut.
pub(super) fn head(text: &str, bytes: usize) -> Cow<'_, str> {
    let mut left = bytes;
    for (at, c) in text.char_indices() {
        match left.checked_sub(cost(c)) {
            Some(less) => left = less,
            None => return Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default())),
        }
    }
    Cow::Borrowed(text)
}

/// The end of a text, as much of it as takes this many bytes in an answer; and how many it takes.
pub(super) fn tail(text: &str, bytes: usize) -> (&str, usize) {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        if used + cost(c) > bytes {
            return (text.get(at + c.len_utf8()..).unwrap_or_default(), used);
        }
        used += cost(c);
    }
    (text, used)
}

/// A value, or its beginning as text when it takes more bytes than this in an answer.
pub(super) fn within(value: &Value, bytes: usize) -> Value {
    let text = line(value);
    if text.len() <= bytes {
        return value.clone();
    }
    json!({ "left_out": format!("{} bytes of JSON are too long to be shown here", text.len()), "begins": head(&text, bytes) })
}

/// An object that is made field by field.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// With this field.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With this field, if there is something to say.
    pub(super) fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With this field, if the text is not empty; the beginning of a long one.
    pub(super) fn with_text(self, name: &str, text: Option<&str>, bytes: usize) -> Self {
        let text = text.filter(|text| !text.is_empty());
        self.with_some(name, text.map(|text| head(text, bytes).into_owned()))
    }

    /// With this field, if there is anything in the list.
    pub(super) fn with_list(self, name: &str, items: impl IntoIterator<Item = Value>) -> Self {
        let items: Vec<Value> = items.into_iter().collect();
        if items.is_empty() { self } else { self.with(name, items) }
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// As many of these as fit into an answer, and always one; with the others counted.
pub(super) fn fitting(items: impl Iterator<Item = Value>, bytes: usize) -> (Vec<Value>, usize) {
    let (mut shown, mut more, mut left) = (Vec::new(), 0, bytes);
    for item in items {
        match left.checked_sub(line(&item).len()) {
            Some(less) if more == 0 => {
                left = less;
                shown.push(item);
            }
            None if shown.is_empty() => {
                left = 0;
                shown.push(item);
            }
            Some(_) | None => more += 1,
        }
    }
    (shown, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4c_an_answer_shows_what_was_said_and_stays_json() {
        let said = json!({ "a\u{202e}": "red\u{1b}[31m \u{7f}\u{e0001}\nnext \"é\"" });
        let text = line(&said);
        assert_eq!(text, r#"{"a\u202e":"red\u001b[31m \u007f\udb40\udc01\nnext \"é\""}"#);
        assert_eq!(escape(&text), text);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), said);
    }

    #[test]
    fn r4c_texts_are_cut_by_what_they_take_in_an_answer() {
        for text in ["plain text", "äöü\u{1b}\u{202e}\u{e0001}\"\n\u{0}", ""] {
            for bytes in 0..80 {
                let in_answer = |text: &str| line(&Value::from(text)).len() - 2;
                let (end, used) = tail(text, bytes);
                assert!(text.ends_with(end) && in_answer(end) <= bytes && used <= bytes);
                let begin = head(text, bytes);
                let cut = begin.strip_suffix('…').unwrap_or(&begin);
                assert!(text.starts_with(cut) && in_answer(cut) <= bytes);
                assert_eq!(begin == text, in_answer(text) <= bytes);
            }
        }
    }

    #[test]
    fn r4c_a_fault_is_one_bounded_line() {
        let answer = ToolAnswer::of(Err("\u{1b}[31m\n".repeat(100_000)));
        assert!(answer.is_error && answer.content.len() < 3 * FAULT_BYTES_MAX);
        assert_eq!(escape(&answer.content), answer.content);
    }

    #[test]
    fn r4c_what_does_not_fit_is_counted() {
        let items = || (0..5).map(|n| json!("x".repeat(10 + n)));
        assert_eq!(fitting(items(), 1_000).1, 0);
        let (shown, more) = fitting(items(), 26);
        assert_eq!((shown.len(), more), (2, 3));
        let (shown, more) = fitting(items(), 1);
        assert_eq!((shown.len(), more), (1, 4));
    }
}
