//! What happens after a task's end: written down beside its log, and without any effect on its outcome. And what of it
//! is left on the disk.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::ids::SignalKey;
use crate::model::signal::Party;
use crate::ports::store::{CommitError, Fence, Record, StoreError, StreamId};

use super::handle::TaskHandle;
use super::shared::Shared;

/// Late signals of one task that are written down. Protects the store from whoever does not notice that it is over.
const LATE_SIGNALS_MAX: u32 = 64;

/// How often a writer tries again because another one was faster. There are never more of them than this.
const TRIES_MAX: u32 = 128;

/// Events read from the store at a time.
const PAGE: usize = 256;

impl Shared {
    /// Writes something down that happened after the end. What cannot be written is lost: it changes nothing. Says whether
    /// it was written.
    pub(super) async fn note_after(&self, body: EventBody) -> bool {
        let stream = StreamId::After(self.id);
        for _ in 0..TRIES_MAX {
            let Ok(head) = self.store.head(stream).await else { return false };
            let fence = head.map_or(Fence::Absent, Fence::After);
            let seq = head.unwrap_or_default().next();
            let event = Event::new(seq, self.clock.date(), body.clone());
            match self.store.commit(stream, fence, vec![Record::Event(event)]).await {
                Err(CommitError::Fenced) => {}
                Ok(()) => return true,
                Err(CommitError::Unavailable) => return false,
            }
        }
        false
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
        let (mut events, mut after) = (Vec::new(), EventSeq::default());
        loop {
            let page = self.shared.store.read(StreamId::After(self.shared.id), after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(events) };
            after = last.seq;
            events.extend(page);
        }
    }
}
