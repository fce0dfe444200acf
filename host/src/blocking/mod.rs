//! The same library for programs without async code: each method waits on the calling thread for the one of the same name.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use taskcell::{EventSeq, Host, StartRequest};
//!
//! fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
//!     if let Some(done) = taskcell::compile_child() {
//!         return Ok(done);
//!     }
//!     let host = Host::builder().build_blocking()?;
//!     let plugin = host.load_plugin("hello.wasm")?;
//!     let task = host.start(StartRequest::new(plugin.name(), "hello").input(serde_json::json!({"name": "Ada"})))?;
//!     for event in task.events(EventSeq::default()) {
//!         println!("{:?}", event?.body);
//!     }
//!     println!("{}", task.wait()?);
//!     host.shutdown()?;
//!     Ok(ExitCode::SUCCESS)
//! }
//! ```
//!
//! A thread that belongs to a tokio runtime must not be held up, so there every call that waits answers [`InsideRuntime`]
//! and does nothing; async code has the methods of [`Host::inner`] and [`TaskHandle::inner`]. What is not here
//! is waited for with [`Host::wait`].

mod engine;
mod host;
mod streams;
mod task;

pub use engine::{BuildError, Error, InsideRuntime};
pub use host::Host;
pub use streams::{Approvals, Events, Output, Subscription};
pub use task::TaskHandle;
