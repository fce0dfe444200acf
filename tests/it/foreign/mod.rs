//! Programs that nobody here wrote: they are fetched for the test and never kept, and do what they do elsewhere, or are
//! refused with a reason. Where they cannot be had the tests say so and pass.

mod capsule;
mod fetched;
mod svg;
mod zellij;
