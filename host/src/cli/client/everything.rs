//! What happens to all tasks, once each and without a gap: what a stream skipped, because the server was started again or
//! this client was slow, is read from the tasks' own logs.
//!
//! A place in a server's stream means nothing to the next server, and the numbers of a task's events are the same for ever.
//! So what was told is remembered by those.

use std::collections::{HashMap, VecDeque};

use reqwest::Method;

use crate::model::state::TaskState;
use crate::serve::wire::{EventQuery, Followed, Lane, ListQuery, event_names};
use crate::{Event, EventSeq, Phase, Snapshot, TaskFilter, TaskId, TaskSummary};

use super::connect::Client;
use super::error::CallError;
use super::follow::{Events, Patience, data};

/// Tasks that are asked for at once.
const TASKS: usize = 1000;
/// Events that are asked for at once.
const EVENTS: usize = 500;
/// Tasks that are remembered beside twice as many as there were, until those are forgotten that the server does not know any
/// more. Protects this program's memory from a server that runs for long.
const HEADS_BESIDE: usize = 10_000;

/// What happens to many tasks.
pub(in crate::cli) struct AllEvents {
    client: Client,
    filter: TaskFilter,
    /// The last place in the server's stream up to which everything was told.
    position: Option<String>,
    stream: Option<Events>,
    patience: Patience,
    heads: Heads,
    /// Tasks of which something was skipped, the oldest last.
    skipped: Vec<TaskSummary>,
    /// The one of them that is being read.
    reading: Option<Reading>,
    /// What was read of it and not told.
    ready: VecDeque<Followed>,
}

impl Client {
    /// Follows what happens to the tasks that are meant, from now on.
    pub(in crate::cli) fn follow_all(&self, filter: TaskFilter) -> AllEvents {
        AllEvents {
            client: self.clone(),
            filter,
            position: None,
            stream: None,
            patience: Patience::new(),
            heads: Heads::default(),
            skipped: Vec::new(),
            reading: None,
            ready: VecDeque::new(),
        }
    }

    /// All tasks that are meant, the newest first.
    async fn all(&self, filter: &TaskFilter) -> Result<Vec<TaskSummary>, CallError> {
        let mut query = ListQuery { filter: filter.clone(), limit: Some(TASKS), ..ListQuery::default() };
        let mut all = Vec::new();
        loop {
            let page = self.list(&query).await?;
            all.extend(page.tasks);
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(all);
            }
        }
    }
}

impl AllEvents {
    /// The next thing that happens. Does not end by itself.
    pub(in crate::cli) async fn next(&mut self) -> Result<Followed, CallError> {
        loop {
            if let Some(followed) = self.ready.pop_front() {
                if self.heads.takes(&followed) {
                    return Ok(followed);
                }
                continue;
            }
            match self.step().await {
                Ok(Some(followed)) => return Ok(followed),
                Ok(None) => {}
                Err(error) => {
                    // The place has not moved on, so that the server says again that something was skipped.
                    (self.stream, self.reading) = (None, None);
                    self.skipped.clear();
                    self.patience.after(error).await?;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Followed>, CallError> {
        if let Some(reading) = self.reading.take() {
            self.reading = self.read_on(reading).await?;
            return Ok(None);
        }
        if let Some(task) = self.skipped.pop() {
            self.reading = self.begin(&task).await?;
            return Ok(None);
        }
        if self.heads.are_many() {
            let all = self.client.all(&TaskFilter::default()).await?;
            self.heads.keep(&all);
        }
        let Some(stream) = &mut self.stream else {
            if self.position.is_none() {
                // From now on: what is there already is not told. Before the stream is opened, so that nothing falls between.
                self.heads = Heads::of(&self.client.all(&self.filter).await?);
            }
            let request = self.client.request(Method::GET, &["events"], &self.filter);
            self.stream = self.client.stream(request, self.position.as_deref()).await?;
            return Ok(None);
        };
        let Some(received) = self.client.received(stream).await? else {
            return Err(CallError::Closed);
        };
        self.patience.renew();
        if received.event == event_names::LAGGED {
            // Those before what the stream brings next: it stands still meanwhile.
            self.skipped = self.client.all(&self.filter).await?;
            let heads = &self.heads;
            self.skipped.retain(|task| heads.is_behind(task));
            return Ok(None);
        }
        if !received.id.is_empty() {
            self.position = Some(received.id.clone());
        }
        if received.event != event_names::EVENT {
            return Ok(None);
        }
        let followed: Followed = data(&received)?;
        Ok(self.heads.takes(&followed).then_some(followed))
    }

    async fn begin(&self, summary: &TaskSummary) -> Result<Option<Reading>, CallError> {
        let Some(task) = known(self.client.task(summary.id).await)? else { return Ok(None) };
        Ok(Some(Reading {
            task: Box::new(task),
            state: TaskState::default(),
            end: summary.seq,
            after: summary.after_seq,
        }))
    }

    /// Reads a page of a task's log, or what came after its end. Says whether there is more.
    async fn read_on(&mut self, mut reading: Reading) -> Result<Option<Reading>, CallError> {
        let (id, told) = (reading.task.id, self.heads.head(reading.task.id));
        // What the log has beyond its end comes over the stream.
        if reading.state.seq < reading.end && told.task < reading.end {
            let query = EventQuery { after: reading.state.seq, limit: Some(EVENTS) };
            let Some(page) = known(self.client.events(id, query).await)? else { return Ok(None) };
            if page.events.is_empty() {
                return Err(CallError::Unreadable("a task's log ends before its last event".to_owned()));
            }
            for event in page.events {
                // All of them, from the first: where a task was in its life is what happened to it before.
                reading.state.apply(&event);
                let phase = reading.state.phase.unwrap_or(reading.task.phase);
                if event.seq > told.task && event.seq <= reading.end {
                    self.ready.push_back(self.followed(&reading.task, Lane::Task, phase, event));
                }
            }
            return Ok(Some(reading));
        }
        if told.after < reading.after {
            let Some(page) = known(self.client.after_events(id).await)? else { return Ok(None) };
            for event in page.events {
                self.ready.push_back(self.followed(&reading.task, Lane::After, Phase::Ended, event));
            }
        }
        Ok(None)
    }

    fn followed(&self, of: &Snapshot, lane: Lane, phase: Phase, event: Event) -> Followed {
        let details = &of.details;
        Followed {
            // Whoever goes back there is told that something was skipped, and has it again.
            position: self.position.clone().unwrap_or_default(),
            id: of.id,
            task: of.task.clone(),
            session: details.session.clone(),
            turn: details.turn.clone(),
            parent: details.parent,
            labels: details.labels.clone(),
            phase,
            lane,
            event,
        }
    }
}

/// A task that the server may have forgotten since it was listed.
fn known<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    use crate::serve::wire::ProblemKind;
    match answer {
        Err(error) if error.kind() == Some(ProblemKind::UnknownTask) => Ok(None),
        answer => answer.map(Some),
    }
}

/// A log that is being read.
struct Reading {
    task: Box<Snapshot>,
    /// What happened so far.
    state: TaskState,
    /// Up to which event of its log.
    end: EventSeq,
    /// And of what came after its end.
    after: EventSeq,
}

/// Up to where everything of a task was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Head {
    task: EventSeq,
    after: EventSeq,
}

/// The same, of each task.
#[derive(Debug, Default)]
struct Heads {
    of: HashMap<TaskId, Head>,
    /// How many there may be.
    room: usize,
}

impl Heads {
    /// Of all these, everything was told.
    fn of(tasks: &[TaskSummary]) -> Self {
        let head = |task: &TaskSummary| (task.id, Head { task: task.seq, after: task.after_seq });
        let mut heads = Self { of: tasks.iter().map(head).collect(), room: 0 };
        heads.make_room();
        heads
    }

    fn head(&self, id: TaskId) -> Head {
        self.of.get(&id).copied().unwrap_or_default()
    }

    /// Whether something of the task was not told.
    fn is_behind(&self, task: &TaskSummary) -> bool {
        let head = self.head(task.id);
        head.task < task.seq || head.after < task.after_seq
    }

    /// Whether this was not told yet. Then it is told now.
    fn takes(&mut self, followed: &Followed) -> bool {
        let head = self.of.entry(followed.id).or_default();
        let last = match followed.lane {
            Lane::Task => &mut head.task,
            Lane::After => &mut head.after,
        };
        let is_new = *last < followed.event.seq;
        *last = (*last).max(followed.event.seq);
        is_new
    }

    fn are_many(&self) -> bool {
        self.of.len() > self.room
    }

    /// Forgets all others.
    fn keep(&mut self, tasks: &[TaskSummary]) {
        let kept = tasks.iter().filter_map(|task| Some((task.id, *self.of.get(&task.id)?))).collect();
        self.of = kept;
        self.make_room();
    }

    fn make_room(&mut self) {
        self.room = self.of.len().saturating_mul(2).saturating_add(HEADS_BESIDE);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(id: &str, seq: u64, after: u64) -> TaskSummary {
        let task = json!({"plugin": "p", "task_type": "t", "key": "k"});
        serde_json::from_value(json!({
            "id": id.repeat(16), "task": task, "phase": "running", "seq": seq, "after_seq": after,
            "created_at": null, "ended_at": null,
        }))
        .unwrap()
    }

    fn followed(id: &str, lane: &str, seq: u64) -> Followed {
        serde_json::from_value(json!({
            "position": "e1-1", "id": id.repeat(16), "task": {"plugin": "p", "task_type": "t", "key": "k"},
            "phase": "running", "lane": lane, "event": {"seq": seq, "at": 1, "body": {"event": "started", "attempt": 1}},
        }))
        .unwrap()
    }

    #[test]
    fn r42_an_event_is_told_once_whichever_way_it_comes() {
        let mut heads = Heads::of(&[summary("0a", 3, 1)]);
        assert!(!heads.takes(&followed("0a", "task", 3)) && heads.takes(&followed("0a", "task", 4)));
        assert!(!heads.takes(&followed("0a", "task", 4)));
        assert!(!heads.takes(&followed("0a", "after", 1)) && heads.takes(&followed("0a", "after", 2)));
        assert!(heads.takes(&followed("0b", "task", 1)));
        assert!(!heads.is_behind(&summary("0a", 4, 2)));
        assert!(heads.is_behind(&summary("0a", 5, 2)) && heads.is_behind(&summary("0a", 4, 3)));
        assert!(heads.is_behind(&summary("0c", 1, 0)));
    }

    #[test]
    fn r42_what_the_server_has_forgotten_is_forgotten_here_too() {
        let mut heads = Heads::of(&[]);
        for number in 0..=HEADS_BESIDE {
            assert!(!heads.are_many());
            let id = format!("{number:032x}");
            heads.of.insert(serde_json::from_value(json!(id)).unwrap(), Head::default());
        }
        assert!(heads.are_many());
        heads.takes(&followed("0a", "task", 4));
        heads.keep(&[summary("0a", 9, 0), summary("0b", 9, 0)]);
        assert_eq!(heads.of.len(), 1);
        assert!(!heads.are_many() && heads.is_behind(&summary("0a", 9, 0)));
    }
}
