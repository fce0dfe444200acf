//! Hooks: a plugin's own code around its life and beside its tasks. Whatever becomes of one is noted, and holds nobody up
//! for longer than its time.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::event::EventBody;
use crate::model::grants::Grants;
use crate::model::grants::touch::Touch;
use crate::model::hook::{
    AnyHook, Hook, HookError, HookLimits, HookNote, TaskHook, cancel_context, end_context, plugin_context,
};
use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::model::outcome::{Failure, FailureKind};
use crate::model::request::CancelRequest;
use crate::ports::clock::Clock;
use crate::ports::failpoint::failpoint;
use crate::ports::hooks::HookWork;
use crate::ports::kv::PluginStore;
use crate::ports::output::{OutputCursor, OutputLog, OutputSource};
use crate::ports::runner::{CancelNotice, Runner};
use crate::ports::secrets::Secrets;
use crate::ports::watched::Watched;

use super::actor::is_stopped;
use super::guard::guarded;
use super::host::Inner;
use super::plugin::Plugin;
use super::shared::Shared;
use super::version::VersionUse;

/// Bytes of a hook's log that are noted, and of what it prints. Protects the host's memory.
const LOG_BYTES: u64 = 16 << 10;

/// What a host knows of its plugins' hooks.
#[derive(Debug)]
pub(crate) struct HookRules {
    limits: HookLimits,
    /// The plugins whose own hooks may use their store.
    stores: HashSet<String>,
    /// Whether the host was dropped: no guest's code runs then.
    closed: watch::Sender<bool>,
}

impl HookRules {
    pub(crate) fn new(limits: HookLimits, stores: HashSet<String>) -> Self {
        Self { limits, stores, closed: watch::Sender::new(false) }
    }

    /// Ends all hooks where they are, and lets none begin.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }
}

/// Runs hooks of one plugin.
#[derive(Debug)]
struct Caller {
    plugin: Plugin,
    runner: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    limits: HookLimits,
    /// Those of a task of the plugin.
    cell: Limits,
    config: Arc<Value>,
    kv: Option<Arc<PluginStore>>,
    secrets: Arc<Secrets>,
    closed: watch::Receiver<bool>,
}

impl Caller {
    /// Runs a hook, and notes on the plugin what is worth it. It is dropped when its time is over, when the host is gone,
    /// and when `until` says so.
    ///
    /// Cancel safety: dropping the future ends the hook where it is, without a note.
    async fn call(
        &self,
        hook: AnyHook,
        context: Value,
        task: Option<TaskId>,
        until: impl Future<Output = Failure>,
    ) -> Result<(), HookError> {
        let output = Arc::new(OutputLog::new(LOG_BYTES));
        output.hide(&self.secrets);
        let (begun, begins) = watch::channel(false);
        let work = HookWork {
            plugin: self.plugin.digest(),
            hook,
            context,
            limits: self.limits.of_cell(&self.cell),
            config: Arc::clone(&self.config),
            kv: self.kv.clone(),
            output: Arc::clone(&output),
            secrets: Arc::clone(&self.secrets),
            begun,
        };
        let late = self.late(begins);
        let mut closed = self.closed.clone();
        let run = pin!(async { self.runner.hook(work).await });
        let ended = tokio::select! {
            biased;
            // An error means that the host is gone. Nobody looks for what is wrong with a hook then.
            _ = closed.wait_for(|closed| *closed) => {
                return Err(Failure::new(FailureKind::Host, "the host was dropped, and no hook is called then").into());
            }
            ended = guarded(run) => ended.unwrap_or_else(|panic| {
                Err(Failure::new(FailureKind::Host, format!("the host panicked while it worked for this hook: {panic}")))
            }),
            failure = until => Err(failure),
            failure = late => Err(failure),
        };
        let error = ended.err().map(|mut failure| {
            self.secrets.hide_failure(&mut failure);
            HookError::from(failure)
        });
        output.let_go();
        let log = lines(&output);
        if error.is_some() || !log.is_empty() {
            let (at, hook) = (self.clock.date(), hook.word());
            self.plugin.note(HookNote { at, hook, task, error: error.clone(), log });
        }
        error.map_or(Ok(()), Err)
    }

    /// Completes when its time is over: that to wait for its turn, and from then on its own.
    async fn late(&self, mut begins: watch::Receiver<bool>) -> Failure {
        let patience = self.clock.steady().saturating_add(self.limits.wait);
        tokio::select! {
            biased;
            // An error means that whoever runs it says nothing about it.
            _ = begins.wait_for(|begun| *begun) => {}
            () = self.clock.sleep_until(patience) => return self.limits.not_begun(),
        }
        self.clock.sleep_until(self.clock.steady().saturating_add(self.limits.timeout)).await;
        self.limits.late()
    }
}

/// What a hook wrote, as lines.
fn lines(output: &OutputLog) -> Vec<String> {
    let page = output.newest(OutputCursor::default());
    let line = |source: &OutputSource, text: &str| match source {
        OutputSource::Stdout => format!("stdout: {text}"),
        OutputSource::Stderr => format!("stderr: {text}"),
        OutputSource::Log { level, target } => format!("{level} {target}: {text}"),
    };
    page.chunks.iter().map(|chunk| line(&chunk.source, &chunk.text)).collect()
}

impl Inner {
    fn caller(&self, plugin: &Plugin, kv: bool) -> Caller {
        let of_plugin = self.plugin_limits.get(plugin.name()).copied().unwrap_or_default();
        Caller {
            plugin: plugin.clone(),
            runner: Arc::clone(&self.runner),
            clock: Arc::clone(&self.around.clock),
            limits: self.hooks.limits,
            cell: self.limits.lowered_to(of_plugin),
            config: self.plugins.config(plugin.name()),
            kv: kv.then(|| self.plugins.store(plugin.name())),
            secrets: Arc::clone(&self.around.secrets),
            closed: self.hooks.closed.subscribe(),
        }
    }

    /// Runs a hook around a plugin's life; a plugin that has none has nothing to do. A failure is noted on the plugin.
    ///
    /// # Errors
    /// When the hook said so, or did not return within its limits.
    ///
    /// Cancel safety: dropping the future ends the hook where it is.
    pub(super) async fn plugin_hook(&self, plugin: &Plugin, hook: Hook) -> Result<(), HookError> {
        if !plugin.hooks().plugin {
            return Ok(());
        }
        let caller = self.caller(plugin, self.hooks.stores.contains(plugin.name()));
        let context = plugin_context(plugin.name(), &caller.config);
        caller.call(AnyHook::Plugin(hook), context, None, std::future::pending()).await
    }

    /// The hooks about the end of a task of this plugin, if it has any.
    /// They use the plugin's store if the task may, with these grants.
    pub(super) fn task_hooks(
        &self,
        plugin: &Plugin,
        task_type: &str,
        grants: Option<&Grants>,
    ) -> Option<Box<TaskHooks>> {
        plugin.hooks().task.then(|| {
            let kv = self.policy.mandate(plugin, task_type, grants.cloned()).allows(&Touch::Kv);
            Box::new(TaskHooks { caller: Arc::new(self.caller(plugin, kv)), on_cancel: JoinSet::new() })
        })
    }
}

/// The hooks about the end of one task.
#[derive(Debug)]
pub(crate) struct TaskHooks {
    caller: Arc<Caller>,
    /// `on-cancel`, once it was called.
    on_cancel: JoinSet<()>,
}

impl TaskHooks {
    /// Calls `on-cancel` beside the task, once: within the grace, and however that is shortened.
    pub(super) fn on_cancel(
        &mut self,
        shared: &Arc<Shared>,
        request: &CancelRequest,
        notices: Arc<Watched<Option<CancelNotice>>>,
    ) {
        // One that is over stays in the set until the end.
        if !self.on_cancel.is_empty() {
            return;
        }
        let (caller, shared) = (Arc::clone(&self.caller), Arc::clone(shared));
        let context = cancel_context(&shared.task, shared.id, request);
        self.on_cancel.spawn(async move {
            let until = grace_over(&notices, &*shared.around.clock);
            call(&caller, TaskHook::OnCancel, context, &shared, until).await;
        });
    }

    /// Calls `on-terminal` after `on-cancel`, beside whatever the task's actor goes on to do. The version stays as long: it
    /// needs its code, and is told that it goes after that.
    pub(super) fn on_terminal(self: Box<Self>, shared: Arc<Shared>, version: VersionUse) -> JoinSet<()> {
        let mut running = JoinSet::new();
        running.spawn(async move {
            let _version = version;
            let Self { caller, mut on_cancel } = *self;
            while on_cancel.join_next().await.is_some() {}
            let Some(outcome) = shared.outcome() else { return };
            let context = end_context(&shared.task, shared.id, &outcome, &shared.snapshot().usage);
            call(&caller, TaskHook::OnTerminal, context, &shared, std::future::pending()).await;
        });
        running
    }
}

/// Runs a hook about a task, and writes down that it was called.
async fn call(caller: &Caller, hook: TaskHook, context: Value, shared: &Shared, until: impl Future<Output = Failure>) {
    let ended = caller.call(AnyHook::Task(hook), context, Some(shared.id), until).await;
    if is_stopped(&caller.closed) && shared.around.suspended.outlives() {
        // It may have been cut off, or never called: the next host calls it.
        return;
    }
    let error = ended.err().map(|error| Box::new(error.into()));
    failpoint!("hook.called");
    shared.note_after(EventBody::HookDone { hook, error }).await;
}

/// Completes when a task's grace is over, which may be shortened meanwhile.
async fn grace_over(notices: &Watched<Option<CancelNotice>>, clock: &dyn Clock) -> Failure {
    loop {
        let ends = |notice: &Option<CancelNotice>| notice.as_ref().map(|notice| notice.grace_ends);
        let (ends, seen) = notices.look(ends);
        tokio::select! {
            biased;
            () = clock.sleep_until(ends.unwrap_or_default()) => break,
            // Also after the task has ended: its time for this has not.
            () = notices.changed(seen) => {}
        }
    }
    Failure::new(FailureKind::Timeout, "it did not end within the grace of its task's cancel, and was stopped")
}
