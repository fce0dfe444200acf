//! The contract's imports: what a guest asks, passed on to its task's actor.
//!
//! These run on the guest's own stack, so they do little: check, convert, ask, convert back.

mod agent;
mod approvals;
mod convert;
mod grants;
mod host;
mod kv;
mod log;
pub(crate) mod output;
mod plan;
mod signals;
mod task;
mod tasks;
