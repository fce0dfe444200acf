//! The rows of the list of benchmarks. A new row is a file here and a line in [`measure`](list::measure).

mod calls;
mod cancel;
mod durable;
mod kernels;
mod list;
mod start;

pub(crate) use list::{Bench, measure};
