//! `wasi:cli/environment`: wasmtime's own, with the variables that the task may see at that moment.

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::cli::WasiCliCtxView;
use wasmtime_wasi::p2::bindings::cli::environment;

use crate::ports::mandate::LiveMandate;

use super::cell::CellData;

/// The environment of a cell, while one of its calls is served.
pub(super) struct Environment<'a> {
    pub(super) wasi: WasiCliCtxView<'a>,
    pub(super) mandate: &'a LiveMandate,
    /// What stands for the task's secrets: worth nothing but in its requests, which are looked at one by one.
    pub(super) secrets: Vec<(String, String)>,
}

struct HasEnvironment;

impl HasData for HasEnvironment {
    type Data<'a> = Environment<'a>;
}

/// Puts these functions in the place of wasmtime's own, which are linked already.
pub(super) fn add_to_linker(linker: &mut Linker<CellData>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    environment::add_to_linker::<_, HasEnvironment>(linker, CellData::environment)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl environment::Host for Environment<'_> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        let mut variables = self.mandate.env_now();
        variables.append(&mut self.secrets);
        Ok(variables)
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        environment::Host::get_arguments(&mut self.wasi)
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        environment::Host::initial_cwd(&mut self.wasi)
    }
}
