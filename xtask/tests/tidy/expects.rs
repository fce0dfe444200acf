//! Calls that clippy.toml bans are excused only in the files that own the disk, the clock, the threads and so on.

use syn::{Attribute, ItemMod, visit::Visit};

use crate::{
    rust,
    tree::{File, Offence, Tree},
};

/// These own something that everybody else gets handed. A new line here is a decision.
const OWNERS: [&str; 10] = [
    // The cache of compiled plugins.
    "host/artifact/src/cache.rs",
    // The environment, and the files that the command line names.
    "host/src/cli/environment.rs",
    "host/src/cli/files.rs",
    "host/src/cli/files/log.rs",
    // The clock of the machine.
    "host/src/ports/clock.rs",
    // Plugin files.
    "host/src/sandbox/load.rs",
    // What the kernel allows this process.
    "host/src/sandbox/room.rs",
    // How long a worker is in one poll.
    "host/slot/src/seats.rs",
    // The cache of guest toolchains, and the programs that fill it.
    "host/toolchain/src/disk.rs",
    "host/toolchain/src/run.rs",
];

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let is_bound =
        |file: &&File| file.path.starts_with("host/") && !file.is_test() && !OWNERS.contains(&file.path.as_str());
    let mut offences: Vec<_> = tree.rust().filter(is_bound).flat_map(of_file).collect();
    let has_library = tree.file("host/src/lib.rs").is_some();
    for owner in OWNERS.iter().filter(|owner| has_library && tree.file(owner).is_none()) {
        offences.push(Offence::new(
            "xtask/tests/tidy/expects.rs",
            1,
            format!("the list of owners names {owner}, which is gone"),
        ));
    }
    offences
}

fn of_file(file: &File) -> Vec<Offence> {
    let mut excuses = Excuses::default();
    if let Some(syntax) = rust::parse(file) {
        excuses.visit_file(&syntax);
    }
    let rule = "banned calls are excused only in the files that own what they reach; the list is in expects.rs";
    excuses.lines.into_iter().map(|line| Offence::new(&file.path, line, rule)).collect()
}

#[derive(Debug, Default)]
struct Excuses {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Excuses {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let is_excuse = attribute.path().is_ident("expect") || attribute.path().is_ident("cfg_attr");
        if let (true, syn::Meta::List(list)) = (is_excuse, &attribute.meta) {
            let text = list.tokens.to_string();
            if text.contains("disallowed_methods") {
                self.lines.push(rust::line(attribute.pound_token.spans[0]));
            }
        }
    }
}

/// Whether `#[cfg(test)]` or something like it stands before an item.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => attribute.path().is_ident("cfg") && list.tokens.to_string().contains("test"),
        syn::Meta::Path(_) | syn::Meta::NameValue(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCUSE: &str = "\n#[expect(clippy::disallowed_methods, reason = \"x\")]\nfn f() {}\n";

    #[test]
    fn an_owner_may_and_others_may_not() {
        let paths = |path| {
            offences(&Tree::of(&[(path, EXCUSE)])).into_iter().map(|offence| offence.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(paths("host/src/ports/clock.rs"), Vec::<String>::new());
        assert_eq!(paths("plugins/digest/src/walk.rs"), Vec::<String>::new());
        let offences = paths("host/src/runtime/actor.rs");
        assert!(offences[0].starts_with("host/src/runtime/actor.rs:2: banned calls"), "{offences:?}");
    }

    #[test]
    fn tests_may_do_as_they_like() {
        let text = format!("#[cfg(test)]\nmod tests {{ {EXCUSE} }}");
        assert_eq!(offences(&Tree::of(&[("host/src/runtime/a.rs", &text)])), []);
        let text = format!("mod inner {{ #![expect(clippy::disallowed_methods)] {EXCUSE} }}");
        assert_eq!(offences(&Tree::of(&[("host/src/runtime/a.rs", &text)])).len(), 2);
    }

    #[test]
    fn an_owner_that_is_gone_leaves_the_list() {
        let offences = offences(&Tree::of(&[("host/src/lib.rs", "")]));
        assert_eq!(offences.len(), OWNERS.len());
    }
}
