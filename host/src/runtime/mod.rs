//! What makes a task live: the host, one actor per task, and the handles to it.

pub(crate) mod actor;
mod after;
pub(crate) mod asking;
pub(crate) mod attempts;
pub(crate) mod belongings;
pub(crate) mod birth;
pub(crate) mod builder;
pub(crate) mod calls;
pub(crate) mod cell;
pub(crate) mod children;
pub(crate) mod desk;
pub(crate) mod dirs;
pub(crate) mod effects;
mod ending;
pub(crate) mod functions;
pub(crate) mod guard;
pub(crate) mod handle;
pub(crate) mod host;
pub(crate) mod pace;
pub(crate) mod plugin;
pub(crate) mod queue;
pub(crate) mod reach;
pub(crate) mod registry;
mod schedule_books;
mod scheduler;
pub(crate) mod schedules;
pub(crate) mod shared;
mod spill;
pub(crate) mod start;
pub(crate) mod stopping;
pub(crate) mod terminal;
#[cfg(test)]
mod tests;
pub(crate) mod timers;
