//! Integration tests: real guests in real cells, and the real program. One binary, so that wasmtime is linked once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "in a test, what should not be ends it"
)]

mod cell;
mod cli;
mod compat;
mod crash;
mod examples;
mod foreign;
mod hostile;
mod life;
mod loading;
mod neighbours;
mod plugins;
mod serve;
mod support;
mod web;
