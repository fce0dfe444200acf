//! The life of a task, seen through the library: how it starts, waits, is stopped, and ends.

mod approving;
mod asking;
mod blocking;
mod cancelling;
mod children;
mod daemons;
mod ending;
mod exporting;
mod extension;
mod functions;
mod hooks;
mod idling;
mod keys;
mod log;
mod observing;
mod plans;
mod reaching;
mod schedules;
mod shutdown;
mod signalling;
mod spending;
mod starting;
mod terminal;
mod tools;
mod turns;
mod waiting;
