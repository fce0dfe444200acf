//! The root of everything an embedder does: load plugins, start tasks, shut down.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use serde_json::Value;

use crate::model::ids::{SignalKey, TaskId};
use crate::model::limits::{Limits, LimitsRequest};
use crate::model::permission::ApprovalKinds;
use crate::model::plugin_bytes::PluginBytes;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::scratch::ScratchPolicy;
use crate::model::signal::{Party, Signal};
use crate::ports::agent::AgentSink;
use crate::ports::clock::BoxFuture;
use crate::ports::functions::Functions;
use crate::ports::runner::{CodeHold, Runner};
use crate::sandbox::load::{LoadError, read_file};
use crate::sandbox::runner::WasmRunner;
#[cfg(feature = "sqlite")]
use crate::store::sqlite::StoreHealth;

use super::belongings::Belongings;
use super::builder::HostBuilder;
use super::daemons::Daemons;
use super::delivery::LoopDesk;
use super::desk::Desk;
use super::feed::FeedWriter;
use super::handle::TaskHandle;
use super::hooks::HookRules;
use super::outbox::Messages;
use super::planners::Planners;
use super::plugin::Plugin;
use super::policing::PolicyDesk;
use super::queue::Queue;
use super::reach::{Scope, notify_tasks};
use super::recovery::Standby;
use super::registry::Registry;
use super::routing::{RoutingPolicy, Started, run};
use super::schedules::{Schedules, Scheduling};
use super::shared::Surroundings;
use super::shutdown::Shutdown;
use super::start::start;
use super::start_error::StartError;
use super::stopping::{StopReport, StopScope};
use super::terminal::{OnTerminal, OnTerminalError, OnTerminals, TaskEnd};
use super::turns::Turns;

/// Loads plugins and runs their tasks.
///
/// A host lives inside the tokio runtime that it was built in. When it is dropped, its tasks are stopped and end as
/// cancelled by the host; [`Host::shutdown`] does the same and waits until they are gone.
pub struct Host {
    inner: Arc<Inner>,
    wasm: Arc<WasmRunner>,
}

/// What starting a task needs.
pub(crate) struct Inner {
    pub(super) registry: Arc<Registry>,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) around: Arc<Surroundings>,
    /// How the data directory's store is.
    #[cfg(feature = "sqlite")]
    pub(super) health: Option<watch::Receiver<StoreHealth>>,
    pub(super) sink: Option<Arc<dyn AgentSink>>,
    pub(super) limits: Limits,
    /// What plugins may touch, and the mandate of the tasks.
    pub(super) policy: PolicyDesk,
    /// What becomes of scratch directories whose requests do not say.
    pub(super) scratch_policy: ScratchPolicy,
    /// What requests may approve of in advance.
    pub(super) approve_in_advance: ApprovalKinds,
    /// What the operator gives to single plugins, by name.
    pub(super) plugin_limits: HashMap<String, LimitsRequest>,
    pub(super) functions: Arc<Functions>,
    pub(super) on_terminals: OnTerminals,
    pub(super) planners: Planners,
    /// Where the callers of tasks wait, as far as the host says.
    pub(super) routing: RoutingPolicy,
    /// What the loops of agents are told.
    pub(super) loops: Arc<LoopDesk>,
    pub(super) plugins: Belongings,
    pub(super) hooks: HookRules,
    pub(super) daemons: Daemons,
    /// Whose turn it is to change which plugins there are.
    pub(super) turns: Turns,
    /// Held so that those who follow what happens know that more may come.
    pub(super) feed: FeedWriter,
    pub(super) queue: Queue,
    pub(super) desk: Arc<Desk>,
    pub(super) schedules: Scheduling,
    /// Whether it has taken over what a host before it has left.
    pub(super) standby: CachePadded<Standby>,
    pub(super) shutdown: Shutdown,
    pub(super) runtime: tokio::runtime::Handle,
    /// The tasks' actors, which the host owns.
    pub(super) actors: Mutex<JoinSet<()>>,
    /// The shutdowns, which wait for them.
    pub(super) shutdowns: Mutex<JoinSet<()>>,
    /// Whose turn it is to wait for them: only of those jobs.
    pub(super) shutting_down: tokio::sync::Mutex<()>,
}

impl Host {
    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Begins to build a host.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    pub(super) fn new(inner: Inner, wasm: Arc<WasmRunner>) -> Self {
        Self { inner: Arc::new(inner), wasm }
    }

    /// Loads a plugin from a file: a component, or a core module for `wasm32-wasip1` that carries the contract.
    ///
    /// The file is read once; what happens to it later does not matter. A publisher's signature that lies beside it, in a file of
    /// the same name with `.sig` behind it, is read too. Loading the same file again is fine. A plugin
    /// with hooks of its own is loaded when its `init` succeeds, and then told that it is enabled, once; that this fails is
    /// noted ([`Plugin::notes`]), and no more. Its daemons are started ([`HostBuilder::daemons`]).
    /// [`Host::replace_plugin`] loads another version of a plugin that is there.
    ///
    /// # Errors
    /// When it is no plugin, or its `init` fails. The error says what it is instead, and what to do.
    ///
    /// Cancel safety: when the future is dropped while the file is read and compiled, or waits for another change of a plugin
    /// of its name, nothing is loaded, though a compilation that has begun runs to its end. Once `init` is called, loading
    /// goes on without it.
    pub async fn load_plugin(&self, path: impl AsRef<Path>) -> Result<Plugin, LoadError> {
        let (name, bytes) = self.read_plugin_file(path.as_ref()).await?;
        self.load_plugin_bytes(name, bytes).await
    }

    /// Looks at a plugin's file and takes nothing in: its `describe` is called and none of its hooks, and its tasks cannot
    /// be started.
    ///
    /// # Errors
    /// Like [`Host::load_plugin`].
    ///
    /// Cancel safety: like [`Host::load_plugin`].
    pub async fn inspect_plugin(&self, path: impl AsRef<Path>) -> Result<Plugin, LoadError> {
        let (name, bytes) = self.read_plugin_file(path.as_ref()).await?;
        Ok(Box::pin(self.read_plugin(name, bytes)).await?.0)
    }

    /// The file's name without its ending, and what is in it.
    pub(super) async fn read_plugin_file(&self, path: &Path) -> Result<(String, PluginBytes), LoadError> {
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let (path, max) = (path.to_owned(), self.wasm.load_limits().file_bytes);
        let read = tokio::task::spawn_blocking(move || read_file(&path, max)).await;
        Ok((name, read.unwrap_or(Err(LoadError::ShuttingDown))?))
    }

    /// Loads a plugin from its bytes, with or without a signature of its own ([`PluginBytes`]). `name` is used for plain
    /// commands, which do not know their own.
    ///
    /// # Errors
    /// Like [`Host::load_plugin`].
    pub async fn load_plugin_bytes(
        &self,
        name: impl Into<String>,
        bytes: impl Into<PluginBytes>,
    ) -> Result<Plugin, LoadError> {
        // Loading takes long and much room, and a caller's own future should not be large.
        let (loaded, code) = Box::pin(self.read_plugin(name.into(), bytes.into())).await?;
        Box::pin(self.inner.load(loaded, code)).await
    }

    /// A plugin that no name points to yet.
    pub(super) async fn read_plugin(&self, name: String, bytes: PluginBytes) -> Result<(Plugin, CodeHold), LoadError> {
        let (loaded, code) = self.wasm.load(name, bytes, self.inner.policy.policy()).await?;
        Ok((Plugin::new(loaded), code))
    }

    /// The plugins that are loaded, by name.
    pub fn plugins(&self) -> Vec<Plugin> {
        self.inner.registry.versions().iter().map(|version| version.plugin.clone()).collect()
    }

    /// Starts a task and returns at once. The task exists when this returns, and can be watched and cancelled. Only a start
    /// that takes the place of a live task waits, for that one's end ([`KeyPolicy::Replace`](crate::KeyPolicy)).
    ///
    /// # Errors
    /// When the request cannot be fulfilled. Nothing has happened then.
    ///
    /// Cancel safety: when the future is dropped, the task was either not started at all or runs without a handle. A task
    /// that it was about to replace may have been asked to stop.
    pub async fn start(&self, request: StartRequest) -> Result<TaskHandle, StartError> {
        // A request is large, and a caller's own future should not be.
        Box::pin(start(&self.inner, request, None)).await
    }

    /// Starts a task as [`Host::start`] does, and calls a function when it has its outcome, whatever that is: exactly
    /// once, after the outcome shows, the key is free and whoever waits is woken. So it can start the same key again.
    ///
    /// The function is called in the caller's runtime, for at most [`HostBuilder::on_terminal_timeout`]. That it failed,
    /// panicked or took too long is written down ([`TaskHandle::after_events`]) and changes nothing. It is lost with this
    /// process; one that is registered by its name ([`HostBuilder::on_terminal`]) need not be. When the request names one
    /// too, that is called first. When nothing is started, because a live task is joined or the request was started
    /// before, it is not called. A function that keeps the host alive should keep a [`Weak`](std::sync::Weak) of it.
    ///
    /// ```no_run
    /// # async fn example(host: taskcell::Host) -> Result<(), Box<dyn std::error::Error>> {
    /// use taskcell::StartRequest;
    ///
    /// let request = StartRequest::new("digest", "digest");
    /// let task = host.start_with(request, |end| async move {
    ///     println!("{}: {}", end.task.id(), end.outcome);
    ///     Ok(())
    /// });
    /// task.await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Like [`Host::start`]; the function is not called then.
    ///
    /// Cancel safety: like [`Host::start`].
    pub async fn start_with<F, Fut>(&self, request: StartRequest, on_terminal: F) -> Result<TaskHandle, StartError>
    where
        F: FnOnce(TaskEnd) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), OnTerminalError>> + Send + 'static,
    {
        let on_terminal: OnTerminal = Box::new(move |end| Box::pin(on_terminal(end)));
        Box::pin(start(&self.inner, request, Some(on_terminal))).await
    }

    /// Starts a task and waits for it as long as somebody decided: the request's own `routing`, else the host's policy
    /// ([`HostBuilder::routing`]), else the hint in the plugin's manifest, else not at all. What was decided is in the
    /// details of the task's `created` event.
    ///
    /// In the foreground it is waited for until its outcome; in the background not at all; and with
    /// [`Routing::DetachAfter`](crate::Routing::DetachAfter) for that long, counted from this call. A task that had its
    /// outcome in time is [`Started::Ready`].
    ///
    /// ```no_run
    /// # async fn example(host: taskcell::Host) -> Result<(), taskcell::StartError> {
    /// use std::time::Duration;
    /// use taskcell::{Routing, StartRequest, Started};
    ///
    /// let request = StartRequest::new("digest", "digest");
    /// match host.run(request.routing(Routing::DetachAfter { after: Duration::from_secs(2) })).await? {
    ///     Started::Ready { outcome, .. } => println!("{outcome}"),
    ///     Started::Pending(task) => println!("{} goes on in the background", task.id()),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// It comes back early when the task is detached ([`TaskHandle::detach`]). The call is answered by this alone: the
    /// session's loop is not told what this came to.
    ///
    /// # Errors
    /// Like [`Host::start`].
    ///
    /// Cancel safety: when the future is dropped while it waits, the task goes on, and the loop is told of its end after all.
    /// Before, it is like [`Host::start`].
    pub async fn run(&self, request: StartRequest) -> Result<Started, StartError> {
        Box::pin(run(&self.inner, request)).await
    }

    /// A handle to a task that is running, or has ended not long ago.
    pub fn task(&self, id: TaskId) -> Option<TaskHandle> {
        self.inner.registry.by_id(id).map(TaskHandle::new)
    }

    /// The messages of its tasks to their agents that nobody has taken yet.
    pub fn messages(&self) -> Messages {
        self.inner.messages()
    }

    /// The schedules in this host's store. They fire in this host from the first call on: so call it when the plugins are
    /// loaded whose tasks they start. What was due before fires then, once.
    pub fn schedules(&self) -> Schedules {
        self.inner.schedules.handle(&self.inner)
    }

    /// Sends a signal to the tasks of a scope that wait for its key: to the one that has waited longest, or with `all`
    /// to each. When none waits, the oldest task of the scope, or with `all` each of them, keeps it. Returns how many took
    /// or kept it.
    ///
    /// Cancel safety: when the future is dropped, some of them may have it.
    pub async fn notify(&self, scope: &Scope, key: SignalKey, payload: Option<Value>, sender: Party, all: bool) -> u32 {
        notify_tasks(self.inner.registry.live_in(scope), key, Signal::new(payload, sender), all).await
    }

    /// Stops the tasks of a scope, all at the same time: each is asked to end within the request's grace, and those that
    /// still live at the deadline are stopped where they are. Says how each of them ended. Tasks that are started after
    /// the call are not touched, and nothing keeps them from being started.
    ///
    /// A task whose store does not answer is waited for a second longer, and then has no outcome in the report.
    ///
    /// ```no_run
    /// # async fn example(host: taskcell::Host) {
    /// use std::time::Duration;
    /// use taskcell::{CancelRequest, Party, StopScope};
    ///
    /// let request = CancelRequest::new(Party::Person, "the session was closed");
    /// let report = host.stop_all(&StopScope::Session("s1".into()), request, Duration::from_secs(10)).await;
    /// println!("{} tasks ended, {} of them by force", report.tasks.len(), report.forced());
    /// # }
    /// ```
    ///
    /// Cancel safety: when the future is dropped, tasks that were asked to stop still do so within their grace; others may
    /// not have been asked.
    pub async fn stop_all(&self, scope: &StopScope, request: CancelRequest, deadline: Duration) -> StopReport {
        self.inner.stop_all(scope, request, deadline).await
    }

    /// Stops every task where it is and waits until all are gone; those that wait for their plugin ([`Host::recover`]) stay
    /// in the store as they are. No task can be started any more, and no plugin loaded, replaced, enabled or disabled. Then
    /// the plugins' own hooks `on-disabled`, of those that were told that they are enabled, and `shutdown` are called, each
    /// within its time, and none after that. Calling it again, at the same time too, waits for the same.
    ///
    /// Cancel safety: when the future is dropped after it was polled, all of that happens all the same, and nobody waits for
    /// it. One that is kept and not polled holds nobody up.
    pub async fn shutdown(&self) {
        self.inner.shut_down().await;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Before the tasks end: what is dropped runs nobody's code.
        self.inner.hooks.close();
        self.inner.stop_everything();
        // The actors end by themselves now, each with an outcome in its log.
        self.inner.actors.lock().unwrap_or_else(PoisonError::into_inner).detach_all();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("plugins", &self.inner.registry.versions().len()).finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn spawn(&self, actor: BoxFuture<'static, ()>) {
        self.spawn_into(&self.actors, actor);
    }

    fn spawn_into(&self, jobs: &Mutex<JoinSet<()>>, job: BoxFuture<'static, ()>) {
        if self.around.suspended.is() {
            return;
        }
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are done need not be remembered.
        while jobs.try_join_next().is_some() {}
        jobs.spawn_on(job, &self.runtime);
    }

    /// Nothing is started any more, and what lives ends.
    pub(super) fn stop_everything(&self) {
        self.shutdown.begin();
        // Tasks look at it in each of their turns, and do not wait for it: that would take a lock that all of them share. One
        // that comes later looks at it first of all.
        self.registry.live().iter().for_each(|task| task.news.look());
    }

    pub(super) fn messages(&self) -> Messages {
        Messages {
            desk: Arc::clone(&self.around.outbox),
            registry: Arc::clone(&self.registry),
            clock: Arc::clone(&self.around.clock),
            shutdown: self.shutdown.subscribe(),
        }
    }

    /// Stops every task, waits until no actor is left, and lets the plugins part.
    ///
    /// Cancel safety: when the future is dropped once it was polled, all of that happens nevertheless.
    pub(super) async fn shut_down(self: &Arc<Self>) {
        self.stop_everything();
        let this = Arc::clone(self);
        let (done, waits) = oneshot::channel::<()>();
        // A job of its own: a caller that is not polled any more would keep the next one waiting.
        let job = Box::pin(async move {
            // One after the other, because a set wakes only who polled it last.
            let turn = this.shutting_down.lock().await;
            this.jobs_done().await;
            this.say_goodbye();
            this.jobs_done().await;
            this.around.feed.close();
            drop(turn);
            // Who hears of it may drop the host.
            drop(this);
            drop(done);
        });
        self.spawn_into(&self.shutdowns, job);
        let _ = waits.await;
    }

    /// Waits for the host's own jobs, its actors among them.
    pub(super) async fn jobs_done(&self) {
        // The actors stay in their place: whoever drops this future must not drop them along.
        poll_fn(|cx| {
            let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
            while ready!(actors.poll_join_next(cx)).is_some() {}
            Poll::Ready(())
        })
        .await;
    }

    /// Starts a task without a plugin's code: for tests of what stands above the runner.
    #[cfg(test)]
    pub(super) async fn start(self: &Arc<Self>, request: StartRequest) -> Result<TaskHandle, StartError> {
        start(self, request, None).await
    }

    /// The same, with what is to be called at its end.
    #[cfg(test)]
    pub(super) async fn start_with<Fut>(
        self: &Arc<Self>,
        request: StartRequest,
        on_terminal: impl FnOnce(TaskEnd) -> Fut + Send + 'static,
    ) -> Result<TaskHandle, StartError>
    where
        Fut: Future<Output = Result<(), OnTerminalError>> + Send + 'static,
    {
        start(self, request, Some(Box::new(move |end| Box::pin(on_terminal(end))))).await
    }
}
