//! The hooks' exports, made of a [`Plugin`](crate::Plugin)'s functions. What is not written does nothing.

use super::exports::{Exported, PluginSource};
use super::hook_bindings::plugin::exports::taskcell::plugin::plugin_hooks;
use super::hook_bindings::task::exports::taskcell::plugin::task_hooks;
use super::hooks;
use super::imports::Imports;
use crate::hook::{CancelledTask, EndedTask, HookCtx, PluginHook};

fn call(hook: Option<PluginHook>) -> Result<(), String> {
    hooks::install();
    hook.map_or(Ok(()), |hook| hook(&HookCtx::new(Imports)))
}

impl<P: PluginSource> plugin_hooks::Guest for Exported<P> {
    fn init(_: String) -> Result<(), String> {
        call(P::PLUGIN.parts.hooks.init)
    }

    fn on_enabled(_: String) -> Result<(), String> {
        call(P::PLUGIN.parts.hooks.on_enabled)
    }

    fn on_disabled(_: String) -> Result<(), String> {
        call(P::PLUGIN.parts.hooks.on_disabled)
    }

    fn shutdown(_: String) -> Result<(), String> {
        call(P::PLUGIN.parts.hooks.shutdown)
    }
}

impl<P: PluginSource> task_hooks::Guest for Exported<P> {
    fn on_cancel(context: String) -> Result<(), String> {
        hooks::install();
        let Some(hook) = P::PLUGIN.parts.hooks.on_cancel else { return Ok(()) };
        hook(&HookCtx::new(Imports), &CancelledTask::from_wire(&context)?)
    }

    fn on_terminal(context: String) -> Result<(), String> {
        hooks::install();
        let Some(hook) = P::PLUGIN.parts.hooks.on_terminal else { return Ok(()) };
        hook(&HookCtx::new(Imports), &EndedTask::from_wire(&context)?)
    }
}
