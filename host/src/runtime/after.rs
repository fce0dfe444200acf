//! What happens after a task's end: written down beside its log, and without any effect on its outcome. And what of it
//! is left on the disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::model::command::{Answer, Decision};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::SignalKey;
use crate::model::machine::{Refusal, RefusalKind, updating};
use crate::model::outbox::Settlement;
use crate::model::patch::TaskPatch;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId};

use super::feed::EventLane;
use super::handle::TaskHandle;
use super::hiding::hidden;
use super::shared::Shared;

/// Late signals of one task that are written down. Protects the store from whoever does not notice that it is over.
const LATE_SIGNALS_MAX: u32 = 64;

/// How often a writer tries again because a write came in between that somebody had given up waiting for. Those who wait
/// take turns.
const TRIES_MAX: u32 = 128;

/// Events read from the store at a time.
const PAGE: usize = 256;

/// What is known of the events after a task's end. Held by whoever writes one that depends on those before.
#[derive(Debug, Default)]
pub(crate) struct AfterLane {
    /// The messages that somebody has begun to settle here.
    settled: BTreeMap<u64, Settling>,
    /// Whether a change may be written that the state does not have: whoever wrote it was dropped, or the store failed.
    is_update_open: bool,
}

impl AfterLane {
    /// The lane as a host before this one has left it, with these messages settled there.
    pub(super) fn left(settled: impl IntoIterator<Item = u64>) -> Self {
        let settled = settled.into_iter().map(|number| (number, Settling::Written)).collect();
        Self { settled, is_update_open: false }
    }
}

/// How far a settlement has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settling {
    /// It may be written: whoever wrote it was dropped, or was told that the store failed.
    Begun,
    Written,
}

impl Shared {
    /// Writes something down that happened after the end. What cannot be written is lost: it changes nothing. Says whether
    /// it was written.
    ///
    /// It waits for nobody's turn: the task's own actor writes so, and a caller who has a turn may be left unpolled.
    pub(super) async fn note_after(&self, body: EventBody) -> bool {
        match self.write_after(&body).await {
            Some(event) => {
                self.tell_after(event).await;
                true
            }
            None => false,
        }
    }

    /// Changes what people see of the task after its end.
    pub(super) async fn update_after(&self, expected: Option<u64>, patch: TaskPatch, by: Party) -> Answer {
        // One at a time, so that each sees the revision of the one before.
        let mut lane = self.after.lock().await;
        if lane.is_update_open {
            let Ok(events) = self.after_events().await else { return Answer::AlreadyEnded };
            for event in &events {
                self.state().after_the_end(&event.body);
            }
            self.renew_identity();
            lane.is_update_open = false;
        }
        let Decision { events, answer } = {
            let state = self.state();
            if state.outcome.is_none() {
                // Its host is gone.
                return Answer::AlreadyEnded;
            }
            if state.is_full_of_others(by) {
                let full = "this task was changed and written to as often as a task may be";
                return Answer::Refused(Refusal::new(RefusalKind::TooLarge, full));
            }
            updating::update(&state, expected, patch, by)
        };
        for body in events {
            lane.is_update_open = true;
            let Some(event) = self.write_after(&body).await else { return Answer::AlreadyEnded };
            lane.is_update_open = false;
            self.state().after_the_end(&body);
            self.renew_identity();
            self.tell_after(event).await;
        }
        answer
    }

    /// Writes down that a message was settled after the end, once however often somebody wants it. Says whether that is
    /// written.
    pub(super) async fn settle_after(&self, number: u64, how: Settlement) -> bool {
        let mut lane = self.after.lock().await;
        for _ in 0..TRIES_MAX {
            let written = match lane.settled.insert(number, Settling::Begun) {
                None => false,
                Some(Settling::Written) => true,
                Some(Settling::Begun) => match self.is_settled_after(number).await {
                    Ok(written) => written,
                    Err(StoreError::Unavailable | StoreError::Damaged) => return false,
                },
            };
            let settled = EventBody::MessageSettled { number, how };
            let stored = if written { Ok(None) } else { self.append_after(&settled).await.map(Some) };
            match stored {
                Err(CommitError::Fenced) => {}
                Ok(event) => {
                    lane.settled.insert(number, Settling::Written);
                    if let Some(event) = event {
                        self.tell_after(event).await;
                    }
                    return true;
                }
                Err(CommitError::Full | CommitError::Unavailable) => return false,
            }
        }
        false
    }

    async fn write_after(&self, body: &EventBody) -> Option<Event> {
        for _ in 0..TRIES_MAX {
            match self.append_after(body).await {
                Err(CommitError::Fenced) => {}
                Ok(event) => return Some(event),
                Err(CommitError::Full | CommitError::Unavailable) => return None,
            }
        }
        None
    }

    /// Writes one event behind those that are there.
    async fn append_after(&self, body: &EventBody) -> Result<Event, CommitError> {
        let stream = StreamId::After(self.id);
        let body = hidden(&self.around.secrets, vec![body.clone()]).pop().unwrap_or_else(|| body.clone());
        let is_forgotten = || self.forgotten.load(Ordering::SeqCst);
        // Of a host that is left nothing is written any more, nor beside a log that goes on.
        if is_forgotten() || self.around.suspended.is() || self.is_left() {
            return Err(CommitError::Unavailable);
        }
        let head = self.around.store.head(stream).await?;
        let fence = head.map_or(Fence::Absent, Fence::After);
        let event = Event::new(head.unwrap_or_default().next(), self.around.clock.date(), body);
        self.around.store.commit(stream, fence, vec![Record::Event(event.clone())]).await?;
        if is_forgotten() {
            // Whoever forgot it may have been there before.
            let _ = self.around.store.remove(stream).await;
            return Err(CommitError::Unavailable);
        }
        Ok(event)
    }

    /// Tells an event to those who follow, after those before it: another one may have written them and not told them yet,
    /// or have been dropped in between.
    async fn tell_after(&self, event: Event) {
        let told = || self.told_after.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.around.feed.is_on() {
            let mut told = told();
            *told = (*told).max(event.seq);
            return;
        }
        let last = *told();
        let (mut events, mut end) = (Vec::new(), last);
        while end.next() < event.seq {
            let page = self.around.store.read(StreamId::After(self.id), end, PAGE).await.unwrap_or_default();
            let Some(last) = page.last() else { break };
            end = last.seq;
            events.extend(page);
        }
        if end < event.seq {
            events.push(event);
        }
        let mut told = told();
        for event in events.into_iter().filter(|event| event.seq > *told).collect::<Vec<_>>() {
            *told = event.seq;
            self.around.feed.tell(&self.identity(), Phase::Ended, EventLane::After, &[event]);
        }
    }

    async fn is_settled_after(&self, wanted: u64) -> Result<bool, StoreError> {
        let settles =
            |event: &Event| matches!(event.body, EventBody::MessageSettled { number, .. } if number == wanted);
        Ok(self.after_events().await?.iter().any(settles))
    }

    /// The events after the end.
    async fn after_events(&self) -> Result<Vec<Event>, StoreError> {
        let (mut events, mut after) = (Vec::new(), EventSeq::default());
        loop {
            let page = self.around.store.read(StreamId::After(self.id), after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(events) };
            after = last.seq;
            events.extend(page);
        }
    }

    /// Writes down that a signal came too late, if it did, and not too many have.
    pub(super) async fn note_late(&self, key: SignalKey, sender: Party) {
        if self.state().outcome.is_none() {
            return;
        }
        let next = |count: u32| (count < LATE_SIGNALS_MAX).then_some(count + 1);
        if self.late_signals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
            self.note_after(EventBody::LateSignal { key, sender }).await;
        }
    }
}

impl TaskHandle {
    /// Where the task's scratch directory is, if it was kept ([`ScratchPolicy`](crate::ScratchPolicy)): known from the moment
    /// of [`TaskHandle::gone`] on. `None` before that, when it was not kept, and when the task never needed one. It goes when
    /// the task is forgotten, and with the host; whoever wants it longer moves it away.
    ///
    /// What is in it comes from the guest. A link in it can lead anywhere: follow none.
    pub fn scratch_dir(&self) -> Option<PathBuf> {
        self.shared.kept_scratch.get().map(|_| self.shared.around.dirs.kept_path(self.shared.id))
    }

    /// What happened after the task's end and left its outcome as it is, in order, with numbers of its own: functions and hooks
    /// that were called then, messages to the agent that somebody took, changes of its note, title and labels, the first 64
    /// signals that came too late, and that a daemon was given up.
    ///
    /// # Errors
    /// When the store cannot be read now.
    pub async fn after_events(&self) -> Result<Vec<Event>, StoreError> {
        self.shared.after_events().await
    }
}
