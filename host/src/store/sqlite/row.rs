//! An event as it stands in the file: its numbers in columns, all the rest as text.

use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::plan::ActionId;
use crate::model::time::Timestamp;
use crate::ports::store::StoreError;

/// A row of the table of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventRow {
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) action: Option<u64>,
    pub(super) body: String,
}

impl EventRow {
    pub(super) fn of(event: &Event) -> serde_json::Result<Self> {
        let Event { seq, at, action, body } = event;
        let body = serde_json::to_string(body)?;
        Ok(Self { seq: seq.0, at: at.0, action: action.map(|action| action.0), body })
    }

    pub(super) fn into_event(self) -> Result<Event, StoreError> {
        let body: EventBody = serde_json::from_str(&self.body).map_err(|_| StoreError::Damaged)?;
        let mut event = Event::new(EventSeq(self.seq), Timestamp(self.at), body);
        event.action = self.action.map(ActionId);
        Ok(event)
    }
}
