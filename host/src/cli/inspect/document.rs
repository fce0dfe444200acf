//! What a plugin is, for programs.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::text;
use crate::{Access, Capability, CapabilityRequest, FileKind, Manifest, Plugin, Signed, TaskType};

/// The document: the manifest as the plugin gave it, and what was found out about the file.
pub(super) fn document(plugin: &Plugin, file: &Path) -> Value {
    let manifest = plugin.manifest();
    json!({
        "file": file.to_string_lossy(),
        "kind": kind(plugin.file_kind()),
        "size": plugin.size(),
        "sha256": plugin.digest().to_string(),
        "publisher": plugin.publisher(),
        "signature": word_of(plugin.signed()),
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
pub(super) fn flag(wish: &CapabilityRequest) -> Option<String> {
    let form = match wish.known()? {
        Capability::Fs => match wish.access() {
            Access::ReadWrite => "--dir HOST::GUEST:rw".to_owned(),
            Access::Read => "--dir HOST::GUEST".to_owned(),
        },
        Capability::Signal => "--allow signal".to_owned(),
        Capability::Kv => "--allow kv".to_owned(),
        Capability::Tasks if wish.plugins.is_empty() => "--allow tasks".to_owned(),
        Capability::Tasks => words(wish.plugins.iter().map(|plugin| format!("--allow tasks={plugin}"))),
        Capability::Env if wish.names.is_empty() => "--env NAME=VALUE".to_owned(),
        Capability::Env => words(wish.names.iter().map(|name| format!("--env {name}=VALUE"))),
        Capability::Http => {
            let methods: Vec<&str> = wish.methods.iter().map(String::as_str).collect();
            let methods = if methods.is_empty() { String::new() } else { format!("{}:", methods.join(",")) };
            let hosts: Vec<String> = wish.hosts.iter().map(ToString::to_string).collect();
            let hosts = if hosts.is_empty() { vec!["HOST".to_owned()] } else { hosts };
            let bracketed = |host: String| if host.contains(':') { format!("[{host}]") } else { host };
            words(
                hosts
                    .into_iter()
                    .map(|host| format!("--allow {}", text::shell_word(&format!("http={methods}{}", bracketed(host))))),
            )
        }
        // A secret comes from a policy, and a function from the program that embeds the host: no flag grants them here.
        Capability::Secrets | Capability::Host | Capability::Agent | Capability::ClockWall | Capability::Random => {
            return None;
        }
    };
    Some(form)
}

fn words(flags: impl Iterator<Item = String>) -> String {
    flags.collect::<Vec<_>>().join(" ")
}

/// What is asked for, with its scope: `http, GET api.example.com`.
pub(super) fn asked(wish: &CapabilityRequest) -> String {
    let list = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(",");
    let hosts = wish.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let access = wish.access.map(|access| match access {
        Access::Read => "read".to_owned(),
        Access::ReadWrite => "read and write".to_owned(),
    });
    let scopes = [list(&wish.methods), hosts, list(&wish.names), list(&wish.plugins), access.unwrap_or_default()];
    let scope = scopes.into_iter().filter(|scope| !scope.is_empty()).collect::<Vec<_>>().join(" ");
    if scope.is_empty() { wish.capability.clone() } else { format!("{}, {scope}", wish.capability) }
}

/// What the file carries of signatures, in a word.
pub(in crate::cli) fn word_of(signed: &Signed) -> &'static str {
    match signed {
        Signed::Not => "none",
        Signed::Unusable(_) => "unusable",
        Signed::Unknown { .. } => "unknown",
        Signed::False(_) => "false",
        Signed::By(_) => "good",
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
