//! The SDK from the outside: what the macros make, and what a task meets at the fake host.

mod asking;
mod attachments;
mod compile_errors;
mod fuel;
mod hooks;
mod manifest;
mod plans;
mod results;
mod signals;
mod traces;
