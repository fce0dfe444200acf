//! A host over HTTP, for everybody who may open its socket: start tasks and follow them from other programs.
//!
//! The routes are in `host/docs/http.md`; [`wire`] has their bodies, for both ends. [`Server`] is the start: it serves a
//! host on whatever listens, within its [`Bounds`]. What is asked comes through `reading`, goes to a file of `routes`, and
//! an error of the library becomes a problem in `refusal`.

mod bounds;
mod desk;
mod patient;
mod reading;
mod refusal;
mod routes;
mod server;
mod shelf;
mod socket;
mod sse;
mod strangers;

pub mod wire;

pub use bounds::Bounds;
pub use server::Server;
pub use shelf::{Keeping, Kept, Shelf, ShelfError};
pub use socket::{SocketError, listen, socket_path};
