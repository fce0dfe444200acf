//! What a core module without the contract is: a program that the adapter can make a component of, or not.

use std::collections::BTreeSet;

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as PREVIEW_1;
use wasmparser::{ExternalKind, Parser, Payload};

/// Imports that are named in an error; of more there is only the number.
const NAMED_MAX: usize = 8;

/// What a valid core module is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// A program that needs nothing but WASI preview 1.
    Runs,
    /// A program that imports something else as well: what that is.
    Lacks(Vec<String>),
    /// It has no beginning, so it is no program.
    IsNone,
}

impl Program {
    pub(super) fn of(module: &[u8]) -> Self {
        let mut foreign = BTreeSet::new();
        let mut starts = false;
        for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
            if let Payload::ImportSection(imports) = payload {
                let imports = imports.into_imports().map_while(Result::ok);
                let others = imports.filter(|import| import.module != PREVIEW_1);
                foreign.extend(others.map(|import| format!("{}.{}", import.module, import.name)));
            } else if let Payload::ExportSection(exports) = payload {
                let mut exports = exports.into_iter().map_while(Result::ok);
                starts |= exports.any(|export| export.name == "_start" && export.kind == ExternalKind::Func);
            }
        }
        match (starts, foreign.len()) {
            (false, _) => Self::IsNone,
            (true, 0) => Self::Runs,
            (true, all) => {
                let mut named: Vec<String> = foreign.into_iter().take(NAMED_MAX).collect();
                if all > NAMED_MAX {
                    named.push(format!("{} more", all - NAMED_MAX));
                }
                Self::Lacks(named)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(module: &str) -> Program {
        Program::of(&wat::parse_str(module).unwrap())
    }

    #[test]
    fn t20_a_program_is_known_by_its_beginning_and_its_imports() {
        let exit = r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))"#;
        let start = r#"(func (export "_start"))"#;
        assert_eq!(of(&format!("(module {exit} {start})")), Program::Runs);
        assert_eq!(of(&format!("(module {start})")), Program::Runs);
        assert_eq!(of(&format!(r#"(module {exit} (func (export "_initialize")))"#)), Program::IsNone);
        assert_eq!(of(r#"(module (memory (export "_start") 1))"#), Program::IsNone);
        let other = r#"(import "env" "b" (func)) (import "env" "a" (func)) (import "env" "a" (func))"#;
        assert_eq!(
            of(&format!("(module {exit} {other} {start})")),
            Program::Lacks(vec!["env.a".into(), "env.b".into()])
        );
        let older = r#"(import "wasi_unstable" "proc_exit" (func (param i32)))"#;
        assert_eq!(of(&format!("(module {older} {start})")), Program::Lacks(vec!["wasi_unstable.proc_exit".into()]));
    }

    #[test]
    fn t20_a_program_that_lacks_much_says_so_in_a_line() {
        let imports: Vec<_> = (0..1000).map(|number| format!(r#"(import "env" "f{number}" (func))"#)).collect();
        let imports = imports.concat();
        let Program::Lacks(named) = of(&format!(r#"(module {imports} (func (export "_start")))"#)) else {
            panic!("it lacks something")
        };
        assert_eq!((named.len(), named[NAMED_MAX].as_str()), (NAMED_MAX + 1, "992 more"));
    }
}
