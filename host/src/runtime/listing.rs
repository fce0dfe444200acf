//! What tasks there are: asked for by what they have in common, a page at a time.

use std::sync::{Arc, PoisonError};

use crate::model::filter::{Seen, TaskFilter};
use crate::model::ids::TaskRef;
use crate::model::listing::{OutcomeKind, PAGE_MAX, TaskCursor, TaskPage, TaskSummary};
use crate::model::request::CancelRequest;
use crate::model::snapshot::{Phase, Progress, Snapshot};

use super::handle::{CancelAnswer, TaskHandle};
use super::host::{Host, Inner};
use super::shared::Shared;

/// Tasks that are looked at without letting others at the books.
const LOOKED_AT_ONCE: usize = 256;

impl Shared {
    fn is_meant(&self, filter: &TaskFilter) -> bool {
        filter.takes(Seen::of(self.id, &self.task, &self.state()))
    }

    fn summary(&self) -> TaskSummary {
        let now = self.around.clock.date();
        let after_seq = *self.told_after.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        let eta = state.eta(now);
        TaskSummary {
            id: self.id,
            task: self.task_ref(),
            phase: state.phase.unwrap_or(Phase::Queued),
            title: state.details.title.clone(),
            session: self.session.clone(),
            parent: self.parent,
            progress: state.progress.clone().map(|progress| Progress { eta, ..progress }),
            awaits_plugin: self.awaits_plugin(),
            open_approvals: state.approvals.len() + usize::from(state.fuel_request().is_some()),
            end: state.outcome.as_deref().map(OutcomeKind::from),
            created_at: state.created_at,
            ended_at: state.ended_at,
            seq: state.seq,
            after_seq,
        }
    }
}

impl Inner {
    /// The tasks that are meant and are older than the cursor, newest first.
    fn page(&self, filter: &TaskFilter, after: Option<TaskCursor>, limit: usize) -> TaskPage<Arc<Shared>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let mut before = after.map_or(u64::MAX, |cursor| cursor.0);
        let mut tasks = Vec::new();
        loop {
            let (looked_at, oldest) = self.registry.older(filter, before, LOOKED_AT_ONCE);
            let Some(oldest) = oldest else { return TaskPage { tasks, next: None } };
            before = oldest;
            for task in looked_at {
                if !task.is_meant(filter) {
                    continue;
                }
                if tasks.len() == limit {
                    // There is one more, so there is a next page.
                    let next = tasks.last().map(|task: &Arc<Shared>| TaskCursor(task.number));
                    return TaskPage { tasks, next };
                }
                tasks.push(task);
            }
        }
    }
}

impl Inner {
    pub(super) fn list(&self, filter: &TaskFilter, after: Option<TaskCursor>, limit: usize) -> TaskPage<TaskSummary> {
        let TaskPage { tasks, next } = self.page(filter, after, limit);
        TaskPage { tasks: tasks.iter().map(|task| task.summary()).collect(), next }
    }

    pub(super) fn list_full(&self, filter: &TaskFilter, after: Option<TaskCursor>, limit: usize) -> TaskPage<Snapshot> {
        let TaskPage { tasks, next } = self.page(filter, after, limit);
        TaskPage { tasks: tasks.iter().map(|task| task.snapshot()).collect(), next }
    }

    pub(super) fn running(&self) -> Vec<TaskHandle> {
        let mut live = self.registry.live();
        live.reverse();
        live.into_iter().map(TaskHandle::new).collect()
    }

    pub(super) fn live_task(&self, task: &TaskRef) -> Option<TaskHandle> {
        self.registry.by_ref(task).map(TaskHandle::new)
    }
}

impl Host {
    /// The tasks that are meant, running and ended ones as long as the host remembers them, newest first. A line for each,
    /// at most `limit` of them, which is taken as 1 to 1 000; the rest is on the pages that begin at [`TaskPage::next`].
    ///
    /// Tasks that are started meanwhile are on no later page, and none is on two.
    ///
    /// ```no_run
    /// # fn example(host: &taskcell::Host) {
    /// use taskcell::TaskFilter;
    ///
    /// let mut after = None;
    /// loop {
    ///     let page = host.list(&TaskFilter::session("s1").live(), after, 100);
    ///     for task in &page.tasks {
    ///         println!("{} {:?}", task.task, task.phase);
    ///     }
    ///     after = page.next;
    ///     if after.is_none() {
    ///         break;
    ///     }
    /// }
    /// # }
    /// ```
    pub fn list(&self, filter: &TaskFilter, after: Option<TaskCursor>, limit: usize) -> TaskPage<TaskSummary> {
        self.inner().list(filter, after, limit)
    }

    /// Like [`Host::list`], with everything there is to know about each task.
    pub fn list_full(&self, filter: &TaskFilter, after: Option<TaskCursor>, limit: usize) -> TaskPage<Snapshot> {
        self.inner().list_full(filter, after, limit)
    }

    /// The tasks that have no outcome yet, newest first: those that wait for their turn, too.
    pub fn running(&self) -> Vec<TaskHandle> {
        self.inner().running()
    }

    /// The live task of this reference, if there is one.
    pub fn live_task(&self, task: &TaskRef) -> Option<TaskHandle> {
        self.inner().live_task(task)
    }

    /// Asks the live task of this reference to stop, as [`TaskHandle::cancel`] does.
    ///
    /// Cancel safety: when the future is dropped, it may or may not have been asked.
    pub async fn cancel(&self, task: &TaskRef, request: CancelRequest) -> CancelAnswer {
        match self.live_task(task) {
            Some(task) => task.cancel(request).await,
            None => CancelAnswer::NotFound,
        }
    }

    /// Whether a task of this reference has no outcome yet.
    pub fn is_running(&self, task: &TaskRef) -> bool {
        self.live_task(task).is_some()
    }
}
