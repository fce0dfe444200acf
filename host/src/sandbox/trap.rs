//! From wasmtime's errors to the kinds of failure. The only file that looks inside them.

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::model::outcome::{Failure, FailureKind};

use super::files::NoScratch;
use super::meter::SystemRefused;

/// Frames of the guest's call stack that are kept.
const FRAMES_MAX: usize = 32;
/// Bytes of a frame's name that are kept; names come from the guest.
const FRAME_BYTES_MAX: usize = 256;

/// How a guest left without returning.
#[derive(Debug)]
pub(super) enum Departure {
    /// It asked to exit with this code.
    Exit(i32),
    /// It was stopped.
    Failed(Failure),
}

/// Says why a call into the guest failed. `memory_refused`: whether a growth had been refused before.
pub(super) fn departure(error: &wasmtime::Error, fuel_budget: u64, memory_refused: bool) -> Departure {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Departure::Exit(*code);
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    let failure = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::new(
            FailureKind::OutOfFuel,
            format!("the budget of {fuel_budget} units of fuel is used up; start it with more, or give it less to do"),
        ),
        Some(trap) if memory_refused && *trap == Trap::UnreachableCodeReached => {
            Failure::new(FailureKind::Memory, "it wanted more memory than its limit allows and could not go on")
        }
        Some(Trap::StackOverflow) => {
            Failure::new(FailureKind::Trap, "its call stack overflowed; it may recurse without end")
        }
        Some(trap) => Failure::new(FailureKind::Trap, trap.to_string()),
        None if let Some(no_scratch) = error.downcast_ref::<NoScratch>() => {
            Failure::new(FailureKind::Host, no_scratch.to_string())
        }
        None if error.is::<SystemRefused>() => Failure::new(FailureKind::Host, SystemRefused.to_string()),
        None if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => Failure::new(
            FailureKind::Trap,
            "it held more of the system's resources (open files, streams, pollables) than its limit `resources` allows",
        ),
        // A host function refused to go on: the guest broke the canonical ABI, or overdrew a cap on what crosses it.
        None => Failure::new(FailureKind::Trap, root_message(error)),
    };
    Departure::Failed(Failure { backtrace, ..failure })
}

/// Whether the guest returned and what it returned could not be taken over: too much of it, or bad pointers.
pub(super) fn is_unreadable_result(error: &wasmtime::Error) -> bool {
    !error.is::<Trap>() && !error.is::<I32Exit>() && !error.is::<WasmBacktrace>() && !error.is::<std::str::Utf8Error>()
}

/// The innermost cause, which is the sentence that says something.
fn root_message(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let frames = backtrace.frames().iter().take(FRAMES_MAX);
    let named = frames.map(|frame| match frame.func_name() {
        Some(name) => {
            let name = format!("{:#}", rustc_demangle(name));
            name.get(..name.floor_char_boundary(FRAME_BYTES_MAX)).unwrap_or_default().to_owned()
        }
        None => format!("function {}", frame.func_index()),
    });
    named.collect()
}

/// Rust's names as a person reads them; other languages' stay as they are.
fn rustc_demangle(name: &str) -> rustc_demangle::Demangle<'_> {
    rustc_demangle::demangle(name)
}
