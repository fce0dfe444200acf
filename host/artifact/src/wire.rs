//! What the host and the child that compiles for it say to each other, over the child's stdin and stdout.
//!
//! ```text
//! request: MARK, memory in bytes (u64), CPU time in seconds (u64), kind (u8), length (u64), the plugin; then an open end
//! answer:  MARK, what it is (u8), and the rest up to the end of the stream
//! ```
//!
//! Numbers are little-endian. The request's end stays open for as long as the host wants the answer: it is how the child
//! learns that the host has gone.

use crate::Code;

/// The argument that makes a program the child: `taskcell taskcell-compile`.
pub const WORD: &str = "taskcell-compile";
/// What both streams begin with. It changes with the format, so that two versions do not misunderstand each other.
pub(crate) const MARK: &[u8; 12] = b"taskcell-c 1";
/// Bytes of a request before the plugin.
pub(crate) const HEAD_BYTES: usize = MARK.len() + 8 + 8 + 1 + 8;
/// Bytes of an answer before what it is about.
pub(crate) const ANSWER_HEAD_BYTES: usize = MARK.len() + 1;

/// What became of a plugin.
#[derive(Debug)]
pub enum Answer {
    /// It is compiled.
    Code(Code),
    /// No component could be made of the core module, and why.
    NoComponent(String),
    /// The compiler refused it, and why.
    Refused(String),
    /// There was not enough memory, and what for.
    NoMemory(String),
}

impl Answer {
    /// What stands for it in the answer's head, and what follows.
    pub(crate) fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Code(code) => (b'c', code.bytes()),
            Self::NoComponent(text) => (b'w', text.as_bytes()),
            Self::Refused(text) => (b'r', text.as_bytes()),
            Self::NoMemory(text) => (b'm', text.as_bytes()),
        }
    }

    /// Reads a whole answer; `None` when it is none.
    pub(crate) fn read(mut bytes: Vec<u8>) -> Option<Self> {
        let (mark, rest) = bytes.split_at_checked(MARK.len())?;
        let kind = *rest.first().filter(|_| mark == MARK)?;
        bytes.drain(..ANSWER_HEAD_BYTES);
        if kind == b'c' {
            return Some(Self::Code(Code::from_child(bytes)));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match kind {
            b'w' => Some(Self::NoComponent(text)),
            b'r' => Some(Self::Refused(text)),
            b'm' => Some(Self::NoMemory(text)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written_and_rubbish_is_none() {
        let answers = [Answer::NoComponent("a".into()), Answer::Refused("é".into()), Answer::NoMemory(String::new())];
        for answer in answers {
            let (kind, rest) = answer.parts();
            let bytes = [MARK.as_slice(), &[kind], rest].concat();
            assert_eq!(format!("{:?}", Answer::read(bytes)), format!("{:?}", Some(answer)));
        }
        for rubbish in [b"".as_slice(), b"x", MARK, b"taskcell-c 2c", b"taskcell-c 1?", b"\x7fELF and so on, and on"] {
            assert!(Answer::read(rubbish.to_vec()).is_none(), "{rubbish:?}");
        }
    }
}
