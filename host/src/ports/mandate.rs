//! What a task may do at this moment: looked at before each thing that has to be granted, and changed from outside.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::grants::touch::Touch;
use crate::model::grants::{DirGrant, Grants};
use crate::model::policy::SharedRules;
use crate::model::policy::mandate::{Mandate, Verdict};

/// A task's mandate, which its cell and its actor look at and the host changes. What is taken away is gone with the next
/// look.
#[derive(Debug)]
pub(crate) struct LiveMandate(RwLock<Mandate>);

impl LiveMandate {
    pub(crate) fn new(mandate: Mandate) -> Self {
        Self(RwLock::new(mandate))
    }

    fn mandate(&self) -> RwLockReadGuard<'_, Mandate> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Mandate> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the task may do this now.
    pub(crate) fn decide(&self, touch: &Touch) -> Verdict {
        self.mandate().decide(touch)
    }

    /// The folders that it sees.
    pub(crate) fn dirs(&self) -> Vec<DirGrant> {
        self.mandate().dirs()
    }

    /// Its environment.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        self.mandate().env()
    }

    /// What a child of it is given.
    pub(crate) fn of_child(&self, same_plugin: bool) -> Grants {
        self.mandate().of_child(same_plugin)
    }

    /// The policy has changed.
    pub(crate) fn set_rules(&self, rules: SharedRules) {
        self.change().set_rules(rules);
    }
}
