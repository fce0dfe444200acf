//! The target `policy` of `taskcell::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(target) = taskcell::fuzzing::target("policy") {
        target(bytes);
    }
});
