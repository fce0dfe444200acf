//! The contract, as wasmtime's macro makes Rust of it.
#![expect(clippy::pedantic, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "task-plugin",
    imports: { default: async | trappable },
    exports: { default: async },
});
