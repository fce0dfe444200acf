//! Races: two things that happen at the same time, in every order, step by step.

mod asks;
mod drops;
mod ends;
mod starts;
pub(super) mod steps;
mod turns;
pub(super) mod unloads;
mod waits;
