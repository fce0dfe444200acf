//! What is looked at before a file is compiled: it costs little, and says in a person's words what is wrong.

use std::collections::BTreeMap;

use crate::model::policy::Policy;
use crate::model::publisher::Signed;
use crate::model::text;

use super::compile::Form;
use super::identify::{FileKind, identify};
use super::inspect::{Border, Unfit};
use super::load::LoadError;
use super::program::Program;
use super::signature;

/// What a host takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken<'a> {
    /// Bytes of a file.
    pub(crate) file_bytes: u64,
    /// Bytes of a memory.
    pub(crate) memory_bytes: u64,
    /// Whether plain programs for WASI preview 1 are plugins too.
    pub(crate) plain_commands: bool,
    /// The embedder's own interfaces, without their versions.
    pub(crate) extensions: &'a [String],
    /// Says by whom plugins have to be signed.
    pub(crate) policy: Option<&'a Policy>,
}

/// A file that may be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(super) kind: FileKind,
    pub(super) form: Form,
    pub(super) signed: Signed,
}

/// Looks at what a file is and by whom it is signed: what has to be known also of a file whose code is there already.
///
/// `beside`: the signature that lies beside the file, if one does.
pub(crate) fn at_first_sight(bytes: &[u8], beside: Option<&[u8]>, taken: &Taken<'_>) -> Result<Checked, LoadError> {
    let max = taken.file_bytes;
    if bytes.len() as u64 > max {
        return Err(LoadError::TooLarge { size: bytes.len() as u64, max });
    }
    let kind = identify(bytes);
    let form = match kind {
        FileKind::Component => Form::Component,
        FileKind::ModuleWithContract => Form::Module,
        FileKind::PlainModule => program(bytes, taken.plain_commands)?,
        FileKind::WasmText
        | FileKind::Precompiled
        | FileKind::NativeCode
        | FileKind::Text
        | FileKind::Empty
        | FileKind::Unknown => return Err(LoadError::NotAComponent(kind)),
    };
    // Of the very bytes that are hashed and compiled, and before anything is done with them.
    let signed = signature::look(bytes, beside, taken.policy.map_or(&BTreeMap::new(), |policy| &policy.publishers));
    let admitted = taken.policy.map_or(Ok(()), |policy| policy.admits(&signed));
    admitted.map_err(|unsigned| LoadError::not_signed(unsigned, &signed))?;
    Ok(Checked { kind, form, signed })
}

/// Looks at everything else that can be seen without compiling it. Code that was made of it before shows the same at a
/// glance, of those modules that it has an instance of.
pub(crate) fn before_compiling(bytes: &[u8], checked: &Checked, taken: &Taken<'_>) -> Result<(), LoadError> {
    validate(bytes)?;
    memory_fits(largest_memory(bytes), taken.memory_bytes)?;
    if checked.form == Form::Component {
        // What can be no plugin is not worth compiling.
        let border = Border::read(bytes);
        border.shape(taken.extensions).map_err(|unfit| unfit_error(unfit, &border))?;
    }
    Ok(())
}

/// How a module without the contract can be run, if at all.
fn program(bytes: &[u8], plain_commands: bool) -> Result<Form, LoadError> {
    // Before anything is said about what it lacks.
    validate(bytes)?;
    match Program::of(bytes) {
        Program::Runs if plain_commands => Ok(Form::Program),
        Program::Runs => Err(LoadError::PlainProgram),
        Program::Lacks(imports) => Err(LoadError::UnknownImports { imports }),
        Program::IsNone => Err(LoadError::NotAComponent(FileKind::PlainModule)),
    }
}

/// Checks the whole file before anything is compiled, because the parser's errors name a place and the compiler's do not.
fn validate(bytes: &[u8]) -> Result<(), LoadError> {
    use wasmparser::{Parser, Payload};
    // A module inside a component may claim more bytes than there are and still end at one of its own sections.
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        if let Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } =
            payload
            && unchecked_range.end as u64 > bytes.len() as u64
        {
            let offset = unchecked_range.start as u64;
            return Err(LoadError::Malformed { offset, message: "unexpected end of file".to_owned() });
        }
    }
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(bytes)
        .map(|_| ())
        .map_err(|error| LoadError::Malformed { offset: error.offset() as u64, message: error.message().to_owned() })
}

/// How many pages its largest memory has to begin with.
fn largest_memory(component: &[u8]) -> u64 {
    use wasmparser::{Parser, Payload};
    let mut most = 0;
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        if let Payload::MemorySection(memories) = payload {
            let pages = memories.into_iter().filter_map(Result::ok).map(|memory| memory.initial).max();
            most = most.max(pages.unwrap_or_default());
        }
    }
    most
}

/// Whether a memory of so many pages can be made at all: the compiler's own words about that are not for people.
pub(super) fn memory_fits(pages: u64, memory_bytes: u64) -> Result<(), LoadError> {
    let needed = pages.saturating_mul(64 << 10);
    if needed <= memory_bytes {
        return Ok(());
    }
    let (needed, limit) = (text::bytes(needed), text::bytes(memory_bytes));
    Err(LoadError::TooDemanding(format!("it needs {needed} of memory to begin with, and the limit is {limit}")))
}

pub(super) fn unfit_error(unfit: Unfit, border: &Border) -> LoadError {
    match unfit {
        Unfit::Newer(interface) => LoadError::NewerContract { interface },
        Unfit::UnknownImports(imports) => LoadError::UnknownImports { imports },
        Unfit::OtherWorld { missing } => LoadError::OtherWorld {
            missing: missing.join(" and "),
            exports: if border.exports.is_empty() { "nothing".to_owned() } else { border.exports.join(", ") },
        },
    }
}
