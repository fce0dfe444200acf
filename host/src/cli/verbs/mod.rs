//! The verbs: what a person says to the server that `taskcell serve` keeps running.
//!
//! `args` is the table of them, `dispatch` finds the code of each; every other file is a verb or a family of them, but for
//! these: `at` is the flags that all have, `which` finds the task that a name means, `each` does the same to several,
//! `table` and `times` are how it is all written, `standing` says how a task stands, `completing` asks the server what can
//! be typed next.

mod approve;
mod args;
mod at;
pub(super) mod audit;
mod cancel;
mod completing;
mod controls;
mod dispatch;
mod each;
mod events;
mod following;
mod gc;
mod help;
mod list;
mod output;
mod plugin;
mod revoke;
mod schedule;
mod show;
mod standing;
mod start;
mod stop_all;
pub(super) mod table;
mod times;
mod wait;
mod which;

pub(super) use args::Verb;
pub(super) use dispatch::run;
