//! What comes one by one. Each of these waits for the next; `None` is the end.

use std::sync::Arc;

use crate::{
    ApprovalStream, Event, EventStream, Lagged, OpenApproval, OutputCursor, OutputPage, StoreError, TaskEvent,
};

use super::engine::{Engine, Error, InsideRuntime};

/// A task's events. See [`TaskHandle::events`](crate::TaskHandle::events).
#[derive(Debug)]
pub struct Events {
    pub(super) inner: EventStream,
    pub(super) on: Arc<Engine>,
}

impl Iterator for Events {
    type Item = Result<Event, Error<StoreError>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.on.attempt(self.inner.next()).transpose()
    }
}

/// The events of a host's tasks. See [`Host::subscribe`](crate::Host::subscribe).
#[derive(Debug)]
pub struct Subscription {
    pub(super) inner: crate::Subscription,
    pub(super) on: Arc<Engine>,
}

impl Iterator for Subscription {
    type Item = Result<Arc<TaskEvent>, Error<Lagged>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.on.attempt(self.inner.next()).transpose()
    }
}

/// The questions of a host's tasks. See [`Host::follow_approvals`](crate::Host::follow_approvals).
#[derive(Debug)]
pub struct Approvals {
    pub(super) inner: ApprovalStream,
    pub(super) on: Arc<Engine>,
}

impl Iterator for Approvals {
    type Item = Result<OpenApproval, InsideRuntime>;

    fn next(&mut self) -> Option<Self::Item> {
        self.on.run(self.inner.next()).transpose()
    }
}

/// What a task prints, page by page, until it has ended and all was read. See
/// [`TaskHandle::output_after`](crate::TaskHandle::output_after).
#[derive(Debug)]
pub struct Output {
    pub(super) task: crate::TaskHandle,
    pub(super) after: OutputCursor,
    pub(super) on: Arc<Engine>,
}

impl Iterator for Output {
    type Item = Result<OutputPage, InsideRuntime>;

    fn next(&mut self) -> Option<Self::Item> {
        let page = self.on.run(self.task.output_after(self.after));
        if let Ok(page) = &page {
            self.after = page.next;
        }
        Some(page).filter(|page| !page.as_ref().is_ok_and(OutputPage::is_empty))
    }
}
