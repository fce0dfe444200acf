//! Plugins are compiled in a child process: what it may take, how it may end, and that it never stays.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use taskcell::{BuildError, Compiler, Host, LoadError, LoadLimits, SimulatedClock};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe::{OpenOptions, Receiver};

use crate::support::alone::alone;
use crate::support::component::Handmade;
use crate::support::files::{read, set_mode, write};
use crate::support::looks::Turns;
use crate::support::oracle::{Bounds, Watched};
use crate::support::{compiling, guest, process, within};

/// SIGKILL's neighbours, by number.
const SEGV: i32 = 11;
const ABRT: i32 = 6;

/// A valid plugin of some hundred kilobytes for which the compiler wants about 3 GiB: it keeps a table of blocks for each
/// local that is set behind them.
fn bomb() -> Vec<u8> {
    const LOCALS: usize = 45_000;
    const BLOCKS: usize = 18_000;
    let mut function = format!("(func (local {}) ", "i32 ".repeat(LOCALS));
    function.push_str(&"block end ".repeat(BLOCKS));
    for local in 0..LOCALS {
        let _ = write!(function, "i32.const 0 local.set {local} ");
    }
    let bytes = Handmade::new("bomb").module(&format!("{function})")).bytes();
    assert!(bytes.len() < 1 << 20, "{}", bytes.len());
    bytes
}

/// A program for one test.
pub(super) struct Script {
    dir: TempDir,
}

impl Script {
    pub(super) fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = Self { dir };
        // Copied by somebody else: what this process has open for writing while it starts another cannot be run.
        write(script.file("text"), format!("#!/bin/sh\ncd {}\n{text}\n", script.dir.path().display()));
        assert!(Command::new("cp").args([script.file("text"), script.path()]).status().unwrap().success());
        set_mode(script.path(), 0o700);
        assert!(Command::new("mkfifo").arg(script.file("life")).status().unwrap().success());
        script
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("helper")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn host_with(program: PathBuf, limits: LoadLimits) -> Host {
    Host::builder().running_max(4).load_limits(limits).compiler(Compiler::Helper(program)).build().unwrap()
}

async fn load(host: &Host) -> Result<taskcell::Plugin, LoadError> {
    within(host.load_plugin_bytes("one", Handmade::new("one").bytes())).await
}

/// Why nothing can be loaded when the compiler is this script.
async fn error_of(script: &str) -> LoadError {
    let limits = LoadLimits::default().code_bytes(1 << 20);
    load(&host_with(Script::new(script).path(), limits)).await.unwrap_err()
}

#[test]
fn t21_a_compile_bomb_dies_in_its_child_and_the_host_goes_on() {
    alone(|| async {
        let watched = Watched::new().await;
        let bomb = bomb();
        watched
            .withstands_within(Bounds::ONE, async |beside| {
                for _ in 0..2 {
                    let load = within(beside.host.load_plugin_bytes("bomb", bomb.clone()));
                    let (loaded, ()) = tokio::join!(load, beside.goes_on());
                    let error = loaded.unwrap_err();
                    assert!(matches!(error, LoadError::CompileMemory { max, .. } if max == 1 << 30), "{error:?}");
                    let text = error.to_string();
                    assert!(text.contains("1 GiB") && text.contains("`compile_memory_bytes`"), "{text}");
                }
                // Others are compiled as before.
                load(&compiling().build().unwrap()).await.unwrap();
                Vec::new()
            })
            .await;
    });
}

#[tokio::test]
async fn t21_a_compilation_has_the_memory_that_the_operator_gives() {
    let limits = LoadLimits::default().compile_memory_bytes(100 << 20);
    let host = host_with(process::taskcell(), limits);
    let error = within(host.load_plugin_bytes("bomb", bomb())).await.unwrap_err();
    assert!(matches!(error, LoadError::CompileMemory { max, .. } if max == 100 << 20), "{error:?}");
    // What is too little for anything is taken for the least that is of use.
    let limits = LoadLimits::default().compile_memory_bytes(0);
    load(&host_with(process::taskcell(), limits)).await.unwrap();
}

#[tokio::test]
async fn t21_a_compilation_that_takes_too_long_is_given_up() {
    let none = LoadLimits::default().compile_timeout(Duration::ZERO);
    let error = load(&host_with(process::taskcell(), none)).await.unwrap_err();
    assert!(matches!(error, LoadError::CompileTimeout { max: Duration::ZERO }), "{error:?}");

    let script = Script::new("exec 9> life; echo $$ >&9; exec sleep 1000");
    let clock = Arc::new(SimulatedClock::new());
    let host = Host::builder().running_max(4).clock(clock.clone()).compiler(Compiler::Helper(script.path()));
    let host = host.build().unwrap();
    let late = async {
        let (pid, _) = Life::begun(&script).await;
        clock.advance(Duration::from_secs(59));
        assert!(process::is_there(pid), "it still has a second");
        clock.advance(Duration::from_secs(1));
        pid
    };
    let (loaded, pid) = within(async { tokio::join!(load(&host), late) }).await;
    let error = loaded.unwrap_err();
    assert!(matches!(error, LoadError::CompileTimeout { max } if max == Duration::from_mins(1)), "{error:?}");
    assert!(error.to_string().contains("1 min"), "{error}");
    assert!(!process::is_there(pid), "it is gone and waited for when the error comes");
}

#[tokio::test]
async fn t21_what_a_helper_started_and_left_behind_is_killed_too() {
    // The helper itself ends well; its child keeps the answer open.
    let script = Script::new("exec 9> life; sleep 1000 & echo $! >&9; exit 0");
    let clock = Arc::new(SimulatedClock::new());
    let host = Host::builder().running_max(4).clock(clock.clone()).compiler(Compiler::Helper(script.path()));
    let host = host.build().unwrap();
    let late = async {
        let (_, life) = Life::begun(&script).await;
        clock.advance(Duration::from_mins(1));
        life
    };
    let (loaded, life) = within(async { tokio::join!(load(&host), late) }).await;
    assert!(matches!(loaded.unwrap_err(), LoadError::CompileTimeout { .. }));
    // It was nobody's child any more, so nobody but the system waits for it.
    life.end().await;
}

#[test]
fn t21_a_relative_path_begins_where_the_host_is() {
    // Of its own, because the working directory is the whole process's.
    alone(|| async {
        let script = Script::new(&format!("exec {} \"$1\"", process::taskcell().display()));
        std::env::set_current_dir(script.dir.path()).unwrap();
        load(&host_with("helper".into(), LoadLimits::default())).await.unwrap();
        load(&host_with("./helper".into(), LoadLimits::default())).await.unwrap();
    });
}

/// The pipe that a script's process holds open: it says its number there, and the end of the pipe is the end of the last that
/// has it.
struct Life(Receiver);

impl Life {
    /// Waits until the script has said its number.
    async fn begun(script: &Script) -> (u32, Self) {
        let open = |write| OpenOptions::new().read_write(write).open_receiver(script.file("life")).unwrap();
        // Open for both, it has no end before there is somebody at the other one.
        let mut first = BufReader::new(open(true));
        let mut number = String::new();
        within(first.read_line(&mut number)).await.unwrap();
        let life = Self(open(false));
        (number.trim().parse().unwrap(), life)
    }

    /// Waits until nobody has the pipe any more.
    async fn end(mut self) {
        assert_eq!(within(self.0.read(&mut [0])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn t21_a_load_that_is_dropped_leaves_no_process() {
    let script = Script::new("exec 9> life; echo $$ >&9; exec sleep 1000");
    let host = host_with(script.path(), LoadLimits::default());
    let (pid, life) = tokio::select! {
        _ = load(&host) => panic!("it never answers"),
        begun = Life::begun(&script) => begun,
    };
    life.end().await;
    // Its host waits for it then.
    let mut turns = Turns::default();
    within(async {
        while process::is_there(pid) {
            turns.next().await;
        }
    })
    .await;
}

#[tokio::test]
async fn t21_how_the_child_died_is_told() {
    let error = error_of("kill -SEGV $$").await;
    assert!(matches!(&error, LoadError::CompilerDied { signal: SEGV, .. }), "{error:?}");
    assert!(error.to_string().contains("signal 11"), "{error}");
    let error = error_of("echo no room for it >&2; kill -ABRT $$").await;
    assert!(matches!(&error, LoadError::CompileMemory { said, .. } if said == "no room for it"), "{error:?}");
    assert!(matches!(error_of("kill -XCPU $$").await, LoadError::CompileTimeout { .. }));
}

#[tokio::test]
async fn t21_a_helper_that_is_none_is_told() {
    let limits = LoadLimits::default();
    let missing = load(&host_with("/nowhere/taskcell".into(), limits)).await.unwrap_err();
    assert!(matches!(&missing, LoadError::NoCompiler { program, .. } if program == Path::new("/nowhere/taskcell")));
    assert!(missing.to_string().contains("cannot be started"), "{missing}");
    for (script, says) in [
        ("exit 0", "something else than code"),
        ("echo rubbish", "something else than code"),
        ("head -c 12 > read; echo rubbish", "something else than code"),
        ("echo out of order >&2; exit 3", "it ended with code 3: \"out of order\""),
    ] {
        let error = error_of(script).await;
        assert!(matches!(error, LoadError::NoCompiler { .. }), "{script}: {error:?}");
        assert!(error.to_string().contains(says), "{script}: {error}");
    }
    // What looks like an answer must be code of this wasmtime's own.
    let error = error_of("printf 'taskcell-c 1cELF, or not'").await;
    assert!(matches!(error, LoadError::Compile(_)), "{error:?}");
    // More than it may answer with, and words without end.
    let error = error_of("printf 'taskcell-c 1c'; exec cat /dev/zero").await;
    assert!(matches!(error, LoadError::CodeTooLarge { max } if max == 1 << 20), "{error:?}");
    let error = error_of("i=0; while [ $i -lt 9999 ]; do echo words; i=$((i+1)); done >&2; exit 1").await;
    assert!(error.to_string().len() < 4000, "{error}");
}

#[tokio::test]
async fn t21_the_child_has_nothing_of_the_hosts_environment() {
    let script = Script::new("cat /proc/$$/environ > environ");
    load(&host_with(script.path(), LoadLimits::default())).await.unwrap_err();
    assert_eq!(read(script.file("environ")), b"MIMALLOC_ARENA_EAGER_COMMIT=0\0RAYON_NUM_THREADS=4\0");
}

#[tokio::test]
async fn t21_what_is_in_the_cache_starts_no_child() {
    let dir = tempfile::tempdir().unwrap();
    load(&compiling().cache_dir(dir.path().join("cache")).build().unwrap()).await.unwrap();
    let none = Host::builder().running_max(4).compiler(Compiler::Helper("/nowhere/taskcell".into()));
    load(&none.cache_dir(dir.path().join("cache")).build().unwrap()).await.unwrap();
}

#[tokio::test]
async fn t21_a_program_that_cannot_be_the_child_is_told_before_anything_is_loaded() {
    // The test's own main does not begin with `compile_child`.
    for unable in [Host::builder(), Host::builder().compiler(Compiler::ThisProgram)] {
        let error = unable.build().unwrap_err();
        assert!(matches!(error, BuildError::NoCompileChild), "{error:?}");
        assert!(error.to_string().contains("`Compiler::InProcess`"), "{error}");
    }
    let asked_for = Host::builder().running_max(4).compiler(Compiler::InProcess).build().unwrap();
    load(&asked_for).await.expect("in this process, where that is chosen");
}

/// A request as the host writes it, for this component.
fn asked(component: &[u8]) -> Vec<u8> {
    let (memory, seconds) = (1_u64 << 30, 100_u64);
    let mut request = b"taskcell-c 1".to_vec();
    request.extend(memory.to_le_bytes());
    request.extend(seconds.to_le_bytes());
    request.push(0);
    request.extend((component.len() as u64).to_le_bytes());
    request.extend(component);
    request
}

#[tokio::test]
async fn t21_the_child_limits_itself_and_ends_with_its_host() {
    let mut child = Command::new(process::taskcell())
        .arg("taskcell-compile")
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lifeline = child.stdin.take().unwrap();
    lifeline.write_all(&asked(&read(guest("hello")))).unwrap();
    // It cannot be done before its answer is read, which is longer than a pipe.
    let mut answer = child.stdout.take().unwrap();
    let first = tokio::task::spawn_blocking(move || answer.read_exact(&mut [0]).map(|()| answer));
    let answer = within(first).await.unwrap().unwrap();
    let limits = process::limits(child.id());
    assert!(limits.lines().any(|line| line.starts_with("Max file size             0 ")), "{limits}");
    let fields = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(fields("Max data size"), ["1073741824", "1073741824"]);
    assert_eq!(fields("Max cpu time"), ["100", "100"]);
    assert_eq!(fields("Max core file size"), ["0", "0"]);
    drop(lifeline);
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert_eq!(within(ended).await.unwrap().signal(), Some(ABRT));
    drop(answer);
}
