//! Taskcell runs other people's long tasks safely, each in a WebAssembly cell of its own.
//!
//! A *plugin* is a component compiled to `wasm32-wasip2`. Each of its *tasks* gets a fresh sandbox, a fuel budget, a
//! memory limit and a deadline; it reports progress, waits for signals, sends messages to the agent it works for, and
//! can be stopped at any moment, in the middle of an endless loop too.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use taskcell::{Host, StartRequest};
//!
//! #[tokio::main]
//! async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
//!     // Plugins are compiled in a child process, which is this program once more.
//!     if let Some(done) = taskcell::compile_child() {
//!         return Ok(done);
//!     }
//!     let host = Host::builder().build()?;
//!     let plugin = host.load_plugin("hello.wasm").await?;
//!     let input = serde_json::json!({"name": "Ada"});
//!     let task = host.start(StartRequest::new(plugin.name(), "hello").input(input)).await?;
//!     println!("{}", task.wait().await);
//!     Ok(ExitCode::SUCCESS)
//! }
//! ```
//!
//! The library runs inside the caller's tokio runtime, prints nothing and reads no environment. Guests run on worker
//! threads of their own, so a busy guest does not slow the caller down; only short turns, most of which take a few microseconds, are
//! taken in the caller's runtime.
//!
//! # Where things are
//!
//! - [`Host`], [`HostBuilder`]: load plugins, start tasks.
//! - [`compile_child`], [`Compiler`], [`LoadLimits`]: where plugins are compiled, and what that may take.
//! - [`StartRequest`], [`Limits`], [`Grants`]: what a task is asked to do, and what it may use.
//! - [`Schedules`], [`ScheduleRequest`]: tasks that are started at their times.
//! - [`TaskHandle`]: wait, watch, notify, pause, fuel, cancel.
//! - [`Plugin::hooks`], [`Plugin::notes`], [`HookLimits`]: what plugins do around their life and beside their tasks.
//! - [`Messages`]: what tasks tell their agents, delivered at least once.
//! - [`AgentLoop`], [`Turn`]: what an agent's loop waits for in its turns, and what comes to it between them.
//! - [`Plan`]: the steps that a task takes, and how far it has come.
//! - [`OpenApproval`], [`ApprovalPolicy`], [`Permission`]: what tasks ask, who may decide it, and what is decided in advance.
//! - [`Tools`], [`ToolOptions`]: all this for an agent's model, as ready tools.
//! - [`blocking`]: all this for programs without async code.
//! - `serve` (with the feature of this name): all this over HTTP.
//! - [`Outcome`], [`FailureKind`], [`CancelledBy`](Party): how a task ended, and why.
//! - [`Event`]: everything that happened to a task, in order.
//!
//! The rules that hold for all of them are in the manual, `host/docs/behaviour.md`.

#![forbid(unsafe_code)]

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub(crate) mod model;
pub(crate) mod ports;
pub(crate) mod runtime;
pub(crate) mod sandbox;
pub(crate) mod store;
pub(crate) mod tools;

pub mod blocking;

#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(feature = "serve")]
pub mod serve;

/// WIT interfaces of the embedder's own, and the wasmtime whose types they are written with.
#[cfg(feature = "wit-extension")]
pub mod wit_extension {
    pub use crate::ports::functions::WitCaller;
    pub use crate::sandbox::extension::{WitInterface, WitInterfaceError, wasmtime};
}

pub use model::admission::Concurrency;
pub use model::approval::{
    ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling, ApprovalVerdict, Approvers, OpenApproval,
    PendingApproval,
};
pub use model::attachment::{AttachedFile, Attachment, AttachmentError, AttachmentSource};
pub use model::capability::Capability;
pub use model::children::{Child, ChildOutcome};
pub use model::cron::CronError;
pub use model::delivery::{ContinuePolicy, DeliveryMode, LoopUpdate, UpdateBody};
pub use model::details::{AgentInfo, DetailsError, Routing, TaskDetails};
pub use model::event::{Budget, Event, EventBody, EventSeq, WaitEnd};
pub use model::export::ExportFormat;
pub use model::external::{ExternalReport, ToolUse};
pub use model::filter::{TaskFilter, TaskIdentity};
pub use model::grants::http::{HostPattern, HttpGrant, InvalidHost};
pub use model::grants::{Access, DirGrant, Grants};
pub use model::hook::{Hook, HookError, HookLimits, HookNote, Hooks, TaskHook};
pub use model::ids::{InvalidKey, PluginDigest, ScheduleId, SignalKey, TaskId, TaskKey, TaskRef};
pub use model::limits::{FUEL_PER_CPU_SECOND, LimitInfo, LimitUnit, Limits, LimitsRequest};
pub use model::listing::{InvalidCursor, OutcomeKind, TaskCursor, TaskPage, TaskSummary};
pub use model::load_limits::LoadLimits;
pub use model::manifest::{Manifest, ManifestError, TaskKind, TaskType};
pub use model::outbox::{AgentMessage, ClaimToken, ClaimedMessage, Delivery, InvalidToken, MessageFilter, Settlement};
pub use model::outcome::{Failure, FailureKind, Outcome};
pub use model::oversize::{Oversize, OversizePolicy};
pub use model::papers::TaskPapers;
pub use model::patch::{Change, PatchError, TaskPatch};
pub use model::permission::{ApprovalKinds, Permission};
pub use model::plan::{ActionId, Plan, PlanError, PlanEvent, PlanStep, StepStatus};
pub use model::plugin_bytes::PluginBytes;
pub use model::policy::answer::AlwaysAllowed;
pub use model::policy::mandate::{AnswerFor, Denied};
pub use model::policy::text::PolicyError;
pub use model::policy::{Policy, SecretRule, SecretSource};
pub use model::publisher::Signed;
pub use model::receipt::{CancelReceipt, Effect};
pub use model::request::{CancelRequest, KeyPolicy, StartRequest};
pub use model::requests::{CapabilityRequest, RequestError};
pub use model::retry::RetryPolicy;
pub use model::routing::RoutingRule;
pub use model::schedule::{
    Firing, LastFiring, ListedSchedule, Overlap, Schedule, ScheduleEvent, ScheduleFault, ScheduleRequest, ScheduledBy,
    When,
};
pub use model::scratch::ScratchPolicy;
pub use model::signal::{Instruction, NotifyAnswer, Party, SenderClass, Senders, Signal};
pub use model::snapshot::{Artifact, FuelRequest, Pause, Phase, Progress, Snapshot, Usage, WaitPoint};
pub use model::text::escape;
pub use ports::agent::AgentSink;
pub use ports::approvals::ApprovalPolicy;
pub use ports::audit::{AuditLine, AuditLog, AuditRing, AuditWhat};
pub use ports::clock::{Clock, SimulatedClock, SystemClock, Timestamp};
#[cfg(feature = "failpoints")]
pub use ports::failpoint::FAILPOINTS;
pub use ports::functions::{HostCall, HostCallError, HostFunction};
pub use ports::output::{OutputChunk, OutputCursor, OutputPage, OutputSource};
#[cfg(feature = "http")]
pub use ports::resolver::{NameTable, Resolver, SystemResolver};
pub use ports::secrets::{InvalidSecret, SecretError};
pub use ports::store::{CommitError, Fence, Record, StoreError, StoredTask, StreamId, TaskStore};
pub use runtime::agent_loop::{AgentLoop, Drained, Interrupted, LoopReady, Turn, TurnStart, TurnStep};
pub use runtime::approvals::{ApprovalFilter, ApprovalStream};
pub use runtime::builder::{BuildError, HostBuilder};
pub use runtime::daemons::{DaemonPhase, DaemonStatus};
pub use runtime::detaching::DetachAnswer;
pub use runtime::export::Export;
pub use runtime::external::{RemoveError, ReportError};
pub use runtime::feed::{EventLane, EventPosition, Lagged, Subscription, TaskEvent, UnknownPosition};
pub use runtime::handle::{ApprovalAnswer, CancelAnswer, ControlAnswer, EventStream, TaskHandle};
pub use runtime::host::Host;
pub use runtime::outbox::{AckAnswer, Messages};
pub use runtime::patience::Waited;
pub use runtime::planners::{PlanAsk, PlannerError};
pub use runtime::plugin::Plugin;
pub use runtime::reach::Scope;
pub use runtime::reading::{OutputFrom, OutputLine, OutputQuery, OutputText, OutputWait};
pub use runtime::recovery::{LostTask, Quarantined, RecoverError, Recovery, WaitingTask};
pub use runtime::retention::GcReport;
pub use runtime::revoking::{LostGrant, PolicyChange, Revocation, RevokeFrom, RevokeReport, RevokedFrom};
pub use runtime::routing::Started;
pub use runtime::schedules::{ScheduleError, ScheduleEvents, Schedules};
pub use runtime::start_error::StartError;
pub use runtime::stopping::{StopReport, StopScope, Stopped};
pub use runtime::terminal::{OnTerminalError, TaskEnd};
pub use runtime::unloading::{PluginError, ReplaceError, Replaced, Switched, Unload};
pub use runtime::updating::UpdateError;
pub use sandbox::compile::Compiler;
pub use sandbox::compile_child::compile_child;
#[doc(hidden)]
pub use sandbox::engine::{Profile, engine_config};
#[cfg(feature = "http")]
pub use sandbox::http::RootError;
pub use sandbox::identify::FileKind;
pub use sandbox::load::LoadError;
pub use sandbox::room::Mappings;
pub use store::audit::AuditFile;
pub use store::faulty::FaultyStore;
pub use store::memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use store::sqlite::{OpenError, SqliteStore, StoreHealth, StoreOwner};
pub use tools::{ToolAnswer, ToolDefinition, ToolOptions, ToolQuestion, ToolVerdict, Tools};
