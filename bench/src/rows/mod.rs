//! The rows of the list of benchmarks. A new row is a file here and a line in [`measure`](list::measure).

mod busy;
mod calls;
mod cancel;
mod durable;
mod fanout;
mod growth;
mod kernels;
mod list;
mod load;
mod memory;
mod program;
mod progress;
mod start;
mod wake;
mod workers;

pub(crate) use list::{Bench, measure};
pub(crate) use workers::{Arguments, starts};
