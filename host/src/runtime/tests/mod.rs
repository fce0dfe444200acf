//! The runtime with scripted guests and simulated time: everything but wasm.

mod asking;
mod beginning;
mod bench;
mod clocks;
mod ending;
mod fuel;
mod functions;
mod hooks;
mod keeping;
mod pausing;
mod reaching;
mod receipts;
mod reporting;
mod stopping;
mod stores;
mod terminal;
mod waiting;
