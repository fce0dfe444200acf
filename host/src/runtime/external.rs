//! Tasks that were done elsewhere, recorded as if they had ended here; and records that are taken away.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::model::details::is_line;
use crate::model::event::EventBody;
use crate::model::external::ExternalReport;
use crate::model::idempotency::Fingerprint;
use crate::model::ids::{PluginDigest, TaskId, TaskRef};
use crate::model::json::{VALUES_MAX, has_too_many};
use crate::model::machine::external::report;
use crate::model::outcome::Outcome;
use crate::model::papers::TaskPapers;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::state::{TaskState, outcome_bytes, payload_bytes};
use crate::ports::mailbox::Mailbox;
use crate::ports::store::{CommitError, Fence, Record, StreamId};

use super::effects::forget;
use super::feed::EventLane;
use super::guard::guarded;
use super::handle::TaskHandle;
use super::host::{Host, Inner};
use super::keys::{Found, OnceClaim, once};
use super::orphans::Written;
use super::shared::Shared;
use super::start::{new_id, task_ref, wanted};
use super::start_error::StartError;

/// Why something that was done elsewhere was not recorded. Nothing has happened then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// What it says about the request cannot be kept.
    #[error(transparent)]
    Request(#[from] StartError),
    /// What it says about its tools cannot be kept.
    #[error("the report cannot be kept: {0}")]
    Tools(&'static str),
    /// The outcome is too large.
    #[error("the outcome has {size} bytes, and at most {max} are allowed; keep it elsewhere and report where")]
    OutcomeTooLarge {
        /// What it weighs in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// What it calls its plugin or task type is not fit to be kept.
    #[error("the names of plugin and task type have 1 to 256 bytes and no control characters")]
    Names,
    /// A report has no parent: what was done elsewhere has used nothing of another task's.
    #[error("what was done elsewhere is nobody's child; leave the parent out")]
    Parent,
}

/// Why a task was not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// There is no such task, or it is forgotten already.
    #[error("there is no task {0}; it may have been removed before")]
    Unknown(TaskId),
    /// It has no outcome yet.
    #[error("task {0} has not ended; cancel it first")]
    Running(TaskId),
}

impl Inner {
    pub(super) async fn report_external(
        self: &Arc<Self>,
        report: ExternalReport,
        by: Party,
    ) -> Result<TaskHandle, ReportError> {
        if self.shutdown.has_begun() || self.around.suspended.is() {
            return Err(StartError::ShuttingDown.into());
        }
        if !self.standby.is_over() {
            return Err(StartError::NotRecovered.into());
        }
        self.check_report(&report)?;
        let id = new_id();
        let task = Arc::new(task_ref(&report.request, id));
        let once = match once(self, &report.request, || Fingerprint::of_report(&report), &task, id).await? {
            Found::Known(known) => return Ok(TaskHandle::new(known)),
            Found::Nothing(once) => once,
        };
        let bodies = self::report(report, Arc::clone(&task), &self.limits, by).map_err(ReportError::Tools)?;
        let (inner, (tell, told)) = (Arc::clone(self), oneshot::channel());
        // Nobody could tell what became of it, if the store's answer were thrown away with the caller.
        self.spawn(Box::pin(async move {
            let recorded = inner.record(id, task, bodies, once).await;
            drop(inner);
            let _ = tell.send(recorded);
        }));
        told.await.unwrap_or(Err(StartError::ShuttingDown)).map_err(ReportError::from)
    }

    /// Has a whole life stored, and enters it into the books.
    async fn record(
        &self,
        id: TaskId,
        task: Arc<TaskRef>,
        bodies: Vec<EventBody>,
        once: Option<OnceClaim>,
    ) -> Result<TaskHandle, StartError> {
        let date = self.around.clock.date();
        let mut state = TaskState::default();
        let events = state.numbered(date, bodies);
        for event in &events {
            state.apply(event);
        }
        let seq = state.seq;
        let mut papers = TaskPapers::new(nobodys_code());
        papers.fingerprint = once.as_ref().map(OnceClaim::fingerprint);
        let papers = Record::Papers(Box::new(papers));
        let records: Vec<Record> = events.iter().cloned().map(Record::Event).chain([papers]).collect();
        let written = Written::of(&records);
        self.around.suspended.pass().await;
        let store = &self.around.store;
        let stored = pin!(async { store.commit(StreamId::Task(id), Fence::Absent, records).await });
        if let Err(error) = guarded(stored).await.unwrap_or(Err(CommitError::Unavailable)) {
            // It may have been taken although the answer was not.
            self.registry.orphans.note(id, written);
            let _ = self.registry.orphans.take_back(&**store, id).await;
            return Err(StartError::Store(error));
        }
        let number = self.registry.next_number();
        let shared = Arc::new(Shared::new(id, task, number, state, Mailbox::closed(), self.around.clone()));
        shared.set_head(seq, true);
        let now = shared.now();
        shared.note(|moments| &mut moments.ended, now);
        shared.set_gone(now);
        shared.around.feed.tell(&shared.identity(), Phase::Ended, EventLane::Task, &events);
        let forgotten = self.registry.enter_ended(Arc::clone(&shared), now.steady);
        if let Some(once) = once {
            once.settle(id);
        }
        forget(&self.around, forgotten).await;
        Ok(TaskHandle::new(shared))
    }

    pub(super) async fn remove(&self, id: TaskId) -> Result<(), RemoveError> {
        let task = self.registry.by_id(id).map(TaskHandle::new).ok_or(RemoveError::Unknown(id))?;
        if task.shared().outcome().is_none() || task.shared().is_left() {
            return Err(RemoveError::Running(id));
        }
        task.gone().await;
        if !self.registry.remove(id) {
            return Err(RemoveError::Unknown(id));
        }
        // From here on to the end, or its files would stay until the host goes.
        let around = self.around.clone();
        let (tell, removed) = oneshot::channel();
        self.spawn(Box::pin(async move {
            forget(&around, vec![id]).await;
            let _ = tell.send(());
        }));
        let _ = removed.await;
        Ok(())
    }

    /// What a start would be held against, as far as that does not need the plugin; and the outcome.
    fn check_report(&self, report: &ExternalReport) -> Result<(), ReportError> {
        let (request, limits) = (&report.request, &self.limits);
        request.details.check().map_err(StartError::from)?;
        if ![&request.plugin, &request.task_type].into_iter().all(|name| !name.is_empty() && is_line(name)) {
            return Err(ReportError::Names);
        }
        if request.details.parent.is_some() {
            return Err(ReportError::Parent);
        }
        if request.details.schedule.is_some() {
            return Err(StartError::Schedule.into());
        }
        request.details.output_schema.as_ref().map(wanted).transpose()?;
        let size = request.input.to_string().len() as u64;
        if size > limits.input_bytes {
            return Err(StartError::InputTooLarge { size, max: limits.input_bytes }.into());
        }
        if has_too_many(&request.input) || report.outcome.data().is_some_and(has_too_many) {
            return Err(StartError::TooManyValues { max: VALUES_MAX }.into());
        }
        let size = said_bytes(&report.outcome);
        if size > limits.result_bytes {
            return Err(ReportError::OutcomeTooLarge { size, max: limits.result_bytes });
        }
        Ok(())
    }
}

/// What stands in the papers of a task that was done elsewhere: the digest of nothing.
pub(super) fn nobodys_code() -> PluginDigest {
    PluginDigest::of(b"")
}

/// Bytes of an outcome: its texts, and its data as JSON.
fn said_bytes(outcome: &Outcome) -> u64 {
    let data = outcome.data();
    let texts = outcome_bytes(outcome).saturating_sub(payload_bytes(data));
    texts.saturating_add(data.map_or(0, |data| data.to_string().len() as u64))
}

impl Host {
    /// Records a task that was done elsewhere: with its input, its outcome, how long it took and what it spent. It is in the
    /// lists and events of this host like a task that has ended, and its `finished` event says who reported it. No function
    /// is called at its end, and its session's agent loop is told nothing. With an idempotency key it is recorded once, however
    /// often the same is reported.
    ///
    /// ```no_run
    /// # async fn example(host: &taskcell::Host, report: taskcell::ExternalReport) -> Result<(), taskcell::ReportError> {
    /// use taskcell::Party;
    ///
    /// let task = host.report_external(report, Party::Agent).await?;
    /// println!("recorded as {}", task.id());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When it cannot be kept as it is. Nothing is recorded then.
    ///
    /// Cancel safety: when the future is dropped, it may or may not be recorded; with an idempotency key it can be reported
    /// again.
    pub async fn report_external(&self, report: ExternalReport, by: Party) -> Result<TaskHandle, ReportError> {
        Box::pin(self.inner().report_external(report, by)).await
    }

    /// Forgets an ended task: its log, its output, its artifacts and whatever else of it is on the disk. Waits until its cell
    /// is gone, which is a little after its outcome. Handles to it keep what was in memory, and can read nothing any more.
    ///
    /// # Errors
    /// When it has not ended, or there is none. Nothing is removed then.
    ///
    /// Cancel safety: when the future is dropped, the task may or may not be removed.
    pub async fn remove(&self, id: TaskId) -> Result<(), RemoveError> {
        self.inner().remove(id).await
    }
}
