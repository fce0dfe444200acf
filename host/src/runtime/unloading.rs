//! Which plugins there are: loading, replacing, unloading, enabling and disabling them.
//!
//! A plugin's name points to one version of it. A version that is left lives on until the last of its tasks is gone.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::model::hook::Hook;
use crate::model::manifest::TaskKind;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::ports::runner::CodeHold;
use crate::sandbox::load::LoadError;

use super::host::{Host, Inner};
use super::plugin::Plugin;
use super::shared::Shared;
use super::stopping::{LAST_WORD, StopReport, Stopped, stop};
use super::version::{Standing, Version};

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
    fn deadline(self) -> Duration {
        match self {
            Self::Drain { deadline: most } | Self::Cancel { grace: most } => most,
            Self::Force => Duration::ZERO,
        }
    }

    /// The grace with which such a task is asked to end now; `None` when it is left alone until the deadline.
    fn grace(self, kind: TaskKind) -> Option<Duration> {
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

impl Host {
    /// Unloads a plugin. From the call on none of its tasks can be started
    /// ([`StartError::PluginUnloading`](crate::StartError::PluginUnloading)), except as children of those that run, which keep
    /// their code until their end. Says how each of them ended.
    ///
    /// When it returns they are gone, and their code, memory and places are given back. Only a task whose store does not
    /// answer is waited for no longer than a second; it has no outcome in the report, and goes when it can.
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
    /// # Errors
    /// When there is no such plugin.
    ///
    /// Cancel safety: when the future is dropped, the plugin was left alone, or is unloaded all the same.
    pub async fn unload_plugin(&self, name: &str, how: Unload) -> Result<StopReport, PluginError> {
        self.inner().unload(name, how).await
    }

    /// Replaces the plugin that the file is another version of. The new version is loaded and checked first. Then the
    /// name points to it at once: every start finds the old version or the new one. Tasks of the old one keep their code,
    /// also for their children, and end as `how` says. The same code again changes nothing. A plugin that is disabled stays
    /// so.
    ///
    /// Grants are given to tasks, so the new version gets what each request says and nothing by itself; what it would like
    /// to have is in [`Replaced::plugin`]'s manifest.
    ///
    /// # Errors
    /// When the file is no plugin, its init hook fails, or there is no plugin of its name. Nothing has changed then.
    ///
    /// Cancel safety: when the future is dropped, the plugin was left alone, or is replaced all the same.
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
        bytes: Vec<u8>,
        how: Unload,
    ) -> Result<Replaced, ReplaceError> {
        let (plugin, code) = Box::pin(self.read_plugin(name.into(), bytes)).await?;
        Box::pin(self.inner().replace(plugin, code, how)).await
    }

    /// Lets tasks of a plugin be started, or not ([`StartError::PluginDisabled`](crate::StartError::PluginDisabled)). Those
    /// that run go on, with their children; but daemons are stopped with their plugin, within a grace of five seconds,
    /// which is waited for, and started with it. Says whether that was a change. A plugin that is loaded is enabled.
    ///
    /// # Errors
    /// When there is no such plugin.
    ///
    /// Cancel safety: when the future is dropped, nothing has changed, or everything takes its course.
    pub async fn set_plugin_enabled(&self, name: &str, enabled: bool) -> Result<bool, PluginError> {
        self.inner().set_enabled(name, enabled).await
    }

    /// Whether tasks of a plugin can be started; `None` when there is none of that name.
    pub fn plugin_is_enabled(&self, name: &str) -> Option<bool> {
        self.inner().registry.version(name).map(|version| version.standing() == Standing::Enabled)
    }
}

impl Inner {
    /// Gives a plugin its name, and starts its daemons.
    pub(super) async fn load(self: &Arc<Self>, plugin: Plugin, code: CodeHold) -> Result<Plugin, LoadError> {
        let turn = Arc::clone(&self.changing).lock_owned().await;
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
        self.enter(version, turn).await;
        Ok(plugin)
    }

    /// A version that no name points to yet, and that was told that it is there.
    async fn initialized(&self, plugin: Plugin, code: CodeHold, standing: Standing) -> Result<Arc<Version>, LoadError> {
        if *self.shutdown.borrow() {
            return Err(LoadError::ShuttingDown);
        }
        let version = Arc::new(Version::new(plugin, code, self.registry.next_number(), standing));
        self.plugin_hook(&version.plugin, Hook::Init).await.map_err(|error| LoadError::Init { error })?;
        if *self.shutdown.borrow() {
            self.shut(&version).await;
            return Err(LoadError::ShuttingDown);
        }
        Ok(version)
    }

    /// What follows when a name points to a version. Nobody else's turn comes before that is done.
    async fn enter(self: &Arc<Self>, version: Arc<Version>, turn: Turn) {
        self.keep_daemons(&version);
        let this = Arc::clone(self);
        self.go_on(async move {
            if version.standing() == Standing::Enabled {
                // What a hook says after its plugin is there changes nothing.
                let _ = this.plugin_hook(&version.plugin, Hook::OnEnabled).await;
            }
            drop(turn);
        })
        .await;
    }

    pub(super) async fn replace(
        self: &Arc<Self>,
        plugin: Plugin,
        code: CodeHold,
        how: Unload,
    ) -> Result<Replaced, ReplaceError> {
        let turn = Arc::clone(&self.changing).lock_owned().await;
        let old = self.named(plugin.name())?;
        if old.plugin.digest() == plugin.digest() {
            return Ok(Replaced { plugin: old.plugin.clone(), report: StopReport::default() });
        }
        let version = self.initialized(plugin, code, old.standing()).await?;
        let plugin = version.plugin.clone();
        let old = self.registry.replace_version(&old, Some(Arc::clone(&version)));
        let told = old.map(|old| {
            let (name, version) = (plugin.name(), &plugin.manifest().version);
            let why = format!("its plugin {name} was replaced by version {version}");
            self.see_off(old, how, why)
        });
        self.enter(version, turn).await;
        let report = match told {
            Some(told) => told.await.unwrap_or_default(),
            None => StopReport::default(),
        };
        Ok(Replaced { plugin, report })
    }

    pub(super) async fn unload(self: &Arc<Self>, name: &str, how: Unload) -> Result<StopReport, PluginError> {
        let turn = self.changing.lock().await;
        let version = self.named(name)?;
        let told = self
            .registry
            .replace_version(&version, None)
            .map(|version| self.see_off(version, how, format!("its plugin {name} was unloaded")));
        // The code goes with the last who holds it.
        drop((version, turn));
        Ok(match told {
            Some(told) => told.await.unwrap_or_default(),
            None => StopReport::default(),
        })
    }

    pub(super) async fn set_enabled(self: &Arc<Self>, name: &str, enabled: bool) -> Result<bool, PluginError> {
        let turn = Arc::clone(&self.changing).lock_owned().await;
        let version = self.named(name)?;
        let standing = if enabled { Standing::Enabled } else { Standing::Disabled };
        if !self.registry.set_standing(&version, standing) {
            return Ok(false);
        }
        let (this, why) = (Arc::clone(self), format!("its plugin {name} was disabled"));
        self.go_on(async move {
            if enabled {
                let _ = this.plugin_hook(&version.plugin, Hook::OnEnabled).await;
            } else {
                let told = this.plugin_hook(&version.plugin, Hook::OnDisabled);
                let _ = tokio::join!(told, this.stop_daemons(&version, &why));
            }
            drop((turn, version));
        })
        .await;
        Ok(true)
    }

    fn named(&self, name: &str) -> Result<Arc<Version>, PluginError> {
        self.registry.version(name).ok_or_else(|| PluginError::Unknown {
            name: name.to_owned(),
            loaded: self.registry.versions().iter().map(|version| version.plugin.name().to_owned()).collect(),
        })
    }

    /// Does something to its end, whoever waits for it or not.
    async fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (done, waits) = oneshot::channel();
        self.spawn(Box::pin(async move {
            work.await;
            let _ = done.send(());
        }));
        let _ = waits.await;
    }

    async fn stop_daemons(&self, version: &Version, why: &str) {
        let mut daemons = self.registry.live_of(version.number);
        daemons.retain(|task| task.kind == TaskKind::Daemon);
        let request = CancelRequest::new(Party::Host, why);
        let over = self.around.clock.steady().saturating_add(request.grace);
        let stopping = daemons.into_iter().map(|task| stop(task, request.clone(), true, over));
        stopping.collect::<JoinSet<_>>().join_all().await;
    }

    /// Lets the tasks of a version that has left end, and then the version. The report comes at the deadline at the
    /// latest, and a second.
    fn see_off(self: &Arc<Self>, version: Arc<Version>, how: Unload, why: String) -> oneshot::Receiver<StopReport> {
        let (tell, told) = oneshot::channel();
        let farewell = Farewell { inner: Arc::clone(self), version, how, why, tell: Some(tell), stopped: Vec::new() };
        self.spawn(Box::pin(farewell.run()));
        told
    }

    /// Tells a version, once, that its last task is gone.
    async fn shut(&self, version: &Version) {
        if version.shut() {
            let _ = self.plugin_hook(&version.plugin, Hook::Shutdown).await;
        }
    }

    /// Tells all plugins at the same time, and once, that none of their tasks can be started any more and that the host
    /// goes. The tasks are gone by then.
    pub(super) async fn say_goodbye(self: &Arc<Self>) {
        // Whoever still loads one comes first; nobody begins to any more.
        let _turn = self.changing.lock().await;
        for version in self.registry.versions() {
            let inner = Arc::clone(self);
            // The host's own jobs: whoever drops the shutdown does not drop them along.
            self.spawn(Box::pin(async move {
                if version.shut() {
                    // A failure is noted on the plugin, and the rest goes on.
                    if version.standing() == Standing::Enabled {
                        let _ = inner.plugin_hook(&version.plugin, Hook::OnDisabled).await;
                    }
                    let _ = inner.plugin_hook(&version.plugin, Hook::Shutdown).await;
                }
            }));
        }
    }
}

/// Whoever has it changes which plugins there are.
type Turn = tokio::sync::OwnedMutexGuard<()>;

/// The end of a version.
struct Farewell {
    inner: Arc<Inner>,
    version: Arc<Version>,
    how: Unload,
    why: String,
    tell: Option<oneshot::Sender<StopReport>>,
    /// With the tasks' numbers, which are the order of their starts.
    stopped: Vec<(u64, Stopped)>,
}

impl Farewell {
    async fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        let version = Arc::clone(&self.version);
        let _ = tokio::join!(inner.plugin_hook(&version.plugin, Hook::OnDisabled), self.end_tasks());
        inner.shut(&version).await;
        inner.registry.forget_version(version.number);
        let Self { version: also, tell, stopped, .. } = self;
        // The code goes with the last who holds it, and that before anybody hears that it is gone.
        drop((version, also));
        report(tell, stopped);
    }

    /// Comes back when nobody uses the version any more.
    async fn end_tasks(&mut self) {
        let clock = Arc::clone(&self.inner.around.clock);
        let over = clock.steady().saturating_add(self.how.deadline());
        let patience = over.saturating_add(LAST_WORD);
        let mut tally = self.version.watch_tally();
        let (mut known, mut stopping) = (HashSet::new(), JoinSet::new());
        loop {
            let users = tally.borrow_and_update().users;
            // Starts that were under way become tasks, and tasks start children.
            for task in self.inner.registry.live_of(self.version.number) {
                if known.insert(task.id) {
                    stopping.spawn_on(self.stop(task, over), &self.inner.runtime);
                }
            }
            if users == 0 && stopping.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(stopped) = stopping.join_next() => self.stopped.extend(stopped),
                _ = tally.changed() => {}
                () = clock.sleep_until(patience), if self.tell.is_some() && stopping.is_empty() => {
                    report(self.tell.take(), self.stopped.clone());
                }
            }
        }
    }

    fn stop(&self, task: Arc<Shared>, over: Duration) -> impl Future<Output = (u64, Stopped)> + Send + 'static {
        let grace = self.how.grace(task.kind);
        let request = CancelRequest::new(Party::Host, self.why.clone()).grace(grace.unwrap_or_default());
        let number = task.number;
        async move { (number, stop(task, request, grace.is_some(), over).await) }
    }
}

fn report(tell: Option<oneshot::Sender<StopReport>>, mut stopped: Vec<(u64, Stopped)>) {
    stopped.sort_by_key(|(number, _)| *number);
    if let Some(tell) = tell {
        let _ = tell.send(StopReport { tasks: stopped.into_iter().map(|(_, task)| task).collect() });
    }
}
