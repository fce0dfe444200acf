//! Runs guests on worker threads of their own, each in a slot that can be emptied at any moment.
//!
//! A guest is a future that may burn a core for as long as it is let. So it does not run among the host's own futures:
//!
//! - Its **slot** is polled by one worker at a time, and whoever stops it never waits for that worker. If the guest is
//!   not being polled, the canceller takes it out; if it is, its worker does so when the poll is over.
//! - **Workers** run at a lower priority than the host, and serve guests that were woken before guests that only burn.
//! - Its **owner**, whoever handed it over, may give it short turns itself: a change between threads costs more than those.
//! - A **watchdog** adds a spare worker for one that is stuck in a long poll, and tells the ends that one holds up.
//! - A **reaper** drops what was taken out, because dropping a large guest takes milliseconds.
//!
//! Nothing here knows what a guest is made of.
#![forbid(unsafe_code)]

mod guest;
mod owner;
mod pool;
mod seats;
mod slot;
mod sync;
mod watch;
mod workers;

pub use guest::{Guest, GuestEnd};
pub use owner::{Conduct, Life, Owner};
pub use workers::{Around, Settings, Workers};
