//! The task stores.

pub(crate) mod audit;
#[cfg(test)]
mod conformance;
pub(crate) mod faulty;
pub(crate) mod memory;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
