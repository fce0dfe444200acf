//! From wasmtime's errors to the kinds of failure. The only file that looks inside them.

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::model::limits::Limits;
use crate::model::outcome::{Failure, FailureKind};

#[cfg(feature = "wit-extension")]
use super::extension::Refused;
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

/// A guest asked for more random bytes in one call than it may have.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it asked for {asked} random bytes in one call, and its limit is {limit}")]
pub(super) struct TooMuchRandom {
    pub(super) asked: u64,
    pub(super) limit: u64,
}

/// What is known of a cell whose call failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) fuel_budget: u64,
    pub(super) limits: &'a Limits,
    /// The limit for which a growth had been refused before.
    pub(super) refused: Option<&'static str>,
}

/// Says why a call into the guest failed.
pub(super) fn departure(error: &wasmtime::Error, scene: &Scene<'_>) -> Departure {
    let Scene { fuel_budget, limits, refused } = *scene;
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Departure::Exit(*code);
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).unwrap_or_default();
    let failure = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::at_limit(
            FailureKind::OutOfFuel,
            "fuel",
            format!("the budget of {fuel_budget} units of fuel is used up; start it with more, or give it less to do"),
        ),
        Some(Trap::UnreachableCodeReached) if let Some(limit) = refused => lack_of_memory(limit),
        Some(Trap::StackOverflow) => {
            Failure::new(FailureKind::Trap, "its call stack overflowed; it may recurse without end")
        }
        Some(trap) => Failure::new(FailureKind::Trap, trap.to_string()),
        None if let Some(no_scratch) = error.downcast_ref::<NoScratch>() => {
            Failure::new(FailureKind::Host, no_scratch.to_string())
        }
        #[cfg(feature = "wit-extension")]
        None if let Some(refused) = error.downcast_ref::<Refused>() => {
            Failure::new(refused.kind(), refused.to_string())
        }
        None if error.is::<SystemRefused>() => Failure::new(FailureKind::Host, SystemRefused.to_string()),
        None if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => {
            let message = format!(
                "it held more of the system's resources (open files, streams, pollables) than its limit of {}",
                limits.resources
            );
            Failure::at_limit(FailureKind::Trap, "resources", message)
        }
        None if let Some(much) = error.downcast_ref::<TooMuchRandom>() => {
            Failure::at_limit(FailureKind::Trap, "random_bytes", much.to_string())
        }
        None if is_too_large_call(error) => {
            let message =
                format!("it passed more in one call of the host than its limit of {} bytes", limits.call_bytes);
            Failure::at_limit(FailureKind::Trap, "call_bytes", message)
        }
        // A host function refused to go on: the guest broke the canonical ABI, or overdrew a cap on what crosses it.
        None => Failure::new(FailureKind::Trap, root_message(error)),
    };
    Departure::Failed(Failure { backtrace, ..failure })
}

fn lack_of_memory(limit: &'static str) -> Failure {
    Failure::at_limit(FailureKind::Memory, limit, "it wanted more memory than its limit allows and could not go on")
}

/// Whether more was to be copied out of the guest than the host had allowed for this call. wasmtime keeps the type of
/// that error to itself, so only its name is left to go by; `t06` tells if it is another one day.
fn is_too_large_call(error: &wasmtime::Error) -> bool {
    format!("{:?}", error.root_cause()) == "HostcallFuelExhausted"
}

/// Whether more was to be copied out of what the guest returned than the host allows. Its calls leave a call stack.
pub(super) fn is_too_large_result(error: &wasmtime::Error) -> bool {
    is_too_large_call(error) && !error.is::<WasmBacktrace>()
}

/// Whether it came from outside the guest's code: there is no call stack, no trap and no exit code.
pub(super) fn is_outside_the_code(error: &wasmtime::Error) -> bool {
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
