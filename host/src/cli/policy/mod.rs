//! `taskcell policy`, and where the other commands find their policy.
//!
//! `command` is the verbs; `place` finds the file, reads it, and points at what is wrong in it; `check`, `explain`,
//! `reload` and `suggest` are a verb each; `adding` is what a person adds to a policy for one run; `secrets` reads what a policy says where it is; `writing`
//! puts into it what somebody allows always.

mod adding;
mod check;
mod command;
mod explain;
mod place;
mod publishers;
mod reload;
mod secrets;
mod suggest;
mod writing;

pub(super) use adding::for_run;
pub(super) use command::{PolicyVerb, run};
pub(super) use explain::Reach;
pub(super) use place::{named, of_server, on_this_machine, read};
pub(super) use secrets::{entrust, values};
pub(super) use writing::kept_in;
