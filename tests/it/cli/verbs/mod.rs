//! The verbs, over a server that runs: what they write where, and how they end.

mod completing;
mod naming;
mod plugins;
mod refusals;
mod revoking;
mod schedules;
pub(super) mod serving;
mod starting;
mod steering;
mod streams;
