//! The one place that maps compiled native code from disk, and the argument why that is safe.

mod cache;

pub use cache::{ArtifactCache, CacheError};
