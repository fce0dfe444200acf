//! The contract, as wasmtime's macro makes Rust of it.
wasmtime::component::bindgen!({
    path: "../wit",
    world: "task-plugin",
    imports: { default: async | trappable },
    exports: { default: async },
});
