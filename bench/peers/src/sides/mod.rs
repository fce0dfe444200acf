//! The sides that are compared, each in a process of its own.

pub(crate) mod capsule;
pub(crate) mod extism;
mod extism_crowd;
pub(crate) mod list;
pub(crate) mod process;
pub(crate) mod taskcell;
pub(crate) mod tokio_task;
