//! Every item of the contract says what it is and since when it is there.

use wit_parser::{
    Docs, PackageId, Resolve, SourceMap, Span, Stability, Type, TypeDefKind, TypeOwner, WorldItem, WorldKey,
};

use crate::tree::{Offence, Tree};

const FOLDER: &str = "wit/";

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let mut sources = SourceMap::default();
    let is_wit = |path: &str| path.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".wit")).is_some();
    for file in tree.files().iter().filter(|file| is_wit(&file.path)) {
        sources.push_str(&file.path, file.text.as_str());
    }
    let mut resolve = Resolve::default();
    let group = match sources.parse() {
        Ok(group) => group,
        Err((_, error)) => return vec![Offence::new(FOLDER, 1, format!("the contract is WIT: {error}"))],
    };
    match resolve.push_group(group) {
        Ok(package) => Contract { resolve: &resolve, package, offences: Vec::new() }.check(),
        Err(error) => vec![Offence::new(FOLDER, 1, format!("the contract is consistent: {error}"))],
    }
}

/// The contract while it is looked through.
#[derive(Debug)]
struct Contract<'a> {
    resolve: &'a Resolve,
    package: PackageId,
    offences: Vec<Offence>,
}

impl Contract<'_> {
    fn check(mut self) -> Vec<Offence> {
        for (_, interface) in &self.resolve.interfaces {
            let name = interface.name.as_deref().unwrap_or("without a name");
            if interface.package != Some(self.package) {
                continue;
            }
            self.item(&format!("interface {name}"), Some(&interface.docs), &interface.stability, interface.span);
            for (name, function) in &interface.functions {
                self.item(&format!("function {name}"), Some(&function.docs), &function.stability, function.span);
            }
        }
        for (_, world) in &self.resolve.worlds {
            if world.package != Some(self.package) {
                continue;
            }
            self.item(&format!("world {}", world.name), Some(&world.docs), &world.stability, world.span);
            for (key, item) in world.imports.iter().chain(&world.exports) {
                self.world_item(key, item);
            }
        }
        self.types();
        self.offences.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        self.offences.dedup();
        self.offences
    }

    fn world_item(&mut self, key: &WorldKey, item: &WorldItem) {
        let name = self.resolve.name_world_key(key);
        match item {
            // What it is stands where the interface is.
            WorldItem::Interface { stability, span, .. } => {
                self.item(&format!("use of {name}"), None, stability, *span);
            }
            WorldItem::Function(function) => {
                self.item(&format!("function {name}"), Some(&function.docs), &function.stability, function.span);
            }
            // Comes with the types.
            WorldItem::Type { .. } => {}
        }
    }

    fn types(&mut self) {
        for (_, definition) in &self.resolve.types {
            let is_ours = match definition.owner {
                TypeOwner::World(id) => {
                    self.resolve.worlds.get(id).is_some_and(|world| world.package == Some(self.package))
                }
                TypeOwner::Interface(id) => {
                    self.resolve.interfaces.get(id).is_some_and(|interface| interface.package == Some(self.package))
                }
                TypeOwner::None => false,
            };
            // `use types.{json}` makes a second name for a type that is described where it is from.
            let original =
                if let TypeDefKind::Type(Type::Id(id)) = definition.kind { self.resolve.types.get(id) } else { None };
            let is_use = original.is_some_and(|original| original.owner != definition.owner);
            if let (true, false, Some(name)) = (is_ours, is_use, &definition.name) {
                self.item(&format!("type {name}"), Some(&definition.docs), &definition.stability, definition.span);
            }
        }
    }

    fn item(&mut self, what: &str, docs: Option<&Docs>, stability: &Stability, span: Span) {
        let place = self.resolve.render_location(span);
        let mut parts = place.split(':');
        let path = parts.next().unwrap_or(FOLDER);
        let line = parts.next().and_then(|line| line.parse().ok()).unwrap_or(1);
        if docs.is_some_and(Docs::is_empty) {
            self.offences.push(Offence::new(path, line, format!("{what}: every item says what it is, with `///`")));
        }
        if !matches!(stability, Stability::Stable { .. }) {
            self.offences.push(Offence::new(
                path,
                line,
                format!("{what}: every item says since when it is there, with `@since`"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "/// P.\npackage a:b@0.1.0;\n/// W.\n@since(version = 0.1.0)\nworld w {\n  @since(version = 0.1.0)\n  \
                        import i;\n  @since(version = 0.1.0)\n  export j;\n}\n";
    const TYPES: &str = "/// I.\n@since(version = 0.1.0)\ninterface i {\n  /// T.\n  @since(version = 0.1.0)\n  type t = \
                         string;\n  /// F.\n  @since(version = 0.1.0)\n  f: func() -> option<t>;\n}\n";
    const USER: &str = "/// J.\n@since(version = 0.1.0)\ninterface j {\n  use i.{t};\n  /// G.\n  @since(version = \
                        0.1.0)\n  g: func(x: t);\n}\n";

    fn found(world: &str, types: &str) -> Vec<String> {
        let tree = Tree::of(&[("wit/a.wit", world), ("wit/b.wit", types), ("wit/c.wit", USER)]);
        offences(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_complete_contract_is_fine() {
        assert_eq!(found(GOOD, TYPES), Vec::<String>::new());
    }

    #[test]
    fn every_item_needs_both() {
        for doc in ["/// I.\n", "/// T.\n", "/// F.\n"] {
            let offences = found(GOOD, &TYPES.replace(doc, ""));
            assert_eq!(offences.len(), 1, "without {doc}: {offences:?}");
            assert!(offences[0].starts_with("wit/b.wit:") && offences[0].contains("says what it is"), "{offences:?}");
        }
        let since = "@since(version = 0.1.0)\n";
        for (place, _) in TYPES.match_indices(since) {
            let (before, after) = TYPES.split_at(place);
            let offences = found(GOOD, &format!("{before}{}", &after[since.len()..]));
            assert_eq!(offences.len(), 1, "{offences:?}");
            assert!(offences[0].contains("since when"), "{offences:?}");
        }
        assert_eq!(found(&GOOD.replace("  @since(version = 0.1.0)\n  import", "  import"), TYPES).len(), 1);
        assert_eq!(found(&GOOD.replace("/// W.\n", ""), TYPES).len(), 1);
    }

    #[test]
    fn what_is_not_wit_is_reported() {
        assert_eq!(found("package a:b@0.1.0;\nworld {", TYPES).len(), 1);
        assert_eq!(found(&GOOD.replace("import i;", "import nowhere;"), TYPES).len(), 1);
    }
}
