//! The real world of a plugin: the contract's imports, and the exports that the host calls.

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod exports;
#[doc(hidden)]
pub mod hook_bindings;
mod hook_exports;
mod hooks;
mod imports;
