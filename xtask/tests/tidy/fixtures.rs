//! Every guest of the tests, and every task type in it, is used by a test.

use std::collections::BTreeSet;

use syn::{ItemFn, LitStr, visit::Visit};

use crate::{
    rust,
    tree::{Offence, Tree},
};

/// Where the guests are, and where the tests are that use them.
const GUESTS: &str = "tests/guests/";
const TESTS: &str = "tests/it/";

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let tests = tree.rust().filter(|file| file.path.starts_with(TESTS));
    let literals: BTreeSet<_> = tests.flat_map(|file| rust::strings(&rust::tokens(file))).collect();
    let mut offences = Vec::new();
    let mut folders = BTreeSet::new();
    for file in tree.files() {
        let Some((folder, rest)) = file.path.strip_prefix(GUESTS).and_then(|inner| inner.split_once('/')) else {
            continue;
        };
        if folders.insert(folder) && !is_used(folder, &literals) {
            let rule =
                format!("every guest is used by a test, and none of them names \"{folder}\" or \"{folder}.wasm\"");
            offences.push(Offence::new(&file.path, 1, rule));
        }
        if !file.is_rust() || !rest.starts_with("src/") {
            continue;
        }
        for (name, line) in rust::parse(file).map(|syntax| task_types(&syntax)).unwrap_or_default() {
            if !literals.contains(&name) {
                let rule = format!("every fixture is used by a test, and none of them names \"{name}\"");
                offences.push(Offence::new(&file.path, line, rule));
            }
        }
    }
    offences
}

fn is_used(folder: &str, literals: &BTreeSet<String>) -> bool {
    let file = format!("{folder}.wasm");
    literals.iter().any(|literal| literal == folder || literal.rsplit('/').next() == Some(file.as_str()))
}

/// The task types of a guest: functions with `#[task]`, by their given names or their own.
fn task_types(file: &syn::File) -> Vec<(String, usize)> {
    let mut tasks = Tasks::default();
    tasks.visit_file(file);
    tasks.found
}

#[derive(Debug, Default)]
struct Tasks {
    found: Vec<(String, usize)>,
}

impl<'ast> Visit<'ast> for Tasks {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let is_task = |path: &syn::Path| path.segments.last().is_some_and(|last| last.ident == "task");
        if let Some(attribute) = item.attrs.iter().find(|attribute| is_task(attribute.path())) {
            // As the macro names it.
            let mut name = item.sig.ident.to_string().replace('_', "-");
            if let syn::Meta::List(list) = &attribute.meta {
                name = given_name(&list.tokens.to_string()).unwrap_or(name);
            }
            self.found.push((name, rust::line(item.sig.ident.span())));
        }
        syn::visit::visit_item_fn(self, item);
    }
}

/// The literal of `name = "…"`.
fn given_name(arguments: &str) -> Option<String> {
    let tokens: Vec<_> = arguments.parse::<proc_macro2::TokenStream>().ok()?.into_iter().collect();
    tokens.windows(3).find_map(|window| match window {
        [key, equals, value] if key.to_string() == "name" && equals.to_string() == "=" => {
            Some(syn::parse_str::<LitStr>(&value.to_string()).ok()?.value())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &str =
        "#[task]\nfn burn_fuel() {}\n#[taskcell_guest::task(fuel = 1, name = \"nap\")]\nfn sleep() {}\nfn other() {}";

    fn found(test: &str) -> Vec<String> {
        let tree = Tree::of(&[("tests/guests/fixture/src/lib.rs", GUEST), ("tests/it/a.rs", test)]);
        offences(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_fixture_with_a_test_is_fine() {
        assert_eq!(found(r#"fn f() { run("fixture", "burn-fuel"); m!(a => "nap") }"#), Vec::<String>::new());
        assert_eq!(found(r#"fn f() { run("../wasm/fixture.wasm", ["burn-fuel", "nap"]) }"#), Vec::<String>::new());
    }

    #[test]
    fn a_fixture_without_one_is_not() {
        let offences = found(r#"fn f() { run("fixture", "burn_fuel", "nap") }"#);
        assert_eq!(
            offences,
            [
                "tests/guests/fixture/src/lib.rs:2: every fixture is used by a test, and none of them names \"burn-fuel\""
            ]
        );
        assert_eq!(found(r#"fn f() { run("x", "burn-fuel", "sleep") } // "nap", "fixture""#).len(), 2);
    }
}
