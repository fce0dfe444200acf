//! A program of the demo: it never outlives us, and it can be sent a Ctrl-C.

use std::{
    io::{BufRead, BufReader},
    process::{self, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// A running program, which is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Child {
    inner: process::Child,
    /// What it says on stderr, line by line, if we listen.
    lines: Option<Receiver<String>>,
}

/// What came first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Line(String),
    /// It has closed its stderr, which it does by ending.
    End,
    Nothing,
}

impl Child {
    /// Starts a program with our own stdin, stdout and stderr.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let inner = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self { inner, lines: None })
    }

    /// Starts a program whose stderr passes through our hands.
    pub(crate) fn start_and_listen(mut command: Command) -> Result<Self> {
        let mut child = Self::start({
            command.stdin(Stdio::null()).stderr(Stdio::piped());
            command
        })?;
        let stderr = child.inner.stderr.take().context("the program has no stderr")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                eprintln!("  | {line}");
                // Reading goes on when nobody listens any more, so that the program is not held up.
                sender.send(line).unwrap_or_default();
            }
        });
        child.lines = Some(lines);
        Ok(child)
    }

    /// Waits for the next line on stderr.
    pub(crate) fn hear(&self, limit: Duration) -> Heard {
        match self.lines.as_ref().map(|lines| lines.recv_timeout(limit)) {
            Some(Ok(line)) => Heard::Line(line),
            Some(Err(RecvTimeoutError::Timeout)) => Heard::Nothing,
            Some(Err(RecvTimeoutError::Disconnected)) | None => Heard::End,
        }
    }

    /// Waits for a line on stderr with this in it, for so long at most.
    pub(crate) fn hear_of(&self, word: &str, limit: Duration) -> Heard {
        let started = Instant::now();
        loop {
            match self.hear(limit.saturating_sub(started.elapsed())) {
                Heard::Line(line) if !line.contains(word) => {}
                heard @ (Heard::Line(_) | Heard::End | Heard::Nothing) => return heard,
            }
        }
    }

    /// Listens until the program ends, for so long at most. Whether it has ended.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let started = Instant::now();
        loop {
            match self.hear(limit.saturating_sub(started.elapsed())) {
                Heard::End => return true,
                Heard::Nothing => return false,
                Heard::Line(_) => {}
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.inner.wait().context("cannot wait for the program")
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.inner.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.inner.kill().unwrap_or_default();
        drop(self.inner.wait());
    }
}
