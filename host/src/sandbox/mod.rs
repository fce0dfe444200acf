//! The only place that knows wasmtime: engine, plugins, host functions, and what stops a guest.

pub(crate) mod bindings;
pub(crate) mod calls;
pub(crate) mod cell;
pub(crate) mod checking;
pub(crate) mod compile;
pub(crate) mod compile_child;
pub(crate) mod componentize;
pub(crate) mod engine;
pub(crate) mod environment;
#[cfg(feature = "wit-extension")]
pub(crate) mod extension;
mod files;
pub(crate) mod filestream;
pub(crate) mod filework;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod identify;
pub(crate) mod inspect;
pub(crate) mod load;
mod manners;
pub(crate) mod measure;
pub(crate) mod meter;
mod mounts;
pub(crate) mod opening;
pub(crate) mod pace;
pub(crate) mod pool;
pub(crate) mod program;
pub(crate) mod quota;
pub(crate) mod random;
pub(crate) mod room;
pub(crate) mod runner;
pub(crate) mod signature;
pub(crate) mod stdio;
pub(crate) mod trap;
pub(crate) mod wasi;
