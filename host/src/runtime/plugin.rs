//! A loaded plugin, as its user sees it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::hook::{HookNote, Hooks};
use crate::model::ids::PluginDigest;
use crate::model::manifest::{Manifest, Schemas};
use crate::model::publisher::Signed;
use crate::model::requests::Requested;
use crate::sandbox::identify::FileKind;
use crate::sandbox::load::LoadedPlugin;

/// Notes about one plugin's hooks that are kept; older ones are forgotten. Protects the host's memory.
const NOTES_MAX: usize = 32;

/// A plugin that is loaded into a host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plugin(Arc<Known>);

#[derive(Debug)]
struct Known {
    loaded: LoadedPlugin,
    /// What each of its task types asks for, in their order.
    requested: Vec<Arc<Requested>>,
    notes: Mutex<VecDeque<HookNote>>,
}

impl Plugin {
    pub(crate) fn new(loaded: LoadedPlugin) -> Self {
        let manifest = &loaded.manifest;
        let requested = |of| Arc::new(Requested::new(manifest.requests_of(of), &loaded.imports));
        let requested = manifest.tasks.iter().map(requested).collect();
        Self(Arc::new(Known { loaded, requested, notes: Mutex::default() }))
    }

    /// Its name: what a [`StartRequest`](crate::StartRequest) says.
    pub fn name(&self) -> &str {
        &self.0.loaded.manifest.name
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.loaded.manifest
    }

    /// The SHA-256 of its file as it lies there, with the signature in it if there is one: a plugin that is signed has
    /// another digest than it had before.
    pub fn digest(&self) -> PluginDigest {
        self.0.loaded.digest
    }

    /// Who has signed its file, of the publishers that the host's policy knew when it was loaded; when several have, the
    /// first by name. `taskcell sign` signs a plugin.
    pub fn publisher(&self) -> Option<&str> {
        self.0.loaded.signed.publishers().next()
    }

    /// What its file carries of publishers' signatures.
    pub fn signed(&self) -> &Signed {
        &self.0.loaded.signed
    }

    /// The interfaces it imports, with their versions.
    pub fn imports(&self) -> &[String] {
        &self.0.loaded.imports
    }

    /// The interfaces it exports, with their versions.
    pub fn exports(&self) -> &[String] {
        &self.0.loaded.exports
    }

    /// Which hooks it has: functions of its own that the host calls around its life, and about its tasks' ends.
    pub fn hooks(&self) -> Hooks {
        self.0.loaded.hooks
    }

    /// What its hooks left behind, oldest first: those that failed, and those that wrote something. The newest 32 are
    /// kept. A hook that was dropped with its host leaves none.
    pub fn notes(&self) -> Vec<HookNote> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn note(&self, note: HookNote) {
        let mut notes = self.0.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() == NOTES_MAX {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    /// The size of its file, in bytes.
    pub fn size(&self) -> u64 {
        self.0.loaded.size
    }

    /// What its file was: a component, or a core module that was made one.
    pub fn file_kind(&self) -> FileKind {
        self.0.loaded.kind
    }

    /// What tasks of this type ask for: nothing, if it has none such.
    pub(crate) fn requested(&self, task_type: &str) -> Arc<Requested> {
        let place = self.manifest().tasks.iter().position(|of| of.name == task_type);
        place.and_then(|place| self.0.requested.get(place)).map(Arc::clone).unwrap_or_default()
    }

    pub(crate) fn schemas(&self, task_type: &str) -> Option<&Schemas> {
        self.0.loaded.schemas.iter().find(|(name, _)| name == task_type).map(|(_, schemas)| schemas)
    }
}
