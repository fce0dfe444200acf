//! The values of the host's secrets: put into requests, and hidden wherever a guest's words are kept.
//!
//! A value that was given back by a server, and came to a guest in some other form, may be printed in its own form later. So
//! everything that a task prints, reports and returns passes here. What is found becomes as many `*` as it had bytes: the
//! length of a body is often told before the body.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

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

/// The secrets of a host, by their names. Their values are never shown.
#[derive(Default)]
pub(crate) struct Secrets {
    values: BTreeMap<String, Secret>,
}

struct Secret {
    value: String,
    finder: Finder<'static>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// Keeps one more; one of the same name is replaced.
    pub(crate) fn add(&mut self, name: String, value: String) -> Result<(), SecretError> {
        if !(BYTES_MIN..=BYTES_MAX).contains(&value.len()) {
            return Err(SecretError::Length(value.len()));
        }
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(SecretError::Characters);
        }
        let finder = Finder::new(value.as_bytes()).into_owned();
        self.values.insert(name, Secret { value, finder });
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    #[cfg(feature = "http")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    #[cfg(feature = "http")]
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|secret| secret.value.as_str())
    }

    /// Marks every byte that belongs to a secret. Two of them may overlap.
    fn mark(&self, bytes: &[u8], marks: &mut [bool]) -> bool {
        let mut any = false;
        for Secret { value, finder } in self.values.values() {
            let mut from = 0;
            while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)) {
                let begin = from + at;
                marks.iter_mut().skip(begin).take(value.len()).for_each(|mark| *mark = true);
                any = true;
                from = begin + 1;
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
        self.values.values().filter_map(|secret| begun(&secret.value)).max().unwrap_or_default()
    }

    /// Hides them in a whole text; `None` when none is in it.
    pub(crate) fn hidden(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        let mut marks = vec![false; bytes.len()];
        self.mark(bytes, &mut marks).then(|| cover(bytes, &marks))
    }

    /// Hides them in all texts of a document, keys and values. Says whether there was one.
    pub(crate) fn hide_in(&self, document: &mut Value) -> bool {
        let hide = |text: &mut String| {
            let hidden = self.hidden(text.as_bytes()).and_then(|hidden| String::from_utf8(hidden).ok());
            hidden.is_some_and(|hidden| {
                *text = hidden;
                true
            })
        };
        match document {
            Value::String(text) => hide(text),
            Value::Array(items) => items.iter_mut().fold(false, |any, item| self.hide_in(item) | any),
            Value::Object(fields) => {
                let mut any = fields.values_mut().fold(false, |any, value| self.hide_in(value) | any);
                let named: Vec<String> =
                    fields.keys().filter(|key| self.hidden(key.as_bytes()).is_some()).cloned().collect();
                for mut key in named {
                    let value = fields.remove(&key).unwrap_or_default();
                    any |= hide(&mut key);
                    fields.insert(key, value);
                }
                any
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
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
        self.held.extend(bytes);
        self.marks.resize(self.held.len(), false);
        self.secrets.mark(&self.held, &mut self.marks);
        let kept = self.secrets.begun(&self.held);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets(values: &[&str]) -> Arc<Secrets> {
        let mut secrets = Secrets::default();
        for (number, value) in values.iter().enumerate() {
            secrets.add(format!("s{number}"), (*value).to_owned()).unwrap();
        }
        Arc::new(secrets)
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
        assert!(secrets.hide_in(&mut document));
        assert_eq!(document, json!({"a": ["x ************", 1], "************": {"b": null}}));
        assert!(!secrets.hide_in(&mut document));
    }

    #[test]
    fn t14_what_cannot_be_found_again_is_no_secret() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.add("a".into(), "short".into()), Err(SecretError::Length(5)));
        assert_eq!(secrets.add("a".into(), "two\r\nlines".into()), Err(SecretError::Characters));
        assert_eq!(secrets.add("a".into(), "in-every-language-ö".into()), Err(SecretError::Characters));
        assert!(secrets.is_empty());
        secrets.add("a".into(), "long-enough".into()).unwrap();
        assert_eq!(format!("{secrets:?}"), r#"{"a"}"#);
    }
}
