//! Writes out everything that happened to a task, piece by piece.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::event::{Event, EventSeq};
use crate::model::export::{ExportFormat, Lane, event, foot, forgotten, head, lane_head};
use crate::model::ids::TaskId;
use crate::model::time::Timestamp;
use crate::ports::store::{StoreError, StreamId};

use super::handle::TaskHandle;
use super::host::Host;
use super::registry::Registry;
use super::shared::Shared;

/// Events read from the store at a time, and then written out as one piece.
const PAGE: usize = 64;

/// A task's activity on its way to a file. See [`TaskHandle::export`].
pub struct Export {
    format: ExportFormat,
    /// Where children are found, if they are wanted.
    registry: Option<Arc<Registry>>,
    now: Step,
    /// Tasks that are still to be written, the next one last.
    rest: Vec<TaskId>,
}

/// Where an export is.
enum Step {
    Head(Arc<Shared>),
    Events(Box<Place>),
    Next,
}

/// A place in a task's events.
struct Place {
    shared: Arc<Shared>,
    children: Vec<TaskId>,
    created: Timestamp,
    lane: Lane,
    after: EventSeq,
    /// The last event of the log that there was at the beginning.
    last: EventSeq,
    /// How many there were in the log.
    events: u64,
    in_lane: u64,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("format", &self.format).field("rest", &self.rest.len()).finish_non_exhaustive()
    }
}

impl TaskHandle {
    /// Writes out everything that happened to the task so far: its log and what came after its end. Its children are named and
    /// not followed: see [`Host::export_tree`]. What it printed is not among it: see [`TaskHandle::read_output`].
    ///
    /// It is made piece by piece, so that a long log is never in memory as a whole.
    ///
    /// ```no_run
    /// # async fn example(task: taskcell::TaskHandle) -> Result<(), taskcell::StoreError> {
    /// use taskcell::ExportFormat;
    ///
    /// task.wait().await;
    /// let mut export = task.export(ExportFormat::Page);
    /// while let Some(piece) = export.next().await? {
    ///     print!("{piece}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn export(&self, format: ExportFormat) -> Export {
        Export { format, registry: None, now: Step::Head(Arc::clone(self.shared())), rest: Vec::new() }
    }
}

impl Host {
    /// Writes out everything that happened to a task and to all those that it started, and they: each after the one that
    /// started it. Of those that the host has forgotten it says so.
    pub fn export_tree(&self, task: &TaskHandle, format: ExportFormat) -> Export {
        Export { registry: Some(Arc::clone(&self.inner().registry)), ..task.export(format) }
    }
}

impl Export {
    /// The next piece, which ends with a line break; `None` after the last.
    ///
    /// # Errors
    /// When the store cannot be read now. The export keeps its place: call again later.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        loop {
            match &mut self.now {
                Step::Head(shared) => {
                    let (place, text) = Place::new(self.format, Arc::clone(shared));
                    self.now = Step::Events(Box::new(place));
                    return Ok(Some(text));
                }
                Step::Events(place) => match place.next(self.format).await? {
                    Some(text) if text.is_empty() => {}
                    Some(text) => return Ok(Some(text)),
                    None if place.is_cut() => {
                        let text = forgotten(self.format, place.shared.id);
                        self.now = Step::Next;
                        return Ok(Some(text));
                    }
                    None => {
                        let text = foot(self.format, place.shared.id, place.events, place.in_lane);
                        if self.registry.is_some() {
                            self.rest.extend(place.children.iter().rev());
                        }
                        self.now = Step::Next;
                        return Ok(Some(text));
                    }
                },
                Step::Next => {
                    let Some((id, registry)) = self.rest.pop().zip(self.registry.as_ref()) else { return Ok(None) };
                    match registry.by_id(id) {
                        Some(shared) => self.now = Step::Head(shared),
                        None => return Ok(Some(forgotten(self.format, id))),
                    }
                }
            }
        }
    }
}

impl Place {
    fn new(format: ExportFormat, shared: Arc<Shared>) -> (Self, String) {
        let last = shared.head.get().seq;
        let snapshot = shared.snapshot();
        let text = head(format, &snapshot) + lane_head(format, Lane::Log);
        let place = Self {
            shared,
            children: snapshot.children.iter().map(|child| child.id).collect(),
            created: snapshot.created_at.unwrap_or_default(),
            lane: Lane::Log,
            after: EventSeq::default(),
            last,
            events: 0,
            in_lane: 0,
        };
        (place, text)
    }

    /// Whether somebody has removed the task before all of it was read.
    fn is_cut(&self) -> bool {
        self.lane == Lane::Log && self.after < self.last && self.shared.forgotten.load(Ordering::SeqCst)
    }

    /// The next events, of which there may be none; `None` after the last.
    async fn next(&mut self, format: ExportFormat) -> Result<Option<String>, StoreError> {
        let stream = match self.lane {
            Lane::Log => StreamId::Task(self.shared.id),
            Lane::After => StreamId::After(self.shared.id),
        };
        let mut text = String::new();
        if self.lane == Lane::After || self.after < self.last {
            let mut page = self.shared.around.store.read(stream, self.after, PAGE).await?;
            match self.lane {
                Lane::Log => page.retain(|event| event.seq <= self.last),
                Lane::After => {}
            }
            self.take(format, &page, &mut text);
            if !page.is_empty() {
                return Ok(Some(text));
            }
            if self.is_cut() {
                return Ok(None);
            }
            if self.lane == Lane::Log {
                return Err(StoreError::Unavailable);
            }
        }
        match self.lane {
            Lane::Log => {
                // An end that could not be stored is the task's end all the same.
                if let Some(end) = self.shared.unstored().filter(|end| end.seq > self.after) {
                    self.take(format, &[end], &mut text);
                }
                self.events = self.in_lane;
                (self.lane, self.after, self.in_lane) = (Lane::After, EventSeq::default(), 0);
                Ok(Some(text))
            }
            Lane::After => Ok(None),
        }
    }

    fn take(&mut self, format: ExportFormat, events: &[Event], text: &mut String) {
        for happened in events {
            if self.in_lane == 0 && self.lane == Lane::After {
                text.push_str(lane_head(format, Lane::After));
            }
            self.in_lane += 1;
            self.after = happened.seq;
            text.push_str(&event(format, self.shared.id, self.lane, self.created, happened));
        }
    }
}
