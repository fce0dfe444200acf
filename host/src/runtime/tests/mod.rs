//! Tests of the runtime with scripted guests and simulated time.

mod bench;
mod ending;
mod stores;
mod waiting;
