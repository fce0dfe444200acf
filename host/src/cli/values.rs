//! Reads the values of the command line: fuel, sizes, times, folders, fields, signals, decisions.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::Value;

use crate::{Access, DirGrant, SignalKey};

use super::prompt::Verdict;

/// The most memory a 32-bit guest can have, in bytes.
const MEMORY_MAX: u64 = 4 << 30;
/// One page, the least memory that is of any use, in bytes.
const MEMORY_MIN: u64 = 64 << 10;

/// One field of the input: where it stands, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// The names on the way to it.
    pub(super) path: Vec<String>,
    /// What it is set to.
    pub(super) value: Value,
}

/// A signal that is there before the task asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EarlySignal {
    /// For which wait.
    pub(super) key: SignalKey,
    /// What comes along.
    pub(super) payload: Option<Value>,
}

/// What is decided about every question of a kind before the task asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EarlyVerdict {
    /// The kind of the question.
    pub(super) kind: String,
    /// What is decided.
    pub(super) verdict: Verdict,
}

/// Units of fuel to run with: see [`units`], and not none.
pub(super) fn fuel(text: &str) -> Result<u64, String> {
    match units(text)? {
        0 => Err("without fuel nothing runs".to_owned()),
        units => Ok(units),
    }
}

/// Units of fuel: a number with k, M, G or T, which are powers of 1000.
pub(super) fn units(text: &str) -> Result<u64, String> {
    const EXAMPLE: &str = "write for example 500M or 2G (2 000 000 000 units)";
    if text.ends_with(['b', 'B']) {
        return Err(format!("fuel is counted in units, not in bytes; {EXAMPLE}"));
    }
    let units = text.replace('_', "").parse::<ByteSize>().map_err(|_| format!("this is no amount; {EXAMPLE}"))?;
    Ok(units.as_u64())
}

/// A number of things.
pub(super) fn count(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| "this is no number; write for example 500 or 10_000".to_owned())
}

/// How often something may happen in a second.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("the least is 1 a second".to_owned()),
        rate => Ok(rate),
    }
}

/// A number of bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>().map_err(|_| "this is no size; write for example 128MiB or 1GiB".to_owned())?;
    Ok(size.as_u64())
}

/// Bytes of memory.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        size @ MEMORY_MIN..=MEMORY_MAX => Ok(size),
        size if size < MEMORY_MIN => Err("a task needs at least 64KiB; write for example 128MiB".to_owned()),
        _ => Err("a task can have at most 4GiB".to_owned()),
    }
}

/// A time that may be zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 30s, 5m or 1h30m"))
}

/// A time that is not zero.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a task needs some time".to_owned()),
        time => Ok(time),
    }
}

/// `HOST[::GUEST][:rw]`. The folder's name need not be UTF-8 when the guest's path is given.
pub(super) fn dir(argument: &OsStr) -> Result<DirGrant, String> {
    let bytes = argument.as_bytes();
    let (bytes, access) = match (bytes.strip_suffix(b":rw"), bytes.strip_suffix(b":ro")) {
        (Some(rest), _) => (rest, Access::ReadWrite),
        (None, Some(rest)) => (rest, Access::Read),
        (None, None) => (bytes, Access::Read),
    };
    let (host, guest) = match bytes.windows(2).rposition(|pair| pair == b"::") {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 2..).unwrap_or_default()),
        None => (bytes, bytes),
    };
    if host.is_empty() {
        return Err("the folder is missing before `::`".to_owned());
    }
    let guest = std::str::from_utf8(guest)
        .map_err(|_| "the path for the task must be UTF-8; add one, as in DIR::/data".to_owned())?;
    if guest.is_empty() {
        return Err("the path for the task is missing after `::`".to_owned());
    }
    if guest.contains('\0') {
        return Err("a path cannot hold NUL".to_owned());
    }
    Ok(DirGrant::new(PathBuf::from(OsString::from_vec(host.to_vec())), guest, access))
}

/// `key=value` or `outer.inner=value`. What is no JSON is a text.
pub(super) fn field(text: &str) -> Result<Field, String> {
    let (path, value) = text.split_once('=').ok_or("a field is set as name=value")?;
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err("a part of the field's name is empty".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok(Field { path, value })
}

/// `key` or `key=json`.
pub(super) fn signal(text: &str) -> Result<EarlySignal, String> {
    let (key, payload) = match text.split_once('=') {
        Some((key, payload)) => (key, Some(payload)),
        None => (text, None),
    };
    let key = SignalKey::new(key).map_err(|error| error.to_string())?;
    let payload = payload.map(|text| payload_of(&key, text)).transpose()?;
    Ok(EarlySignal { key, payload })
}

fn payload_of(key: &SignalKey, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| {
        let quoted = Value::String(text.to_owned());
        format!("`{text}` is not JSON: a yes is {key}=true, a text has quotes: '{key}={quoted}'")
    })
}

/// `kind` or `kind=json`: a yes, perhaps with something else to do.
pub(super) fn approval(text: &str) -> Result<EarlyVerdict, String> {
    let (kind, input) = match text.split_once('=') {
        Some((kind, input)) => (kind, Some(input)),
        None => (text, None),
    };
    let read = |input: &str| {
        serde_json::from_str(input).map_err(|_| {
            let quoted = Value::String(input.to_owned());
            format!("`{input}` is not JSON: a plain yes is `{kind}`, a text has quotes: '{kind}={quoted}'")
        })
    };
    Ok(EarlyVerdict { kind: named(kind)?, verdict: Verdict::Approve(input.map(read).transpose()?) })
}

/// `kind` or `kind=reason`: a no.
pub(super) fn denial(text: &str) -> Result<EarlyVerdict, String> {
    let (kind, reason) = text.split_once('=').unwrap_or((text, ""));
    Ok(EarlyVerdict { kind: named(kind)?, verdict: Verdict::Deny(reason.to_owned()) })
}

fn named(kind: &str) -> Result<String, String> {
    if kind.is_empty() { Err("the kind of the question is missing".to_owned()) } else { Ok(kind.to_owned()) }
}

/// `NAME=VALUE`.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the variable's name is missing before `=`".to_owned()),
        Some((name, value)) if !name.contains('\0') && !value.contains('\0') => Ok((name.to_owned(), value.to_owned())),
        Some(_) => Err("a variable cannot hold NUL".to_owned()),
        None => Err(format!("a variable is given as NAME=VALUE, for example {text}=1")),
    }
}

#[cfg(test)]
mod tests;
