//! The program, from outside: what it writes where, how it ends, what Ctrl-C does.

mod approvals;
mod artifacts;
mod codes;
mod commands;
mod daemons;
mod data;
mod details;
mod endings;
mod export;
mod fuel;
mod hostile;
mod input;
mod limits;
mod output;
mod policy;
pub(crate) mod program;
mod project;
mod scratch;
mod secrets;
mod signals;
mod signing;
mod stopping;
mod terminal;
mod tree;
mod trust;
mod verbs;
