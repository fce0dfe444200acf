//! A real `taskcell serve` that is killed, again and again, at random moments and at every named failpoint, or whose disk is
//! full, fails or is damaged; and what must be there when the next one has recovered.

mod descriptors;
mod faults;
mod kills;
mod ledger;
mod memory;
mod other_code;
mod points;
mod server;
