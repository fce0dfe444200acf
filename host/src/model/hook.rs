//! What a plugin is told about its own life.

/// A moment of a plugin's life that it may want to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// Before it is registered. When it fails, the plugin is not loaded.
    Init,
    /// Its tasks can be started from now on.
    OnEnabled,
    /// None of them can be started any more.
    OnDisabled,
    /// The last of them is gone.
    Shutdown,
}

/// A plugin's hook failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct HookError {
    /// What went wrong.
    pub message: String,
}
