//! The target `load` of `taskcell::fuzzing`: with the bytes as they are, and with what wasm-smith makes of them.
#![no_main]

use arbitrary::Unstructured;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(target) = taskcell::fuzzing::target("load") else { return };
    target(bytes);
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut source = Unstructured::new(rest);
    let made = match first % 8 {
        0 => source.arbitrary::<wasm_smith::Component>().map(|component| component.to_bytes()),
        1 => source.arbitrary::<wasm_smith::Module>().map(|module| module.to_bytes()),
        _ => return,
    };
    if let Ok(made) = made {
        target(&made);
    }
});
