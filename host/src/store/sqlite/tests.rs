//! The store in a file: what only it does.

mod opening;
