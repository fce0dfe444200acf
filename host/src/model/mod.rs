//! Plain values and the rules that decide over them: no clock, no I/O, no tokio, no wasmtime.

pub(crate) mod admission;
pub(crate) mod approval;
pub(crate) mod attachment;
pub(crate) mod capability;
pub(crate) mod children;
pub(crate) mod command;
pub(crate) mod cron;
pub(crate) mod daemon;
pub(crate) mod delivery;
pub(crate) mod details;
pub(crate) mod event;
pub(crate) mod export;
pub(crate) mod external;
pub(crate) mod filter;
pub(crate) mod grants;
pub(crate) mod hook;
pub(crate) mod idempotency;
pub(crate) mod ids;
pub(crate) mod json;
pub(crate) mod limits;
pub(crate) mod lines;
pub(crate) mod listing;
pub(crate) mod load_limits;
pub(crate) mod machine;
#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod machine_tests_budgets;
#[cfg(test)]
mod machine_tests_edges;
#[cfg(test)]
mod machine_tests_plans;
#[cfg(test)]
mod machine_tests_restarts;
#[cfg(test)]
mod machine_tests_waiting;
pub(crate) mod mailbox;
pub(crate) mod manifest;
pub(crate) mod outbox;
pub(crate) mod outcome;
pub(crate) mod oversize;
pub(crate) mod papers;
pub(crate) mod patch;
pub(crate) mod permission;
pub(crate) mod plan;
pub(crate) mod plugin_bytes;
pub(crate) mod policy;
pub(crate) mod progress;
pub(crate) mod publisher;
pub(crate) mod receipt;
#[cfg(test)]
mod reference;
pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod retry;
pub(crate) mod routing;
pub(crate) mod schedule;
pub(crate) mod scheduling;
#[cfg(test)]
mod scheduling_tests;
pub(crate) mod schema;
pub(crate) mod scratch;
pub(crate) mod signal;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod summary;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod wire;
