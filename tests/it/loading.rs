//! Loading plugins, and everything that is none.
