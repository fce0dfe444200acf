//! What the macros check with the help of the compiler.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plugin::TaskEntry;
use crate::task_error::TaskError;

/// A type that a task can take.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task's input",
    label = "this type",
    note = "derive `serde::Deserialize` and `schemars::JsonSchema` for it"
)]
pub trait TaskInput: DeserializeOwned + JsonSchema {}

impl<T: DeserializeOwned + JsonSchema> TaskInput for T {}

/// A type that a task can give.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task's result",
    label = "this type",
    note = "derive `serde::Serialize` and `schemars::JsonSchema` for it"
)]
pub trait TaskOutput: Serialize + JsonSchema {}

impl<T: Serialize + JsonSchema> TaskOutput for T {}

/// What a task function returns.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a task returns `Result<Output, TaskError>`, not `{Self}`",
    label = "this type"
)]
pub trait TaskResult {
    type Output: TaskOutput;
    fn into_result(self) -> Result<Self::Output, TaskError>;
}

impl<O: TaskOutput> TaskResult for Result<O, TaskError> {
    type Output = O;

    fn into_result(self) -> Self {
        self
    }
}

/// What `#[task]` makes of a function, beside the function itself.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "not a task",
    note = "put `#[task]` on the function"
)]
pub trait TaskType {
    const ENTRY: TaskEntry;
}

/// Whether the task at `index` has a name that an earlier one has too.
#[doc(hidden)]
pub const fn is_named_twice(tasks: &[TaskEntry], index: usize) -> bool {
    let mut earlier = 0;
    while earlier < index {
        if same(tasks, earlier, index) {
            return true;
        }
        earlier += 1;
    }
    false
}

#[expect(clippy::indexing_slicing, reason = "const code has no iterators; the macro passes indices of this very list")]
const fn same(tasks: &[TaskEntry], one: usize, other: usize) -> bool {
    let (one, other) = (tasks[one].name.as_bytes(), tasks[other].name.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether a text has `min` to `max` characters.
#[doc(hidden)]
pub const fn has_length(text: &str, min: usize, max: usize) -> bool {
    let mut rest = text.as_bytes();
    let mut characters = 0;
    while let [first, tail @ ..] = rest {
        // Every character has one byte that is not a continuation.
        if *first & 0xC0 != 0x80 {
            characters += 1;
        }
        rest = tail;
    }
    min <= characters && characters <= max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_not_bytes() {
        assert!(has_length("äöü", 3, 3));
        assert!(!has_length("äöü", 4, 9));
        assert!(!has_length("", 1, 9));
        assert!(!has_length("four", 0, 3));
    }
}
