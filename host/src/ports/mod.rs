//! The few traits that the core asks the world through, and the values that cross them.

pub(crate) mod agent;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod clock;
pub(crate) mod failpoint;
pub(crate) mod functions;
pub(crate) mod gate;
pub(crate) mod gauges;
pub(crate) mod hiding;
pub(crate) mod hooks;
pub(crate) mod kv;
pub(crate) mod mailbox;
pub(crate) mod mandate;
pub(crate) mod news;
pub(crate) mod output;
pub(crate) mod permits;
#[cfg(feature = "http")]
pub(crate) mod resolver;
pub(crate) mod runner;
pub(crate) mod scratch;
pub(crate) mod secrets;
pub(crate) mod store;
pub(crate) mod watched;
