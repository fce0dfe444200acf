//! Says what a file is that was given as a plugin.

use std::fmt;

use wasmparser::{Encoding, Parser, Payload};

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A WebAssembly component: what a plugin should be.
    Component,
    /// A core module that carries the contract's metadata, as `wasm32-wasip1` builds do. It is made a component.
    ModuleWithContract,
    /// A core module without any contract.
    PlainModule,
    /// The text form of WebAssembly.
    WasmText,
    /// Code that wasmtime compiled before, `.cwasm`.
    Precompiled,
    /// A program or library for some machine.
    NativeCode,
    /// Some other text.
    Text,
    /// A file without content.
    Empty,
    /// Something else.
    Unknown,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "a WebAssembly component",
            Self::ModuleWithContract => "a core WebAssembly module that carries the contract",
            Self::PlainModule => "a plain core WebAssembly module",
            Self::WasmText => "WebAssembly in its text form",
            Self::Precompiled => "precompiled native code (.cwasm)",
            Self::NativeCode => "a native program or library",
            Self::Text => "a text file",
            Self::Empty => "an empty file",
            Self::Unknown => "not a WebAssembly file",
        })
    }
}

/// Looks at the bytes. The name of the file does not matter.
pub(crate) fn identify(bytes: &[u8]) -> FileKind {
    if bytes.is_empty() {
        FileKind::Empty
    } else if bytes.starts_with(b"\0asm") {
        wasm_kind(bytes)
    } else if bytes.starts_with(b"\x7fELF") {
        // Wasmtime keeps its compiled code in ELF files with sections of its own.
        let ours = bytes.windows(b".wasmtime".len()).any(|window| window == b".wasmtime");
        if ours { FileKind::Precompiled } else { FileKind::NativeCode }
    } else {
        text_kind(bytes)
    }
}

fn text_kind(bytes: &[u8]) -> FileKind {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => FileKind::Unknown,
        Ok(text) => {
            let start = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with(";;"));
            let is_wat = start.is_some_and(|line| line.starts_with("(module") || line.starts_with("(component"));
            if is_wat { FileKind::WasmText } else { FileKind::Text }
        }
        Err(_) => FileKind::Unknown,
    }
}

fn wasm_kind(bytes: &[u8]) -> FileKind {
    let mut payloads = Parser::new(0).parse_all(bytes);
    match payloads.next() {
        Some(Ok(Payload::Version { encoding: Encoding::Component, .. })) => FileKind::Component,
        Some(Ok(Payload::Version { encoding: Encoding::Module, .. })) => {
            let has_contract = payloads.map_while(Result::ok).any(|payload| {
                matches!(payload, Payload::CustomSection(section) if section.name().starts_with("component-type"))
            });
            if has_contract { FileKind::ModuleWithContract } else { FileKind::PlainModule }
        }
        Some(Ok(_) | Err(_)) | None => FileKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let cases: [(&[u8], FileKind); 9] = [
            (b"", FileKind::Empty),
            (b"hello, world", FileKind::Text),
            (b"\n;; a comment\n  (module)", FileKind::WasmText),
            (b"(component $x)", FileKind::WasmText),
            (b"\0asm\x01\0\0\0", FileKind::PlainModule),
            (b"\0asm\x0d\0\x01\0", FileKind::Component),
            (b"\x7fELF....", FileKind::NativeCode),
            (b"\x7fELF....\0.wasmtime.engine\0", FileKind::Precompiled),
            (b"\x89PNG\r\n\x1a\n\xff", FileKind::Unknown),
        ];
        for (bytes, kind) in cases {
            assert_eq!(identify(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn a_module_with_metadata_is_one_with_a_contract() {
        // One custom section (id 0) of 16 bytes, whose name is "component-type" and whose content is one byte.
        let module = [b"\0asm\x01\0\0\0\0\x10\x0e".as_slice(), b"component-type", b"x"].concat();
        assert_eq!(identify(&module), FileKind::ModuleWithContract);
    }
}
