//! A host over HTTP, for everybody who may open its socket: start tasks and follow them from other programs.
//!
//! The routes are in `host/docs/http.md`; [`wire`] has their bodies, for both ends.

mod socket;

pub mod wire;

pub use socket::{SocketError, listen, socket_path};
