//! A long run: many short tasks, or many loads of a plugin, and whether what the process uses stays flat.

mod life;
mod watch;

pub(crate) use life::{Arguments, run};
