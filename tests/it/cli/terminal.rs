//! What a person sees and types: the program with a terminal at stdin and stderr.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::program::{Place, signal};
use crate::support::WATCHDOG;

/// The program at a terminal, and our end of that terminal.
pub(super) struct Seated {
    pub(super) child: Child,
    keyboard: File,
    screen: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Seated {
    /// Runs a task of the fixture guest at a terminal of this width.
    pub(super) fn run(place: &Place, columns: u16, arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        tcsetwinsize(&ours, Winsize { ws_col: columns, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = || Stdio::from(OpenOptions::new().read(true).write(true).open(&name).unwrap());
        let mut command = place.run_command("fixture", arguments);
        command.env("TERM", "xterm").stdin(theirs()).stderr(theirs()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        // The command holds their end too, and as long as it is open the screen has no end.
        drop(command);
        Self { child, screen: watch(ours.try_clone().unwrap()), keyboard: File::from(ours), seen: String::new() }
    }

    /// Waits until the screen has shown a text since the last wait.
    pub(super) fn until(&mut self, text: &str) {
        while !self.seen.contains(text) {
            match self.screen.recv_timeout(WATCHDOG) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{text:?} is not shown ({error}): {:?}", self.seen),
            }
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    pub(super) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the end; the exit code and stdout.
    pub(super) fn end(self) -> (Option<i32>, String) {
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }
}

/// What appears on the screen, as it comes. A thread reads, so that waiting can be given up.
#[expect(clippy::disallowed_methods, reason = "the thread ends with the terminal")]
fn watch(screen: OwnedFd) -> mpsc::Receiver<Vec<u8>> {
    let (tell, shown) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // The terminal ends with an error when nobody has its other end any more.
        while let Ok(count @ 1..) = rustix::io::read(&screen, &mut buffer) {
            if tell.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    shown
}

const WAIT: [&str; 3] = ["wait", "--set", "key=go"];

#[test]
fn a_person_is_asked_and_their_yes_counts() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &WAIT);
    seated.until("The task waits for the signal `go`. [y]es, [n]o, JSON, or Enter for a signal without payload: ");
    seated.types("y\n");
    seated.until("succeeded");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"payload\": true") && stdout.contains("\"sender\": \"person\""), "{stdout}");
}

#[test]
fn an_unclear_answer_is_asked_again_and_enter_is_no_payload() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &WAIT);
    seated.until("without payload: ");
    seated.types("perhaps\n");
    seated.until("neither y, nor n, nor JSON");
    seated.until("without payload: ");
    seated.types("\n");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"absent\": true"), "{stdout}");
}

#[test]
fn the_question_is_withdrawn_when_the_wait_ends() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &["wait", "--set", "key=go", "--set", "timeout_ms=50"]);
    seated.until("without payload: ");
    seated.until("Its time is over");
    seated.until("succeeded");
    assert_eq!(seated.end().0, Some(0));
}

#[test]
fn nobody_at_the_keyboard_is_not_an_answer() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &WAIT);
    seated.until("without payload: ");
    // Ctrl-D.
    seated.types("\u{4}");
    seated.until("Nobody answers: stdin is closed");
    signal(&seated.child, "INT");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("cancelled"), "{stdout}");
}

#[test]
fn r60_the_bar_shows_the_step_that_the_task_is_at() {
    let place = Place::new();
    let plan = r#"{"steps": [{"name": "go round"}, {"name": "stop"}]}"#;
    let mut seated = Seated::run(&place, 120, &["spin", "--grace", "0s", "--plan", plan]);
    seated.until("fuel  step 1/2 go round · going round");
    signal(&seated.child, "INT");
    seated.until("  plan: 0 of 2 steps completed: go round (cancelled), stop (cancelled)");
    assert_eq!(seated.end().0, Some(130));
}

#[test]
fn there_is_a_bar_that_shows_time_and_fuel_and_goes_away() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &["spin", "--grace", "0s"]);
    seated.until("fuel  going round");
    signal(&seated.child, "INT");
    seated.until("Ctrl-C: the task is stopped at once");
    seated.until("cancelled by a person");
    assert!(!seated.seen.contains("fuel  going round"), "the bar is gone: {}", seated.seen);
    assert_eq!(seated.end().0, Some(130));
}

#[test]
fn ctrl_c_answers_an_open_question() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &WAIT);
    seated.until("without payload: ");
    signal(&seated.child, "INT");
    seated.until("Ctrl-C: the task has 5s");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("cancelled"), "{stdout}");
}

/// A task that asks for half a second's worth of fuel.
const HUNGRY: [&str; 5] = ["request-fuel", "--set", "units=5000000000", "--set", "reason=one more page"];
const HUNGRY_QUESTION: &str = "The task asks for 5G units of fuel more (≈ 0.50 CPU seconds): one more page [y/N] ";

#[test]
fn a_person_is_asked_for_fuel_and_their_yes_gives_it() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &HUNGRY);
    seated.until(HUNGRY_QUESTION);
    seated.types("y\n");
    seated.until("5G units more, from a person");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"granted\": 5000000000"), "{stdout}");
}

#[test]
fn a_yes_to_fuel_decides_the_question_within_its_limit() {
    let place = Place::new();
    let little = [&HUNGRY[..], &["--limit", "fuel_on_approval=1G"]].concat();
    let mut seated = Seated::run(&place, 120, &little);
    seated.until(HUNGRY_QUESTION);
    seated.types("y\n");
    seated.until("--limit fuel_on_approval=6G allows it");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"denied\"") && !stdout.contains("granted"), "{stdout}");
}

#[test]
fn enter_refuses_fuel_and_what_is_unclear_is_asked_again() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 120, &HUNGRY);
    seated.until(HUNGRY_QUESTION);
    seated.types("5G\n");
    seated.until("That is neither y nor n.");
    seated.until(HUNGRY_QUESTION);
    seated.types("\n");
    seated.until("no more fuel: refused by a person");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"denied\"") && !stdout.contains("granted"), "{stdout}");
}

#[test]
fn the_question_for_fuel_ends_with_its_time_or_with_the_keyboard() {
    let place = Place::new();
    let hasty = [&HUNGRY[..], &["--set", "timeout_ms=2000"]].concat();
    let mut seated = Seated::run(&place, 120, &hasty);
    seated.until(HUNGRY_QUESTION);
    seated.until("Its time is over: the task goes on without more fuel.");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"timed-out\""), "{stdout}");

    let mut seated = Seated::run(&place, 120, &HUNGRY);
    seated.until(HUNGRY_QUESTION);
    // Ctrl-D.
    seated.types("\u{4}");
    seated.until("Nobody answers: stdin is closed.");
    seated.until("stdin is closed, so nobody answers; --limit fuel_on_request=5G gives it in advance");
    assert_eq!(seated.end().0, Some(0));
}

#[test]
fn a_task_that_may_be_stuck_is_shown_to_be_on_a_narrow_terminal_too() {
    let place = Place::new();
    for columns in [120, 30] {
        let mut seated = Seated::run(&place, columns, &["spin", "--limit", "stall=50ms", "--grace", "0s"]);
        seated.until("it may be stuck");
        seated.until("may be stuck · going");
        signal(&seated.child, "INT");
        assert_eq!(seated.end().0, Some(130));
    }
}

#[test]
fn t35_a_tiny_terminal_is_no_problem() {
    let place = Place::new();
    for columns in [1, 5, 20] {
        let mut seated = Seated::run(&place, columns, &["spin", "--timeout", "300ms"]);
        seated.until("failed (timeout)");
        assert_eq!(seated.end().0, Some(5));
    }
}

const DEPLOY: [&str; 5] = ["approve", "--set", "kind=deploy", "--set", "summary=version 7"];
const DEPLOY_QUESTION: &str = "The task asks for approval (deploy): version 7 [y]es, [n]o, `n` and a reason, or JSON to \
                               approve of that instead: ";

#[test]
fn a_person_is_asked_for_approval_and_only_a_clear_yes_is_one() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 200, &[&DEPLOY[..], &["--set", "times=3"]].concat());
    seated.until(DEPLOY_QUESTION);
    for unclear in ["\n", "true\n"] {
        seated.types(unclear);
        seated.until("That is neither y, nor n, nor JSON");
        seated.until(DEPLOY_QUESTION);
    }
    seated.types("y\n");
    seated.until(DEPLOY_QUESTION);
    seated.types("n it is Friday\n");
    seated.until("denied by a person: it is Friday");
    seated.until(DEPLOY_QUESTION);
    seated.types("{\"version\": 6}\n");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    let answers: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let expected = serde_json::json!([
        {"approved": "person"}, {"denied": "person", "reason": "it is Friday"},
        {"approved": "person", "input": {"version": 6}},
    ]);
    assert_eq!(answers, expected);
}

#[test]
fn the_question_for_approval_ends_with_its_time_or_with_the_keyboard() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 200, &[&DEPLOY[..], &["--set", "timeout_ms=2000"]].concat());
    seated.until(DEPLOY_QUESTION);
    seated.until("Its time is over: nobody decided, which is a no.");
    assert!(seated.end().1.contains("timed-out"));

    let mut seated = Seated::run(&place, 200, &DEPLOY);
    seated.until(DEPLOY_QUESTION);
    // Ctrl-D.
    seated.types("\u{4}");
    seated.until("Nobody answers: stdin is closed.");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("--approve deploy"), "{stdout}");
}

#[test]
fn a_person_chooses_one_of_several_signals_and_says_a_word() {
    let place = Place::new();
    let mut seated = Seated::run(&place, 200, &["wait-any", "--set", r#"keys=["a","b"]"#]);
    seated.until("The task waits for one of the signals 1 `a`, 2 `b`.");
    seated.types("3\n");
    seated.until("A number from 1 to 2");
    seated.until("without payload: ");
    seated.types("2 y\n");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"key\": \"b\"") && stdout.contains("\"payload\": true"), "{stdout}");

    let mut seated = Seated::run(&place, 200, &["listen", "--set", "times=1"]);
    seated.until("The task waits to be told something: ");
    seated.types("only chapter 1\n");
    let (code, stdout) = seated.end();
    assert_eq!(code, Some(0));
    assert!(stdout.contains("\"text\": \"only chapter 1\""), "{stdout}");
}
