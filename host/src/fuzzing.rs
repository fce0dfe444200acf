//! What is fuzzed: a function for each kind of bytes that somebody else gives the host.
//!
//! Each takes any bytes at all and panics when something does not hold that has to hold for all of them. `tests/fuzz` has
//! a program for each, which cargo-fuzz runs, and keeps in `corpus` what a search found and somebody thought worth keeping.
//! `cargo xtask fuzz` searches; the tests try the seeds, what was kept, and what is made of both. Not a part of what the library promises.

mod files;
mod making;
mod names;
mod texts;

#[cfg(test)]
#[cfg(feature = "cli")]
mod mutation;
#[cfg(test)]
#[cfg(feature = "cli")]
mod seeds;
#[cfg(test)]
#[cfg(feature = "cli")]
mod tests;

/// A fuzz target: what is tried with some bytes.
pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: [(&str, Target); 6] = [
    ("ids", names::ids),
    ("load", files::load),
    ("manifest", texts::manifest),
    ("policy", texts::policy),
    ("signature", files::signature),
    ("values", texts::values),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// The bytes as a text; what is no UTF-8 in them is replaced.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
