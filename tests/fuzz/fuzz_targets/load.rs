//! The target `load` of `taskcell::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(target) = taskcell::fuzzing::target("load") {
        target(bytes);
    }
});
