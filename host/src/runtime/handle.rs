//! A handle to a task: wait, watch, notify, cancel.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::model::approval::{ApprovalDecision, ApprovalNumber};
use crate::model::command::{Answer, Command};
use crate::model::event::{Event, EventSeq};
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::outcome::Outcome;
use crate::model::receipt::{CancelReceipt, Effect};
use crate::model::request::CancelRequest;
use crate::model::signal::{Instruction, NotifyAnswer, Party, Signal};
use crate::model::snapshot::Snapshot;
use crate::ports::output::{OutputCursor, OutputPage};
use crate::ports::store::{StoreError, StreamId};

use super::shared::{Control, Shared};
use super::spill::flush;

/// Events read from the store at a time.
const PAGE: usize = 256;

/// A task, live or ended. Cheap to clone; dropping it does nothing to the task.
#[derive(Clone)]
pub struct TaskHandle {
    pub(super) shared: Arc<Shared>,
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("id", &self.shared.id)
            .field("task", &self.shared.task)
            .finish_non_exhaustive()
    }
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CancelAnswer {
    /// The task knows. It has its grace to end, and ends as cancelled when that is over.
    Requested,
    /// It had its outcome already, and that stays.
    AlreadyEnded(Outcome),
    /// No task of this reference is alive. Only [`Host::cancel`](crate::Host::cancel) answers so.
    NotFound,
}

/// What became of a decision about an approval.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ApprovalAnswer {
    /// It stands.
    Decided,
    /// There is no such question, not yet, or it was decided already: the first decision stands.
    NotAsked,
    /// This party may not decide; why.
    NotAllowed(String),
    /// The task had its outcome already.
    AlreadyEnded(Outcome),
}

/// What became of a wish to pause, resume, fuel or end a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ControlAnswer {
    /// It is done.
    Done,
    /// It was so already, or there was nothing to answer.
    Unchanged,
    /// The task had its outcome already, and that stays.
    AlreadyEnded(Outcome),
}

impl TaskHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.shared.id
    }

    /// The task's reference: plugin, type and key.
    pub fn task_ref(&self) -> &TaskRef {
        &self.shared.task
    }

    /// Waits until the task has its outcome.
    ///
    /// Cancel safety: dropping the future does nothing to the task.
    pub async fn wait(&self) -> Outcome {
        self.shared.head.until(|head| head.ended).await;
        self.shared.final_outcome()
    }

    /// What is known of the task right now.
    pub fn state(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// The task's events after the given one; [`EventSeq::default`] for all. Each stream has its own place: it sees
    /// every event once, in order, and ends after `finished`.
    pub fn events(&self, after: EventSeq) -> EventStream {
        EventStream { shared: Arc::clone(&self.shared), after, page: VecDeque::new(), failed: false }
    }

    /// Sends a signal in somebody's name. A payload of `None` is none at all, which the task can tell from `null`.
    pub async fn notify(&self, key: SignalKey, payload: Option<Value>, sender: Party) -> NotifyAnswer {
        self.shared.notify(key, Signal::new(payload, sender)).await
    }

    /// Ends the wait that the task is parked in, if it is for this key; the task goes on. Says whether there was one.
    pub async fn cancel_wait(&self, key: SignalKey) -> bool {
        self.shared.cancel_wait(Some(key)).await
    }

    /// Ends whatever wait the task is parked in; the task goes on. Returns how many there were: a task makes one call at
    /// a time, so it is 0 or 1.
    pub async fn cancel_all_waits(&self) -> u32 {
        u32::from(self.shared.cancel_wait(None).await)
    }

    /// Says something to the task, which it reads when it looks for it.
    ///
    /// Cancel safety: when the future is dropped, it may or may not have been said.
    pub async fn instruct(&self, text: impl Into<String>, by: Party) -> NotifyAnswer {
        let instruction = Instruction { text: text.into(), by };
        let said = self.shared.tell(|reply| Control::Instruct { instruction, reply }).await;
        said.unwrap_or(NotifyAnswer::NoTask)
    }

    /// Says yes to one of the task's questions, which are in its state. With `input` something else is to be done than
    /// what was asked for.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) {
    /// use taskcell::Party;
    ///
    /// for pending in task.state().approvals {
    ///     println!("{}", taskcell::escape(&pending.ask.summary));
    ///     task.approve(pending.number, None, Party::Person).await;
    /// }
    /// # }
    /// ```
    ///
    /// Cancel safety: when the future is dropped, it may or may not have been decided.
    pub async fn approve(&self, number: ApprovalNumber, input: Option<Value>, by: Party) -> ApprovalAnswer {
        self.decide_approval(number, by, ApprovalDecision::Approved { by, input }).await
    }

    /// Says no to one of the task's questions.
    ///
    /// Cancel safety: when the future is dropped, it may or may not have been decided.
    pub async fn deny(&self, number: ApprovalNumber, reason: impl Into<String>, by: Party) -> ApprovalAnswer {
        self.decide_approval(number, by, ApprovalDecision::Denied { by, reason: reason.into() }).await
    }

    async fn decide_approval(&self, number: ApprovalNumber, by: Party, decision: ApprovalDecision) -> ApprovalAnswer {
        let Some(ruling) = self.shared.ruling(number, by) else {
            return self.shared.known_outcome().map_or(ApprovalAnswer::NotAsked, ApprovalAnswer::AlreadyEnded);
        };
        match self.shared.tell(|reply| Control::DecideApproval { number, decision, ruling, reply }).await {
            Some(Answer::Done) => ApprovalAnswer::Decided,
            Some(Answer::Refused(refusal)) => ApprovalAnswer::NotAllowed(refusal.message),
            Some(_) => ApprovalAnswer::NotAsked,
            None => ApprovalAnswer::AlreadyEnded(self.wait().await),
        }
    }

    /// Asks the task to stop. Every wait of it ends at once; when the grace is over, it is stopped wherever it is.
    ///
    /// Asking again can shorten the grace, and changes neither who asked first nor why.
    pub async fn cancel(&self, request: CancelRequest) -> CancelAnswer {
        let asked = self.shared.now();
        let before = self.shared.known_outcome();
        if let Some(outcome) = before {
            return CancelAnswer::AlreadyEnded(outcome);
        }
        match self.shared.tell(|reply| Control::Cancel { request, asked, reply }).await {
            Some(()) => CancelAnswer::Requested,
            None => CancelAnswer::AlreadyEnded(self.wait().await),
        }
    }

    /// Makes the task stand still: it burns no fuel, and its deadline, idle and stall times do not run. A call of the
    /// host that it is in is finished first. A task that waits for its turn starts paused.
    ///
    /// A task that was asked to stop is not paused any more, and cancelling a paused one lets it go on, so that it can
    /// end within its grace. Signals reach a paused task; it sees them when it goes on.
    ///
    /// ```no_run
    /// use taskcell::{ControlAnswer, Party, TaskHandle};
    ///
    /// # async fn example(task: TaskHandle) {
    /// match task.pause(Party::Person, "lunch").await {
    ///     ControlAnswer::Done => drop(task.resume(Party::Person).await),
    ///     ControlAnswer::Unchanged => println!("it stands still already, or was asked to stop"),
    ///     ControlAnswer::AlreadyEnded(outcome) => println!("{outcome}"),
    ///     other => println!("{other:?}"),
    /// }
    /// # }
    /// ```
    ///
    /// Cancel safety: when the future is dropped, the task may or may not be paused.
    pub async fn pause(&self, by: Party, reason: impl Into<String>) -> ControlAnswer {
        self.change(Command::Pause { by, reason: reason.into() }).await
    }

    /// Lets a paused task go on.
    ///
    /// Cancel safety: when the future is dropped, the task may or may not go on.
    pub async fn resume(&self, by: Party) -> ControlAnswer {
        self.change(Command::Resume { by }).await
    }

    /// Gives the task more units of fuel, in the middle of a loop too. If it has asked for fuel, this answers it.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) {
    /// use taskcell::Party;
    ///
    /// if let Some(request) = task.state().fuel_request {
    ///     println!("{} units more, for {}", request.units, taskcell::escape(&request.reason));
    ///     task.add_fuel(request.units, Party::Person).await;
    /// }
    /// # }
    /// ```
    ///
    /// Whoever holds the handle may go above every limit here. A task that runs dry at the same moment may still end so;
    /// when its end has come before, the answer says it. Cancel safety: when the future is dropped, the fuel may
    /// or may not have been given.
    pub async fn add_fuel(&self, units: u64, by: Party) -> ControlAnswer {
        self.change(Command::AddFuel { units, by }).await
    }

    /// Turns the task's request for fuel down; it goes on with what it has.
    ///
    /// Cancel safety: when the future is dropped, the request may or may not have been answered.
    pub async fn refuse_fuel(&self, by: Party, reason: impl Into<String>) -> ControlAnswer {
        self.change(Command::RefuseFuel { by, reason: reason.into() }).await
    }

    /// Says how the task ended, because it is over elsewhere: what it worked on is done, has failed, or was called off.
    /// Its cell is stopped where it is, and that is its outcome, which nothing changes any more. The `finished` event
    /// says who set it.
    ///
    /// The first end wins: one that the task came to by itself before stays, and the answer says it. A result is not held
    /// against the task type's schema.
    ///
    /// ```no_run
    /// use taskcell::{Failure, FailureKind, Outcome, Party};
    ///
    /// # async fn example(task: taskcell::TaskHandle) {
    /// let failure = Failure::new(FailureKind::Host, "the build was removed from the queue");
    /// task.set_outcome(Outcome::Failed(failure), Party::Host).await;
    /// # }
    /// ```
    ///
    /// Cancel safety: when the future is dropped, the outcome may or may not have been set.
    pub async fn set_outcome(&self, outcome: Outcome, by: Party) -> ControlAnswer {
        let usage = self.shared.usage();
        self.change(Command::SetOutcome { outcome, by, usage }).await
    }

    pub(super) async fn change(&self, command: Command) -> ControlAnswer {
        if let Some(outcome) = self.shared.known_outcome() {
            return ControlAnswer::AlreadyEnded(outcome);
        }
        match self.shared.tell(|reply| Control::Change { command, reply }).await {
            Some(true) => ControlAnswer::Done,
            Some(false) => ControlAnswer::Unchanged,
            None => ControlAnswer::AlreadyEnded(self.wait().await),
        }
    }

    /// Waits until the task's cell and its directory are gone, which is a little after its outcome.
    ///
    /// Cancel safety: dropping the future does nothing to the task.
    pub async fn gone(&self) {
        self.shared.head.until(|head| head.gone.is_some()).await;
    }

    /// Waits until the task is gone, and says what a cancel came to; `None` when nobody had asked for one.
    ///
    /// ```no_run
    /// use taskcell::{CancelRequest, Party};
    ///
    /// # async fn example(task: taskcell::TaskHandle) {
    /// task.cancel(CancelRequest::new(Party::Person, "no longer needed")).await;
    /// if let Some(receipt) = task.receipt().await {
    ///     println!("gone after {:?}, with {} effects that stay", receipt.to_gone, receipt.effects.len());
    /// }
    /// # }
    /// ```
    ///
    /// Cancel safety: dropping the future does nothing to the task.
    pub async fn receipt(&self) -> Option<CancelReceipt> {
        self.gone().await;
        let request = self.shared.state().cancel.as_deref().cloned()?;
        let moments = self.shared.moments();
        let (asked, ended, gone) = (moments.asked?, moments.ended?, self.shared.head.get().gone?);
        let (effects, effects_complete) = self.effects().await;
        Some(CancelReceipt {
            request,
            asked_at: asked.date,
            outcome: self.wait().await,
            outcome_at: ended.date,
            gone_at: gone.date,
            to_outcome: ended.steady.saturating_sub(asked.steady),
            to_gone: gone.steady.saturating_sub(asked.steady),
            effects,
            effects_complete,
        })
    }

    /// What the task did outside its cell, and whether that is all of it.
    async fn effects(&self) -> (Vec<Effect>, bool) {
        let last = self.shared.head.get().seq;
        let (mut effects, mut after) = (Vec::new(), EventSeq::default());
        while after < last {
            let page = self.shared.around.store.read(StreamId::Task(self.shared.id), after, PAGE).await;
            let Some(end) = page.as_ref().ok().and_then(|page| page.last()) else { return (effects, false) };
            after = end.seq;
            effects.extend(page.iter().flatten().filter_map(Effect::of));
        }
        (effects, true)
    }

    /// What the task printed and logged, from a cursor on. The newest is in memory; older pieces are on disk, as many as
    /// [`Limits::spill_bytes`](crate::Limits) lets there be.
    ///
    /// A page of older output holds about 1 MiB: read on from [`OutputPage::next`] until a page has no pieces and nothing
    /// was lost.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) {
    /// let mut cursor = taskcell::OutputCursor::default();
    /// loop {
    ///     let page = task.output(cursor).await;
    ///     if page.is_empty() {
    ///         break;
    ///     }
    ///     for chunk in &page.chunks {
    ///         print!("{}", taskcell::escape(&chunk.text));
    ///     }
    ///     cursor = page.next;
    /// }
    /// # }
    /// ```
    ///
    /// Cancel safety: nothing is lost; the cursor is the caller's.
    pub async fn output(&self, after: OutputCursor) -> OutputPage {
        if let Some(page) = self.shared.output.read_memory(after) {
            return page;
        }
        let output = Arc::clone(&self.shared.output);
        let read = tokio::task::spawn_blocking(move || output.read(after)).await;
        // When the runtime is being shut down, memory is what is left.
        read.unwrap_or_else(|_| self.shared.output.newest(after))
    }

    /// Completes when there is output after the cursor, or the task has ended; then the page may be empty.
    ///
    /// Cancel safety: nothing is lost; the cursor is the caller's.
    pub async fn output_after(&self, after: OutputCursor) -> OutputPage {
        let mut changes = self.shared.output.follow();
        loop {
            changes.mark_unchanged();
            let page = self.output(after).await;
            if !page.is_empty() {
                return page;
            }
            tokio::select! {
                // The sender lives in `shared`.
                _ = changes.changed() => {}
                // After the end nothing more comes, but what came just before it.
                () = self.shared.head.until(|head| head.ended) => return self.output(after).await,
            }
        }
    }

    /// Waits until what the task printed and logged so far outlives the machine. On a host without a data directory nothing
    /// of it does, and there is nothing to wait for.
    ///
    /// # Errors
    /// When the disk does not take it. What memory has room for is tried again by the host itself.
    ///
    /// Cancel safety: what was begun goes on.
    pub async fn flush_output(&self) -> std::io::Result<()> {
        flush(&self.shared.output).await
    }

    /// Reads an attached file, by its number in [`Snapshot::artifacts`].
    ///
    /// # Errors
    /// When there is no such artifact, or it cannot be read.
    pub async fn read_artifact(&self, number: u32) -> std::io::Result<Vec<u8>> {
        let shared = Arc::clone(&self.shared);
        let read = tokio::task::spawn_blocking(move || shared.around.dirs.read(shared.id, number)).await;
        read.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}

/// A task's events, one after the other. See [`TaskHandle::events`].
pub struct EventStream {
    shared: Arc<Shared>,
    after: EventSeq,
    page: VecDeque<Event>,
    /// Whether the newest read failed.
    failed: bool,
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("task", &self.shared.id).field("after", &self.after).finish_non_exhaustive()
    }
}

impl EventStream {
    /// The next event, as soon as there is one; `None` after the last.
    ///
    /// # Errors
    /// When the store cannot be read now. The stream keeps its place: call again later. Only when the task ended
    /// because of its store, and the store fails twice in a row, the stream goes on with the task's end.
    ///
    /// Cancel safety: no event is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.after = event.seq;
                return Ok(Some(event));
            }
            // Looked at before reading, so that an event in between is not slept through.
            let head = self.shared.head.get();
            let unstored = if head.ended { self.shared.unstored().filter(|end| end.seq > self.after) } else { None };
            if head.seq > self.after {
                match (self.read(head.seq).await, unstored) {
                    (Ok(()), _) => self.failed = false,
                    (Err(_), Some(end)) if self.failed => self.page.push_back(end),
                    (Err(error), _) => {
                        self.failed = true;
                        return Err(error);
                    }
                }
            } else if let Some(end) = unstored {
                self.page.push_back(end);
            } else if head.ended {
                return Ok(None);
            } else {
                self.shared.head.until(|head| head.ended || head.seq > self.after).await;
            }
        }
    }

    /// Reads on, up to the last event that is known to be stored.
    async fn read(&mut self, last: EventSeq) -> Result<(), StoreError> {
        let mut page = self.shared.around.store.read(StreamId::Task(self.shared.id), self.after, PAGE).await?;
        page.retain(|event| event.seq <= last);
        if page.is_empty() {
            return Err(StoreError::Unavailable);
        }
        self.page = page.into();
        Ok(())
    }
}
