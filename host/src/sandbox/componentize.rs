//! Makes a component of a core module that was built for `wasm32-wasip1`: a plugin with the contract in it, or a program.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};

/// Wraps a module that carries the contract with the adapter that turns WASI preview 1 calls into those of WASI 0.2.
///
/// # Errors
/// What `wit-component` says about a module that does not fit its own metadata, as text.
pub(crate) fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    adapted(module, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
}

/// The same for a program, which becomes a component that exports `wasi:cli/run`.
pub(super) fn componentize_program(module: &[u8]) -> Result<Vec<u8>, String> {
    adapted(module, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)
}

fn adapted(module: &[u8], adapter: &[u8]) -> Result<Vec<u8>, String> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}
