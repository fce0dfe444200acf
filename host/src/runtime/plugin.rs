//! A loaded plugin, as its user sees it.

use std::sync::Arc;

use crate::model::ids::PluginDigest;
use crate::model::manifest::{Manifest, Schemas};
use crate::sandbox::identify::FileKind;
use crate::sandbox::load::LoadedPlugin;

/// A plugin that is loaded into a host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plugin(Arc<LoadedPlugin>);

impl Plugin {
    pub(crate) fn new(loaded: LoadedPlugin) -> Self {
        Self(Arc::new(loaded))
    }

    /// Its name: what a [`StartRequest`](crate::StartRequest) says.
    pub fn name(&self) -> &str {
        &self.0.manifest.name
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The SHA-256 of its file.
    pub fn digest(&self) -> PluginDigest {
        self.0.digest
    }

    /// The interfaces it imports, with their versions.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// The interfaces it exports, with their versions.
    pub fn exports(&self) -> &[String] {
        &self.0.exports
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
