//! The store in a file: what only it does.

mod damage;
mod lives;
mod opening;
mod paging;
mod power;
mod room;
mod upkeep;
mod world;
