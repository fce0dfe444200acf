//! The runtime with scripted guests and simulated time: everything but wasm.

mod approving;
mod asking;
mod beginning;
mod bench;
mod clocks;
mod daemons;
mod ending;
mod fuel;
mod functions;
mod hooks;
mod keeping;
mod panics;
mod pausing;
mod races;
mod reaching;
mod receipts;
mod reporting;
mod requests;
mod starting;
mod stopping;
mod stores;
mod telling;
mod terminal;
mod unloading;
mod waiting;
