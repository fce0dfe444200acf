//! The `taskcell` program.
//!
//! This is the only part of the crate that reads arguments and the environment (`environment`), that reads and writes
//! the person's files (`files`), and that prints (`output`). Data goes to stdout, talk to stderr; whatever came from a
//! plugin is escaped on the way. The manual is `host/docs/cli.md`.

mod allowing;
mod args;
mod attaching;
mod build;
mod client;
mod completions;
mod details;
mod doctor;
mod environment;
mod exit;
#[cfg(feature = "failpoints")]
mod failpoints;
mod fault;
mod files;
mod groups;
mod help;
mod inspect;
mod limits;
mod new;
mod open;
mod output;
mod plans;
mod policy;
mod program;
mod progress;
mod prompt;
mod run;
mod serve;
mod signing;
mod stops;
mod terminal;
mod text;
mod values;
mod verbs;

pub use program::main;
