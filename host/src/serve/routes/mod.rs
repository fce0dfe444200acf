//! The routes of version 1, a file for each resource, and `router`, which has them all.

mod approvals;
mod controls;
mod events;
mod files;
mod messages;
mod output;
mod plugins;
mod router;
mod schedules;
mod server;
mod stop;
mod tasks;

use router::path;

pub(super) use router::router;
