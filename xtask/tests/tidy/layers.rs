//! Arrows inside the library point down the list of layers, and siblings do not know each other.

use crate::{
    rust::{self, Named},
    tree::{File, Offence, Tree},
};

/// The layers, from the top to the bottom. Those of one line are siblings.
const LAYERS: [&[&str]; 10] = [
    &["fuzzing"],
    &["cli"],
    &["serve"],
    &["cluster"],
    &["blocking"],
    &["tools"],
    &["runtime"],
    &["sandbox", "store"],
    &["ports"],
    &["model"],
];

/// Layers that use the library as an embedder does, by the names that its root gives out.
const EMBEDDERS: [&str; 4] = ["cli", "serve", "blocking", "tools"];

/// Files that belong to no layer: they put the layers together.
const ROOTS: [&str; 2] = ["host/src/lib.rs", "host/src/main.rs"];

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let in_library = |file: &&File| file.path.starts_with("host/src/") && !ROOTS.contains(&file.path.as_str());
    tree.rust().filter(in_library).flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Offence> {
    let module = module_of(&file.path);
    let Some((layer, from)) = module.first().and_then(|layer| Some((layer, rank(layer)?))) else {
        return vec![Offence::new(&file.path, 1, "every file of the library is in a layer; the list is in layers.rs")];
    };
    let Some(syntax) = rust::parse(file) else {
        return Vec::new();
    };
    let complaint = |named: &Named| {
        let target = target(&module, named)?;
        let rule = match rank(&target) {
            None if EMBEDDERS.contains(&layer.as_str()) => return None,
            None => {
                format!("`{}` is named by its layer, not by the root, which is above all", named.segments.join("::"))
            }
            Some(to) if to > from || target == *layer => return None,
            Some(to) if to == from => format!("{layer} and {target} are siblings, which do not know each other"),
            Some(_) => format!("{layer} is below {target}, and imports point downwards"),
        };
        Some(Offence::new(&file.path, named.line, rule))
    };
    rust::named_paths(&syntax).iter().filter_map(complaint).collect()
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&layer))
}

/// `host/src/runtime/actor.rs` is the module `runtime::actor`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("host/src/").trim_end_matches(".rs");
    let mut parts: Vec<_> = inner.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The first name below the library's root that a path leads to, if it stays in the library.
fn target(module: &[String], named: &Named) -> Option<String> {
    let mut base = match named.segments.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.iter().chain(&named.inside).cloned().collect(),
        _ => return None,
    };
    for segment in &named.segments {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            name => base.push(name.to_owned()),
        }
    }
    base.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        offences(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn down_and_within_is_fine() {
        let text = "use crate::{model::{A, B}, ports::C, store::D, sandbox, runtime::E}; use super::F; use serde::G;\n\
                    mod tests { use super::*; fn f() { super::super::g(); } }\npub(crate) fn h() {}";
        assert_eq!(found("host/src/runtime/actor.rs", text), Vec::<String>::new());
    }

    #[test]
    fn up_is_not() {
        assert_eq!(
            found("host/src/model/state.rs", "use std::fmt;\nuse crate::{\n    model::A,\n    ports::Clock,\n};"),
            ["host/src/model/state.rs:4: model is below ports, and imports point downwards"]
        );
        assert_eq!(found("host/src/store/mod.rs", "fn f() { crate::cli::g(); }").len(), 1);
        assert_eq!(found("host/src/ports/mod.rs", "fn f() { g!(1, crate::runtime::X); }").len(), 1);
    }

    #[test]
    fn siblings_do_not_know_each_other() {
        assert_eq!(
            found("host/src/store/memory.rs", "use crate::sandbox::Engine;"),
            ["host/src/store/memory.rs:1: store and sandbox are siblings, which do not know each other"]
        );
    }

    #[test]
    fn climbing_out_is_seen() {
        assert_eq!(found("host/src/model/a/b.rs", "use super::super::super::runtime::X;").len(), 1);
        assert_eq!(found("host/src/model/mod.rs", "use super::ports::X;").len(), 1);
        assert_eq!(found("host/src/model/a.rs", "mod t { use super::super::super::ports::X; }").len(), 1);
    }

    #[test]
    fn the_root_is_no_way_around() {
        let offences = found("host/src/model/a.rs", "use crate::Host;");
        assert!(offences[0].contains("is named by its layer"), "{offences:?}");
        assert_eq!(found("host/src/model/mod.rs", "use super::*;").len(), 1);
        assert_eq!(found("host/src/cli/run.rs", "use crate::Host;"), Vec::<String>::new());
    }

    #[test]
    fn a_file_without_a_layer_is_an_offence() {
        assert_eq!(found("host/src/util.rs", "fn f() {}").len(), 1);
        assert_eq!(found("host/src/lib.rs", "pub use crate::runtime::Host;"), Vec::<String>::new());
    }
}
