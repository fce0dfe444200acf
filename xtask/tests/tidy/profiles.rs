//! Every member of the workspace is built without optimisation, and with its lines, for the tests.

use crate::tree::{Offence, Tree};

const ROOT: &str = "Cargo.toml";

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let Some(root) = tree.file(ROOT) else {
        return vec![Offence::new(ROOT, 1, "the workspace has a manifest")];
    };
    let members = root.text.lines().skip_while(|line| !line.starts_with("members = [")).skip(1);
    let members = members.take_while(|line| !line.starts_with(']'));
    let folders = members.map(|line| line.trim().trim_matches(|c| c == '"' || c == ','));
    let manifests = folders.filter_map(|folder| tree.file(&format!("{folder}/Cargo.toml")));
    let names = manifests.filter_map(|file| Some((&file.path, name(&file.text)?)));
    let is_listed = |name: &str| root.text.lines().any(|line| line.starts_with(&format!("{name} = {{ opt-level = 0,")));
    let unlisted = names.filter(|(_, name)| !is_listed(name));
    let rule =
        |name: &str| format!("`{name}` is ours, and stands in `[profile.dev.package]` of the workspace's manifest");
    unlisted.map(|(path, name)| Offence::new(path, 1, rule(name))).collect()
}

fn name(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &str = "[package]\nname = \"mine\"\n";

    #[test]
    fn a_member_that_is_listed_is_fine() {
        let root = "members = [\n    \"a\",\n]\n\n[profile.dev.package]\nmine = { opt-level = 0, debug = true }\n";
        assert_eq!(offences(&Tree::of(&[("Cargo.toml", root), ("a/Cargo.toml", MEMBER)])), []);
    }

    #[test]
    fn a_member_that_is_not_is_none() {
        let root = "members = [\n    \"a\",\n]\n\n[profile.dev.package]\nmine-too = { opt-level = 0, debug = true }\n";
        let found = offences(&Tree::of(&[("Cargo.toml", root), ("a/Cargo.toml", MEMBER)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "a/Cargo.toml");
    }
}
