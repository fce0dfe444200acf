//! The client of a server that runs on this machine: what `taskcell serve` keeps running, the verbs talk to.
//!
//! `connect` makes one and asks, `calls` has a method for each route, `follow` and `everything` go on where they were
//! when the server was started again, `place` finds the server's directory.

mod calls;
mod connect;
mod error;
mod everything;
mod follow;
mod place;

pub(super) use connect::Client;
pub(super) use error::CallError;
pub(super) use place::data_dir;
