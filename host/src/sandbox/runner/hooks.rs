//! Hooks: each in a cell of its own, beside the tasks, in room that no task takes.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Type};

use crate::model::hook::{AnyHook, Hook, Hooks, TaskHook};
use crate::model::outcome::{Failure, FailureKind};
use crate::model::policy::mandate::Mandate;
use crate::ports::clock::BoxFuture;
use crate::ports::hooks::{GuestPanic, HookWork};
use crate::ports::mandate::LiveMandate;
use crate::ports::news::News;
use crate::ports::runner::CellLink;
use crate::sandbox::cell;
use crate::sandbox::engine::Stock;
use crate::sandbox::inspect::Border;

use super::{WasmRunner, guest_end};

/// Hooks that run at once; more wait for their turn. Protects the machine.
const CELLS: u32 = 16;
/// Hooks of one plugin that run at once. Protects the other plugins' hooks from one whose hooks take all of their time.
const CELLS_OF_PLUGIN: usize = 4;

/// The room for hooks: tasks never take it, so that a full host can still say that a task shall stop.
pub(super) fn stock(tasks: Stock) -> Stock {
    Stock::for_cells(CELLS, tasks.component)
}

/// The hooks that a component exports.
pub(super) struct HookFunctions {
    functions: Vec<(AnyHook, ComponentExportIndex)>,
    turns: Arc<Semaphore>,
}

impl HookFunctions {
    /// Looks for them. An interface of another make than the contract's is an error, in a sentence for a person.
    pub(super) fn of(component: &Component, border: &Border) -> Result<Self, String> {
        let mut functions = Vec::new();
        let plugin = Hook::ALL.map(AnyHook::Plugin);
        let task = TaskHook::ALL.map(AnyHook::Task);
        let has = border.hooks();
        for (interface, hooks) in [(has.plugin, plugin.as_slice()), (has.task, task.as_slice())] {
            let Some(interface) = interface else { continue };
            let instance = component.get_export_index(None, interface);
            for hook in hooks {
                let found = instance.as_ref().and_then(|instance| component.get_export(Some(instance), hook.word()));
                match found {
                    Some((ComponentItem::ComponentFunc(ty), index)) if is_hook(&ty) => {
                        functions.push((*hook, index));
                    }
                    Some(_) | None => {
                        let name = hook.word();
                        return Err(format!("its {interface} has no `{name}` as the contract describes it"));
                    }
                }
            }
        }
        Ok(Self { functions, turns: Arc::new(Semaphore::new(CELLS_OF_PLUGIN)) })
    }

    /// For a plugin without any.
    pub(super) fn none() -> Self {
        Self { functions: Vec::new(), turns: Arc::new(Semaphore::new(0)) }
    }

    pub(super) fn which(&self) -> Hooks {
        let has = |is_meant: fn(&AnyHook) -> bool| self.functions.iter().any(|(hook, _)| is_meant(hook));
        Hooks {
            plugin: has(|hook| matches!(hook, AnyHook::Plugin(_))),
            task: has(|hook| matches!(hook, AnyHook::Task(_))),
        }
    }

    fn function(&self, wanted: AnyHook) -> Option<ComponentExportIndex> {
        self.functions.iter().find(|(hook, _)| *hook == wanted).map(|(_, index)| *index)
    }
}

/// Whether it takes a text, and returns nothing or an error's text.
fn is_hook(function: &ComponentFunc) -> bool {
    let mut params = function.params().map(|(_, ty)| ty);
    let mut results = function.results();
    let takes = matches!((params.next(), params.next()), (Some(Type::String), None));
    let gives = match (results.next(), results.next()) {
        (Some(Type::Result(result)), None) => result.ok().is_none() && matches!(result.err(), Some(Type::String)),
        _ => false,
    };
    takes && gives && !function.async_()
}

impl WasmRunner {
    /// See [`Runner::hook`](crate::ports::runner::Runner::hook).
    pub(super) fn run_hook(&self, work: HookWork) -> BoxFuture<'static, Result<(), Failure>> {
        let host = |message: String| Failure::new(FailureKind::Host, message);
        let Some(code) = self.code(work.plugin) else {
            let failure = host("the plugin's code is not loaded".to_owned());
            return Box::pin(std::future::ready(Err(failure)));
        };
        let Some(function) = code.hooks.function(work.hook) else {
            return Box::pin(std::future::ready(Ok(())));
        };
        let news = Arc::<News>::default();
        let link = CellLink {
            cancel: Arc::default(),
            gauges: Arc::default(),
            news: Arc::clone(&news),
            gate: Arc::default(),
            output: Arc::clone(&work.output),
            config: Arc::clone(&work.config),
            kv: work.kv.clone(),
            mandate: Arc::new(LiveMandate::new(Mandate::of_hook(work.kv.is_some()))),
            secrets: Arc::clone(&work.secrets),
            owner: Arc::default(),
        };
        let pool = Arc::clone(&self.hook_pool);
        let running = self.paced(link, None, async move |around| {
            // A plugin's own turn first: who waits for it takes nobody's room.
            let _turn = Arc::clone(&code.hooks.turns).acquire_owned().await;
            let _place = pool.admit(code.needs).await;
            work.begun.send_replace(true);
            cell::hook::run(around, &code.linked, &function, &work).await
        });
        Box::pin(async move {
            let mut running = pin!(running);
            let mut panic = None;
            let ended = loop {
                tokio::select! {
                    biased;
                    call = news.next_call() => panic = panic.or(call.refuse()),
                    ended = &mut running => break ended,
                }
            };
            match ended {
                Ok(Ok(())) => Ok(()),
                Ok(Err(failure)) => Err(told(failure, panic)),
                Err(end) => Err(host(guest_end(end))),
            }
        })
    }
}

/// A guest panics by saying so and then trapping; the trap is only the end of it.
fn told(failure: Failure, panic: Option<GuestPanic>) -> Failure {
    match (panic, failure.kind) {
        (Some(GuestPanic { message, place }), FailureKind::Trap | FailureKind::Memory) => {
            let message = format!("panicked at {place}: {message}");
            Failure { kind: FailureKind::Panic, message, limit: None, ..failure }
        }
        (Some(_) | None, _) => failure,
    }
}
