//! Plugin files that are made of an input: by wasm-smith, which makes what is valid and like none that a compiler makes, and
//! of real plugins, which are changed.

use arbitrary::{Result, Unstructured};
use wasm_smith::{Component, Config, Module};

/// Real plugins.
const REAL: [&[u8]; 3] = [
    include_bytes!("../../../tests/compat/hello-0.1.0.wasm"),
    include_bytes!("../../../tests/compat/hello-0.1.1.wasm"),
    include_bytes!("../../../tests/compat/hello-0.1.2.wasm"),
];
/// Changes of one plugin.
const CHANGES_MAX: usize = 8;
/// Bytes that a change takes away or says twice.
const PIECE_MAX: usize = 1024;

/// The file that these bytes say how to make, if they say it: the first one says of what.
pub(super) fn made(bytes: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = bytes.split_first()?;
    let mut source = Unstructured::new(rest);
    let made = match first % 8 {
        0 => Component::new(shape(), &mut source).map(|component| component.to_bytes()),
        1 => Module::new(shape(), &mut source).map(|module| module.to_bytes()),
        2 => changed(&mut source),
        _ => return None,
    };
    made.ok()
}

/// What wasm-smith makes: what it can write down. Types of GC's inside a component's module types it cannot.
fn shape() -> Config {
    Config { gc_enabled: false, ..Config::default() }
}

fn changed(source: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = source.choose(&REAL)?.to_vec();
    for _ in 0..source.int_in_range(1..=CHANGES_MAX)? {
        let at = source.choose_index(bytes.len().max(1))?;
        let end = (at + source.int_in_range(1..=PIECE_MAX)?).min(bytes.len());
        match source.int_in_range(0..=4)? {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                drop(bytes.splice(at..at, piece));
            }
            3 => bytes.insert(at, source.arbitrary()?),
            _ => {
                let new = source.arbitrary()?;
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = new);
            }
        }
    }
    Ok(bytes)
}
