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
/// Makes a plugin of a crate's tasks: the manifest, and what the host calls.
///
/// It stands once in a crate, at its root, and defines the constant `PLUGIN`, a `taskcell_guest::Plugin`, which unit
/// tests can look at.
///
/// # Fields
/// - `name`: up to 64 of `a`-`z`, `0`-`9` and `-`, beginning with a letter.
/// - `version`: usually `env!("CARGO_PKG_VERSION")`.
/// - `author`, `description`, `url`: may be left out.
/// - `requests`: may be left out; what every task of the plugin would like to be granted, each with the reason for the
///   operator to read: `fs` a folder, `http` requests to other machines, `env` and `secrets`, `tasks` of other plugins,
///   `signal` to send signals to other tasks, `kv` the plugin's own store, `host:NAME` a function of the embedding program's.
///   What is needed of it is said in braces, and all is asked for otherwise: `"fs" { access = "read" } => "…"`,
///   `"http" { hosts = ["api.example.com"], methods = ["GET"] } => "…"`, `names = […]` of `env` and `secrets`,
///   `plugins = […]` of `tasks`. The less is asked for, the sooner it is granted.
/// - `tasks`: the functions with `#[task]` on them.
/// - `hooks`: may be left out; plain functions that the host calls beside the tasks. Each returns `Result<(), TaskError>`
///   or `Result<(), String>`. `init` (an error stops the load), `on_enabled`, `on_disabled` and `shutdown` are
///   `fn(ctx: &HookCtx)`, `on_cancel` is `fn(ctx: &HookCtx, task: &CancelledTask)`, and `on_terminal` is
///   `fn(ctx: &HookCtx, task: &EndedTask)`. A component has the hooks only when one is written: `hooks: { init: prepare,
///   on_terminal: note_end }`.
///
/// ```
/// use taskcell_guest::{TaskCtl, TaskError, plugin, task};
///
/// /// Counts the files of the granted folder.
/// #[task]
/// fn count(_ctl: &TaskCtl, folder: String) -> Result<usize, TaskError> {
///     Ok(std::fs::read_dir(folder)?.count())
/// }
///
/// plugin! {
///     name: "count",
///     version: env!("CARGO_PKG_VERSION"),
///     author: "Somebody",
///     description: "Counts files.",
///     requests: ["dir-read" => "the folder whose files are counted"],
///     tasks: [count],
/// }
///
/// # fn main() {
/// assert_eq!(PLUGIN.manifest()["tasks"][0]["description"], "Counts the files of the granted folder.");
/// # }
/// ```
pub use taskcell_guest_macros::plugin;
/// Makes a task type of a function.
///
/// The function stays what it is, so that unit tests can call it. It has the signature
/// `fn(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError>`; `Input` is `serde::Deserialize`, `Output` is
/// `serde::Serialize`, and both are `schemars::JsonSchema`. The function's doc comment is the task type's description.
///
/// # Options
/// All may be left out. The limits are defaults; the operator and whoever starts a task may set lower ones.
///
/// - `name = "…"`: the task type's name, up to 64 of `a`-`z`, `0`-`9` and `-`, beginning with a letter. By default the
///   function's name with `-` for `_`.
/// - `daemon`: it is started with its plugin and stopped with it, has no deadline, may be silent, and its fuel is for an
///   hour. It looks at `ctl.checkpoint()` or waits for signals, and returns when it is asked to stop.
/// - `read_only`: it changes nothing outside its own cell. `concurrent_safe`: several of its tasks may work at the same
///   time on the same things. `restartable`: one that broke off can be begun again without harm. Hints for whoever starts
///   it; what is not said is not promised.
/// - `requests = ["kv" => "what it remembers"]`: what it would like to be granted beside what the plugin asks for; see
///   [`plugin!`].
/// - `fuel = 1_000_000_000`: units of fuel; `fuel_on_request`: what it gets in addition when it asks, without anybody
///   being asked; `fuel_on_approval`: what somebody's yes may add; `fuel_per_hour`: what a daemon burns in an hour.
/// - `timeout = "5m"`: from start to end; a whole number with `ms`, `s`, `m` or `h`. So are `idle`, the time without any
///   call after which the task is given up, and `stall`, after which an event says that it only burns fuel.
/// - `memory = "64MiB"`: linear memory, 64 KiB at least; a whole number with `KiB`, `MiB` or `GiB`. So are, without the
///   least, `call_bytes`, `input_bytes`, `result_bytes`, `random_bytes`, `output_bytes`, `spill_bytes`, `log_bytes`,
///   `signal_bytes`, `scratch_bytes`, `artifact_bytes`,
///   `attachment_bytes`, `agent_message_bytes`, `http_body_bytes` and `http_bytes`.
/// - Numbers: `table_elements`, `handles`, `resources`, `progress_per_second`, `events_per_second`, `log_events`,
///   `signals_per_key`, `signals_in_all`, `scratch_inodes`, `scratch_depth`, `artifacts`, `tokens`, `actions`, `children`,
///   `children_in_all`, `tree`, `tree_depth`, `attachments`, `agent_messages` and `http_connections`.
///
/// - `routing`: where the caller of the task waits for it, unless the caller or the host says otherwise: `"foreground"`
///   until its outcome, `"background"` not at all, `"detach-after 5s"` for so long.
///
/// `wit/manifest.schema.json` says of each what it counts.
///
/// ```
/// use taskcell_guest::{TaskCtl, TaskError, task};
///
/// /// Adds numbers.
/// #[task(name = "sum", fuel = 1_000_000, timeout = "10s", memory = "4MiB", artifacts = 0)]
/// fn add_up(_ctl: &TaskCtl, input: Vec<u32>) -> Result<u64, TaskError> {
///     Ok(input.into_iter().map(u64::from).sum())
/// }
/// ```
pub use taskcell_guest_macros::task;
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
