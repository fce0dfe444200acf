//! The task store in a file, with SQLite: whatever it has answered for is there again after a crash.
//!
//! `open.rs` takes the directory and checks the file, `schema.rs` says what is in it, `writer.rs` is the one thread that
//! writes, `group.rs` what it writes in one transaction, `readers.rs` reads beside it, and `recent.rs` has what is read most.

mod faults;
mod group;
mod health;
mod open;
mod owner;
mod pages;
mod queue;
mod readers;
mod recent;
mod row;
mod schema;
mod store;
mod upkeep;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use health::StoreHealth;
pub use open::OpenError;
pub use owner::StoreOwner;
pub use store::SqliteStore;
