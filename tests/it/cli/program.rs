//! Runs the program that cargo built, each time in an empty folder of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{WATCHDOG, files, guest, process};

/// The program.
pub(crate) fn path() -> PathBuf {
    process::taskcell()
}

/// The build directory as a whole.
pub(crate) fn target_dir() -> PathBuf {
    path().parent().unwrap().parent().unwrap().to_owned()
}

/// A place to run the program in.
pub(crate) struct Place {
    dir: TempDir,
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What stdout holds, which must be JSON and nothing else.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the exit code.
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Checks that stderr says something.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said: {self:?}");
        self
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into the place.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        files::make_folder(path.parent().unwrap());
        files::write(&path, content);
        path
    }

    /// Reads a file in the place.
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> String {
        files::read_text(self.path().join(name))
    }

    /// A command that is not started yet, without terminal and without input.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(path());
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env("TASKCELL_CACHE_DIR", target_dir().join("guests/compiled-by-cli"));
        command.env_remove("TASKCELL_SDK");
        command
    }

    /// `taskcell run` with a guest of the tests.
    pub(crate) fn run_command(&self, guest_name: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&["run"]);
        command.arg(guest(guest_name)).args(arguments);
        command
    }

    /// Runs the program to its end.
    pub(crate) fn taskcell(&self, arguments: &[&str]) -> Done {
        finish(self.command(arguments), "")
    }

    /// Runs `taskcell run` with a guest of the tests to its end.
    pub(crate) fn run(&self, guest_name: &str, arguments: &[&str]) -> Done {
        finish(self.run_command(guest_name, arguments), "")
    }

    /// Runs a task of the fixture guest to its end.
    pub(crate) fn fixture(&self, arguments: &[&str]) -> Done {
        self.run("fixture", arguments)
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, guest_name: &str, arguments: &[&str]) -> Running {
        Running::start(self.run_command(guest_name, arguments))
    }
}

/// Runs a command to its end, under the watchdog, with this on its stdin.
pub(crate) fn finish(command: Command, input: &str) -> Done {
    finish_within(WATCHDOG, command, input)
}

/// Runs a command that compiles to its end: some minutes, where other tests have the cores.
pub(crate) fn finish_build(command: Command) -> Done {
    finish_within(Duration::from_mins(20), command, "")
}

fn finish_within(limit: Duration, command: Command, input: &str) -> Done {
    let mut command = assert_cmd::Command::from_std(command);
    Done::from(command.write_stdin(input.to_owned()).timeout(limit).output().unwrap())
}

/// The program while it runs.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stderr.take().unwrap());
        Self { child, lines, seen: String::new() }
    }

    /// Waits until stderr has a line with this text.
    pub(crate) fn until(&mut self, text: &str) {
        while let Some(line) = self.next_line() {
            if line.contains(text) {
                return;
            }
        }
        panic!("it ended without saying {text:?}:\n{}", self.seen);
    }

    fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(WATCHDOG) {
            Ok(line) => {
                self.seen.push_str(&line);
                self.seen.push('\n');
                Some(line)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("stuck after:\n{}", self.seen),
        }
    }

    /// Sends a signal by its name: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Closes our end of its stdout.
    pub(crate) fn close_stdout(&mut self) {
        drop(self.child.stdout.take());
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        while self.next_line().is_some() {}
        let mut stdout = String::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut stdout).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        Done { code, stdout, stderr: std::mem::take(&mut self.seen) }
    }
}

/// The program while it writes lines to its stdout.
pub(crate) struct Following {
    running: Running,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Following {
    pub(crate) fn start(command: Command) -> Self {
        let mut running = Running::start(command);
        let lines = lines(running.child.stdout.take().unwrap());
        Self { running, lines, seen: Vec::new() }
    }

    /// Waits until there is a line with this text.
    pub(crate) fn until(&mut self, text: &str) {
        self.until_both(text, "");
    }

    /// Whether there is a line with this text by now.
    pub(crate) fn has_said(&mut self, text: &str) -> bool {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().any(|line| line.contains(text))
    }

    /// Waits until there is a line with both of these texts.
    pub(crate) fn until_both(&mut self, text: &str, other: &str) {
        while !self.seen.iter().any(|line| line.contains(text) && line.contains(other)) {
            match self.lines.recv_timeout(WATCHDOG) {
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("{error} without {text:?} and {other:?}: {:#?}", self.seen),
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        self.seen.extend(self.lines.iter());
        let Done { code, stderr, .. } = self.running.end();
        Done { code, stdout: self.seen.join("\n"), stderr }
    }

    /// Ends it, and says what it wrote.
    pub(crate) fn stop(self) -> String {
        self.running.signal("KILL");
        self.end().stdout
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind; one that does not has waited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(status.success());
}

/// The lines of a pipe as they come. A thread reads, so that waiting for one can be given up.
#[expect(clippy::disallowed_methods, reason = "the thread ends with the pipe")]
fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if tell.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

/// A path as an argument.
pub(crate) fn text(path: &(impl AsRef<OsStr> + ?Sized)) -> &str {
    path.as_ref().to_str().unwrap()
}
