//! The contract's exports, made of a [`Plugin`].

use std::marker::PhantomData;

use super::bindings::exports::taskcell::plugin::{plugin_info, runner};
use super::bindings::taskcell::plugin::types::{Cancellation, Failure, Outcome, Success};
use super::hooks;
use super::imports::Imports;
use crate::backend::TaskPage;
use crate::ctl::TaskCtl;
use crate::plugin::Plugin;
use crate::task_error::End;

/// Where the plugin's crate keeps its plugin.
pub trait PluginSource {
    const PLUGIN: &'static Plugin;
}

/// The component that exports `P`'s plugin.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: PluginSource> plugin_info::Guest for Exported<P> {
    fn describe() -> String {
        hooks::install();
        P::PLUGIN.manifest().to_string()
    }
}

impl<P: PluginSource> runner::Guest for Exported<P> {
    fn run(task_type: String, input: String) -> Outcome {
        hooks::install();
        if Imports.cancel_requested().is_some() {
            return cancelled("stopped before it began".to_owned());
        }
        let ctl = TaskCtl::new(Imports);
        match P::PLUGIN.run(&ctl, &task_type, &input) {
            Ok(data) => Outcome::Succeeded(Success { message: ctl.summary(), data: Some(data) }),
            Err(error) => match error.into_end() {
                End::Failed { message, details, retryable } => {
                    let error = details.map(|value| value.to_string());
                    Outcome::Failed(Failure { message, error, retryable })
                }
                End::Cancelled { place } => cancelled(place),
            },
        }
    }
}

fn cancelled(message: String) -> Outcome {
    Outcome::Cancelled(Cancellation { message, data: None })
}
