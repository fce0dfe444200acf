//! What is in the store of each task, and what becomes of those that have not ended.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::model::command::{Command, Decision, HostFit};
use crate::model::details::TaskDetails;
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::hook::TaskHook;
use crate::model::ids::{SignalKey, TaskId, TaskRef};
use crate::model::machine::step;
use crate::model::manifest::Schemas;
use crate::model::outbox::{AgentMessage, Delivery, Settlement};
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::papers::TaskPapers;
use crate::model::schema::Schema;
use crate::model::snapshot::Phase;
use crate::model::state::TaskState;
use crate::model::time::Timestamp;
use crate::ports::failpoint::failpoint;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId, TaskStore};

use super::super::attachments::Attached;
use super::super::host::Inner;
use super::super::start::wanted;
use super::super::version::VersionUse;
use super::{LostTask, Quarantined, Recovery, WaitingTask};

/// Tasks, and events, that are read at a time.
const PAGE: usize = 256;

/// Tasks that are read, or written, at once: a store can do that together.
pub(in crate::runtime) const AT_ONCE: usize = 64;

/// A task that is in the store.
pub(super) struct Found {
    pub(super) id: TaskId,
    pub(super) task: Arc<TaskRef>,
    pub(super) papers: Option<TaskPapers>,
    pub(super) state: TaskState,
    /// Its messages to the agent that are not settled.
    pub(super) messages: BTreeMap<u64, AgentMessage>,
    /// What became of those that are sent once.
    pub(super) told_once: HashMap<SignalKey, Delivery>,
    pub(super) after: After,
    /// The date of its newest event before this host.
    pub(super) last_at: Timestamp,
    /// Whether what happened after its end cannot be read.
    pub(super) is_after_damaged: bool,
    /// What it goes on with, if it does.
    pub(super) fit: Option<Fit>,
    /// Whether a later start has its key.
    has_no_key: bool,
    /// Whether its plugin is not loaded, and it waits for that.
    waits: bool,
    /// What was decided just now, with the phase after each event.
    pub(super) decided: Vec<(Phase, Event)>,
}

/// What happened after a task's end.
#[derive(Debug, Default)]
pub(super) struct After {
    pub(super) seq: EventSeq,
    pub(super) at: Timestamp,
    pub(super) settled: Vec<u64>,
    pub(super) late_signals: u32,
    /// The function that it names was called.
    pub(super) called: bool,
    /// Its plugin's hook was.
    pub(super) hooked: bool,
}

/// What a task needs to go on.
pub(in crate::runtime) struct Fit {
    pub(in crate::runtime) version: VersionUse,
    pub(in crate::runtime) schemas: Schemas,
    pub(in crate::runtime) wanted: Option<Schema>,
    pub(in crate::runtime) papers: TaskPapers,
    pub(in crate::runtime) attached: Option<Attached>,
}

impl Inner {
    /// Reads all tasks, in the order of their starts.
    /// `aside`: those that cannot be read, with the places of their attachments.
    pub(super) async fn find(
        &self,
        recovery: &mut Recovery,
        aside: &mut HashMap<TaskId, Option<u64>>,
    ) -> Result<Vec<Found>, StoreError> {
        let store = &self.around.store;
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = store.tasks(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = last.place;
            recovery.unnamed.extend(page.iter().filter(|task| task.id.is_none()).map(|task| task.place));
            let named = page.into_iter().filter_map(|task| Some((task.id?, task.papers)));
            let unknown = named.filter(|(id, _)| self.registry.by_id(*id).is_none()).collect();
            for Read { id, place, found } in read_all(store, unknown).await? {
                match found {
                    // One that is being born in this host is nobody's yet.
                    Ok(Some(found)) if self.registry.has_key(&found.task, id) => {}
                    Ok(found) => {
                        if found.as_ref().is_some_and(|found| found.is_after_damaged) {
                            let why =
                                "what happened after its end cannot be read; its outcome is kept, and nobody is called";
                            recovery.quarantined.push(Quarantined { id, why: why.to_owned() });
                        }
                        all.extend(found);
                    }
                    Err(StoreError::Unavailable) => return Err(StoreError::Unavailable),
                    Err(error @ StoreError::Damaged) => {
                        aside.insert(id, place);
                        recovery.quarantined.push(Quarantined { id, why: error.to_string() });
                    }
                }
            }
        }
    }

    /// A key belongs to one task. Of two, the earlier one's start was not acknowledged, and it never ran.
    pub(super) fn see_who_has_keys(&self, found: &mut [Found]) {
        let mut taken = HashSet::new();
        for found in found.iter_mut().rev().filter(|found| found.state.outcome.is_none()) {
            found.has_no_key = self.registry.by_ref(&found.task).is_some() || !taken.insert(found.task.clone());
        }
    }

    /// Decides what becomes of the tasks that have not ended, and writes it down, many at once.
    pub(super) async fn decide_about(&self, all: &mut [Found], recovery: &mut Recovery) -> Result<(), CommitError> {
        let ended = all.len();
        let mut open: Vec<&mut Found> = all.iter_mut().filter(|found| found.state.outcome.is_none()).collect();
        recovery.ended += ended.saturating_sub(open.len());
        for group in open.chunks_mut(AT_ONCE) {
            let decided: Vec<Vec<Event>> = group.iter_mut().map(|found| self.decide_one(found)).collect();
            let mut commits = JoinSet::new();
            for (found, events) in group.iter().zip(&decided).filter(|(_, events)| !events.is_empty()) {
                let records = events.iter().cloned().map(Record::Event).collect();
                let (stream, fence) = (StreamId::Task(found.id), Fence::After(found.state.seq));
                let store = Arc::clone(&self.around.store);
                commits.spawn(async move { store.commit(stream, fence, records).await });
            }
            while let Some(written) = commits.join_next().await {
                written.unwrap_or(Err(CommitError::Unavailable))?;
            }
            for (found, events) in group.iter_mut().zip(decided) {
                found.take(events, recovery);
                failpoint!("recovery.decided");
            }
        }
        Ok(())
    }

    /// What happens to a task that has not ended.
    fn decide_one(&self, found: &mut Found) -> Vec<Event> {
        let fit = if found.has_no_key {
            Err(HostFit::Unfit("its start was not acknowledged, and another task has its key".to_owned()))
        } else {
            self.fit(&found.task, found.state.details.output_schema.as_ref(), found.papers.as_ref())
        };
        let fit = match fit {
            Ok(fit) => {
                found.fit = Some(fit);
                HostFit::Whole
            }
            Err(why) => why,
        };
        found.waits = fit == HostFit::NoPlugin;
        let now = self.around.clock.date();
        let Decision { events, .. } = step(&found.state, Command::HostRestarted { fit, now });
        found.state.numbered(now, events)
    }

    /// What a task goes on with, or why it cannot. `schema`: its request's own for the result.
    pub(in crate::runtime) fn fit(
        &self,
        task: &TaskRef,
        schema: Option<&Value>,
        papers: Option<&TaskPapers>,
    ) -> Result<Fit, HostFit> {
        let name = &task.plugin;
        let unfit = |why: String| HostFit::Unfit(why);
        let papers = papers.cloned();
        let papers =
            papers.ok_or_else(|| unfit("its papers are missing: nobody knows what it may touch".to_owned()))?;
        if papers.untold {
            return Err(unfit("it made a plan for a task, and is not waited for any more".to_owned()));
        }
        let version = self.registry.version(name).ok_or(HostFit::NoPlugin)?;
        let loaded = version.plugin.digest();
        if loaded != papers.plugin {
            let ran = papers.plugin;
            return Err(unfit(format!("its plugin {name} has changed: it ran {ran}, and {loaded} is loaded")));
        }
        let schemas = version.plugin.schemas(&task.task_type).cloned();
        let schemas = schemas.ok_or_else(|| unfit(format!("its plugin {name} has no such task type")))?;
        let own = schema.map(wanted).transpose();
        let wanted = own.map_err(|error| unfit(format!("the schema of its result cannot be used: {error}")))?;
        let attached = papers.attachments.map(|place| Attached::reopen(&self.around.dirs, place)).transpose();
        let attached = attached.map_err(|error| unfit(error.to_string()))?;
        Ok(Fit { version: VersionUse::new(version), schemas, wanted, papers, attached })
    }
}

/// What came of reading a task.
struct Read {
    id: TaskId,
    /// Where its attachments are.
    place: Option<u64>,
    found: Result<Option<Found>, StoreError>,
}

/// Reads these tasks, many at once, and returns them in their order.
async fn read_all(
    store: &Arc<dyn TaskStore>,
    tasks: Vec<(TaskId, Option<TaskPapers>)>,
) -> Result<Vec<Read>, StoreError> {
    let (mut waiting, mut reads, mut done) = (tasks.into_iter().enumerate(), JoinSet::new(), BTreeMap::new());
    loop {
        while reads.len() < AT_ONCE
            && let Some((number, (id, papers))) = waiting.next()
        {
            let store = Arc::clone(store);
            let place = papers.as_ref().and_then(|papers| papers.attachments);
            reads.spawn(async move { (number, Read { id, place, found: read(&*store, id, papers).await }) });
        }
        match reads.join_next().await {
            None => return Ok(done.into_values().collect()),
            Some(Ok((number, read))) => drop(done.insert(number, read)),
            // It panicked.
            Some(Err(_)) => return Err(StoreError::Unavailable),
        }
    }
}

/// All that is in the store of a task; `None` when there is nothing.
async fn read(store: &dyn TaskStore, id: TaskId, papers: Option<TaskPapers>) -> Result<Option<Found>, StoreError> {
    let mut state = TaskState::default();
    let (mut messages, mut once) = (BTreeMap::new(), BTreeMap::new());
    let mut told_once = HashMap::new();
    // Its end is the last of its log.
    while state.outcome.is_none() {
        let page = store.read(StreamId::Task(id), state.seq, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for event in page {
            if event.seq != state.seq.next() || state.outcome.is_some() {
                return Err(StoreError::Damaged);
            }
            state.apply(&event);
            let at = event.at;
            if let EventBody::AgentMessage { number, message, trigger, once: key } = event.body {
                let Some(task) = state.task.clone() else { return Err(StoreError::Damaged) };
                if let Some(key) = &key {
                    once.insert(number, key.clone());
                    told_once.insert(key.clone(), Delivery::Queued);
                }
                let session = state.details.session.clone();
                messages.insert(
                    number,
                    AgentMessage { id, task: (*task).clone(), session, number, message, trigger, once: key, at },
                );
            } else if let EventBody::MessageSettled { number, how } = event.body {
                messages.remove(&number);
                // An acknowledgement came later than the answer.
                let delivery = match how {
                    Settlement::Accepted => Delivery::Accepted,
                    Settlement::Blocked => Delivery::Blocked,
                    Settlement::Acknowledged => Delivery::Queued,
                };
                if let Some(key) = once.get(&number) {
                    told_once.insert(SignalKey::clone(key), delivery);
                }
            }
        }
    }
    if state.seq == EventSeq::default() {
        return Ok(None);
    }
    let task = state.task.clone().ok_or(StoreError::Damaged)?;
    let last_at = state.last_at();
    let (mut after, mut is_after_damaged) = (After::default(), false);
    if state.outcome.is_some() {
        after = match read_after(store, id, &mut state).await {
            Ok(after) => after,
            // Nobody knows who was called; its outcome stands.
            Err(StoreError::Damaged) => {
                is_after_damaged = true;
                After { called: true, hooked: true, ..After::default() }
            }
            Err(StoreError::Unavailable) => return Err(StoreError::Unavailable),
        };
        for number in &after.settled {
            messages.remove(number);
        }
    }
    let (fit, has_no_key, waits, decided) = (None, false, false, Vec::new());
    let found = Found {
        id,
        task,
        papers,
        state,
        messages,
        told_once,
        after,
        last_at,
        is_after_damaged,
        fit,
        has_no_key,
        waits,
        decided,
    };
    Ok(Some(found))
}

async fn read_after(store: &dyn TaskStore, id: TaskId, state: &mut TaskState) -> Result<After, StoreError> {
    let mut after = After::default();
    loop {
        let page = store.read(StreamId::After(id), after.seq, PAGE).await?;
        if page.is_empty() {
            return Ok(after);
        }
        for event in page {
            (after.seq, after.at) = (event.seq, after.at.max(event.at));
            state.after_the_end(&event.body);
            after.note(&event.body, &state.details);
        }
    }
}

impl Found {
    /// What is told of one that waits.
    pub(super) fn waiting(&self) -> WaitingTask {
        let plugin = self.papers.as_ref().map(|papers| papers.plugin);
        WaitingTask { id: self.id, task: (*self.task).clone(), plugin }
    }

    /// Takes in what was written down.
    fn take(&mut self, events: Vec<Event>, recovery: &mut Recovery) {
        let ran = self.state.phase == Some(Phase::Running);
        for event in events {
            self.state.apply(&event);
            self.decided.push((self.state.phase.unwrap_or(Phase::Queued), event));
        }
        match self.state.outcome.as_deref() {
            None if self.waits => recovery.waiting.push(self.waiting()),
            None if ran => recovery.restarted.push(self.id),
            None => recovery.went_on.push(self.id),
            Some(Outcome::Failed(failure)) if failure.kind == FailureKind::Lost => {
                let (id, task, why) = (self.id, (*self.task).clone(), failure.message.clone());
                recovery.lost.push(LostTask { id, task, why });
            }
            Some(Outcome::Failed(_) | Outcome::Succeeded { .. } | Outcome::Cancelled { .. }) => {
                recovery.cancelled.push(self.id);
            }
        }
    }
}

impl After {
    fn note(&mut self, body: &EventBody, details: &TaskDetails) {
        if let EventBody::MessageSettled { number, .. } = body {
            self.settled.push(*number);
        } else if let EventBody::LateSignal { .. } = body {
            self.late_signals += 1;
        } else if let EventBody::OnTerminalDone { name: Some(name), .. } = body {
            self.called |= details.on_terminal.as_ref() == Some(name);
        } else if let EventBody::HookDone { hook: TaskHook::OnTerminal, .. } = body {
            self.hooked = true;
        }
    }
}
