//! A loaded plugin, as its user sees it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::hook::{HookNote, Hooks};
use crate::model::ids::PluginDigest;
use crate::model::manifest::{Manifest, Schemas};
use crate::model::publisher::Signed;
use crate::sandbox::identify::FileKind;
use crate::sandbox::load::LoadedPlugin;

/// Notes about one plugin's hooks that are kept; older ones are forgotten. Protects the host's memory.
const NOTES_MAX: usize = 32;

/// A plugin that is loaded into a host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plugin(Arc<LoadedPlugin>, Arc<Mutex<VecDeque<HookNote>>>);

impl Plugin {
    pub(crate) fn new(loaded: LoadedPlugin) -> Self {
        Self(Arc::new(loaded), Arc::default())
    }

    /// Its name: what a [`StartRequest`](crate::StartRequest) says.
    pub fn name(&self) -> &str {
        &self.0.manifest.name
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The SHA-256 of its file as it lies there, with the signature in it if there is one: a plugin that is signed has
    /// another digest than it had before.
    pub fn digest(&self) -> PluginDigest {
        self.0.digest
    }

    /// Who has signed its file, of the publishers that the host's policy knew when it was loaded; when several have, the
    /// first by name. `taskcell sign` signs a plugin.
    pub fn publisher(&self) -> Option<&str> {
        self.0.signed.publishers().next()
    }

    /// What its file carries of publishers' signatures.
    pub fn signed(&self) -> &Signed {
        &self.0.signed
    }

    /// The interfaces it imports, with their versions.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// The interfaces it exports, with their versions.
    pub fn exports(&self) -> &[String] {
        &self.0.exports
    }

    /// Which hooks it has: functions of its own that the host calls around its life, and about its tasks' ends.
    pub fn hooks(&self) -> Hooks {
        self.0.hooks
    }

    /// What its hooks left behind, oldest first: those that failed, and those that wrote something. The newest 32 are
    /// kept. A hook that was dropped with its host leaves none.
    pub fn notes(&self) -> Vec<HookNote> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn note(&self, note: HookNote) {
        let mut notes = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() == NOTES_MAX {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    /// The size of its file, in bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// What its file was: a component, or a core module that was made one.
    pub fn file_kind(&self) -> FileKind {
        self.0.kind
    }

    pub(crate) fn schemas(&self, task_type: &str) -> Option<&Schemas> {
        self.0.schemas.iter().find(|(name, _)| name == task_type).map(|(_, schemas)| schemas)
    }
}
