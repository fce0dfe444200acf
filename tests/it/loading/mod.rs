//! Loading plugins, and everything that is none.

mod beside;
mod cached;
mod commands;
mod compiling;
mod contract;
mod damaged;
mod describe;
mod files;
mod hooks;
mod plugins;
mod replacing;
mod signed;
mod updated;
