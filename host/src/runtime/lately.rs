//! What the latest tasks were started with: most have the same limits and details as the one before, and have them in common.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::details::TaskDetails;
use crate::model::limits::Limits;

/// The limits and the details of the task that was started last.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    limits: Last<Limits>,
    details: Last<TaskDetails>,
}

impl Lately {
    pub(super) fn limits(&self, limits: &Limits) -> Arc<Limits> {
        self.limits.like(limits)
    }

    pub(super) fn details(&self, details: &TaskDetails) -> Arc<TaskDetails> {
        self.details.like(details)
    }
}

#[derive(Debug, Default)]
struct Last<T>(Mutex<Arc<T>>);

impl<T: Clone + PartialEq> Last<T> {
    /// The last one, if this one is like it; else this one, which is the last then.
    fn like(&self, new: &T) -> Arc<T> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if **last != *new {
            *last = Arc::new(new.clone());
        }
        Arc::clone(&last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_there_once() {
        let last = Last::default();
        let first = last.like(&"a".to_owned());
        assert!(Arc::ptr_eq(&first, &last.like(&"a".to_owned())));
        let other = last.like(&"b".to_owned());
        assert_eq!((first.as_str(), other.as_str(), last.like(&"a".to_owned()).as_str()), ("a", "b", "a"));
    }
}
