//! Runs other programs: quietly, with signs of life, and for no longer than allowed. The one file that looks at a clock.
#![expect(clippy::disallowed_methods, reason = "this file owns the crate's access to the clock")]

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, PipeReader, pipe},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use crate::ToolchainError;

/// After so long without a word from us the person gets a line that says it is still going on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// So many of a failed program's last lines go into the error.
const TAIL_LINES: usize = 25;

/// Since when something has been going on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// What a program prints to stdout, if it succeeds. For quick questions: no limit and no signs of life.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a program prints to stdout, whether it succeeds or not.
pub(crate) fn any_answer(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// Runs a program to its end. What it prints is kept back; the last of it is in the error when it fails.
///
/// `what` is a clause such as "building std". With a `limit`, a program that takes longer is stopped.
pub(crate) fn run(
    what: &str,
    mut command: Command,
    limit: Option<Duration>,
    say: &mut dyn FnMut(&str),
) -> Result<(), ToolchainError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawn_error = |source| ToolchainError::Spawn { program: program.clone(), source };
    let (reader, writer) = pipe().map_err(spawn_error)?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(spawn_error)?).stderr(writer);
    let mut child = command.spawn().map_err(spawn_error)?;
    // The command holds our copies of the pipe's writing end; the end of the output is seen only without them.
    drop(command);
    let lines = read_lines(reader).map_err(spawn_error)?;

    let mut tail = VecDeque::new();
    if let Err(error) = listen(what, &lines, limit, &mut tail, say) {
        stop(&mut child);
        return Err(error);
    }
    let status = child.wait().map_err(spawn_error)?;
    if status.success() {
        return Ok(());
    }
    let tail = tail.into_iter().collect::<Vec<_>>().join("\n");
    Err(ToolchainError::Failed { what: what.to_owned(), status: status.to_string(), tail })
}

/// Takes lines until there are no more, or until the limit.
fn listen(
    what: &str,
    lines: &Receiver<String>,
    limit: Option<Duration>,
    tail: &mut VecDeque<String>,
    say: &mut dyn FnMut(&str),
) -> Result<(), ToolchainError> {
    let started = Stopwatch::start();
    let mut last_word = started;
    loop {
        let until_sign = SIGN_OF_LIFE.saturating_sub(last_word.elapsed());
        let until_limit = limit.map_or(until_sign, |limit| limit.saturating_sub(started.elapsed()));
        match lines.recv_timeout(until_sign.min(until_limit)) {
            Ok(line) => {
                tail.push_back(line);
                if tail.len() > TAIL_LINES {
                    tail.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if let Some(limit) = limit.filter(|limit| started.elapsed() >= *limit) {
            return Err(ToolchainError::TooSlow { what: what.to_owned(), limit });
        }
        if last_word.elapsed() >= SIGN_OF_LIFE {
            let at = tail.back().map(|line| format!(" ({})", line.trim())).unwrap_or_default();
            say(&format!("{what}: {} s so far{at}", started.elapsed().as_secs()));
            last_word = Stopwatch::start();
        }
    }
}

/// A thread of its own reads, because a pipe has no reading with a time limit. It ends with the pipe.
fn read_lines(reader: PipeReader) -> std::io::Result<Receiver<String>> {
    let (sender, receiver) = sync_channel(64);
    thread::Builder::new().name("program output".to_owned()).spawn(move || forward(reader, &sender))?;
    Ok(receiver)
}

fn forward(reader: PipeReader, sender: &SyncSender<String>) {
    for line in BufReader::new(reader).split(b'\n') {
        let Ok(line) = line else { return };
        // Nobody listens after a time limit; reading on lets the program end instead of filling the pipe.
        sender.send(String::from_utf8_lossy(&line).into_owned()).unwrap_or_default();
    }
}

/// Neither can fail in a way that anything could be done about: it has ended, or it ends now.
fn stop(child: &mut Child) {
    child.kill().unwrap_or_default();
    drop(child.wait());
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_brings_its_last_words() {
        let script = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; done; echo oh dear >&2; exit 3";
        let error = run("counting", sh(script), None, &mut |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("counting failed (exit status: 3)"), "{error}");
        assert!(error.ends_with("line 40\noh dear"), "{error}");
        assert!(!error.contains("line 16\n") && error.contains("line 17\n"), "{error}");
    }

    #[test]
    fn a_program_that_takes_too_long_is_stopped() {
        let limit = Duration::from_millis(50);
        let watch = Stopwatch::start();
        let error = run("waiting", sh("exec tail -f /dev/null"), Some(limit), &mut |_| {}).unwrap_err();
        assert!(matches!(error, ToolchainError::TooSlow { .. }), "{error}");
        assert!(watch.elapsed() < Duration::from_mins(2), "{:?}", watch.elapsed());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run("x", Command::new("no-such-program-here"), None, &mut |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("cannot run `no-such-program-here`: "), "{error}");
    }

    #[test]
    fn only_a_success_is_an_answer() {
        assert_eq!(answer(&mut sh("echo yes")), Some("yes".to_owned()));
        assert_eq!(answer(&mut sh("echo yes; exit 1")), None);
        assert_eq!(any_answer(&mut sh("echo yes; exit 1")), "yes\n");
    }
}
