//! A real `taskcell serve` that is killed, again and again, at random moments and at every named failpoint; and what must be
//! there when the next one has recovered.

mod kills;
mod ledger;
mod points;
mod server;
