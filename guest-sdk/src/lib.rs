//! Write Taskcell plugins in Rust.
//!
//! A plugin is one WebAssembly component with one or more *task types*. Here, a task type is a function with
//! [`#[task]`](macro@task) on it, and [`plugin!`] lists the tasks of the plugin:
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use taskcell_guest::{TaskCtl, TaskError, plugin, task};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input {
//!     /// Whom to greet.
//!     name: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Output {
//!     greeting: String,
//! }
//!
//! /// Greets somebody.
//! #[task]
//! fn hello(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError> {
//!     ctl.report_progress("thinking of words", 50)?;
//!     Ok(Output { greeting: format!("Hello, {}!", input.name) })
//! }
//!
//! plugin! {
//!     name: "hello",
//!     version: env!("CARGO_PKG_VERSION"),
//!     description: "Greets people.",
//!     tasks: [hello],
//! }
//! # fn main() {}
//! ```
//!
//! The doc comments and the types become the plugin's manifest: every host, agent and person sees what a task is for,
//! what it takes and what it gives.
//!
//! # What a task can do
//! All of it is a method of [`TaskCtl`]: report progress, look whether it shall stop, look how much fuel is left and ask
//! for more, wait for a signal or for one of several, send one to a task or to many, ask for approval, read what somebody
//! says to it, tell the agent something, say what it spent elsewhere, attach a file, start other tasks and wait for their
//! ends, keep a plan that everybody sees, call a function of the program around the host, read its plugin's configuration, and keep small things for its
//! plugin's next tasks. Beside that a task has WASI: a
//! scratch directory of its own, the clocks, random numbers, the folders that the operator granted, and `print!` and
//! `eprint!`, which the host keeps. What `log::info!` and its siblings write goes to the task's log. A panic ends the task
//! as failed, with the message and the place.
//!
//! # How a task ends
//! With its result, or with a [`TaskError`], into which `?` turns every error. [`TaskCtl::checkpoint`],
//! [`TaskCtl::wait`], [`TaskCtl::next_message`], [`TaskCtl::wait_task`], [`TaskCtl::request_fuel`],
//! [`TaskCtl::call_host`] and [`Decision::granted`] fail when the task
//! shall stop, and with `?` that ends the task as cancelled.
//!
//! # Hooks
//! `plugin!` also takes functions that the host calls when the plugin is loaded, enabled, disabled and unloaded, and when
//! one of its tasks is asked to stop or has its outcome: see [`HookCtx`] and the `hooks` of [`plugin!`].
//!
//! # Testing
//! Everything but the calls to the host compiles natively, and [`testing::FakeHost`](crate::testing) stands in for the
//! host: plain `cargo test`, no WebAssembly, simulated time.
//!
//! # Building
//! A plugin's crate has `crate-type = ["cdylib"]` and is built for `wasm32-wasip2`.

// The macros' output names this crate.
#[cfg(test)]
extern crate self as taskcell_guest;

mod approval;
mod backend;
mod check;
mod children;
mod ctl;
mod error;
mod hook;
mod json;
mod manifest;
mod plan;
mod plugin;
mod task_error;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod values;
mod waiting;
#[cfg(target_family = "wasm")]
mod wasm;

pub use approval::{Approval, Decision, NotApproved};
pub use children::{Child, ChildState, TaskEnd, TaskOptions};
pub use ctl::TaskCtl;
pub use error::{Cancelled, FuelError, HostError, RefusalKind, Refused, WaitError};
pub use hook::{CancelledTask, EndedTask, HookCtx, TaskUsage};
pub use plan::{Plan, PlanStep, StepStatus};
pub use plugin::Plugin;
pub use task_error::TaskError;
pub use taskcell_guest_macros::{plugin, task};
pub use values::{
    Artifact, Attachment, CancelRequest, Delivery, Denied, NotifyResult, Sender, Signal, TaskInfo, TaskRef,
};
pub use waiting::{Instruction, Reach, Scope, Taken, WaitFor};
pub use {schemars, serde, serde_json};

/// What the macros' output uses. No part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::check::{TaskType, has_length, is_named_twice};
    pub use crate::hook::{HookAbout, HookResult, HookTable, PluginHook};
    pub use crate::plugin::{Parts, Request, TaskEntry, input_schema, output_schema, run_json};
    #[cfg(target_family = "wasm")]
    pub use crate::wasm::{bindings, exports, hook_bindings};
}

/// The README's examples are compiled too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
