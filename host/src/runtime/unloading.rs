//! Which plugins there are: loading, replacing, unloading, enabling and disabling them.
//!
//! A plugin's name points to one version of it. A version that is left lives on until the last of its tasks is gone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::model::hook::{Hook, HookError};
use crate::model::manifest::TaskKind;
use crate::model::plugin_bytes::PluginBytes;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::ports::audit::{AuditLine, AuditWhat};
use crate::ports::runner::CodeHold;
use crate::sandbox::load::LoadError;

use super::host::{Host, Inner};
use super::plugin::Plugin;
use super::stopping::{StopReport, stop};
use super::version::{Standing, Version, VersionUse};

/// What becomes of the tasks that a plugin has when it is unloaded or replaced. Those that wait for their turn, a moment,
/// an approval or another attempt are its tasks too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unload {
    /// They go on until they end by themselves. Daemons, which do not, are asked to end at once.
    Drain {
        /// Those that still live after this time are stopped where they are.
        deadline: Duration,
    },
    /// Each is asked to end.
    Cancel {
        /// Those that still live after this time are stopped where they are.
        grace: Duration,
    },
    /// Each is stopped where it is.
    Force,
}

impl Unload {
    /// How long they may take at most.
    pub(super) fn deadline(self) -> Duration {
        match self {
            Self::Drain { deadline: most } | Self::Cancel { grace: most } => most,
            Self::Force => Duration::ZERO,
        }
    }

    /// The grace with which such a task is asked to end now; `None` when it is left alone until the deadline.
    pub(super) fn grace(self, kind: TaskKind) -> Option<Duration> {
        match (self, kind) {
            (Self::Drain { .. }, TaskKind::Task) => None,
            (Self::Drain { deadline }, TaskKind::Daemon) => Some(CancelRequest::DEFAULT_GRACE.min(deadline)),
            (Self::Cancel { grace }, TaskKind::Task | TaskKind::Daemon) => Some(grace),
            (Self::Force, TaskKind::Task | TaskKind::Daemon) => Some(Duration::ZERO),
        }
    }
}

/// Why a plugin was not unloaded, enabled or disabled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// There is no plugin of that name, or it is being unloaded.
    #[error("no plugin is called {name:?}; loaded: {}", if loaded.is_empty() { "none".to_owned() } else { loaded.join(", ") })]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        loaded: Vec<String>,
    },
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

/// Why a plugin was not replaced. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// The new version cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is nothing to replace.
    #[error(transparent)]
    NotLoaded(#[from] PluginError),
}

/// A plugin that was replaced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Replaced {
    /// The version that is there now.
    pub plugin: Plugin,
    /// How the tasks of the version before ended.
    pub report: StopReport,
}

/// A plugin whose name points to another version by now, while tasks of the version before may still live.
///
/// Dropped, it changes nothing: everything takes its course.
#[derive(Debug)]
#[must_use = "`done` waits for the tasks of the version before"]
pub struct Switched {
    plugin: Plugin,
    report: Option<oneshot::Receiver<StopReport>>,
}

impl Switched {
    /// The version that is there now.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Waits until the tasks of the version before have ended, as the replacing says.
    ///
    /// Cancel safety: when the future is dropped, everything takes its course.
    pub async fn done(self) -> Replaced {
        let report = match self.report {
            Some(told) => told.await.unwrap_or_default(),
            None => StopReport::default(),
        };
        Replaced { plugin: self.plugin, report }
    }
}

impl Host {
    /// Unloads a plugin. From the call on none of its tasks can be started
    /// ([`StartError::PluginUnloading`](crate::StartError::PluginUnloading)), except as children of those that run, which keep
    /// their code until their end. Says how each of them ended.
    ///
    /// When it returns they are gone, and their code, memory and places are given back. It returns a second after the
    /// deadline or the grace at the latest, and what is not over by then goes on without it: a task whose store does not
    /// answer, which has no outcome in the report; a hook about a task's end, and the plugin's own, which hold the code so
    /// long.
    ///
    /// ```no_run
    /// # async fn example(host: taskcell::Host) -> Result<(), taskcell::PluginError> {
    /// use std::time::Duration;
    /// use taskcell::Unload;
    ///
    /// let report = host.unload_plugin("digest", Unload::Drain { deadline: Duration::from_secs(600) }).await?;
    /// println!("{} tasks ended, {} of them by force", report.tasks.len(), report.forced());
    /// # Ok(()) }
    /// ```
    ///
    /// The plugin's own hooks are called: `on-disabled` at once, if it was told that it is enabled, and `shutdown` when its
    /// last task is gone. Beside a shutdown of the host they are called once, and both wait for them.
    ///
    /// # Errors
    /// When there is no such plugin, or it is not loaded yet.
    ///
    /// Cancel safety: once the future was polled, the plugin is unloaded, whoever waits for it or not.
    pub async fn unload_plugin(&self, name: &str, how: Unload) -> Result<StopReport, PluginError> {
        self.inner().unload(name, how).await
    }

    /// Replaces the plugin that the file is another version of. The new version is loaded and checked first. Then the
    /// name points to it at once: every start finds the old version or the new one. Tasks of the old one keep their code,
    /// also for their children, and end as `how` says. The same code again changes nothing. A plugin that is disabled stays
    /// so. The hooks of the old version are called like those of one that is unloaded, and those of the new one like those of
    /// one that is loaded.
    ///
    /// Grants are given to tasks, so the new version gets what each request says and nothing by itself; what it would like
    /// to have is in [`Replaced::plugin`]'s manifest.
    ///
    /// # Errors
    /// When the file is no plugin, its `init` fails, there is no plugin of its name, or none any more after its `init`, or
    /// the host shuts down. Nothing has changed then.
    ///
    /// Cancel safety: like [`Host::load_plugin`]: once `init` is called, the plugin is replaced all the same.
    pub async fn replace_plugin(&self, path: impl AsRef<Path>, how: Unload) -> Result<Replaced, ReplaceError> {
        let (name, bytes) = self.read_plugin_file(path.as_ref()).await?;
        self.replace_plugin_bytes(name, bytes, how).await
    }

    /// Replaces a plugin by one that is given as bytes. `name` is used for plain commands, which do not know their own.
    ///
    /// # Errors
    /// Like [`Host::replace_plugin`].
    ///
    /// Cancel safety: like [`Host::replace_plugin`].
    pub async fn replace_plugin_bytes(
        &self,
        name: impl Into<String>,
        bytes: impl Into<PluginBytes>,
        how: Unload,
    ) -> Result<Replaced, ReplaceError> {
        let (plugin, code) = Box::pin(self.read_plugin(name.into(), bytes.into())).await?;
        Box::pin(self.inner().replace(plugin, code, how)).await
    }

    /// Replaces a plugin like [`Host::replace_plugin_bytes`], and returns as soon as its name points to the new version: for
    /// those who keep its file beside, and may let nobody in between.
    ///
    /// # Errors
    /// Like [`Host::replace_plugin`].
    ///
    /// Cancel safety: like [`Host::replace_plugin`].
    pub async fn switch_plugin_bytes(
        &self,
        name: impl Into<String>,
        bytes: impl Into<PluginBytes>,
        how: Unload,
    ) -> Result<Switched, ReplaceError> {
        let (plugin, code) = Box::pin(self.read_plugin(name.into(), bytes.into())).await?;
        Box::pin(self.inner().switch(plugin, code, how)).await
    }

    /// Lets tasks of a plugin be started, or not ([`StartError::PluginDisabled`](crate::StartError::PluginDisabled)). Those
    /// that run go on, with their children; but daemons are stopped with their plugin, within a grace of five seconds,
    /// which is waited for, and started with it. Says whether that was a change. A plugin that is loaded is enabled.
    ///
    /// When it was a change, the plugin's own hook `on-enabled` or `on-disabled` is called, and waited for.
    ///
    /// # Errors
    /// When there is no such plugin, or the host shuts down.
    ///
    /// Cancel safety: when the future is dropped before it is the turn of this change, nothing has changed, and else
    /// everything takes its course.
    pub async fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Result<bool, PluginError> {
        self.inner().set_enabled(name, enabled).await
    }

    /// Whether tasks of a plugin can be started; `None` when there is none of that name.
    pub fn plugin_is_enabled(&self, name: &str) -> Option<bool> {
        self.inner().registry.version(name).map(|version| version.standing() == Standing::Enabled)
    }
}

impl Inner {
    /// Changes what a plugin's name points to, in its turn; `None` when the host shuts down, and nothing has changed then.
    /// It is a job of the host's own: a caller that is not polled any more holds nobody up.
    ///
    /// Cancel safety: when the future is dropped before its turn, nothing has changed, and else everything takes its
    /// course.
    async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        change: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (mut tell, told) = oneshot::channel();
        let (this, name) = (Arc::clone(self), name.to_owned());
        self.spawn(Box::pin(async move {
            let turn = tokio::select! {
                biased;
                () = tell.closed() => return,
                turn = this.turns.of(&name) => turn,
            };
            // The plugins part once these jobs are done, and nothing comes after that.
            if this.shutdown.has_begun() {
                return;
            }
            let done = change.await;
            // Who hears of it may drop the host.
            drop((turn, this));
            let _ = tell.send(done);
        }));
        told.await.ok()
    }

    /// Gives a plugin its name, and starts its daemons.
    pub(super) async fn load(self: &Arc<Self>, plugin: Plugin, code: CodeHold) -> Result<Plugin, LoadError> {
        let (this, name) = (Arc::clone(self), plugin.name().to_owned());
        let loaded = self.in_turn(&name, async move { this.add(plugin, code).await }).await;
        loaded.unwrap_or(Err(LoadError::ShuttingDown))
    }

    async fn add(self: &Arc<Self>, plugin: Plugin, code: CodeHold) -> Result<Plugin, LoadError> {
        let taken = |present: &Version| LoadError::NameTaken {
            name: present.plugin.name().to_owned(),
            version: present.plugin.manifest().version.clone(),
        };
        match self.registry.version(plugin.name()) {
            Some(present) if present.plugin.digest() == plugin.digest() => return Ok(present.plugin.clone()),
            Some(present) => return Err(taken(&present)),
            None => {}
        }
        let version = self.initialized(plugin, code, Standing::Enabled).await?;
        self.registry.add_version(Arc::clone(&version)).map_err(|present| taken(&present))?;
        let plugin = version.plugin.clone();
        self.enter(version).await;
        Ok(plugin)
    }

    /// A version that no name points to yet, and that was told that it is there.
    async fn initialized(&self, plugin: Plugin, code: CodeHold, standing: Standing) -> Result<Arc<Version>, LoadError> {
        let line = AuditLine {
            plugin: Some(plugin.name().to_owned()),
            digest: Some(plugin.digest()),
            ..AuditLine::new(self.around.clock.date(), AuditWhat::Load)
        };
        self.policy.tell(&line).map_err(LoadError::Audit)?;
        let version = Arc::new(Version::new(plugin, code, self.registry.next_number(), standing));
        self.tell(&version, Hook::Init).await.map_err(|error| LoadError::Init { error })?;
        if self.shutdown.has_begun() {
            self.shut(&version).await;
            return Err(LoadError::ShuttingDown);
        }
        Ok(version)
    }

    /// What follows when a name points to a version.
    async fn enter(self: &Arc<Self>, version: Arc<Version>) {
        // Whoever unloads it meanwhile waits for this.
        let version = VersionUse::new(version);
        // Before its daemons begin anew: one of them may go on.
        self.go_on_with(version.plugin.name()).await;
        self.keep_daemons(&version);
        // What a hook says after its plugin is there changes nothing.
        let _ = self.tell(&version, Hook::OnEnabled).await;
    }

    pub(super) async fn replace(
        self: &Arc<Self>,
        plugin: Plugin,
        code: CodeHold,
        how: Unload,
    ) -> Result<Replaced, ReplaceError> {
        Ok(self.switch(plugin, code, how).await?.done().await)
    }

    async fn switch(self: &Arc<Self>, plugin: Plugin, code: CodeHold, how: Unload) -> Result<Switched, ReplaceError> {
        let (this, name) = (Arc::clone(self), plugin.name().to_owned());
        let switched = self.in_turn(&name, async move { this.point_to(plugin, code, how).await }).await;
        let (plugin, report) = switched.unwrap_or(Err(LoadError::ShuttingDown.into()))?;
        Ok(Switched { plugin, report })
    }

    /// Lets the name of a plugin point to this version of it. The report on the tasks of the one before comes later.
    async fn point_to(
        self: &Arc<Self>,
        plugin: Plugin,
        code: CodeHold,
        how: Unload,
    ) -> Result<(Plugin, Option<oneshot::Receiver<StopReport>>), ReplaceError> {
        let old = self.named(plugin.name())?;
        if old.plugin.digest() == plugin.digest() {
            return Ok((old.plugin.clone(), None));
        }
        let version = self.initialized(plugin, code, old.standing()).await?;
        let plugin = version.plugin.clone();
        let Some(left) = self.registry.replace_version(&old, Arc::clone(&version)) else {
            // It was unloaded meanwhile.
            self.shut(&version).await;
            return Err(self.unknown(plugin.name()).into());
        };
        let why = format!("its plugin {} was replaced by version {}", plugin.name(), plugin.manifest().version);
        let told = self.see_off(left, how, why);
        // The code goes with the last who holds it.
        drop(old);
        self.enter(version).await;
        Ok((plugin, Some(told)))
    }

    pub(super) async fn unload(self: &Arc<Self>, name: &str, how: Unload) -> Result<StopReport, PluginError> {
        // Not in the name's turn: nobody starts a task of it while a hook of it runs.
        let version = self.registry.remove_version(name).ok_or_else(|| self.unknown(name))?;
        let told = self.see_off(version, how, format!("its plugin {name} was unloaded"));
        Ok(told.await.unwrap_or_default())
    }

    pub(super) async fn set_enabled(self: &Arc<Self>, name: &str, enabled: bool) -> Result<bool, PluginError> {
        let (this, of) = (Arc::clone(self), name.to_owned());
        let changed = self.in_turn(name, async move { this.let_stand(&of, enabled).await }).await;
        changed.unwrap_or(Err(PluginError::ShuttingDown))
    }

    async fn let_stand(self: &Arc<Self>, name: &str, enabled: bool) -> Result<bool, PluginError> {
        let version = VersionUse::new(self.named(name)?);
        let standing = if enabled { Standing::Enabled } else { Standing::Disabled };
        if !self.registry.set_standing(&version, standing) {
            return match version.standing() {
                Standing::Enabled | Standing::Disabled => Ok(false),
                // It was unloaded just then.
                Standing::Leaving => Err(self.unknown(name)),
            };
        }
        if enabled {
            let _ = self.tell(&version, Hook::OnEnabled).await;
        } else {
            let why = format!("its plugin {name} was disabled");
            let _ = tokio::join!(self.tell(&version, Hook::OnDisabled), self.stop_daemons(&version, &why));
        }
        Ok(true)
    }

    fn named(&self, name: &str) -> Result<Arc<Version>, PluginError> {
        self.registry.version(name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> PluginError {
        PluginError::Unknown {
            name: name.to_owned(),
            loaded: self.registry.versions().iter().map(|version| version.plugin.name().to_owned()).collect(),
        }
    }

    async fn stop_daemons(&self, version: &Version, why: &str) {
        let mut daemons = self.registry.live_of(version.number);
        daemons.retain(|task| task.kind == TaskKind::Daemon);
        let request = CancelRequest::new(Party::Host, why);
        let over = self.around.clock.steady().saturating_add(request.grace);
        let stopping = daemons.into_iter().map(|task| stop(task, request.clone(), true, over));
        stopping.collect::<JoinSet<_>>().join_all().await;
    }

    /// Tells a version something with one of its own hooks, if it is to be told that now. Whoever else has something to
    /// tell it waits for the end of the hook. Only jobs of the host's own call this: they are always polled.
    pub(super) async fn tell(&self, version: &Version, hook: Hook) -> Result<(), HookError> {
        let mut told = version.told.lock().await;
        // It may have been unloaded since it was entered.
        let untrue = hook == Hook::OnEnabled && version.standing() != Standing::Enabled;
        let Some(after) = told.after(hook).filter(|_| !untrue) else { return Ok(()) };
        *told = after;
        self.plugin_hook(&version.plugin, hook).await
    }

    /// Tells a version that it goes, when its last task is gone.
    pub(super) async fn shut(&self, version: &Version) {
        // A failure is noted on the plugin, and the rest goes on.
        let _ = self.tell(version, Hook::OnDisabled).await;
        let _ = self.tell(version, Hook::Shutdown).await;
    }

    /// Begins to tell all plugins, at the same time, that the host goes. The tasks are gone by then, and whoever changed
    /// what a name points to is done.
    pub(super) fn say_goodbye(self: &Arc<Self>) {
        for version in self.registry.versions() {
            let inner = Arc::clone(self);
            self.spawn(Box::pin(async move { inner.shut(&version).await }));
        }
    }
}
