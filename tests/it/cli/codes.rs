//! Every exit code, and what is said with it.

use std::os::unix::ffi::OsStrExt as _;

use super::program::{Place, finish};

#[test]
fn exit_0_success() {
    Place::new().run("hello", &[]).ends_with(0).says("succeeded");
}

#[test]
fn exit_1_the_task_failed() {
    let place = Place::new();
    let failed = place.fixture(&["fail", "--set", "message=not today", "--set", "retryable=false"]).ends_with(1);
    assert_eq!(failed.says("failed (guest): not today").stdout, "");
    let panicked = place.fixture(&["panic", "--set", "message=oops"]).ends_with(1);
    panicked.says("failed (panic): ").says("oops").says("\n    at ").says("a fault in the plugin");
    place.fixture(&["trap"]).ends_with(1).says("failed (trap): ").says("\n    at ");
    place.fixture(&["exit", "--set", "code=3"]).ends_with(1).says("failed (exited): ");
}

#[test]
fn exit_2_the_command_line_is_wrong() {
    let place = Place::new();
    place.run("hello", &["--input", "@missing.json"]).ends_with(2).says("missing.json: No such file");
    place.run("hello", &["--input", "{name: Ada}"]).ends_with(2).says("is not JSON").says("hint: ");
    place.run("hello", &["--fuel", "2GB"]).ends_with(2).says("counted in units");
    place.run("hello", &["--limit", "events_per_second=0"]).ends_with(2).says("the least is 1 a second");
    place.run("hello", &["--timeout", "5"]).ends_with(2).says("30s, 5m or 1h30m");
    place.run("hello", &["--signal", "approval=yes"]).ends_with(2).says("approval=true");
    place.run("hello", &["--allow", "dir-read"]).ends_with(2).says("--dir DIR::/data");
    place.taskcell(&["inspct"]).ends_with(2).says("'inspect'");
}

#[test]
fn t35_an_argument_that_is_no_text_is_a_wrong_command_line() {
    let place = Place::new();
    let mut command = place.run_command("hello", &[]);
    command.arg(std::ffi::OsStr::from_bytes(b"\xff"));
    finish(command, "").ends_with(2).says("UTF-8");
}

#[test]
fn exit_3_no_plugin() {
    let place = Place::new();
    place.file("text.wasm", "hello");
    place.taskcell(&["run", "missing.wasm"]).ends_with(3).says("failed to read missing.wasm: No such file");
    place.taskcell(&["run", "text.wasm"]).ends_with(3).says("failed to load text.wasm: this is a text file");
    place.taskcell(&["run", "."]).ends_with(3).says("is a directory");
    place.taskcell(&["inspect", "text.wasm"]).ends_with(3).says("this is a text file");
}

#[test]
fn exit_4_refused_before_it_started() {
    let place = Place::new();
    place.run("crunch", &["prims"]).ends_with(4).says("primes, spin").says("did you mean `primes`?");
    place.run("crunch", &["primes", "--set", "upto=many"]).ends_with(4).says("at /upto").says("taskcell inspect");
    place.run("hello", &["--set", "name=Ada", "--limit", "input_bytes=5"]).ends_with(4).says("--limit input_bytes=14 ");
    place.run("hello", &["--dir", "missing::/x"]).ends_with(4).says("the granted folder missing");
    place.run("hello", &["--dir", ".::/x", "--dir", ".::/x"]).ends_with(4).says("--dir a::/a --dir b::/b");
}

#[test]
fn exit_5_a_limit() {
    let place = Place::new();
    place.fixture(&["spin", "--fuel", "20M"]).ends_with(5).says("failed (out-of-fuel)").says("--fuel 200M");
    place.fixture(&["spin", "--timeout", "100ms"]).ends_with(5).says("failed (timeout)").says("--timeout 1s");
    place.fixture(&["allocate", "--set", "mib=40", "--memory", "16MiB"]).ends_with(5).says("--memory 32MiB");
}

#[test]
fn a_flag_raises_a_limit_as_well() {
    let place = Place::new();
    let done = place.fixture(&["allocate", "--set", "mib=200", "--memory", "512MiB"]).ends_with(0);
    assert_eq!(done.json(), 200 << 20);
}

#[test]
fn exit_6_cancelled_but_not_from_here() {
    Place::new().fixture(&["cancel-self"]).ends_with(6).says("cancelled by the task itself");
}

#[test]
fn exit_70_the_host_failed() {
    let place = Place::new();
    let mut command = place.run_command("hello", &[]);
    command.env("TMPDIR", "/nowhere/at/all");
    finish(command, "").ends_with(70).says("failed to make a working directory").says("taskcell doctor");
}
