//! Tries the interleavings of everything here that threads share without waiting for each other, and of what makes them
//! wait. The sources are compiled with loom's atomics, locks and threads in the place of the system's.

#[expect(dead_code, unreachable_pub, reason = "only what threads share is tried, and nothing is exported")]
#[path = "../../src/guest.rs"]
mod guest;
#[expect(unreachable_pub, reason = "nothing is exported")]
#[path = "../../src/owner.rs"]
mod owner;
#[expect(dead_code, reason = "only what threads share is tried")]
#[path = "../../src/pool.rs"]
mod pool;
#[expect(dead_code, reason = "only what threads share is tried")]
#[path = "../../src/seats.rs"]
mod seats;
#[path = "../../src/slot.rs"]
mod slot;
#[expect(dead_code, reason = "loom knows no time, so nobody rests")]
#[path = "../../src/watch.rs"]
mod watch;

mod owners;
mod queues;
mod slots;
mod waker;
mod watching;

mod sync {
    //! In the place of the crate's own: what loom can look into.
    pub(crate) use crate::waker::AtomicWaker;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::TryLockError;
}
