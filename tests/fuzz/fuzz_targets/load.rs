//! The target `load` of `taskcell::fuzzing`: with the bytes as they are, with components and modules that wasm-smith makes of
//! them, and with real plugins that are changed as they say.
#![no_main]

use arbitrary::{Result, Unstructured};

/// Real plugins.
const REAL: [&[u8]; 3] = [
    include_bytes!("../../compat/hello-0.1.0.wasm"),
    include_bytes!("../../compat/hello-0.1.1.wasm"),
    include_bytes!("../../compat/hello-0.1.2.wasm"),
];
/// Changes of one plugin.
const CHANGES_MAX: usize = 8;
/// Bytes that a change takes away or says twice.
const PIECE_MAX: usize = 1024;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(target) = taskcell::fuzzing::target("load") else { return };
    target(bytes);
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut source = Unstructured::new(rest);
    let made = match first % 8 {
        0 => wasm_smith::Component::new(shape(), &mut source).map(|component| component.to_bytes()),
        1 => wasm_smith::Module::new(shape(), &mut source).map(|module| module.to_bytes()),
        2 => changed(&mut source),
        _ => return,
    };
    if let Ok(made) = made {
        target(&made);
    }
});

/// What wasm-smith makes: what it can write down. Types of GC's inside a component's module types it cannot.
fn shape() -> wasm_smith::Config {
    wasm_smith::Config { gc_enabled: false, ..wasm_smith::Config::default() }
}

fn changed(source: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = source.choose(&REAL)?.to_vec();
    for _ in 0..source.int_in_range(1..=CHANGES_MAX)? {
        let at = source.choose_index(bytes.len().max(1))?;
        let end = (at + source.int_in_range(1..=PIECE_MAX)?).min(bytes.len());
        match source.int_in_range(0..=4)? {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            3 => bytes.insert(at, source.arbitrary()?),
            _ => {
                let new = source.arbitrary()?;
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = new);
            }
        }
    }
    Ok(bytes)
}
