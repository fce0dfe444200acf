//! The host's side: starts the child, asks it, bounds it, and always waits for its end.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::wire::{ANSWER_HEAD_BYTES, Answer, MARK, WORD};

/// Threads that one compilation uses. Protects the machine's other cores, and lets the memory limit mean the same on each.
const THREADS: &str = "4";
/// Threads as a number, for the CPU time of all of them.
const THREADS_COUNT: u64 = 4;
/// Bytes of what a child says on stderr that are kept.
const SAID_BYTES_MAX: usize = 400;

/// What a child may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of the code that it answers with.
    pub code_bytes: u64,
    /// Seconds that the host will wait. The child's CPU time is bounded by them too, for the case that the host has
    /// been stopped meanwhile.
    pub seconds: u64,
}

/// Something to compile.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The program to run: one that calls [`serve`](crate::serve) when its only argument is [`WORD`]. A relative path
    /// begins at this process's working directory; no search path is looked at.
    pub program: &'a Path,
    /// What the child is told about the plugin.
    pub kind: u8,
    /// The plugin.
    pub plugin: &'a [u8],
    /// What it may take.
    pub bounds: Bounds,
}

/// Why there is no answer. `E` is why the host stopped waiting.
#[derive(Debug)]
pub enum ChildError<E> {
    /// The program cannot be run.
    Start(io::Error),
    /// The host stopped waiting, and the child was killed.
    Stopped(E),
    /// A signal ended it: its number, and what the child said.
    Signal(i32, String),
    /// It ended by itself, without success: its code, and what it said.
    Failed(i32, String),
    /// It answered with more code than it may.
    TooMuch,
    /// It answered with something else.
    Rubbish,
    /// The system would not let us talk to it.
    Io(io::Error),
}

/// Lets a child compile a plugin, until `stop` completes. To be called inside a tokio runtime with I/O.
///
/// The child is gone and waited for when this returns. Cancel safety: when the future is dropped the child is killed,
/// and the runtime waits for it.
///
/// # Errors
/// When there is no answer, for whatever reason.
pub async fn compile<E>(job: Job<'_>, stop: impl Future<Output = E>) -> Result<Answer, ChildError<E>> {
    // Its working directory is another one than ours, for which a relative path is meant.
    let program = std::path::absolute(job.program).map_err(ChildError::Start)?;
    let mut child = Command::new(program)
        .arg(WORD)
        // Nothing of the host's environment is its business; what it gets is for the compiler.
        .env_clear()
        .env("RAYON_NUM_THREADS", THREADS)
        // Or for the allocator, if that is mimalloc: what it sets aside counts against the limit before it is used.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .current_dir("/")
        // Ctrl-C at the terminal is for the host, which decides what becomes of its children.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(ChildError::Start)?;
    let ended = tokio::select! {
        biased;
        why = stop => Err(ChildError::Stopped(why)),
        ended = talk(&mut child, job) => ended,
    };
    if ended.is_err() {
        kill(&child);
    }
    // What was killed ends at once, and what has ended is done already.
    let _ = child.wait().await;
    let (status, answer, said) = ended?;
    match (status.signal(), status.code()) {
        (Some(signal), _) => Err(ChildError::Signal(signal, said)),
        (None, Some(0)) => Answer::read(answer).ok_or(ChildError::Rubbish),
        (None, code) => Err(ChildError::Failed(code.unwrap_or_default(), said)),
    }
}

/// Ends it, and what it may have started: a helper that is a script, say. It is not waited for yet, so its number is its.
fn kill(child: &Child) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have ended by itself this moment.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Asks and listens until the child has ended.
async fn talk<E>(child: &mut Child, job: Job<'_>) -> Result<(ExitStatus, Vec<u8>, String), ChildError<E>> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(ChildError::Io(io::ErrorKind::BrokenPipe.into()));
    };
    let ask = async {
        let Bounds { memory_bytes, seconds, .. } = job.bounds;
        let mut head = Vec::from(MARK);
        head.extend(memory_bytes.to_le_bytes());
        head.extend(seconds.saturating_mul(THREADS_COUNT).saturating_add(1).to_le_bytes());
        head.push(job.kind);
        head.extend((job.plugin.len() as u64).to_le_bytes());
        // Who does not listen to the end says why by their own end.
        let _ = stdin.write_all(&head).await;
        let _ = stdin.write_all(job.plugin).await;
        let _ = stdin.flush().await;
        stdin
    };
    let most = job.bounds.code_bytes.saturating_add(ANSWER_HEAD_BYTES as u64);
    let listen = async {
        let mut answer = Vec::new();
        let read = stdout.take(most.saturating_add(1)).read_to_end(&mut answer).await;
        match read {
            Ok(_) if answer.len() as u64 > most => Err(ChildError::TooMuch),
            Ok(_) => Ok(answer),
            Err(error) => Err(ChildError::Io(error)),
        }
    };
    // Its end of stdin stays open until it has ended: that is its lifeline.
    let (_lifeline, answer, said) =
        tokio::try_join!(async { Ok(ask.await) }, listen, async { Ok(hear(stderr).await) })?;
    // Not before all have let go of its ends: its number, by which they can be killed, is free once it was waited for.
    let status = child.wait().await.map_err(ChildError::Io)?;
    Ok((status, answer, said))
}

/// The beginning of what it says.
async fn hear(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        let room = SAID_BYTES_MAX.saturating_sub(said.len());
        said.extend(piece.iter().take(length.min(room)));
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}
