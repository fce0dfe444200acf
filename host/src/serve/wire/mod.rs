//! What goes over the wire, for both ends: the bodies, the parameters and the problems of version 1, which the path's
//! `/v1` names.
//!
//! Bodies are JSON. Where the library has a value of its own that is written down, such as a snapshot or an event, that is
//! the body. A field or parameter that nobody knows is an error in a request, and is read over in an answer.

mod controls;
pub mod event_names;
mod events;
mod ids;
mod messages;
mod output;
mod plugins;
mod problem;
mod query;
mod schedules;
mod server;
mod stops;
mod tasks;

pub use controls::{
    CancelAnswered, CancelBody, Changed, Fuel, InstructBody, Notified, PauseBody, Revised, RevokeBody, SignalBody,
    Verdict, WaitQuery, WaitsEnded,
};
pub use events::{EventPage, EventQuery, Followed, LaggedBy, Lane};
pub use ids::{schedule_id, task_id};
pub use messages::{Ack, Acknowledged, Claim, Claimed, ClaimedList, OpenMessages, Release, Released};
pub(crate) use plugins::bytes;
pub use plugins::{
    AddQuery, DRAIN, DaemonLine, HookLine, PluginInfo, PluginList, PluginReplaced, ReplaceQuery, Signature, UnloadQuery,
};
pub use problem::{Problem, ProblemKind};
pub use query::{BadQuery, Pairs, Query};
pub use schedules::{NewSchedule, ScheduleList};
pub use server::{API, Gc, Health, Index, Removed};
pub use stops::{StopBody, StopScopeBody, StoppedTask, Stops};
pub use tasks::{ApprovalList, ExportQuery, ListQuery, PAGE_DEFAULT};

/// What every path of this version begins with.
pub const V1: &str = "/v1";
