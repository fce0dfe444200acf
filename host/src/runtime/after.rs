//! What happens after a task's end: written down beside its log, and without any effect on its outcome. And what of it
//! is left on the disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::SignalKey;
use crate::model::outbox::Settlement;
use crate::model::signal::Party;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId};

use super::handle::TaskHandle;
use super::shared::Shared;

/// Late signals of one task that are written down. Protects the store from whoever does not notice that it is over.
const LATE_SIGNALS_MAX: u32 = 64;

/// How often a writer tries again because a write came in between that somebody had given up waiting for. Those who wait
/// take turns.
const TRIES_MAX: u32 = 128;

/// Events read from the store at a time.
const PAGE: usize = 256;

/// What is known of the events after a task's end. Whoever writes one holds it.
#[derive(Debug, Default)]
pub(crate) struct AfterLane {
    /// The messages that somebody has begun to settle here.
    settled: BTreeMap<u64, Settling>,
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
    pub(super) async fn note_after(&self, body: EventBody) -> bool {
        let _turn = self.after.lock().await;
        for _ in 0..TRIES_MAX {
            match self.append_after(&body).await {
                Err(CommitError::Fenced) => {}
                Ok(()) => return true,
                Err(CommitError::Unavailable) => return false,
            }
        }
        false
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
                    Err(StoreError::Unavailable) => return false,
                },
            };
            let stored =
                if written { Ok(()) } else { self.append_after(&EventBody::MessageSettled { number, how }).await };
            match stored {
                Err(CommitError::Fenced) => {}
                Ok(()) => {
                    lane.settled.insert(number, Settling::Written);
                    return true;
                }
                Err(CommitError::Unavailable) => return false,
            }
        }
        false
    }

    /// Writes one event behind those that are there.
    async fn append_after(&self, body: &EventBody) -> Result<(), CommitError> {
        let stream = StreamId::After(self.id);
        let head = self.store.head(stream).await.map_err(|StoreError::Unavailable| CommitError::Unavailable)?;
        let fence = head.map_or(Fence::Absent, Fence::After);
        let event = Event { seq: head.unwrap_or_default().next(), at: self.clock.date(), body: body.clone() };
        self.store.commit(stream, fence, vec![Record::Event(event)]).await
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
            let page = self.store.read(StreamId::After(self.id), after, PAGE).await?;
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
        self.shared.kept_scratch.get().map(|_| self.shared.dirs.kept_path(self.shared.id))
    }

    /// What happened after the task's end and changed nothing about it, in order, with numbers of its own: the functions
    /// that were called then, messages to the agent that somebody took, and the first 64 signals that came too late.
    ///
    /// # Errors
    /// When the store cannot be read now.
    pub async fn after_events(&self) -> Result<Vec<Event>, StoreError> {
        self.shared.after_events().await
    }
}
