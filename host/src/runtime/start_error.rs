//! Why a task was not started, in words.

use std::path::PathBuf;

use crate::model::attachment::AttachmentError;
use crate::model::capability::Capability;
use crate::model::details::DetailsError;
use crate::model::ids::{PluginDigest, TaskId, TaskRef};
use crate::model::plan::PlanError;
use crate::model::schema::SchemaError;
use crate::ports::store::CommitError;

/// Why a task was not started. Nothing has happened then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no plugin of that name.
    #[error("no plugin is called {name:?}; loaded: {}", list(loaded))]
    UnknownPlugin {
        /// The name.
        name: String,
        /// The names there are.
        loaded: Vec<String>,
    },
    /// The plugin of that name is being unloaded. The tasks that it has run on for a while.
    #[error("the plugin {name:?} is being unloaded; load it again to start its tasks")]
    PluginUnloading {
        /// The name.
        name: String,
    },
    /// The plugin of that name is disabled. The tasks that it has run on.
    #[error("the plugin {name:?} is disabled; enable it to start its tasks")]
    PluginDisabled {
        /// The name.
        name: String,
    },
    /// A daemon was given another key than its type's name.
    #[error("a daemon's key is its type's name, {name:?}, so that there is one of each; leave the key out")]
    DaemonKey {
        /// The type's name.
        name: String,
    },
    /// The key is written as a task's id is.
    #[error("a key of 32 hexadecimal digits is kept for tasks that are started without one; give another, or none")]
    KeyLikeId,
    /// A task tried to start a daemon as its child.
    #[error("{name:?} is a daemon and nobody's child: the host starts it with its plugin, or a person by hand")]
    DaemonChild {
        /// The type's name.
        name: String,
    },
    /// The plugin has no such task type.
    #[error("the plugin has no task type {name:?}; it has: {}", list(known))]
    UnknownTaskType {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The input does not match the type's schema.
    #[error("the input does not match the task type's schema: {}", faults.join("; "))]
    InvalidInput {
        /// What is wrong, each with its place.
        faults: Vec<String>,
    },
    /// The input is too large.
    #[error("the input has {size} bytes, and at most {max} are allowed; put it into a file and grant its folder")]
    InputTooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// The input has too many values in it, those inside lists and objects counted too.
    #[error("the input has more than {max} values; put it into a file and grant its folder")]
    TooManyValues {
        /// How many it may have.
        max: u64,
    },
    /// A live task has this key, and the request does not say to join or replace it; or it is an ancestor of the new one.
    #[error("{task} is running already; wait for it, or give another key")]
    KeyInUse {
        /// The task that has it.
        task: TaskRef,
    },
    /// A task of a host before this one has this key. It has not ended, and waits for its plugin to be loaded.
    #[error(
        "{task} has not ended: it waits for its plugin {} with the digest {plugin}; load that, cancel the task, or give \
         another key", task.plugin
    )]
    KeyAwaitsPlugin {
        /// The task that has it.
        task: TaskRef,
        /// The digest of its plugin.
        plugin: PluginDigest,
    },
    /// A task of a host before this one has this key, and this host leaves those alone.
    #[error("{task} has not ended, and this host leaves it alone; another one goes on with it: give another key")]
    KeyAwaitsHost {
        /// The task that has it.
        task: TaskRef,
    },
    /// There is no room, and as many tasks as may wait for some.
    #[error("{max} tasks wait for their turn already, and no more may; start it again when some have ended")]
    QueueFull {
        /// The most tasks that may wait.
        max: usize,
    },
    /// The request approves of more in advance than the operator allows.
    #[error("the request approves of questions in advance, and this host does not allow that for all of their kinds")]
    Permission,
    /// Another request was started with this idempotency key.
    #[error("another request was started with this idempotency key, as {task}; give this one a key of its own")]
    IdempotencyKeyUsed {
        /// The task that was started.
        task: TaskRef,
    },
    /// The task that shall be the parent is not alive.
    #[error("the parent is no live task: {parent} has ended, or there never was one")]
    ParentGone {
        /// The id that the request names.
        parent: TaskId,
    },
    /// The task that shall be the parent may not have this child: it has too many, too little fuel, or shall stop.
    #[error("the parent cannot have this child: {reason}")]
    ParentRefuses {
        /// The id that the request names.
        parent: TaskId,
        /// Why not.
        reason: String,
    },
    /// The schema that the request has for its result cannot be used.
    #[error("the request's schema for the result cannot be used: {0}")]
    OutputSchema(SchemaError),
    /// The request names a schedule, which only the host does, for the tasks that it starts by one.
    #[error("a schedule is given to a task by the host, when the schedule fires")]
    Schedule,
    /// What is said about the task is not fit to be kept.
    #[error(transparent)]
    Details(#[from] DetailsError),
    /// A file that the task shall get along is not what was said of it, or cannot be copied.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// A granted folder cannot be opened.
    #[error("failed to open the granted folder {}: {source}", path.display())]
    GrantedDir {
        /// The folder on the host.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A granted folder would be seen where something else is.
    #[error("{guest:?} cannot be a granted folder's path in the task: it is empty, taken, or the scratch directory's")]
    GuestPath {
        /// The path in the task.
        guest: String,
    },
    /// It is to be granted more than the host's policy gives its plugin.
    #[error("the host's policy does not grant the plugin {}", in_words(*capability, scope))]
    BeyondPolicy {
        /// What of.
        capability: Capability,
        /// On what; empty when it is one thing only.
        scope: String,
    },
    /// More signals than a task keeps.
    #[error("the request has {count} signals, and some of them do not fit into a task's mailbox")]
    TooManySignals {
        /// How many the request has.
        count: usize,
    },
    /// The plan cannot be a task's.
    #[error("the task's plan cannot be used: {0}")]
    Plan(PlanError),
    /// No planner is registered by this name.
    #[error("no planner is called {name:?}; registered: {}", list(known))]
    UnknownPlanner {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// No function is registered by this name, to be called at the task's end.
    #[error("no function for the end of a task is called {name:?}; registered: {}", list(known))]
    UnknownOnTerminal {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The host has a data directory, and was not told to go on with the tasks that are in it.
    #[error(
        "this host has not taken over what is in its data directory: call `Host::recover` when the plugins are loaded"
    )]
    NotRecovered,
    /// The store did not take the task.
    #[error("failed to store the new task: {0}")]
    Store(CommitError),
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A capability with its scope, as a person reads it.
fn in_words(capability: Capability, scope: &str) -> String {
    if scope.is_empty() { capability.to_string() } else { format!("{capability} ({scope})") }
}
