//! `lib.rs` and `mod.rs` hold documentation and names. What happens, happens in files that are named after it.

use proc_macro2::Span;
use syn::{Attribute, Block, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait, Stmt, TraitItemFn, visit::Visit};

use crate::{
    expects::is_for_tests,
    rust,
    tree::{File, Offence, Tree},
};

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    // A plugin's `lib.rs` is the plugin, and tests share their helpers as they like.
    let is_root = |file: &&File| {
        (file.name() == "lib.rs" || file.name() == "mod.rs")
            && !file.path.starts_with("plugins/")
            && !file.path.starts_with("tests/guests/")
            && !file.is_test()
    };
    tree.rust().filter(is_root).flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Offence> {
    let mut bodies = Bodies::default();
    if let Some(syntax) = rust::parse(file) {
        bodies.visit_file(&syntax);
    }
    let rule = |name| format!("{} holds docs and names; `fn {name}` belongs into a file of its own", file.name());
    bodies.found.into_iter().map(|(name, line)| Offence::new(&file.path, line, rule(name))).collect()
}

#[derive(Debug, Default)]
struct Bodies {
    found: Vec<(String, usize)>,
}

impl Bodies {
    fn add(&mut self, signature: &syn::Signature, attributes: &[Attribute]) {
        let span: Span = signature.ident.span();
        let is_test = attributes
            .iter()
            .any(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "test"));
        if !is_test {
            self.found.push((signature.ident.to_string(), rust::line(span)));
        }
    }
}

/// The compiler wants a macro's entry point in the crate's root; it may pass on what it gets.
fn is_entry_point(attributes: &[Attribute], block: &Block) -> bool {
    let is_macro = attributes
        .iter()
        .any(|attribute| attribute.path().get_ident().is_some_and(|ident| ident.to_string().starts_with("proc_macro")));
    is_macro && matches!(block.stmts.as_slice(), [Stmt::Expr(_, None)])
}

impl<'ast> Visit<'ast> for Bodies {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_trait(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_for_tests(&item.attrs) && !is_entry_point(&item.attrs, &item.block) {
            self.add(&item.sig, &item.attrs);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.sig, &item.attrs);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if item.default.is_some() {
            self.add(&item.sig, &item.attrs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        offences(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_and_tests_are_fine() {
        let text = "mod a;\npub use a::B;\npub trait C { fn d(&self); }\nconst E: u8 = 1;\n#[test] fn t() {}\n\
                    #[cfg(test)] mod tests { fn f() {} }\nmod g { pub use super::a::H; }";
        assert_eq!(found("host/src/lib.rs", text), Vec::<String>::new());
    }

    #[test]
    fn logic_is_not() {
        let text = "fn a() {}\nstruct B;\nimpl B { fn c(&self) {} }\ntrait D { fn e(&self) {} }\nmod f { fn g() {} }";
        let offences = found("host/src/runtime/mod.rs", text);
        assert_eq!(offences.len(), 4, "{offences:?}");
        assert!(
            offences[1].starts_with("host/src/runtime/mod.rs:3: ") && offences[1].contains("`fn c`"),
            "{offences:?}"
        );
        assert_eq!(found("host/src/runtime/actor.rs", text), Vec::<String>::new());
        assert_eq!(found("plugins/hello/src/lib.rs", text), Vec::<String>::new());
        assert_eq!(found("tests/it/support/mod.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_macros_entry_point_may_pass_on() {
        let passing = "#[proc_macro_attribute]\npub fn task(a: T, b: T) -> T { task::expand(a, b) }";
        assert_eq!(found("guest-sdk/macros/src/lib.rs", passing), Vec::<String>::new());
        let working = "#[proc_macro]\npub fn plugin(a: T) -> T { let b = a; b }";
        assert_eq!(found("guest-sdk/macros/src/lib.rs", working).len(), 1);
    }
}
