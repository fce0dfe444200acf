//! The task stores.

pub(crate) mod faulty;
pub(crate) mod memory;
