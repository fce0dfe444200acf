//! Named places at which a test can stop the process, as a loss of power would. Without the feature `failpoints` they are
//! nothing.

/// The places, by their names: a crash test goes through all of them.
#[cfg(feature = "failpoints")]
pub const FAILPOINTS: &[&str] = &[
    "store.group",
    "store.written",
    "store.committed",
    "recovery.found",
    "recovery.decided",
    "recovery.entered",
    "hook.called",
    "artifact.copied",
    "output.written",
    "plugin.kept",
];

/// The place of this name.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}

pub(crate) use failpoint;
