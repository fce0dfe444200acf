//! Why the program could not do what it was asked for: what to say, what to suggest, with which code to end.

use anyhow::Error;

use super::exit::Exit;

/// The end of a command that did not work.
#[derive(Debug)]
pub(super) struct Fault {
    exit: Exit,
    error: Option<Error>,
    hint: Option<String>,
}

impl Fault {
    /// A fault with something to say.
    pub(super) fn new(exit: Exit, error: impl Into<Error>) -> Self {
        Self { exit, error: Some(error.into()), hint: None }
    }

    /// A fault of the command line.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, Error::msg(message.into()))
    }

    /// Stdout cannot be written, for another reason than that its reader has gone.
    pub(super) fn stdout(error: std::io::Error) -> Self {
        Self::new(Exit::Host, Error::new(error).context("failed to write to stdout"))
    }

    /// An end that needs no words any more.
    pub(super) fn silent(exit: Exit) -> Self {
        Self { exit, error: None, hint: None }
    }

    /// With what was to be done, in front of why it was not.
    pub(super) fn context(mut self, what: &'static str) -> Self {
        self.error = self.error.map(|error| error.context(what));
        self
    }

    /// With a line that says what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a line that says what to do next, if there is one.
    pub(super) fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The code to end with.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// What is to be told, line by line. What follows the first line of an error is indented: it may quote somebody, and is
    /// not to pass for a line of the program's own.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(error) = &self.error {
            let sentence = sentence(error);
            let mut told = sentence.lines();
            lines.push(format!("error: {}", told.next().unwrap_or_default()));
            lines.extend(told.map(|line| format!("  {line}")));
        }
        if let Some(hint) = &self.hint {
            lines.push(format!("hint: {hint}"));
        }
        lines
    }
}

/// The error with its causes. Some errors name their cause themselves, which is not said twice.
pub(super) fn sentence(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let inner = std::io::Error::other("disk on fire");
        let twice = Error::new(inner).context("failed to read x: disk on fire").context("failed to load x");
        assert_eq!(sentence(&twice), "failed to load x: failed to read x: disk on fire");
    }

    #[test]
    fn the_hint_has_a_line_of_its_own() {
        let fault = Fault::usage("one\nhint: do that").hint("do this");
        assert_eq!(fault.lines(), ["error: one", "  hint: do that", "hint: do this"]);
        assert!(Fault::silent(Exit::Interrupted).lines().is_empty());
    }
}
