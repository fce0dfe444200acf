//! Going on with what a host before this one has left in the store: ended tasks are there again, and unfinished ones go on,
//! begin again, or end and say why.
//!
//! Everything is read first, then decided and written down, then entered into the books, and only then anything runs. So a
//! recovery that is cut off anywhere has done nothing that the next one would do a second time.

mod entering;
mod files;
pub(in crate::runtime) mod found;
mod report;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SetOnce, oneshot};

use crate::model::ids::TaskId;
use crate::ports::failpoint::failpoint;
use crate::ports::store::{CommitError, StoreError};

use self::found::Found;
use super::awaiting::AwaitingBook;
use super::host::{Host, Inner};
use super::shared::Shared;

pub(super) use entering::Life;
pub use report::{LostTask, Quarantined, Recovery, WaitingTask};

/// Why a host did not take over what is in its store. No task runs then, and it can be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The store cannot be read.
    #[error("failed to read what is in the store: {0}")]
    Read(StoreError),
    /// The store does not take what was decided.
    #[error("failed to write down what becomes of a task: {0}")]
    Write(CommitError),
    /// It was done before.
    #[error("this host has taken over what is in its store already; that is done once")]
    Done,
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

/// Whether a host has taken over what is in its store.
#[derive(Debug)]
pub(crate) struct Standby {
    over: SetOnce<()>,
    /// Whether it was done. Held while it is.
    done: tokio::sync::Mutex<bool>,
    set_aside: Mutex<HashSet<TaskId>>,
    /// Tasks that have ended, for the unfinished ones that started them, until those begin.
    children: Mutex<HashMap<TaskId, Vec<Arc<Shared>>>>,
    /// Whether there was ever any of them. Every task looks at it, and most hosts have taken over nothing.
    kept_children: AtomicBool,
    /// Room for functions and hooks that are called about tasks which had ended.
    effects: Arc<Semaphore>,
    /// Those that wait for their plugins.
    pub(super) awaiting: AwaitingBook,
    /// Whether the tasks of a host before this one are left alone.
    leaves: AtomicBool,
}

/// Functions and hooks that are called at once about tasks which had ended before. Protects the host, and those who are
/// called, from the ends of a whole past.
const EFFECTS_AT_ONCE: usize = 64;

impl Standby {
    /// `waits`: whether nothing may begin before.
    pub(crate) fn new(waits: bool) -> Self {
        Self {
            over: SetOnce::new_with((!waits).then_some(())),
            done: tokio::sync::Mutex::default(),
            set_aside: Mutex::default(),
            children: Mutex::default(),
            kept_children: AtomicBool::new(false),
            effects: Arc::new(Semaphore::new(EFFECTS_AT_ONCE)),
            awaiting: AwaitingBook::default(),
            leaves: AtomicBool::new(false),
        }
    }

    /// Whether tasks may begin.
    pub(super) fn is_over(&self) -> bool {
        self.over.initialized()
    }

    /// Completes when tasks may begin.
    pub(super) async fn over(&self) {
        self.over.wait().await;
    }

    fn aside(&self) -> MutexGuard<'_, HashSet<TaskId>> {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tasks of a host before this one are left alone.
    pub(super) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::SeqCst)
    }

    /// Keeps a task until the one that started it asks for it.
    pub(super) fn keep_child(&self, parent: TaskId, child: Arc<Shared>) {
        self.kept_children.store(true, Ordering::SeqCst);
        self.children.lock().unwrap_or_else(PoisonError::into_inner).entry(parent).or_default().push(child);
    }

    /// The tasks of this one that had ended when the host took over, once.
    pub(super) fn children_of(&self, parent: TaskId) -> Vec<Arc<Shared>> {
        if !self.kept_children.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.children.lock().unwrap_or_else(PoisonError::into_inner).remove(&parent).unwrap_or_default()
    }

    /// Whether this task is in the store and cannot be read.
    pub(super) fn is_set_aside(&self, id: TaskId) -> bool {
        self.aside().contains(&id)
    }
}

impl Host {
    /// Takes over what a host before this one has left in the store, once: call it when the plugins are loaded, and before
    /// tasks are started.
    ///
    /// - Tasks that had ended are there again, with their idempotency keys. Functions and hooks that were to be called at
    ///   their ends, and of which nobody wrote down that they were, are called now. One that came along with
    ///   [`Host::start_with`] is lost.
    /// - Tasks that had not begun go on as they were: a question is open for what is left of its time, and a moment stays.
    /// - Tasks that ran begin again with the next attempt where their type says that they are `restartable`: the same id
    ///   and key, plan, artifacts and children; what the lost attempt took from its mailbox and was told lies there again,
    ///   and a question that it asked is not asked twice. Of more than ten restarts, one within a minute after the other,
    ///   the task is lost. The lost attempt does not count as a try.
    /// - Other tasks that ran fail with the kind [`Lost`](crate::FailureKind::Lost), and so do all whose plugin has other code
    ///   by now.
    /// - Tasks whose plugin is not loaded stay as they are, and wait for it ([`Recovery::waiting`]): they have their keys, can be
    ///   looked at, cancelled and told something, and when [`Host::load_plugin`] loads a plugin of that name, they go on,
    ///   begin again or are lost like all others. Functions and hooks about ended tasks wait so too.
    /// - Tasks that had been asked to stop are cancelled.
    /// - Messages to agents that nobody acknowledged can be claimed again.
    /// - A task whose records cannot be read is set aside, and nothing else suffers.
    ///
    /// Between two hosts no deadline comes nearer. A host with a data directory
    /// starts nothing before this ([`StartError::NotRecovered`](crate::StartError::NotRecovered)). A host on a given store
    /// need not call it, and does so only when no other host works on that store. In memory there is nothing to take over.
    ///
    /// ```no_run
    /// # async fn example(host: taskcell::Host) -> Result<(), Box<dyn std::error::Error>> {
    /// host.load_plugin("digest.wasm").await?;
    /// let found = host.recover().await?;
    /// println!("{} tasks begin again, {} are lost", found.restarted.len(), found.lost.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the store does not work, or it was done before.
    ///
    /// Cancel safety: once the future was polled, everything takes its course.
    pub async fn recover(&self) -> Result<Recovery, RecoverError> {
        self.inner().recover().await
    }

    /// Takes over what is in the store and leaves it alone: for a host that runs tasks of its own beside those of another one
    /// which is not there now. Unfinished tasks stay as they are ([`Recovery::waiting`]), whatever is loaded: they have their
    /// keys, and can be looked at and cancelled. No function and no hook is called about ended ones, no message is handed out,
    /// and nothing of before is forgotten. In the place of [`Host::recover`]; after it, [`Host::suspend`] leaves everything to
    /// the next host.
    ///
    /// # Errors
    /// Like [`Host::recover`].
    ///
    /// Cancel safety: like [`Host::recover`].
    pub async fn leave_tasks(&self) -> Result<Recovery, RecoverError> {
        self.inner().leave_tasks().await
    }

    /// Waits until everything that has happened so far outlives the machine, where the store does that at all.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let inner = self.inner();
        inner.write_output().await;
        inner.around.store.flush().await
    }
}

impl Inner {
    /// Writes what tasks printed to their files, where those outlive the host.
    pub(super) async fn write_output(&self) {
        if let Some(behind) = self.around.dirs.behind().cloned() {
            // The tasks' logs say what went wrong.
            let _ = tokio::task::spawn_blocking(move || behind.write()).await;
        }
    }

    pub(super) async fn recover(self: &Arc<Self>) -> Result<Recovery, RecoverError> {
        self.take_over_or_leave(false).await
    }

    pub(super) async fn leave_tasks(self: &Arc<Self>) -> Result<Recovery, RecoverError> {
        self.take_over_or_leave(true).await
    }

    async fn take_over_or_leave(self: &Arc<Self>, leaves: bool) -> Result<Recovery, RecoverError> {
        let (this, (tell, told)) = (Arc::clone(self), oneshot::channel());
        // Whoever asked may go; what is decided and not entered would be in nobody's hands.
        self.spawn(Box::pin(async move {
            let done = this.take_over(leaves).await;
            drop(this);
            let _ = tell.send(done);
        }));
        told.await.unwrap_or(Err(RecoverError::ShuttingDown))
    }

    async fn take_over(self: &Arc<Self>, leaves: bool) -> Result<Recovery, RecoverError> {
        let mut done = self.standby.done.lock().await;
        if *done {
            return Err(RecoverError::Done);
        }
        if self.shutdown.has_begun() {
            return Err(RecoverError::ShuttingDown);
        }
        let (mut recovery, mut aside) = (Recovery::default(), HashMap::new());
        let mut found = self.find(&mut recovery, &mut aside).await.map_err(RecoverError::Read)?;
        failpoint!("recovery.found");
        self.see_who_has_keys(&mut found);
        self.standby.leaves.store(leaves, Ordering::SeqCst);
        if leaves {
            let (ended, open): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.state.outcome.is_some());
            recovery.ended += ended.len();
            recovery.waiting.extend(open.into_iter().map(Found::waiting));
        } else {
            self.decide_about(&mut found, &mut recovery).await.map_err(RecoverError::Write)?;
        }
        let kept = self.see_to_files(&found, &aside).await;
        self.standby.aside().extend(aside.into_keys());
        let lives = self.enter_all(found, &kept, &mut recovery);
        failpoint!("recovery.entered");
        *done = true;
        // An actor may start a child at once. A second time changes nothing.
        let _ = self.standby.over.set(());
        for life in lives {
            self.spawn(life);
        }
        self.empty_trash();
        // One may have been loaded just now, by somebody who found nobody waiting yet.
        self.go_on_with_all().await;
        // Nothing is forgotten here: whose time is over goes in time, when those that go on have what they need.
        Ok(recovery)
    }
}
