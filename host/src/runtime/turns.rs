//! Whose turn it is to change what a plugin's name points to: one change at a time for each name, and names do not wait
//! for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// The turns of all names.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    names: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// Whoever has it changes what one name points to. Only a job of the host's own has one, or waits for one: a caller's
/// future may be left unpolled, and would hold up everybody behind it.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Turns {
    /// Waits for the turn to change what this name points to.
    ///
    /// Cancel safety: when the future is dropped, the place in the line is given up.
    pub(super) async fn of(&self, name: &str) -> Turn {
        let turn = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody has or waits for need not be remembered.
            names.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(names.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}
