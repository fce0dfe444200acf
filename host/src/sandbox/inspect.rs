//! What a component imports and exports, and whether that is a plugin.

use wasmparser::{ComponentTypeRef, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The contract's package name.
const CONTRACT: &str = "taskcell:plugin";
/// The contract's newest version that this host knows.
const CONTRACT_VERSION: (u64, u64, u64) = (0, 1, 2);

/// What a component is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// It exports the contract's `plugin-info` and `runner`.
    TaskPlugin,
    /// It exports `wasi:cli/run`.
    Command,
}

/// What a component says at its border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Border {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// The interfaces of hooks that a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HookInterfaces<'a> {
    pub(super) plugin: Option<&'a str>,
    pub(super) task: Option<&'a str>,
}

/// Why a component is no plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It was built for a newer contract; the interface and its version.
    Newer(String),
    /// It exports neither the contract's interfaces nor a command's.
    OtherWorld { missing: Vec<&'static str> },
    /// It imports something that no host of this version has.
    UnknownImports(Vec<String>),
}

impl Border {
    pub(super) fn of(component: &Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        Self {
            imports: ty.imports(engine).map(|(name, _)| name.to_owned()).collect(),
            exports: ty.exports(engine).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// The same, read from a valid component that was not compiled.
    pub(super) fn read(component: &[u8]) -> Self {
        let mut found = Self { imports: Vec::new(), exports: Vec::new() };
        let mut inside = 0_usize;
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            if let Payload::ModuleSection { .. } | Payload::ComponentSection { .. } = payload {
                inside += 1;
            } else if let Payload::End(_) = payload {
                // The last one is that of the component itself.
                inside = inside.saturating_sub(1);
            } else if inside > 0 {
                // Whatever it says is said to the component around it.
            } else if let Payload::ComponentImportSection(imports) = payload {
                let imports = imports.into_iter().map_while(Result::ok);
                let imports = imports.filter(|import| !matches!(import.ty, ComponentTypeRef::Type(_)));
                found.imports.extend(imports.map(|import| import.name.name.to_owned()));
            } else if let Payload::ComponentExportSection(exports) = payload {
                let exports = exports.into_iter().map_while(Result::ok);
                found.exports.extend(exports.map(|export| export.name.name.to_owned()));
            }
        }
        found
    }

    /// The interfaces of hooks that it exports, by their names with their versions.
    pub(super) fn hooks(&self) -> HookInterfaces<'_> {
        let find = |page: &str| self.exports.iter().map(String::as_str).find(|export| unversioned(export) == page);
        HookInterfaces { plugin: find("taskcell:plugin/plugin-hooks"), task: find("taskcell:plugin/task-hooks") }
    }

    /// Whether it calls the contract and WASI alone, and nothing of the embedder's.
    pub(super) fn is_all_known(&self) -> bool {
        self.imports.iter().all(|name| is_known_import(name))
    }

    /// Which kind of plugin it is. It may import these interfaces beside the contract's and WASI's, whatever their version:
    /// that is the linker's to compare.
    pub(super) fn shape(&self, extensions: &[String]) -> Result<Shape, Unfit> {
        let all = self.imports.iter().chain(&self.exports);
        if let Some(newer) = all.into_iter().find(|name| is_newer(name)) {
            return Err(Unfit::Newer(newer.clone()));
        }
        let unknown: Vec<String> = self
            .imports
            .iter()
            .filter(|name| !is_known_import(name) && !extensions.iter().any(|known| known == unversioned(name)))
            .cloned()
            .collect();
        let missing: Vec<&'static str> =
            [("plugin-info", "taskcell:plugin/plugin-info"), ("runner", "taskcell:plugin/runner")]
                .into_iter()
                .filter(|(_, name)| !self.exports.iter().any(|export| unversioned(export) == *name))
                .map(|(short, _)| short)
                .collect();
        let command = self.exports.iter().any(|export| export.starts_with("wasi:cli/run@0.2."));
        match (missing.is_empty(), command) {
            (false, false) => Err(Unfit::OtherWorld { missing }),
            _ if !unknown.is_empty() => Err(Unfit::UnknownImports(unknown)),
            (true, _) => Ok(Shape::TaskPlugin),
            (false, true) => Ok(Shape::Command),
        }
    }
}

fn unversioned(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}

fn is_known_import(name: &str) -> bool {
    /// The pages of the contract.
    const PAGES: [&str; 13] = [
        "types",
        "task",
        "signals",
        "agent",
        "output",
        "log",
        "approvals",
        "tasks",
        "host",
        "config",
        "kv",
        "plan",
        "grants",
    ];
    const WASI: [&str; 6] =
        ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
    /// The client's side alone: a plugin serves nobody.
    const HTTP: [&str; 2] = ["wasi:http/types", "wasi:http/outgoing-handler"];
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    match interface.strip_prefix(CONTRACT).and_then(|page| page.strip_prefix('/')) {
        Some(page) => PAGES.contains(&page),
        None if cfg!(feature = "http") && HTTP.contains(&interface) => version.starts_with("0.2."),
        None => {
            WASI.iter().any(|package| interface.starts_with(package))
                && (version.is_empty() || version.starts_with("0.2."))
        }
    }
}

fn is_newer(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else {
        return false;
    };
    if !interface.starts_with("taskcell:plugin/") {
        return false;
    }
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse::<u64>().unwrap_or(u64::MAX));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found > CONTRACT_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    fn border(imports: &[&str], exports: &[&str]) -> Border {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Border { imports: owned(imports), exports: owned(exports) }
    }

    #[test]
    fn every_page_that_the_contract_has_for_guests_is_known() {
        let world = include_str!("../../../wit/world.wit");
        let pages: Vec<&str> =
            world.lines().filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';')).collect();
        assert!(pages.contains(&"task") && pages.contains(&"grants"), "{pages:?}");
        for page in pages {
            assert!(is_known_import(&format!("{CONTRACT}/{page}@0.1.2")), "{page}");
        }
    }

    #[test]
    fn a_border_is_read_from_the_outside_of_a_component() {
        let component = r#"(component
            (import "acme:db/query@1.0.0" (instance $db (export "q" (func))))
            (component (import "acme:other/f" (func $f)) (export "acme:other/g" (func $f)))
            (core module (import "env" "f" (func)))
            (alias export $db "q" (func $q))
            (export "wasi:cli/run@0.2.0" (func $q)))"#;
        let component = wat::parse_str(component).unwrap();
        assert_eq!(Border::read(&component), border(&["acme:db/query@1.0.0"], &["wasi:cli/run@0.2.0"]));
    }

    #[test]
    fn shapes_are_told_apart() {
        let plugin = ["taskcell:plugin/plugin-info@0.1.0", "taskcell:plugin/runner@0.1.0"];
        assert_eq!(border(&["wasi:io/poll@0.2.6"], &plugin).shape(&[]), Ok(Shape::TaskPlugin));
        assert_eq!(border(&[], &["wasi:cli/run@0.2.3"]).shape(&[]), Ok(Shape::Command));
        assert_eq!(border(&[], &plugin[..1]).shape(&[]), Err(Unfit::OtherWorld { missing: vec!["runner"] }));
        assert_eq!(
            border(&["acme:db/query@1.0.0"], &plugin).shape(&[]),
            Err(Unfit::UnknownImports(vec!["acme:db/query@1.0.0".into()]))
        );
        let ours = ["acme:db/query".to_owned()];
        assert_eq!(border(&["acme:db/query@1.0.0"], &plugin).shape(&ours), Ok(Shape::TaskPlugin));
        assert_eq!(
            border(&["taskcell:plugin/plans@0.1.0"], &plugin).shape(&[]),
            Err(Unfit::UnknownImports(vec!["taskcell:plugin/plans@0.1.0".into()]))
        );
        let requests = border(&["wasi:http/types@0.2.4", "wasi:http/outgoing-handler@0.2.12"], &plugin);
        assert_eq!(requests.shape(&[]).is_ok(), cfg!(feature = "http"));
        assert!(border(&["wasi:http/incoming-handler@0.2.4"], &plugin).shape(&[]).is_err());
        let hooks = border(&[], &["taskcell:plugin/task-hooks@0.1.1", "acme:other/plugin-hooks@0.1.2"]);
        assert_eq!(hooks.hooks(), HookInterfaces { plugin: None, task: Some("taskcell:plugin/task-hooks@0.1.1") });
        for newer in ["taskcell:plugin/task@0.1.3", "taskcell:plugin/plan@0.2.0", "taskcell:plugin/task@1.0.0"] {
            assert_eq!(border(&[newer], &plugin).shape(&[]), Err(Unfit::Newer(newer.into())));
        }
    }
}
