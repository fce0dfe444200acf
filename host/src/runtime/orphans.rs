//! Tasks of which nobody knows whether they were stored: their starts were refused, so nothing may be left of them.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::event::{Event, EventSeq};
use crate::model::ids::TaskId;
use crate::model::time::Timestamp;
use crate::ports::store::{Record, StoreError, StreamId, TaskStore};

use super::guard::guarded;

/// Orphans that are remembered until the store works again, 64 bytes each. Protects the host's memory from starts that are
/// tried again and again while it does not. Twice as many as the firings that may be open in a thousand schedules.
const ORPHANS_MAX: usize = 1 << 15;

/// What was to be stored of a task, as far as that tells it from what another host has stored under the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    events: usize,
    at: Option<Timestamp>,
}

impl Written {
    pub(super) fn of(first: &[Record]) -> Self {
        let date = |record: &Record| match record {
            Record::Event(event) => Some(event.at),
            Record::Forget(_) | Record::Papers(_) => None,
        };
        let dates: Vec<Timestamp> = first.iter().filter_map(date).collect();
        Self { events: dates.len(), at: dates.first().copied() }
    }

    /// Reads one more than there may be: a task that lives in another host has a longer log.
    async fn read(self, store: &dyn TaskStore, stream: StreamId) -> Result<Vec<Event>, StoreError> {
        let (mut log, mut after) = (Vec::new(), EventSeq::default());
        while log.len() <= self.events {
            let page = store.read(stream, after, self.events.saturating_add(1) - log.len()).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            log.extend(page);
        }
        Ok(log)
    }

    fn is(self, log: &[Event]) -> bool {
        self.events == log.len() && self.at == log.first().map(|event| event.at)
    }
}

/// The orphans of a host.
#[derive(Debug, Default)]
pub(super) struct Orphans(Mutex<HashMap<TaskId, Orphan>>);

#[derive(Debug, Clone, Copy)]
struct Orphan {
    written: Written,
    /// Whether somebody is taking it back.
    busy: bool,
}

impl Orphans {
    /// The store's answer about a new task was lost.
    pub(super) fn note(&self, id: TaskId, written: Written) {
        let mut orphans = self.lock();
        if orphans.len() < ORPHANS_MAX {
            orphans.insert(id, Orphan { written, busy: false });
        }
    }

    /// Takes a task back if it is in the store, and one of this host's. One that was never noted is left alone.
    ///
    /// # Errors
    /// When the store does not say what is there, or somebody else is taking it back just now. It stays noted.
    ///
    /// Cancel safety: it stays noted until it is gone.
    pub(super) async fn take_back(&self, store: &dyn TaskStore, id: TaskId) -> Result<(), StoreError> {
        let Some(mut taking) = self.begin(id)? else { return Ok(()) };
        let (stream, written) = (StreamId::Task(id), taking.written);
        let taken = pin!(async {
            if !written.is(&written.read(store, stream).await?) {
                return Ok(());
            }
            store.remove(stream).await?;
            // Its id, or its key, may be given to a new task right after.
            store.flush().await
        });
        guarded(taken).await.unwrap_or(Err(StoreError::Unavailable))?;
        taking.done = true;
        Ok(())
    }

    /// Takes back as many as the store lets it.
    pub(super) async fn take_all_back(&self, store: &dyn TaskStore) {
        let noted: Vec<TaskId> = self.lock().iter().filter(|(_, orphan)| !orphan.busy).map(|(id, _)| *id).collect();
        for id in noted {
            if self.take_back(store, id).await.is_err() {
                return;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn begin(&self, id: TaskId) -> Result<Option<Taking<'_>>, StoreError> {
        match self.lock().get_mut(&id) {
            None => Ok(None),
            Some(orphan) if orphan.busy => Err(StoreError::Unavailable),
            Some(orphan) => {
                orphan.busy = true;
                Ok(Some(Taking { orphans: self, id, written: orphan.written, done: false }))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Orphan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An orphan that is being taken back: nobody else may, because its id may be given to a new task right after.
struct Taking<'a> {
    orphans: &'a Orphans,
    id: TaskId,
    written: Written,
    done: bool,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let mut orphans = self.orphans.lock();
        if self.done {
            orphans.remove(&self.id);
        } else if let Some(orphan) = orphans.get_mut(&self.id) {
            orphan.busy = false;
        }
    }
}
