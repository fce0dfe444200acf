//! What a cell knows of its files beside wasmtime.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wasmtime_wasi::filesystem;
use wasmtime_wasi::runtime::spawn_blocking;
use wasmtime_wasi::{FsPerms, OpenMode};

use crate::model::grants::DirGrant;
use crate::model::limits::Limits;
use crate::ports::output::OutputLog;
use crate::ports::runner::CellLink;
use crate::ports::scratch::Scratch;
use crate::sandbox::filework::{FileWork, Lane};
use crate::sandbox::mounts::Mounts;
use crate::sandbox::quota::Quota;

/// What a cell knows of its files beside wasmtime.
#[derive(Debug)]
pub(in crate::sandbox) struct FileRules {
    limits: Arc<Limits>,
    log: Arc<OutputLog>,
    /// The task's directory; a plugin that is only described has none.
    scratch: Option<Arc<Scratch>>,
    /// There from the moment that the guest has asked for its folders, before which it can reach none.
    pub(super) opened: OnceLock<OpenedScratch>,
    listings: Mutex<Listings>,
    /// What its streams have under way.
    pub(super) work: FileWork,
    /// Where work on granted folders is done.
    pub(super) folders: Lane,
    /// The granted folders.
    pub(super) mounts: Mounts,
}

/// The scratch directory as the guest has it.
pub(super) struct OpenedScratch {
    pub(super) dir: filesystem::Dir,
    pub(super) quota: Arc<Quota>,
}

impl fmt::Debug for OpenedScratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedScratch").field("quota", &self.quota).finish_non_exhaustive()
    }
}

/// The scratch directory could not be made: not the guest's fault.
#[derive(Debug, thiserror::Error)]
#[error("failed to make the scratch directory: {0}")]
pub(in crate::sandbox) struct NoScratch(io::Error);

impl FileRules {
    /// Those of a cell with these folders; work on them is done in a lane of its own.
    pub(in crate::sandbox) fn new(
        limits: &Arc<Limits>,
        link: &Arc<CellLink>,
        dirs: Vec<DirGrant>,
        scratch: Option<Arc<Scratch>>,
        folders: Lane,
    ) -> Self {
        let (log, mounts) = (Arc::clone(&link.output), Mounts::new(Arc::clone(link), dirs));
        let (opened, listings, work) = (OnceLock::new(), Mutex::default(), FileWork::new());
        Self { limits: Arc::clone(limits), log, scratch, opened, listings, work, folders, mounts }
    }

    /// The guest opens something in the scratch directory.
    pub(super) fn use_scratch(&self) {
        if let Some(scratch) = &self.scratch {
            scratch.use_files();
        }
    }

    /// The scratch directory, which the first call makes.
    pub(super) async fn scratch(&self) -> Result<Option<&OpenedScratch>, NoScratch> {
        let Some(scratch) = &self.scratch else { return Ok(None) };
        if self.opened.get().is_none() {
            let scratch = Arc::clone(scratch);
            let file = spawn_blocking(move || scratch.open()?.try_clone()).await.map_err(NoScratch)?.into_std_file();
            let dir = filesystem::Dir::new(file, FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE, false);
            let quota = Arc::new(Quota::new(&dir.dir, &self.limits, Arc::clone(&self.log)));
            self.opened.get_or_init(|| OpenedScratch { dir, quota });
        }
        Ok(self.opened.get())
    }

    pub(super) fn listings(&self) -> MutexGuard<'_, Listings> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listings of folders that a guest holds. wasmtime keeps all names of each until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// By the resource's number: how many names.
    pub(super) names: HashMap<u32, u64>,
}

impl Listings {
    /// Names a guest may hold at once in all its listings. Protects the host's memory: up to 300 bytes each.
    pub(super) const NAMES_MAX: u64 = 200_000;

    pub(super) fn has_room_for(&self, names: u64) -> bool {
        let held = self.names.values().fold(0, |sum: u64, names| sum.saturating_add(*names));
        held.saturating_add(names) <= Self::NAMES_MAX
    }
}
