//! The store in a file: what only it does.

mod damage;
pub(crate) mod lives;
mod opening;
mod paging;
mod power;
mod room;
mod upkeep;
pub(crate) mod world;
