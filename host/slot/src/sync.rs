//! What the slot is made of; its model check puts loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, TryLockError};
