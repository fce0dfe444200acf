//! The life of a task, seen through the library: how it starts, waits, is stopped, and ends.

mod cancelling;
mod ending;
mod log;
mod shutdown;
mod signalling;
mod starting;
mod terminal;
mod waiting;
