//! Native code of plugins: compiled here or in a child process, kept in a private cache, and mapped. The one place that
//! maps code, and the argument why that is safe (`code.rs`).

mod cache;
mod child;
mod code;
mod served;
mod wire;

pub use cache::{ArtifactCache, CacheError, Source};
pub use child::{Bounds, ChildError, Job, compile};
pub use code::Code;
pub use served::{Request, serve};
pub use wire::{Answer, WORD};
