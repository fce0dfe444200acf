//! The values of the host's secrets: put into requests, and hidden wherever a guest's words are kept or sent.
//!
//! A value that was given back by a server, and came to a guest in some other form, may be told in its own form later. So
//! everything that a task prints, reports, stores, attaches, sends and returns passes here. What is found becomes as many `*`
//! as it had bytes: the length of a body is often told before the body.
//!
//! Values can be exchanged while the host lives. What was a secret once stays hidden as long as the host does.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use memchr::memmem::Finder;
use serde_json::Value;

/// Bytes of the shortest secret: what is shorter is found in texts that have nothing to do with it.
const BYTES_MIN: usize = 8;
/// Bytes of the longest. The end of what was printed is held back while it may be the beginning of one.
const BYTES_MAX: usize = 8 << 10;
/// What stands in its place.
const HIDDEN: u8 = b'*';

/// Why a text cannot be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It is too short to be told from other text, or too long for a header.
    #[error("it has {0} bytes, and a secret has {BYTES_MIN} to {BYTES_MAX}")]
    Length(usize),
    /// It cannot stand in a header.
    #[error("it has a line's end, a control character or a letter outside of ASCII, which cannot stand in a header")]
    Characters,
}

/// A secret whose value cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret {name} cannot be used: {source}")]
#[non_exhaustive]
pub struct InvalidSecret {
    /// What it is called.
    pub name: String,
    /// Why.
    pub source: SecretError,
}

/// Whether this can be the value of a secret.
pub(crate) fn check(value: &str) -> Result<(), SecretError> {
    if !(BYTES_MIN..=BYTES_MAX).contains(&value.len()) {
        return Err(SecretError::Length(value.len()));
    }
    if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(SecretError::Characters);
    }
    Ok(())
}

/// Values that can be secrets, by their names.
pub(crate) struct Values(BTreeMap<String, Arc<str>>);

impl Values {
    /// These, of which of the same name the last one counts.
    pub(crate) fn new(values: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidSecret> {
        let checked = |(name, value): (String, String)| match check(&value) {
            Ok(()) => Ok((name, Arc::from(value))),
            Err(source) => Err(InvalidSecret { name, source }),
        };
        values.into_iter().map(checked).collect::<Result<_, _>>().map(Self)
    }
}

/// The secrets of a host, by their names. Their values are never shown.
#[derive(Default)]
pub(crate) struct Secrets {
    known: RwLock<Arc<Known>>,
    /// Whether there is anything to hide: most hosts have nothing.
    any: AtomicBool,
}

/// The secrets at one moment.
#[derive(Default)]
pub(crate) struct Known {
    values: BTreeMap<String, Arc<str>>,
    /// Those, and all that were values before.
    hidden: Vec<Hidden>,
}

#[derive(Clone)]
struct Hidden {
    value: Arc<str>,
    finder: Finder<'static>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known().values.keys()).finish()
    }
}

impl Secrets {
    /// These, of which of the same name the last one counts.
    pub(crate) fn new(values: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidSecret> {
        let secrets = Self::default();
        secrets.exchange(Values::new(values)?, || ());
        Ok(secrets)
    }

    /// Has these values in the place of those before, and does what belongs to that in the same moment: nobody who
    /// [looks](Self::look) sees the one without the other. What is done must not look itself.
    pub(crate) fn exchange<T>(&self, Values(values): Values, with: impl FnOnce() -> T) -> T {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut hidden = known.hidden.clone();
        for value in values.values() {
            if !hidden.iter().any(|known| known.value == *value) {
                let finder = Finder::new(value.as_bytes()).into_owned();
                hidden.push(Hidden { value: Arc::clone(value), finder });
            }
        }
        self.any.store(!hidden.is_empty(), Ordering::Release);
        *known = Arc::new(Known { values, hidden });
        with()
    }

    /// Whether there is nothing to hide.
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// The secrets of this moment.
    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at them while nobody exchanges them, nor what is exchanged with them.
    #[cfg(feature = "http")]
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hides them in a whole text; `None` when none is in it.
    pub(crate) fn hidden(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_empty() { None } else { self.known().hidden(bytes) }
    }

    /// The same for a text.
    pub(crate) fn hide(&self, text: &mut String) -> bool {
        !self.is_empty() && self.known().hide(text)
    }
}

impl Known {
    #[cfg(feature = "http")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    #[cfg(feature = "http")]
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(AsRef::as_ref)
    }

    /// Whether one is in there.
    #[cfg(feature = "http")]
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.hidden.iter().any(|secret| secret.finder.find(bytes).is_some())
    }

    /// Bytes of the longest.
    #[cfg(feature = "http")]
    pub(crate) fn longest(&self) -> usize {
        self.hidden.iter().map(|secret| secret.value.len()).max().unwrap_or_default()
    }

    /// Marks every byte that belongs to a secret. Two of them may overlap.
    fn mark(&self, bytes: &[u8], marks: &mut [bool]) -> bool {
        let mut any = false;
        for Hidden { value, finder } in &self.hidden {
            let (mut from, mut marked) = (0, 0);
            while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)) {
                let (begin, end) = (from + at, from + at + value.len());
                // What the one before has marked is not marked again: a secret may be one letter many times.
                if let Some(place) = marks.get_mut(begin.max(marked)..end) {
                    place.fill(true);
                }
                any = true;
                (from, marked) = (begin + 1, end);
            }
        }
        any
    }

    /// Bytes at the end that may be the beginning of a secret.
    fn begun(&self, bytes: &[u8]) -> usize {
        let begun = |secret: &str| {
            let longest = bytes.len().min(secret.len().saturating_sub(1));
            (1..=longest).rev().find(|length| secret.as_bytes().get(..*length).is_some_and(|it| bytes.ends_with(it)))
        };
        self.hidden.iter().filter_map(|secret| begun(&secret.value)).max().unwrap_or_default()
    }

    /// Hides them in a whole text; `None` when none is in it.
    pub(crate) fn hidden(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !self.hidden.iter().any(|secret| secret.finder.find(bytes).is_some()) {
            return None;
        }
        let mut marks = vec![false; bytes.len()];
        self.mark(bytes, &mut marks).then(|| cover(bytes, &marks))
    }

    /// Hides them in a text. Says whether there was one.
    pub(crate) fn hide(&self, text: &mut String) -> bool {
        let hidden = self.hidden(text.as_bytes()).and_then(|hidden| String::from_utf8(hidden).ok());
        hidden.is_some_and(|hidden| {
            *text = hidden;
            true
        })
    }

    /// Hides them in all texts of a document, keys and values, and in its numbers, which become texts then. Says whether there
    /// was one.
    pub(crate) fn hide_in(&self, document: &mut Value) -> bool {
        match document {
            Value::String(text) => self.hide(text),
            // As it is written: a secret of digits may be part of it.
            Value::Number(number) => {
                let mut text = number.to_string();
                self.hide(&mut text) && {
                    *document = Value::String(text);
                    true
                }
            }
            Value::Array(items) => items.iter_mut().fold(false, |any, item| self.hide_in(item) | any),
            Value::Object(fields) => {
                let mut any = fields.values_mut().fold(false, |any, value| self.hide_in(value) | any);
                let named: Vec<String> =
                    fields.keys().filter(|key| self.hidden(key.as_bytes()).is_some()).cloned().collect();
                for mut key in named {
                    let value = fields.remove(&key).unwrap_or_default();
                    any |= self.hide(&mut key);
                    fields.insert(key, value);
                }
                any
            }
            Value::Null | Value::Bool(_) => false,
        }
    }
}

/// Puts a `*` in the place of every byte that is marked.
fn cover(bytes: &[u8], marks: &[bool]) -> Vec<u8> {
    bytes.iter().zip(marks).map(|(byte, is_secret)| if *is_secret { HIDDEN } else { *byte }).collect()
}

/// Hides secrets in bytes as they come. What may be the beginning of one is held back until it is known.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    secrets: Arc<Secrets>,
    held: Vec<u8>,
    /// Which of those belong to a secret in any case.
    marks: Vec<bool>,
}

impl Screen {
    pub(crate) fn new(secrets: Arc<Secrets>) -> Self {
        Self { secrets, held: Vec::new(), marks: Vec::new() }
    }

    /// Whether there is nothing to hide: what comes can be passed on as it is.
    pub(crate) fn is_idle(&self) -> bool {
        self.secrets.is_empty()
    }

    /// What of these bytes, and of those held back before, can be passed on.
    pub(crate) fn pass(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.is_idle() {
            return bytes;
        }
        let known = self.secrets.known();
        self.held.extend(bytes);
        self.marks.resize(self.held.len(), false);
        known.mark(&self.held, &mut self.marks);
        let kept = known.begun(&self.held);
        let passed = self.held.len().saturating_sub(kept);
        let (held, marks) = (self.held.split_off(passed), self.marks.split_off(passed));
        let passed = std::mem::replace(&mut self.held, held);
        cover(&passed, &std::mem::replace(&mut self.marks, marks))
    }

    /// What is held back, when nothing follows it.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        cover(&std::mem::take(&mut self.held), &std::mem::take(&mut self.marks))
    }
}

/// A file as it may be kept: with every secret in it hidden.
pub(crate) struct Screened<R> {
    source: R,
    screen: Screen,
    /// What may be read already, and how much of it was.
    ready: io::Cursor<Vec<u8>>,
    buffer: Vec<u8>,
    is_over: bool,
}

/// Bytes of a file that are looked through at once.
const PIECE_BYTES: usize = 64 << 10;

impl<R: Read> Screened<R> {
    pub(crate) fn new(source: R, secrets: &Arc<Secrets>) -> Self {
        let screen = Screen::new(Arc::clone(secrets));
        Self { source, screen, ready: io::Cursor::default(), buffer: vec![0; PIECE_BYTES], is_over: false }
    }
}

impl<R: Read> Read for Screened<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.ready.read(into)?;
            if count > 0 || into.is_empty() || self.is_over {
                return Ok(count);
            }
            let count = self.source.read(&mut self.buffer)?;
            self.is_over = count == 0;
            let piece = self.buffer.get(..count).unwrap_or_default().to_vec();
            let passed = if self.is_over { self.screen.rest() } else { self.screen.pass(piece) };
            self.ready = io::Cursor::new(passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(values: &[&str]) -> Arc<Secrets> {
        let named = values.iter().enumerate().map(|(number, value)| (format!("s{number}"), (*value).to_owned()));
        Arc::new(Secrets::new(named).unwrap())
    }

    fn screened<'a>(secrets: &Arc<Secrets>, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut screen = Screen::new(Arc::clone(secrets));
        let mut passed: Vec<u8> = pieces.into_iter().flat_map(|piece| screen.pass(piece.to_vec())).collect();
        passed.extend(screen.rest());
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn t14_a_secret_is_hidden_wherever_it_is_cut() {
        let secrets = secrets(&["s3cr3t-value"]);
        let text = "before s3cr3t-value, s3cr3t-valu, and s3cr3t-values3cr3t-value.";
        let hidden = "before ************, s3cr3t-valu, and ************************.";
        for size in 1..text.len() {
            assert_eq!(screened(&secrets, text.as_bytes().chunks(size)), hidden, "pieces of {size}");
        }
    }

    #[test]
    fn t14_secrets_that_overlap_are_hidden_both() {
        let secrets = secrets(&["xy-abcdef", "abcdef-0123", "abcdef-0"]);
        for (text, hidden) in [
            ("xy-abcdef-0123!", "**************!"),
            ("xy-abcdef zzz", "********* zzz"),
            ("abcdef-0123", "***********"),
            ("abcdef-01", "********1"),
            ("xy-abcde", "xy-abcde"),
        ] {
            for size in 1..=text.len() {
                assert_eq!(screened(&secrets, text.as_bytes().chunks(size)), hidden, "{text} in pieces of {size}");
            }
        }
    }

    #[test]
    fn t14_only_what_may_become_a_secret_is_held_back() {
        let mut screen = Screen::new(secrets(&["s3cr3t-value"]));
        assert_eq!(screen.pass(b"hello\n".to_vec()), b"hello\n");
        assert_eq!(screen.pass(b"is s3c".to_vec()), b"is ");
        assert_eq!(screen.pass(b"ond".to_vec()), b"s3cond");
        assert_eq!(screen.rest(), b"");
    }

    #[test]
    fn t14_documents_are_searched_through() {
        let secrets = secrets(&["s3cr3t-value"]);
        let mut document = json!({"a": ["x s3cr3t-value", 1], "s3cr3t-value": {"b": null}});
        assert!(secrets.known().hide_in(&mut document));
        assert_eq!(document, json!({"a": ["x ************", 1], "************": {"b": null}}));
        assert!(!secrets.known().hide_in(&mut document));
    }

    #[test]
    fn t14_a_secret_of_digits_is_hidden_in_numbers() {
        let secrets = secrets(&["12345678"]);
        let mut document = json!({"a": [12_345_678, -912_345_678, 12_345_678.5, 1_234_567], "b": 0.5, "12345678": 1});
        assert!(secrets.known().hide_in(&mut document));
        assert_eq!(
            document,
            json!({"a": ["********", "-9********", "********.5", 1_234_567], "b": 0.5, "********": 1})
        );
        assert!(!secrets.known().hide_in(&mut document));
    }

    #[test]
    fn t14_a_file_is_read_without_the_secrets_in_it_wherever_a_piece_ends() {
        let secrets = secrets(&["s3cr3t-value"]);
        for before in [0, 1, PIECE_BYTES - 12, PIECE_BYTES - 11, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES - 5] {
            let file = format!("{}s3cr3t-value and s3cr3t-val", "x".repeat(before));
            let mut read = Vec::new();
            let size = Screened::new(file.as_bytes(), &secrets).read_to_end(&mut read).unwrap();
            assert_eq!(size, file.len());
            assert_eq!(String::from_utf8(read).unwrap(), file.replace("s3cr3t-value", "************"), "{before}");
        }
        let mut read = Vec::new();
        Screened::new(&b"s3cr3t-value"[..], &Arc::default()).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"s3cr3t-value");
    }

    #[test]
    fn t14_what_was_a_secret_once_stays_hidden() {
        let secrets = secrets(&["the-first-value", "another-value"]);
        let named = |value: &str| Values::new([("s0".to_owned(), value.to_owned())]).unwrap();
        let seen = secrets.exchange(named("the-second-value"), || "meanwhile");
        assert_eq!(seen, "meanwhile");
        let known = secrets.known();
        assert_eq!(known.values.get("s0").map(AsRef::as_ref), Some("the-second-value"));
        assert_eq!(known.values.len(), 1);
        for value in ["the-first-value", "another-value", "the-second-value"] {
            assert_eq!(secrets.hidden(value.as_bytes()), Some(vec![b'*'; value.len()]));
        }
        // The same ones again are not searched for twice.
        secrets.exchange(named("the-first-value"), || ());
        assert_eq!(secrets.known().hidden.len(), 3);
        let two = [("a".to_owned(), "a-good-value".to_owned()), ("b".to_owned(), "short".to_owned())];
        let refused = Values::new(two).map(|_| ()).unwrap_err();
        assert_eq!(refused, InvalidSecret { name: "b".to_owned(), source: SecretError::Length(5) });
    }

    #[test]
    fn t14_what_cannot_be_found_again_is_no_secret() {
        let refused = |value: &str| Secrets::new([("a".to_owned(), value.to_owned())]).unwrap_err().source;
        assert_eq!(refused("short"), SecretError::Length(5));
        assert_eq!(refused("two\r\nlines"), SecretError::Characters);
        assert_eq!(refused("in-every-language-ö"), SecretError::Characters);
        assert!(Secrets::default().is_empty());
        let secrets = Secrets::new([("a".to_owned(), "long-enough".to_owned())]).unwrap();
        assert_eq!(format!("{secrets:?}"), r#"{"a"}"#);
    }
}
