//! Hostile guests, each beside a well-behaved one: what the good one notices, how the bad one ends, and what is left of it.
//! Tests show the same without numbers (`tests/it/hostile`); here are the numbers, and nothing is asserted.

mod canary;
mod cases;
mod list;
mod trial;

pub(crate) use cases::{Case, cases};
pub(crate) use list::{Arguments, host, run};
