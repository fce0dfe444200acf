//! `taskcell run`: one task of one plugin, from the command line to the exit code.
//!
//! `command` is the order of things; `request` reads what is asked for; `session` follows the task, `happenings` has the
//! words for it; `guest` puts the guest's output into lines; `artifacts` saves files, `scratch` the
//! scratch directory, `export` what happened; `branches` looks at what is below the task, and `tree` draws it; `summary`,
//! `receipt` and `advice` say how it ended.

mod advice;
mod artifacts;
mod branches;
mod command;
mod export;
mod farewell;
mod guest;
mod happenings;
mod receipt;
mod request;
mod scratch;
mod session;
mod summary;
mod tree;

pub(super) use artifacts::{Saved, save_one};
pub(super) use command::run;
pub(super) use happenings::line;
pub(super) use receipt::lines as receipt_lines;
pub(super) use summary::{End, LastWords};
pub(super) use tree::Standing;
