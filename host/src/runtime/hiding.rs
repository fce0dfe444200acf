//! Secrets in what a task says are hidden before it is written down.

use crate::model::event::EventBody;
use crate::ports::secrets::Secrets;

/// The same events with every secret hidden in their texts. One that would not be an event then, because a key or a name
/// has to be of a certain form, stays as it is.
pub(super) fn hidden(secrets: &Secrets, events: Vec<EventBody>) -> Vec<EventBody> {
    if secrets.is_empty() {
        return events;
    }
    events.into_iter().map(|event| without(secrets, &event).unwrap_or(event)).collect()
}

fn without(secrets: &Secrets, event: &EventBody) -> Option<EventBody> {
    let mut document = serde_json::to_value(event).ok()?;
    if !secrets.hide_in(&mut document) {
        return None;
    }
    serde_json::from_value(document).ok()
}
