//! What a plugin is, for programs.

use std::path::Path;

use serde_json::{Value, json};

use crate::{Access, Capability, CapabilityRequest, FileKind, Manifest, Plugin, TaskType};

/// The document: the manifest as the plugin gave it, and what was found out about the file.
pub(super) fn document(plugin: &Plugin, file: &Path) -> Value {
    let manifest = plugin.manifest();
    json!({
        "file": file.to_string_lossy(),
        "kind": kind(plugin.file_kind()),
        "size": plugin.size(),
        "sha256": plugin.digest().to_string(),
        "manifest": manifest,
        "grants": all_wishes(manifest).map(|(task, wish)| match task {
            None => json!({ "capability": wish.capability, "flag": flag(wish) }),
            Some(task) => json!({ "capability": wish.capability, "flag": flag(wish), "task": task.name }),
        }).collect::<Vec<_>>(),
        "hooks": plugin.hooks().names().collect::<Vec<_>>(),
        "imports": plugin.imports(),
        "exports": plugin.exports(),
    })
}

/// Everything that a plugin would like to be granted: for all of its tasks, and then for those of one type.
pub(super) fn all_wishes(manifest: &Manifest) -> impl Iterator<Item = (Option<&TaskType>, &CapabilityRequest)> {
    let own = manifest.tasks.iter().flat_map(|task| task.requests.iter().map(move |wish| (Some(task), wish)));
    manifest.requests.iter().map(|wish| (None, wish)).chain(own)
}

/// The flag that grants a wish; none for what every task may, and for what a flag cannot grant.
pub(super) fn flag(wish: &CapabilityRequest) -> Option<&'static str> {
    match wish.known()? {
        Capability::Fs => Some(match wish.access() {
            Access::ReadWrite => "--dir HOST::GUEST:rw",
            Access::Read => "--dir HOST::GUEST",
        }),
        Capability::Signal => Some("--allow signal"),
        Capability::Kv => Some("--allow kv"),
        Capability::Tasks => Some("--allow tasks"),
        Capability::Env => Some("--env NAME=VALUE"),
        Capability::Http
        | Capability::Secrets
        | Capability::Host
        | Capability::Agent
        | Capability::ClockWall
        | Capability::Random => None,
    }
}

fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Component => "component",
        FileKind::ModuleWithContract => "core-module",
        FileKind::PlainModule => "program",
        FileKind::WasmText
        | FileKind::Precompiled
        | FileKind::NativeCode
        | FileKind::Text
        | FileKind::Empty
        | FileKind::Unknown => "other",
    }
}
