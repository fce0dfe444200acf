//! What a task prints and logs: the newest in memory, older pieces in a file, and followed by whoever wants to.
//!
//! Every piece has a number. Three rings keep the newest of stdout, stderr and the log, so that a flood of one does not push
//! the others out. When the first of them is full, everything not yet written goes to the task's spill, in the order of
//! the numbers, and only then may the ring let go of it. A guest that prints faster than the disk takes it waits for that
//! in its call. Readers take the spill's pieces and the rings' together, by number.
//!
//! A host on a data directory writes all of it to the spill, a moment behind, and another host reads it there. Numbers that
//! may have been given just before the first one was killed are not given again.

mod behind;
mod decode;
mod frame;
mod log;
mod page;
mod record;
mod ring;
mod spill;

pub(crate) use behind::Behind;
pub(crate) use frame::Mark;
pub(crate) use log::OutputLog;
pub use page::{OutputChunk, OutputCursor, OutputPage, OutputSource};
pub(crate) use spill::{Spill, SpillFile};
