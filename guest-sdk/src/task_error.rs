//! How a task says that it could not do what it was asked to do.

use std::error::Error;

use serde::Serialize;
use serde_json::Value;

use crate::approval::NotApproved;
use crate::error::{Cancelled, FuelError, HostError, WaitError};

/// The end of a task that did not succeed: it failed, or it stopped because it was asked to.
///
/// Every error type becomes a `TaskError` with `?`: the message is the error's text with the texts of its sources after
/// it. [`Cancelled`] and [`WaitError::Cancelled`], also as a source of another error, become a cancelled outcome
/// instead. Therefore `TaskError` is not an error type itself.
///
/// ```
/// # use taskcell_guest::TaskError;
/// fn parse(text: &str) -> Result<u32, TaskError> {
///     if text.is_empty() {
///         return Err(TaskError::new("there is no number"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(parse("x").unwrap_err().message(), "invalid digit found in string");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TaskError {
    end: End,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Failed { message: String, details: Option<Value>, retryable: bool },
    Cancelled { place: String },
}

impl TaskError {
    /// A failure, with a sentence for a person. It is final unless [`retryable`](Self::retryable) says otherwise.
    pub fn new(message: impl Into<String>) -> Self {
        Self { end: End::Failed { message: message.into(), details: None, retryable: false } }
    }

    /// The end of a task that stopped because it was asked to, or because it chose to. The text says where it stopped.
    pub fn cancelled(place: impl Into<String>) -> Self {
        Self { end: End::Cancelled { place: place.into() } }
    }

    /// Says that the same task may succeed when it is tried again. Without effect on a cancelled end.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        if let End::Failed { retryable, .. } = &mut self.end {
            *retryable = true;
        }
        self
    }

    /// Adds details for a program to read. Without effect on a cancelled end. Details that cannot be written as JSON
    /// (a map whose keys are not strings, say) are replaced by a sentence that says so.
    #[must_use]
    pub fn with_details(mut self, value: impl Serialize) -> Self {
        if let End::Failed { details, .. } = &mut self.end {
            let value = serde_json::to_value(value)
                .unwrap_or_else(|error| Value::String(format!("the details are not JSON: {error}")));
            *details = Some(value);
        }
        self
    }

    /// The sentence for a person: what went wrong, or where the task stopped.
    pub fn message(&self) -> &str {
        match &self.end {
            End::Failed { message, .. } => message,
            End::Cancelled { place } => place,
        }
    }

    /// The details for a program, if there are any.
    pub fn details(&self) -> Option<&Value> {
        match &self.end {
            End::Failed { details, .. } => details.as_ref(),
            End::Cancelled { .. } => None,
        }
    }

    /// Whether the same task may succeed when it is tried again.
    pub fn is_retryable(&self) -> bool {
        matches!(self.end, End::Failed { retryable: true, .. })
    }

    /// Whether the task stopped because it was asked to, or because it chose to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.end, End::Cancelled { .. })
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_end(self) -> End {
        self.end
    }
}

impl<E: Error + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        let mut message = String::new();
        let mut link: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(current) = link {
            if let Some(cancelled) = as_cancelled(current) {
                return Self::cancelled(cancelled.place());
            }
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&current.to_string());
            link = current.source();
        }
        Self::new(message)
    }
}

fn as_cancelled<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Cancelled> {
    // They pass the text of what is inside on as their own, and are not its source.
    if let Some(WaitError::Cancelled(cancelled)) = error.downcast_ref() {
        return Some(cancelled);
    }
    if let Some(FuelError::Cancelled(cancelled)) = error.downcast_ref() {
        return Some(cancelled);
    }
    if let Some(HostError::Cancelled(cancelled)) = error.downcast_ref() {
        return Some(cancelled);
    }
    if let Some(NotApproved::Cancelled(cancelled)) = error.downcast_ref() {
        return Some(cancelled);
    }
    error.downcast_ref()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fmt;

    use serde_json::json;

    use super::*;

    #[derive(Debug)]
    struct Outer<E>(E);

    impl<E> fmt::Display for Outer<E> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("failed to index")
        }
    }

    impl<E: Error + 'static> Error for Outer<E> {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_keeps_the_texts_of_its_sources() {
        let error = TaskError::from(Outer(WaitError::TimedOut));
        assert_eq!(error.message(), "failed to index: no signal came in time");
        assert!(!error.is_retryable() && !error.is_cancelled());
    }

    #[test]
    fn a_cancel_stays_a_cancel_however_it_is_wrapped() {
        let cancelled = Cancelled::at("stopped here");
        for error in [
            TaskError::from(cancelled.clone()),
            TaskError::from(WaitError::Cancelled(cancelled.clone())),
            TaskError::from(FuelError::Cancelled(cancelled.clone())),
            TaskError::from(HostError::Cancelled(cancelled.clone())),
            TaskError::from(NotApproved::Cancelled(cancelled.clone())),
            TaskError::from(Outer(cancelled.clone())),
            TaskError::from(Outer(Outer(WaitError::Cancelled(cancelled)))),
        ] {
            assert_eq!(error, TaskError::cancelled("stopped here"));
        }
    }

    #[test]
    fn details_and_retryable_belong_to_failures_only() {
        let failed = TaskError::new("no").retryable().with_details(json!({ "code": 7 }));
        assert!(failed.is_retryable());
        assert_eq!(failed.details(), Some(&json!({ "code": 7 })));
        let cancelled = TaskError::cancelled("here").retryable().with_details(1);
        assert_eq!(cancelled, TaskError::cancelled("here"));
    }

    #[test]
    fn details_that_are_not_json_say_so() {
        let error = TaskError::new("no").with_details(HashMap::from([((1, 2), 3)]));
        let text = error.details().and_then(Value::as_str).unwrap().to_owned();
        assert!(text.starts_with("the details are not JSON"), "{text}");
    }
}
