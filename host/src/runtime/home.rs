//! Where a host keeps everything: in memory and in a temporary directory, or in a data directory that outlives it.

use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "sqlite")]
use tokio::sync::watch;

use crate::ports::kv::ValueStore;
use crate::ports::store::TaskStore;
use crate::store::memory::MemoryStore;
#[cfg(feature = "sqlite")]
use crate::store::sqlite::{SqliteStore, StoreHealth};

use super::builder::BuildError;
#[cfg(feature = "sqlite")]
use super::builder::HostBuilder;
use super::dirs::HostDirs;
#[cfg(feature = "sqlite")]
use super::host::Host;

/// A host's store, its plugins' values, and its files.
pub(super) struct Home {
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) values: Arc<dyn ValueStore>,
    pub(super) dirs: HostDirs,
    /// How the data directory's store is.
    #[cfg(feature = "sqlite")]
    pub(super) health: Option<watch::Receiver<StoreHealth>>,
}

impl Home {
    /// In memory, but for what the given store keeps.
    pub(super) fn for_now(store: Option<Arc<dyn TaskStore>>, work_dir: Option<&Path>) -> Result<Self, BuildError> {
        Ok(Self {
            store: store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            values: Arc::new(MemoryStore::new()),
            dirs: HostDirs::new(work_dir).map_err(BuildError::WorkDir)?,
            #[cfg(feature = "sqlite")]
            health: None,
        })
    }

    /// In a data directory, which this process has alone from now on.
    #[cfg(feature = "sqlite")]
    pub(super) fn in_data(dir: &Path) -> Result<Self, BuildError> {
        // First the store, which takes the directory: nobody else may work on its files.
        let store = Arc::new(SqliteStore::open(dir)?);
        let health = store.health();
        Ok(Self {
            values: Arc::clone(&store) as _,
            store,
            dirs: HostDirs::in_data(dir).map_err(BuildError::Files)?,
            health: Some(health),
        })
    }
}

#[cfg(feature = "sqlite")]
impl HostBuilder {
    /// Keeps everything in a directory, so that the next host on it goes on where this one stopped, whatever way that was.
    /// The directory is made if it is missing, for its owner alone, and one host has it at a time.
    ///
    /// Call [`Host::recover`] when the plugins are loaded; nothing is started before that. Without a data directory a host is
    /// in memory, and everything is gone with it.
    ///
    /// The directory is free for another host when this one and all handles to its tasks are gone.
    ///
    /// In it, `tasks.db` is an `SQLite` file that anybody can read, and `files` holds what tasks printed, attached and left.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use taskcell::Host;
    ///
    /// let host = Host::builder().data_dir("/var/lib/taskcell").build()?;
    /// host.load_plugin("digest.wasm").await?;
    /// let found = host.recover().await?;
    /// for lost in &found.lost {
    ///     eprintln!("{} is lost: {}", lost.task, lost.why);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn data_dir(mut self, dir: impl Into<std::path::PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }
}

#[cfg(feature = "sqlite")]
impl Host {
    /// How the store in the data directory is, now and whenever that changes. `None` without a data directory.
    pub fn store_health(&self) -> Option<watch::Receiver<StoreHealth>> {
        self.inner().health.clone()
    }
}
