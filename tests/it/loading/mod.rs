//! Loading plugins, and everything that is none.

mod commands;
mod contract;
mod damaged;
mod describe;
mod files;
mod plugins;
