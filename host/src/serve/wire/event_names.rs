//! The names of server-sent events.

/// Something happened: an [`Event`](crate::Event) of one task, or [`Followed`](super::Followed) of all of them.
pub const EVENT: &str = "event";
/// Events went by unseen: [`LaggedBy`](super::LaggedBy).
pub const LAGGED: &str = "lagged";
/// The first of a stream of all tasks' events: its id is the place from which on it follows.
pub const HERE: &str = "here";
/// The stream ends because of this: [`Problem`](super::Problem).
pub const PROBLEM: &str = "problem";
