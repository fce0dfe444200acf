//! The only place that knows wasmtime: engine, plugins, host functions, and what stops a guest.

pub(crate) mod bindings;
pub(crate) mod calls;
pub(crate) mod cell;
pub(crate) mod compile;
pub(crate) mod compile_child;
pub(crate) mod componentize;
pub(crate) mod engine;
#[cfg(feature = "wit-extension")]
pub(crate) mod extension;
pub(crate) mod files;
pub(crate) mod filestream;
pub(crate) mod identify;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod measure;
pub(crate) mod meter;
pub(crate) mod pace;
pub(crate) mod pool;
pub(crate) mod program;
pub(crate) mod quota;
pub(crate) mod random;
pub(crate) mod runner;
pub(crate) mod stdio;
pub(crate) mod trap;
pub(crate) mod wasi;
