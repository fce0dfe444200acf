//! The runtime with scripted guests and simulated time: everything but wasm.

mod asking;
mod beginning;
mod bench;
mod clocks;
mod ending;
mod fuel;
mod functions;
mod keeping;
mod pausing;
mod reaching;
mod receipts;
mod recovery;
mod reporting;
mod schedules;
mod stopping;
mod stores;
mod terminal;
mod waiting;
