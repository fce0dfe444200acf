//! Unit tests for tasks, without WebAssembly: a host that is only pretended.
//!
//! [`FakeHost`] answers all that a task asks of its host by the contract's rules, and remembers what the task did. Its
//! time is simulated and moves only while the task waits, so that a test of a wait of three days takes no time and
//! always ends the same way.
//!
//! ```
//! use std::time::Duration;
//! use serde_json::json;
//! use taskcell_guest::testing::FakeHost;
//! use taskcell_guest::{TaskCtl, TaskError};
//!
//! fn publish(ctl: &TaskCtl, text: String) -> Result<String, TaskError> {
//!     ctl.report_progress("waiting for a yes", None)?;
//!     let yes = ctl.wait::<bool>("approval", Duration::from_secs(3600))?;
//!     if yes.payload { Ok(text) } else { Err(TaskError::new("nobody wants it")) }
//! }
//!
//! let host = FakeHost::new();
//! host.send_at(Duration::from_secs(90), "approval", json!(true));
//! assert_eq!(host.run(publish, "News".to_owned()), Ok("News".to_owned()));
//! assert_eq!(host.elapsed(), Duration::from_secs(90));
//! assert_eq!(host.progress()[0].message, "waiting for a yes");
//! ```
//!
//! Fuel is simulated too: a task uses what [`FakeHost::burn_at_each_look`] says, and not what it computes. Requests for
//! more are answered by [`FakeHost::grant_fuel`] and its siblings, in the order in which the answers were given. Questions
//! for approval are answered in the same way by [`FakeHost::approve`] and [`FakeHost::deny`].
//!
//! The fake host does not do these: it never stops a task by force, also when no fuel is left, does not catch panics,
//! merges no progress, and has neither a deadline nor other limits, and grants everything but what [`FakeHost::deny_grant`] says. There are no other tasks: what
//! the task sends to them is written down, and answered as the test says, and the tasks that it starts end as
//! [`FakeHost::child_ends`] says. The plan is kept by the contract's rules, and replanned as
//! [`FakeHost::planner_makes`] says. Host functions answer as [`FakeHost::answer_host`] says. The plugin's store is a real
//! one, which starts empty.

mod asking;
mod attachments;
mod belongings;
mod children;
mod fake_host;
mod fuel;
mod granting;
mod log;
mod pages;
mod planning;
mod records;
mod state;

pub use fake_host::FakeHost;
pub use records::{
    AgentMessage, ApprovalRequest, Attached, EndedWait, FuelRequest, HostCalled, LogLine, Notified, Progress,
    ScopeNotified, StartedTask, UsageRecord,
};
