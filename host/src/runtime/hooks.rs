//! Tells plugins about their own lives.

use crate::model::hook::{Hook, HookError};

use super::host::Inner;
use super::plugin::Plugin;

impl Inner {
    /// Calls a plugin's hook.
    #[expect(clippy::unused_async, reason = "calling a plugin takes time")]
    pub(super) async fn plugin_hook(&self, _plugin: &Plugin, hook: Hook) -> Result<(), HookError> {
        match hook {
            Hook::Init | Hook::OnEnabled | Hook::OnDisabled | Hook::Shutdown => Ok(()),
        }
    }
}
