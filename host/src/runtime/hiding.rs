//! Secrets in what a task says are hidden before it is written down.

use serde_json::Value;

use crate::model::event::EventBody;
use crate::ports::secrets::{Known, Secrets};

/// The same events with every secret hidden in them. What has to be of a certain form, as a number or an id, stays as it is
/// when it would not be one then; the rest of its event is hidden all the same.
pub(super) fn hidden(secrets: &Secrets, events: Vec<EventBody>) -> Vec<EventBody> {
    if secrets.is_empty() {
        return events;
    }
    let known = secrets.known();
    events.into_iter().map(|event| without(&known, &event).unwrap_or(event)).collect()
}

fn without(known: &Known, event: &EventBody) -> Option<EventBody> {
    let mut document = serde_json::to_value(event).ok()?;
    if !known.hide_in(&mut document.clone()) {
        return None;
    }
    hide_below(known, &mut document, "")
}

/// Hides what there is at this place (a JSON pointer) of an event, and below it, as far as it is an event then. Only places of
/// a fixed form are gone into, and these are small.
fn hide_below(known: &Known, document: &mut Value, place: &str) -> Option<EventBody> {
    let here = document.pointer_mut(place)?;
    let before = here.clone();
    if !known.hide_in(here) {
        return None;
    }
    if let Ok(event) = serde_json::from_value(document.clone()) {
        return Some(event);
    }
    let below: Vec<String> = match &before {
        Value::Object(fields) => fields.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
        Value::Array(items) => (0..items.len()).map(|place| place.to_string()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    *document.pointer_mut(place)? = before;
    let mut last = None;
    for key in below {
        last = hide_below(known, document, &format!("{place}/{key}")).or(last);
    }
    last
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::model::outcome::Outcome;
    use crate::model::snapshot::Usage;

    use super::*;

    fn finished(tokens: u64, message: &str, data: Value) -> EventBody {
        let usage = Usage { tokens, ..Usage::default() };
        let outcome = Outcome::Succeeded { message: message.to_owned(), data: Some(data) };
        EventBody::Finished { outcome: outcome.into(), usage, set_by: None }
    }

    #[test]
    fn t14_what_has_a_form_keeps_it_and_hides_nothing_else() {
        let secrets = Secrets::new([("pin".to_owned(), "12345678".to_owned())]).unwrap();
        let event = finished(912_345_678, "it is 12345678", json!({"a": [12_345_678, 7], "12345678": "x12345678"}));
        let expected = finished(912_345_678, "it is ********", json!({"a": ["********", 7], "********": "x********"}));
        assert_eq!(hidden(&secrets, vec![event.clone()]), [expected]);
        let other = finished(1, "nothing", json!(7));
        assert_eq!(hidden(&secrets, vec![other.clone()]), [other]);
        assert_eq!(hidden(&Secrets::default(), vec![event.clone()]), [event]);
    }
}
