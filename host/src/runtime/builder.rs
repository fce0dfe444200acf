//! How a host is made.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use taskcell_artifact::{ArtifactCache, CacheError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::limits::Limits;
use crate::ports::agent::AgentSink;
use crate::ports::clock::{Clock, SystemClock};
use crate::ports::store::TaskStore;
use crate::sandbox::runner::WasmRunner;
use crate::store::memory::MemoryStore;

use super::dirs::HostDirs;
use super::host::{Host, Inner};
use super::registry::Registry;
use super::shared::Surroundings;

/// Tasks that run at once unless somebody says otherwise; more wait for their turn.
const RUNNING_DEFAULT: u32 = 1000;
/// The most tasks that run at once. Each takes six memory mappings, and Linux gives a process 65 530.
const RUNNING_MAX: u32 = 8000;

/// Makes a [`Host`]. The defaults suit one machine and untrusted plugins.
#[derive(Default)]
pub struct HostBuilder {
    running_max: Option<u32>,
    limits: Limits,
    cache_dir: Option<PathBuf>,
    work_dir: Option<PathBuf>,
    clock: Option<Arc<dyn Clock>>,
    store: Option<Arc<dyn TaskStore>>,
    sink: Option<Arc<dyn AgentSink>>,
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("running_max", &self.running_max)
            .field("limits", &self.limits)
            .field("cache_dir", &self.cache_dir)
            .field("work_dir", &self.work_dir)
            .finish_non_exhaustive()
    }
}

/// Why a host could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The engine refused its settings, or the system did not give it the memory.
    #[error("failed to make the engine: {0}; fewer tasks at once (`running_max`) need less address space")]
    Engine(String),
    /// The cache of compiled plugins cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The host's own directory cannot be made.
    #[error("failed to make a working directory: {0}")]
    WorkDir(std::io::Error),
    /// There is no tokio runtime here.
    #[error("a host lives inside a tokio runtime, and there is none here: build it in async code")]
    NoRuntime,
}

impl HostBuilder {
    /// How many tasks run at once, 1 to 8000; more wait for their turn. Default 1000.
    #[must_use]
    pub fn running_max(mut self, tasks: u32) -> Self {
        self.running_max = Some(tasks);
        self
    }

    /// The operator's limits: what no plugin and no request gets more of.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where compiled plugins are kept, so that loading one again takes milliseconds. The directory is made with mode
    /// 0700, and one that others can enter is refused. Without this, plugins are compiled each time.
    #[must_use]
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(dir.into());
        self
    }

    /// In which directory the host makes its own, for scratch files and artifacts. Default: the system's place for
    /// temporary files. It is removed with the host.
    #[must_use]
    pub fn work_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.work_dir = Some(dir.into());
        self
    }

    /// Where time comes from. Default: the machine's clocks.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Where events are kept. Default: in memory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn TaskStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Where messages to the agent go. Default: into the event log only.
    #[must_use]
    pub fn agent_sink(mut self, sink: impl AgentSink + 'static) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// Makes the host, inside the current tokio runtime.
    ///
    /// # Errors
    /// When there is no runtime, or the system does not give what the host needs.
    pub fn build(self) -> Result<Host, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let cache = self.cache_dir.map(ArtifactCache::open).transpose()?;
        let cells = self.running_max.unwrap_or(RUNNING_DEFAULT).clamp(1, RUNNING_MAX);
        let wasm = WasmRunner::new(cells, self.limits, cache, Arc::clone(&clock), runtime.clone())
            .map_err(|error| BuildError::Engine(format!("{error:#}")))?;
        let wasm = Arc::new(wasm);
        let dirs = HostDirs::new(self.work_dir.as_deref()).map_err(BuildError::WorkDir)?;
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let inner = Inner {
            registry: Arc::new(Registry::default()),
            runner: Arc::clone(&wasm) as _,
            around: Surroundings { store, clock, dirs: Arc::new(dirs) },
            sink: self.sink,
            limits: self.limits,
            shutdown: watch::Sender::new(false),
            runtime,
            actors: Mutex::new(JoinSet::new()),
        };
        Ok(Host::new(inner, wasm))
    }
}
