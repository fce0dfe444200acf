//! This program as the child that compiles one plugin and ends.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use taskcell_artifact::{Answer, Request, WORD, serve};

use super::compile::{Recipe, compile};
use super::engine::compiling;

/// Whether this program can be started as the child.
static CAN_BE_CHILD: AtomicBool = AtomicBool::new(false);

/// Lets a program that embeds Taskcell compile plugins in a child process, which is the program itself once more. Without it a
/// host is not built ([`BuildError::NoCompileChild`](crate::BuildError::NoCompileChild)), unless
/// [`HostBuilder::compiler`](crate::HostBuilder::compiler) names somebody else. To be called at the very beginning of `main`;
/// inside `#[tokio::main]` works too, where each child begins by starting a runtime that it does not need:
///
/// ```
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     if let Some(done) = taskcell::compile_child() {
///         return done;
///     }
///     // The program, as it always was.
///     ExitCode::SUCCESS
/// }
/// ```
///
/// Returns `None` at once unless the first argument is `taskcell-compile`, with which a host starts the child. The
/// child lowers its own limits, compiles the plugin that comes over stdin, writes the code to stdout, and is
/// done. It touches no file, and ends when the host does.
///
/// The program is started by what the system calls `/proc/self/exe`, so its file may be replaced while it runs.
pub fn compile_child() -> Option<ExitCode> {
    if std::env::args_os().nth(1).is_none_or(|word| word != WORD) {
        CAN_BE_CHILD.store(true, Ordering::Relaxed);
        return None;
    }
    match serve(answer) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            // The host reads it. When it cannot be written there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{error}");
            Some(ExitCode::FAILURE)
        }
    }
}

/// Whether [`compile_child`] was called in this process.
pub(crate) fn can_be_child() -> bool {
    CAN_BE_CHILD.load(Ordering::Relaxed)
}

fn answer(request: &Request) -> Answer {
    let Some(Recipe { form, profile }) = Recipe::from_byte(request.kind) else {
        return Answer::Refused("the host that asks is of another version".to_owned());
    };
    match compiling(profile) {
        Ok(engine) => compile(&engine, form, &request.plugin),
        Err(error) => Answer::Refused(format!("{error:#}")),
    }
}
