//! What one version of a plugin asks for, can do and promises beside another one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cli::limits;
use crate::{Manifest, Plugin};

use super::document::{all_wishes, asked};

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    Added,
    Removed,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) change: Change,
    /// `request`, `import`, `task`, `limit` or `hook`.
    pub(super) what: &'static str,
    /// Which one, as people write it.
    pub(super) name: String,
}

/// What somebody looks at before an update, by kind.
type Sides = BTreeMap<&'static str, BTreeSet<String>>;

/// What is different; nothing that only has another version or another wording.
pub(super) fn differences(old: &Plugin, new: &Plugin) -> Vec<Difference> {
    compare(&all(old), &all(new))
}

fn all(plugin: &Plugin) -> Sides {
    let imports = plugin.imports().iter().map(|import| import.split('@').next().unwrap_or(import).to_owned());
    let mut sides = of_manifest(plugin.manifest());
    sides.insert("import", imports.collect());
    sides.insert("hook", plugin.hooks().names().map(str::to_owned).collect());
    sides
}

fn of_manifest(manifest: &Manifest) -> Sides {
    let requests = all_wishes(manifest).map(|(task, wish)| match task {
        None => asked(wish),
        Some(task) => format!("{} (only {})", asked(wish), task.name),
    });
    let limits = manifest.tasks.iter().flat_map(|task| {
        let name = &task.name;
        limits::named(&task.limits)
            .map(move |(info, value)| format!("{name}: {} {}", limits::name(info), limits::written(info, value)))
    });
    BTreeMap::from([
        ("request", requests.collect()),
        ("task", manifest.tasks.iter().map(|task| task.name.clone()).collect()),
        ("limit", limits.collect()),
    ])
}

fn compare(old: &Sides, new: &Sides) -> Vec<Difference> {
    let none = BTreeSet::new();
    let mut found = Vec::new();
    // What asks for most comes first.
    for what in ["request", "import", "hook", "task", "limit"] {
        let (old, new) = (old.get(what).unwrap_or(&none), new.get(what).unwrap_or(&none));
        let named = |change, name: &String| Difference { change, what, name: name.clone() };
        found.extend(new.difference(old).map(|name| named(Change::Added, name)));
        found.extend(old.difference(new).map(|name| named(Change::Removed, name)));
    }
    found
}

/// The differences for people, as `diff` writes them.
pub(super) fn page(old: &Plugin, new: &Plugin, found: &[Difference]) -> Vec<String> {
    let head = |sign: &str, plugin: &Plugin| {
        format!("{sign} {} {}, sha256 {}", plugin.name(), plugin.manifest().version, plugin.digest())
    };
    let mut lines = vec![head("---", old), head("+++", new)];
    for Difference { change, what, name } in found {
        let sign = match change {
            Change::Added => "+",
            Change::Removed => "-",
        };
        lines.push(format!("{sign} {what} {name}"));
    }
    if found.is_empty() {
        lines.push("  it asks for the same, imports the same, and has the same tasks, limits and hooks".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sides(document: &Value) -> Sides {
        of_manifest(&Manifest::parse(&document.to_string()).unwrap())
    }

    #[test]
    fn t23_an_update_shows_what_it_asks_for_in_addition() {
        let old = sides(&json!({
            "manifest": 1, "name": "a", "version": "1", "requests": [{"capability": "kv", "reason": "one"}],
            "tasks": [{"name": "go", "limits": {"fuel": 5_000_000_000_u64}}],
        }));
        let new = sides(&json!({
            "manifest": 1, "name": "a", "version": "2",
            "requests": [
                {"capability": "kv", "reason": "another"},
                {"capability": "http", "hosts": ["api.example.com"], "methods": ["GET"]},
            ],
            "tasks": [
                {"name": "go", "limits": {"fuel": 7_000_000_000_u64}},
                {"name": "more", "requests": [{"capability": "fs", "access": "read"}]},
            ],
        }));
        let told: Vec<String> =
            compare(&old, &new).into_iter().map(|it| format!("{:?} {} {}", it.change, it.what, it.name)).collect();
        assert_eq!(
            told,
            [
                "Added request fs, read (only more)",
                "Added request http, GET api.example.com",
                "Added task more",
                "Added limit go: fuel 7G",
                "Removed limit go: fuel 5G",
            ]
        );
        assert_eq!(compare(&new, &new), []);
    }
}
